"""The ramp limit: a 429 for usage that grows too fast, although the buckets have room (claude-api.md §8.1).

Its thresholds are not published.  Here: in any minute a pool takes at most so many times what it took in the minute
before, and in any case a share of its limit, so that a start after idle time begins there.  Input tokens are counted.
"""

from __future__ import annotations

__all__ = ["Ramp"]

WINDOW_S = 60.0


class Ramp:
    """How fast one pool may grow.  Minutes count from its first use."""

    __slots__ = ("_allowed", "_began_s", "_floor", "_growth", "_used")

    def __init__(self, growth: float, floor: float) -> None:
        """`growth` from one minute to the next; `floor` is what any minute may take, in tokens."""
        self._growth = growth
        self._floor = floor
        self._allowed = floor
        self._used = 0.0
        self._began_s: float | None = None

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` may be taken, 0 for now.  The first of a minute may always go, however large."""
        self._turn(now_s)
        if not self._used or self._used + amount <= self._allowed or self._began_s is None:
            return 0.0
        return self._began_s + WINDOW_S - now_s

    def take(self, amount: float, now_s: float) -> None:
        self._turn(now_s)
        self._used += amount

    def _turn(self, now_s: float) -> None:
        """Begin a new minute if the last one is over; one without any use is idle time."""
        if self._began_s is None:
            self._began_s = now_s
        passed = int((now_s - self._began_s) / WINDOW_S)
        if passed:
            self._allowed = max(self._floor, self._growth * self._used) if passed == 1 else self._floor
            self._began_s += passed * WINDOW_S
            self._used = 0.0
