"""Configured ceilings: buckets of our own in front of the API's, so that a limit is used at the rate that we allow.

How much goes at once is the API's to say (core/depth.py), and no more than these hold.  Pure: seconds of one monotonic
clock are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from headgate.core.limiter import Limiter
from headgate.core.limits import Limit
from headgate.core.rate_headers import LIMITERS

__all__ = ["Ceilings"]


class Ceilings:
    """Of one backend.  Whoever takes corrects, by how often its buckets had been full then (`times_full`)."""

    __slots__ = ("_buckets", "_limits")

    def __init__(self, limits: Sequence[Limit], burst_s: float, now_s: float) -> None:
        """`limits` in the order of `LIMITERS`; those with a ceiling get a bucket that is `burst_s` deep."""
        self._limits = limits
        self._buckets: list[tuple[int, Limiter]] = []
        for index, (name, limit) in enumerate(zip(LIMITERS, limits, strict=True)):
            if limit.ceiling < inf:
                bucket = Limiter(name, Limit(limit.ceiling, "configured ceiling", now_s), now_s, patience_s=inf)
                bucket.room = max(1.0, limit.ceiling / 60 * burst_s)
                self._buckets.append((index, bucket))

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def wait_s(self, needs: Sequence[float], now_s: float, headroom: float) -> float:
        """Seconds until all of them have room; 0 now."""
        return max([bucket.wait_s(needs[index], now_s, headroom) for index, bucket in self._buckets])

    def take(self, needs: Sequence[float], now_s: float) -> None:
        for index, bucket in self._buckets:
            bucket.take(needs[index], now_s)

    def times_full(self) -> tuple[int, ...]:
        return tuple([bucket.times_full for _, bucket in self._buckets])

    def correct(self, index: int, more: float, times_full: Sequence[int], now_s: float) -> None:
        """As `Limiter.correct`, of the one limiter."""
        for (which, bucket), full in zip(self._buckets, times_full, strict=True):
            if which == index:
                bucket.correct(more, full, now_s)

    def keep_pace(self, limiters: Sequence[Limiter], now_s: float) -> None:
        """No faster, as a share of their rate, than we dare to use the API's own."""
        for index, bucket in self._buckets:
            if bucket.pace != limiters[index].pace:
                bucket.slow(limiters[index].pace, now_s)

    def binding(self, limiters: Sequence[Limiter]) -> list[Limiter]:
        """What binds us: of the API's `limiters` each, or the ceiling below it."""
        binding = list(limiters)
        for index, bucket in self._buckets:
            if self._limits[index].capped:
                binding[index] = bucket
        return binding
