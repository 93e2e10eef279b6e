"""How deep the API's buckets are, in seconds of refill: learned, since it is not published (claude-api.md §8.1, §17.2).

Starts careful.  What was let in proves a depth; while calls wait, a little more than what is proven is tried; a 429
sets a bound that stands for long.  So every depth costs a handful of 429s once, and a long backlog still gets nearly
all of the burst that there is.  Pure: seconds of one monotonic clock are handed in.
"""

from __future__ import annotations

from math import inf

__all__ = ["STEP", "Depth"]

STEP = 1 / 20
"""Tried beyond what is proven, or one call where that is more."""
LEAST_S = 1.0
"""No 429 makes it less: what single calls need is let in by a bucket that is full, however shallow."""
FIRST_DOUBT_S = 1800.0
LONGEST_DOUBT_S = 4 * 3600.0
"""A bound is doubted after the first, then after twice as long each time, at most the second: depths hardly change."""


class Depth:
    """Seconds of refill that may be missing from a bucket when a call goes."""

    __slots__ = (
        "_before", "_doubt_s", "_doubted_s", "_given_s", "_grain_s", "_least_s", "bound_s", "bound_until_s",
        "most_s", "proven_s",
    )  # fmt: skip

    def __init__(self, first_s: float, most_s: float) -> None:
        """`first_s` is taken as given until a 429 says otherwise; more than `most_s` is never tried."""
        self._least_s = min(first_s, most_s, LEAST_S)
        self.most_s = most_s
        """Never more than this is tried."""
        self._given_s = self.proven_s = min(first_s, most_s)
        self.bound_s = inf
        """Known to be too much."""
        self.bound_until_s = inf
        self._doubt_s = FIRST_DOUBT_S
        self._doubted_s = inf
        self._grain_s = 0.0
        self._before: tuple[float, float, float] | None = None
        """What was proven, bound and doubted before a streak of 429s."""

    @property
    def allowed_s(self) -> float:
        """What may be missing, before the step into the unknown."""
        proven, bound = self.proven_s, self.bound_s
        if bound == inf or bound <= proven * (1 + 2 * STEP) or bound - proven <= self._grain_s:
            return proven
        return (proven + bound) / 2

    @property
    def exploring(self) -> bool:
        """Whether a step beyond `allowed_s` may be tried."""
        return self.bound_s == inf and self.proven_s < self.most_s

    @property
    def doubting(self) -> bool:
        """Whether that is to see again what was too much before: most likely it still is."""
        return self._doubted_s < inf

    def prove(self, seconds: float, *, surely: bool) -> bool:
        """A call was let in with so much missing, its own need included.  Returns whether that is news.

        Args:
            surely: it is known of one call, and not only likely.
        """
        if seconds <= self.proven_s:
            return False
        if seconds >= self.bound_s:
            if not surely:
                return False
            self.bound_s = inf
            self._doubted_s = inf
        elif seconds > self._doubted_s:
            self._doubted_s = inf
        self.proven_s = min(seconds, self.most_s)
        return True

    def refuse(self, seconds: float, now_s: float, *, grain_s: float = 0.0) -> bool:
        """A call was refused with so much missing, its own need included.  Returns whether anything follows from it.

        Args:
            grain_s: what such a call needs: the bound is not narrowed to less than that.
        """
        # What is known of old and has only been doubted holds again.
        seconds = max(min(seconds, self._doubted_s), self._least_s)
        if seconds >= self.bound_s * (1 - STEP) or (seconds <= self._least_s and self.proven_s <= self._least_s):
            return False
        self._before = self._before or (self.proven_s, self.bound_s, self._doubted_s)
        if self.proven_s <= self._given_s:
            self.proven_s = self._least_s  # nothing but what was given
        self.bound_s = seconds
        self._grain_s = grain_s
        self.bound_until_s = now_s + self._doubt_s
        self.proven_s = max(self._least_s, min(self.proven_s, seconds * (1 - STEP)))
        return True

    def confirm(self) -> None:
        """What went after the last 429 was answered: so it was one of its kind."""
        self._before = None

    def retract(self) -> bool:
        """A streak of 429s was not about depth after all.  Returns whether anything had followed from it."""
        if self._before is None:
            return False
        self.proven_s, self.bound_s, self._doubted_s = self._before
        self._before = None
        return True

    def look(self, now_s: float) -> bool:
        """Doubt a bound that has stood for long.  Returns whether that happened."""
        if now_s < self.bound_until_s:
            return False
        self._doubted_s = self.bound_s
        self.bound_s = self.bound_until_s = inf
        self._doubt_s = min(2 * self._doubt_s, LONGEST_DOUBT_S)
        return True
