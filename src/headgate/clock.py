"""Where time comes from.  The engine never asks the operating system itself, so it also runs in virtual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import inf
from typing import Protocol

__all__ = ["Clock", "LoopClock", "ScaledClock", "SystemClock", "milliseconds", "utc", "utc_day"]


class Clock(Protocol):
    """Monotonic seconds for durations, wall-clock milliseconds for stamps and calendar windows only."""

    def now_s(self) -> float:
        """Monotonic; only differences mean anything."""
        ...

    def unix_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """Real time, finer than the loop's own clock (uvloop's stands still within a turn and counts whole
    milliseconds)."""

    now_s = staticmethod(time.monotonic)

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LoopClock:
    """A loop's time, with a fixed wall-clock instant at its zero: the clock of a virtual-time run.

    Args:
        loop: whose; default is the one that runs when it is asked.
    """

    def __init__(self, epoch: datetime, loop: asyncio.AbstractEventLoop | None = None) -> None:
        if epoch.tzinfo is None:
            raise ValueError("epoch must carry a time zone")
        self._epoch_ms = int(epoch.astimezone(UTC).timestamp() * 1000)
        self.now_s: Callable[[], float] = loop.time if loop is not None else _time_of_the_running_loop

    def unix_ms(self) -> int:
        return self._epoch_ms + int(self.now_s() * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _time_of_the_running_loop() -> float:
    return asyncio.get_running_loop().time()


class ScaledClock:
    """Another clock's time, `speed` times as fast from now on, that can be put forward: the simulator's own.

    Seconds are those of this clock throughout: at ten times the speed `sleep(60)` takes six of the clock below.
    Used on one event loop.
    """

    def __init__(self, speed: float = 1.0, below: Clock | None = None, start: datetime | None = None) -> None:
        """`start` is the date that it begins at, or None for that of the clock below."""
        if not 0 < speed < inf:
            raise ValueError(f"speed is {speed}, and must be above 0")
        self.speed = speed
        self._below = below or SystemClock()
        self._below_s = self._below.now_s
        self._began_s = self._below_s()
        self._began_ms = self._below.unix_ms() if start is None else int(start.timestamp() * 1000)
        self._ahead_s = 0.0
        self._sleepers: dict[asyncio.Future[None], tuple[float, asyncio.TimerHandle]] = {}

    def now_s(self) -> float:
        return self._ahead_s + (self._below_s() - self._began_s) * self.speed

    def unix_ms(self) -> int:
        return self._began_ms + int(self.now_s() * 1000)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        asleep = loop.create_future()
        timer = loop.call_later(seconds / self.speed, _wake, asleep)
        self._sleepers[asleep] = (self.now_s() + seconds, timer)
        try:
            await asleep
        finally:
            self._sleepers.pop(asleep)[1].cancel()

    def advance(self, seconds: float) -> None:
        """Put it forward: `seconds` pass at once, for everybody who sleeps on it too.

        Raises:
            ValueError: time does not go back.
        """
        if not 0 <= seconds < inf:
            raise ValueError(f"the clock cannot be put forward by {seconds} s")
        self._ahead_s += seconds
        now_s = self.now_s()
        for asleep, (until_s, timer) in list(self._sleepers.items()):
            timer.cancel()
            left_s = max(0.0, until_s - now_s) / self.speed
            self._sleepers[asleep] = (until_s, asleep.get_loop().call_later(left_s, _wake, asleep))


def _wake(asleep: asyncio.Future[None]) -> None:
    if not asleep.done():
        asleep.set_result(None)


def milliseconds(seconds: float) -> float:
    """A duration (0 or more) as records have it: milliseconds, to the microsecond.

    Taken several times for every call, where `round` to three places costs four times as much.
    """
    return int(seconds * 1_000_000 + 0.5) / 1000


def utc(unix_ms: int) -> datetime:
    """`unix_ms` as an aware datetime."""
    return _EPOCH + timedelta(milliseconds=unix_ms)


def utc_day(unix_ms: int) -> date:
    """The day of `unix_ms` in UTC.  Asked several times for every call, and the answer changes once a day."""
    return _day(unix_ms // _DAY_MS)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000


@lru_cache(maxsize=64)
def _day(number: int) -> date:
    return _EPOCH.date() + timedelta(days=number)
