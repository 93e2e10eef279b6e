"""Which calls have far more tokens than calls of their workflow have on average, over a week.  Pure.

The average moves by steps of six hours.  A call is compared with those before it, and enters the average with no more
than what 99 in 100 of them had: a few enormous ones do not make the next enormous one look usual.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import accumulate
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
"""Of how many tokens a call has; the last one holds all that have more."""
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
        if now_ms >= week.step_ends_ms:
            week.move_to(now_ms // STEP_MS)
        return week.add(tokens)


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

    __slots__ = ("_bins", "_cap", "_count", "_step", "_steps", "_total", "_until_cap", "step_ends_ms")

    def __init__(self) -> None:
        self._count = 0
        self._total = 0.0
        self._bins = [0] * BINS
        self._cap = inf
        self._until_cap = LEAST_SAMPLES
        self._step = _Step(0)
        """The last of `_steps`."""
        self._steps = deque((self._step,))
        self.step_ends_ms = STEP_MS
        """A clock that was set back is not followed."""

    def move_to(self, number: int) -> None:
        """Begin a step, and forget what is more than a week old."""
        steps = self._steps
        while steps and steps[0].number <= number - STEPS:
            gone = steps.popleft()
            self._count -= gone.count
            self._total -= gone.total
            self._bins = [of_all - of_gone for of_all, of_gone in zip(self._bins, gone.bins, strict=True)]
        self._step = _Step(number)
        steps.append(self._step)
        self.step_ends_ms = (number + 1) * STEP_MS

    def add(self, tokens: int) -> bool:
        """Count a call; whether it is an outlier among those before it."""
        count, total = self._count, self._total
        kept = tokens if tokens < self._cap else self._cap
        size = int(log2(tokens) * BINS_PER_DOUBLING) if tokens else 0
        if size >= BINS:
            size = BINS - 1
        step = self._step
        step.count += 1
        step.total += kept
        step.bins[size] += 1
        self._count = count + 1
        self._total = total + kept
        self._bins[size] += 1
        self._until_cap -= 1
        if not self._until_cap:
            self._until_cap = CAP_EVERY
            self._cap = self._most_of_99_in_100()
        return count >= LEAST_SAMPLES and tokens * count > TIMES * total

    def _most_of_99_in_100(self) -> float:
        """To about a tenth."""
        with_more = [*accumulate(reversed(self._bins))]
        bins_above = bisect_right(with_more, ceil(self._count * KEPT_SHARE))
        return exp2((BINS - bins_above) / BINS_PER_DOUBLING)
