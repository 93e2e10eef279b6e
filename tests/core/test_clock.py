"""Time comes from outside; wall time is for stamps and days only."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from headgate.clock import LoopClock, ScaledClock, utc, utc_day
from headgate.sim.virtual_time import EPOCH, run

MIDNIGHT_MS = 1_795_219_200_000
"""2026-11-21 00:00 UTC."""


@pytest.mark.parametrize(
    ("unix_ms", "day"),
    [(MIDNIGHT_MS - 1, date(2026, 11, 20)), (MIDNIGHT_MS, date(2026, 11, 21)), (0, date(1970, 1, 1))],
)
def test_a_day_begins_at_midnight_utc(unix_ms, day):
    """Prices change by it, wherever the host stands."""
    assert utc_day(unix_ms) == day == utc(unix_ms).date()


def test_inv_25_virtual_wall_time_moves_with_the_loop():
    """INV-25: one instant is the loop's zero, given in any time zone; from there both run together."""
    clock = LoopClock(datetime(2026, 11, 21, 1, tzinfo=timezone(timedelta(hours=1))))

    async def scene() -> tuple[float, int]:
        await clock.sleep(90)
        return clock.now_s(), clock.unix_ms()

    assert run(scene()) == (90.0, MIDNIGHT_MS + 90_000)


def test_an_instant_without_a_time_zone_is_no_instant():
    """It would be another one on every machine."""
    with pytest.raises(ValueError, match="time zone"):
        LoopClock(datetime(2026, 11, 21))


def test_stamps_carry_their_time_zone():
    """UTC, said so."""
    assert utc(MIDNIGHT_MS) == datetime(2026, 11, 21, tzinfo=UTC)


def test_at_ten_times_the_speed_a_minute_takes_six_seconds():
    """All of a scaled clock's waits, its seconds and its date run at its own pace."""

    async def scene() -> tuple[float, float, int, float]:
        clock = ScaledClock(10, LoopClock(EPOCH))
        before_ms = clock.unix_ms()
        await clock.sleep(60)
        return asyncio.get_running_loop().time(), clock.now_s(), clock.unix_ms() - before_ms, clock.speed

    assert run(scene()) == (6.0, 60.0, 60_000, 10)


def test_who_sleeps_when_the_clock_is_put_forward_sleeps_the_less():
    """Two hours pass at once: a wait that they cover is over, of a longer one the rest is left."""

    async def scene() -> tuple[list[float], float]:
        clock = ScaledClock(below=LoopClock(EPOCH))
        woke: list[float] = []

        async def sleeper(seconds: float) -> None:
            await clock.sleep(seconds)
            woke.append(asyncio.get_running_loop().time())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sleeper(3_600))
            tasks.create_task(sleeper(9_000))
            await asyncio.sleep(10)
            clock.advance(7_200)
        return woke, clock.now_s()

    assert run(scene()) == ([10.0, 1_800.0], 9_000.0)


def test_a_sleeper_who_is_cancelled_is_forgotten():
    """A client that leaves must not leave its timer behind."""

    async def scene() -> int:
        clock = ScaledClock(below=LoopClock(EPOCH))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await clock.sleep(100)
        return len(clock._sleepers)

    assert run(scene()) == 0


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_clock_is_not_put_back(seconds):
    """What was promised for an instant would be due twice."""

    async def scene() -> None:
        ScaledClock(below=LoopClock(EPOCH)).advance(seconds)

    with pytest.raises(ValueError, match="cannot be put forward"):
        run(scene())


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_speed_is_a_positive_number(speed):
    """At none time stands still, and whoever waits waits for ever."""
    with pytest.raises(ValueError, match="speed is"):
        ScaledClock(speed)
