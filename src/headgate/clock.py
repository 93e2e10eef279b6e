"""Where time comes from.  The engine never asks the operating system itself, so it also runs in virtual time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol

__all__ = ["Clock", "LoopClock", "SystemClock", "milliseconds", "utc", "utc_day"]


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
    """The running loop's time, with a fixed wall-clock instant at its zero: the clock of a virtual-time run."""

    def __init__(self, epoch: datetime) -> None:
        if epoch.tzinfo is None:
            raise ValueError("epoch must carry a time zone")
        self._epoch_ms = int(epoch.astimezone(UTC).timestamp() * 1000)

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def unix_ms(self) -> int:
        return self._epoch_ms + int(self.now_s() * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


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
