"""Which calls have far more tokens than calls of their workflow have on average, over a week.  Pure.

The average moves by steps of six hours.  A call is compared with those before it, and enters the average with no more
than what 99 in 100 of them had: a few enormous ones do not make the next enormous one look usual.
"""

from __future__ import annotations

from collections import deque
from math import ceil, exp2, inf, log2

__all__ = ["TokenOutliers"]

TIMES = 2.0
LEAST_SAMPLES = 30
STEP_MS = 6 * 3_600_000
STEPS = 28
KEPT_SHARE = 0.01
"""Of the calls have more than what a call enters the average with at most."""
BINS_PER_DOUBLING = 8
BINS = 32 * BINS_PER_DOUBLING
CAP_EVERY = 64
"""What 99 in 100 have changes slowly, so it is looked up once in so many calls."""


class TokenOutliers:
    """Of as many workflows as it is asked about."""

    def __init__(self) -> None:
        self._weeks: dict[str, _Week] = {}

    def is_outlier(self, workflow: str, tokens: int, now_ms: int) -> bool:
        """Whether a call that is over, with so many tokens of all kinds, is one; it counts among those before from now
        on.  Never so while there are too few to compare it with."""
        week = self._weeks.get(workflow)
        if week is None:
            week = self._weeks[workflow] = _Week()
        week.move_to(now_ms // STEP_MS)
        outlier = week.count >= LEAST_SAMPLES and tokens * week.count > TIMES * week.total
        week.add(tokens)
        return outlier


class _Step:
    """The calls of six hours."""

    __slots__ = ("bins", "count", "number", "total")

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.total = 0.0
        self.bins = [0] * BINS
        """How many calls had about so many tokens."""


class _Week:
    """The calls of one workflow."""

    __slots__ = ("_bins", "_cap", "_steps", "_until_cap", "count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._bins = [0] * BINS
        self._cap = inf
        self._until_cap = LEAST_SAMPLES
        self._steps: deque[_Step] = deque()

    def move_to(self, number: int) -> None:
        """Forget what is more than a week old.  A clock that was set back is not followed."""
        steps = self._steps
        if steps and number <= steps[-1].number:
            return
        while steps and steps[0].number <= number - STEPS:
            gone = steps.popleft()
            self.count -= gone.count
            self.total -= gone.total
            self._bins = [of_all - of_gone for of_all, of_gone in zip(self._bins, gone.bins, strict=True)]
        steps.append(_Step(number))

    def add(self, tokens: int) -> None:
        kept = min(float(tokens), self._cap)
        size = min(int(log2(tokens) * BINS_PER_DOUBLING), BINS - 1) if tokens else 0
        step = self._steps[-1]
        step.count += 1
        step.total += kept
        step.bins[size] += 1
        self.count += 1
        self.total += kept
        self._bins[size] += 1
        self._until_cap -= 1
        if not self._until_cap:
            self._until_cap = CAP_EVERY
            self._cap = self._most_of_99_in_100()

    def _most_of_99_in_100(self) -> float:
        """To about a tenth."""
        more = ceil(self.count * KEPT_SHARE)
        for size in range(BINS - 1, -1, -1):
            more -= self._bins[size]
            if more < 0:
                return exp2((size + 1) / BINS_PER_DOUBLING)
        return inf
