"""Time comes from outside; wall time is for stamps and days only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from headgate.clock import LoopClock, utc, utc_day
from headgate.sim.virtual_time import run

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
