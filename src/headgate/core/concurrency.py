"""How many calls may be under way at a backend.  Pure: time is an argument.

Additive increase, multiplicative decrease, as in Netflix's concurrency-limits, on refusals only (529, 429): how long an
answer takes says how long it is, and nothing of the load.  Without trouble there is no limit and nothing to compute.
"""

from __future__ import annotations

from math import inf

from headgate.core.breaker import OutcomeKind

__all__ = ["Concurrency"]

OVERLOADED_FACTOR, LIMITED_FACTOR = 0.7, 0.9
CUT_EVERY_S = 1.0
START_AT, START_SHARE = 4.0, 1 / 8
"""After an outage: a few, or a share of what went well before."""
QUIET_S = 300.0
"""After so long without trouble growth is as fast beyond the last good level as below it."""
FORGET_S = 600.0


class Concurrency:
    """Of one backend.  Below the last good level it doubles with every round of answers, beyond it grows by one."""

    __slots__ = ("_cut_s", "good", "limit")

    def __init__(self) -> None:
        self.limit = inf
        self.good = inf
        """The level at which the last trouble came, or half way down from there if that was a 529."""
        self._cut_s = -inf

    def has_room(self, under_way: int) -> bool:
        """Whether one more may go beside `under_way` others."""
        return under_way + 1 <= self.limit

    def ended(self, kind: OutcomeKind, under_way: int, now_s: float, *, began_s: float | None = None) -> None:
        """How a call that was no probe went.

        Args:
            under_way: those under way with it, itself included.
            began_s: when it went; one that went before the last cut does not cut again.
        """
        if kind == "ok":
            if self.limit < inf:
                self._grow(under_way, now_s)
        elif kind == "overloaded":
            self._cut(OVERLOADED_FACTOR, under_way, now_s, began_s)
        elif kind == "limited":
            self._cut(LIMITED_FACTOR, under_way, now_s, began_s)

    def begin_slowly(self, now_s: float) -> None:
        """The backend is back after an outage: what has waited must not fall upon it all at once."""
        share = START_SHARE * self.good if self.good < inf else 0.0
        self.limit = min(self.limit, max(START_AT, share))
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
        self.limit = max(1.0, level * factor)
        self.good = level if factor == LIMITED_FACTOR else (level + self.limit) / 2
        self._cut_s = now_s
