"""How many calls may be under way at a backend.  Pure: time is an argument.

Additive increase, multiplicative decrease, as in Netflix's concurrency-limits, on refusals only (529, 429): how long an
answer takes says how long it is, and nothing of the load.  Without trouble there is no limit.

Refusals that come whatever we send, because all the world asks too much, would drive such a limit to the floor and help
nobody.  So it never falls below half of what was under way lately; a backend that bears less than that refuses most of
what it gets, which opens the breaker.
"""

from __future__ import annotations

from math import inf

from headgate.core.breaker import OutcomeKind

__all__ = ["Concurrency"]

OVERLOADED_FACTOR, LIMITED_FACTOR = 0.7, 0.9
CUT_EVERY_S = 1.0
FEWEST = 8.0
"""One long answer would hold up everybody; how little goes to an API that is down is the breaker's business."""
LEAST_SHARE = 0.5
"""Of the most that were under way within the last `LATELY_S`, and up to as long before."""
LATELY_S = 300.0
START_SHARE = 1 / 8
"""After an outage: this share of what went well before, or the fewest."""
QUIET_S = 300.0
"""After so long without trouble growth is as fast beyond the last good level as below it."""
FORGET_S = 600.0


class Concurrency:
    """Of one backend.  Below the last good level it doubles with every round of answers, beyond it grows by one."""

    __slots__ = ("_cut_s", "_most", "_most_before", "_most_until_s", "good", "limit")

    def __init__(self) -> None:
        self.limit = inf
        self.good = inf
        """The level at which the last trouble came, or half way down from there if that was a 529."""
        self._cut_s = -inf
        self._most = self._most_before = 0
        """The most that were under way, in this span and in the one before."""
        self._most_until_s = -inf

    def has_room(self, under_way: int) -> bool:
        """Whether one more may go beside `under_way` others."""
        return under_way + 1 <= self.limit

    def ended(self, kind: OutcomeKind, under_way: int, now_s: float, *, began_s: float | None = None) -> None:
        """How a call that was no probe went.

        Args:
            under_way: those under way with it, itself included.
            began_s: when it went; one that went before the last cut does not cut again.
        """
        if now_s >= self._most_until_s:
            self._most_before = self._most if now_s < self._most_until_s + LATELY_S else 0
            self._most, self._most_until_s = 0, now_s + LATELY_S
        if under_way > self._most:
            self._most = under_way
        if kind == "ok":
            if self.limit < inf:
                self._grow(under_way, now_s)
        elif kind == "overloaded":
            self._cut(OVERLOADED_FACTOR, under_way, now_s, began_s)
        elif kind == "limited":
            self._cut(LIMITED_FACTOR, under_way, now_s, began_s)

    def begin_slowly(self, now_s: float) -> None:
        """The backend is back after an outage: what has waited must not fall upon it all at once."""
        good = self.good if self.good < inf else max(self._most, self._most_before)
        self.limit = min(self.limit, max(FEWEST, START_SHARE * good))
        self._cut_s = now_s

    def _grow(self, under_way: int, now_s: float) -> None:
        quiet_s = now_s - self._cut_s
        if quiet_s > FORGET_S:
            self.limit = self.good = inf
        elif under_way * 2 >= self.limit:  # else it is not the limit that keeps them few
            self.limit += 1.0 if self.limit < self.good else max(1.0 / self.limit, min(1.0, quiet_s / QUIET_S))

    def _cut(self, factor: float, under_way: int, now_s: float, began_s: float | None) -> None:
        if now_s - self._cut_s < CUT_EVERY_S or (began_s is not None and began_s < self._cut_s):
            return
        level = min(self.limit, float(under_way))
        least = max(FEWEST, LEAST_SHARE * max(self._most, self._most_before))
        self.limit = max(level * factor, least)
        self.good = max(level if factor == LIMITED_FACTOR else (level + level * factor) / 2, least)
        self._cut_s = now_s
