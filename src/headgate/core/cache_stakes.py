"""How much may be staked on the prompt cache, so that no hour costs more than it would have without.

Writing to the cache costs more than not caching, now; what it saves comes later, or never.  A write is a stake: it is
made only if all stakes of the last hour that have not come back would, lost together, still be less than one percent of
what an hour's prompts cost.  As an hour's prompts counts what was asked in the last one, or what will be at the rate of
the last minutes if that is less.

At list prices, as floats: it bounds a bet and is no account of what was spent.  Pure.
"""

from __future__ import annotations

from collections import deque
from math import exp, inf

__all__ = ["ALLOWED", "CacheStakes"]

ALLOWED = 0.01
"""Of what prompts would cost without a cache: the most that an hour may lose."""
HOUR_S = 3_600.0
PRESENT_S = 600.0
"""The last minutes."""
STEP_S = 60.0
"""What was won and lost is remembered by the minute."""


class CacheStakes:
    """One account for all calls that share a cache."""

    __slots__ = ("_asked", "_at_s", "_lately", "_peaks", "_this_hour", "_won")

    def __init__(self) -> None:
        self._won = 0.0
        """All that was saved, less all that was staked."""
        self._peaks: deque[tuple[float, float]] = deque([(0.0, 0.0)])
        """Minutes of the last hour after which it was never again so much, and how much it was."""
        self._asked: deque[list[float]] = deque()
        """Minutes of the last hour, and what their prompts would cost."""
        self._this_hour = 0.0
        self._lately = 0.0
        self._at_s = -inf

    @property
    def room(self) -> float:
        """What may be staked now."""
        lost = self._peaks[0][1] - self._won
        hour = min(self._this_hour, self._lately * (HOUR_S / PRESENT_S))
        return ALLOWED * hour - max(0.0, lost)

    def prompt(self, cost: float, now_s: float) -> None:
        """A prompt is on its way that would cost so much without a cache."""
        self._lately += cost
        self._this_hour += cost
        passed_s = now_s - self._at_s
        if passed_s < 1.0:
            self._asked[-1][1] += cost
            return
        if self._asked:
            self._lately *= exp(-passed_s / PRESENT_S)
        self._at_s = now_s
        minute = now_s // STEP_S
        if self._asked and self._asked[-1][0] == minute:
            self._asked[-1][1] += cost
        else:
            self._asked.append([minute, cost])
            while self._asked[0][0] <= minute - HOUR_S / STEP_S:
                self._this_hour -= self._asked.popleft()[1]
        self._note(minute)

    def add(self, amount: float) -> None:
        """Saved, or less than nothing: staked."""
        self._won += amount

    def _note(self, minute: float) -> None:
        peaks = self._peaks
        if peaks and peaks[-1][0] == minute and peaks[-1][1] >= self._won:
            return
        while peaks and peaks[-1][1] <= self._won:
            peaks.pop()
        peaks.append((minute, self._won))
        while peaks[0][0] < minute - HOUR_S / STEP_S:
            peaks.popleft()
