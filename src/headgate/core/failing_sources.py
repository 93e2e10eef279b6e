"""How often each source fails, in the last minute.  Pure: time is an argument.

A minute is seen through a window that slides: of the whole minute before, the share counts that is still in sight, as
if it had been even.  There is room for so many sources; for one more the one goes that has been quiet for longest, but
not one that fails often, so that a crowd does not hide who keeps at it.
"""

from __future__ import annotations

from collections import OrderedDict
from heapq import nlargest

__all__ = ["MOST_SOURCES", "FailingSources"]

MOST_SOURCES = 1_000
MINUTE_S = 60.0
OFTEN = 10.0
"""Failures a minute with which a source stays, however many others come."""
TRIES = 8
"""So many are looked at for one that may go."""


class FailingSources:
    """Counts by source; bounded."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, _Minutes] = OrderedDict()
        """The one that failed last is last."""

    def failed(self, source: str, now_s: float) -> None:
        """It has, once more."""
        its = self._sources.pop(source, None)
        if its is None:
            its = _Minutes(now_s)
            if len(self._sources) >= MOST_SOURCES:
                self._make_room(now_s)
        its.add(now_s)
        self._sources[source] = its

    def worst(self, now_s: float, most: int) -> list[tuple[str, float]]:
        """Those that failed most in the last minute, and how often.  Who has been quiet for longer is forgotten."""
        rates = {source: its.rate(now_s) for source, its in self._sources.items()}
        for source, rate in rates.items():
            if not rate:
                del self._sources[source]
        return nlargest(most, ((source, rate) for source, rate in rates.items() if rate), key=lambda each: each[1])

    def __len__(self) -> int:
        return len(self._sources)

    def _make_room(self, now_s: float) -> None:
        for _ in range(TRIES):
            source, its = self._sources.popitem(last=False)
            if its.rate(now_s) < OFTEN:
                return
            self._sources[source] = its
        self._sources.popitem(last=False)


class _Minutes:
    """What one source did in a minute, and in the one before."""

    __slots__ = ("_before", "_began_s", "_count")

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._count = 0
        self._before = 0

    def add(self, now_s: float) -> None:
        self._move_to(now_s)
        self._count += 1

    def rate(self, now_s: float) -> float:
        self._move_to(now_s)
        return self._count + self._before * (1 - (now_s - self._began_s) / MINUTE_S)

    def _move_to(self, now_s: float) -> None:
        minutes = int((now_s - self._began_s) / MINUTE_S)
        if minutes > 0:
            self._before = self._count if minutes == 1 else 0
            self._count = 0
            self._began_s += minutes * MINUTE_S
