"""How fast input may grow where the API limits that (claude-api.md §8.1).  Pure: time is an argument.

The thresholds of the API's ramp limit are not published, so nothing is held back before it says
`ramp_limit_exceeded`, or a growth is configured.  Then each minute may take so many times what the minute before really
took, spread evenly, so that it does not matter when the API's own minutes begin.
"""

from __future__ import annotations

from math import inf

from headgate.core.bucket import Bucket

__all__ = ["Ramp"]

MINUTE_S = 60.0
GROWTH = 1.5
"""A minute, once the API has complained; each further complaint takes half of what it is above 1."""
LEAST_GROWTH = 1.1
FLOOR_SHARE = 0.1
"""Of the input limit: so much any minute may take, however idle the one before."""
DEPTH_S = 2.0
"""How much of it may go at once."""
FORGET_S = 3600.0


class Ramp:
    """Of one backend.  Counts what goes, and holds back only while there is a reason to.

    Args:
        limit_per_minute: input tokens; may be set anew at any time.
        growth_per_minute: as configured; None: what the API's complaints teach.
    """

    __slots__ = ("_before", "_bucket", "_configured", "_earlier", "_hit_s", "_minute_s", "_used", "growth",
                 "limit_per_minute")  # fmt: skip

    def __init__(self, limit_per_minute: float, growth_per_minute: float | None = None) -> None:
        self.limit_per_minute = limit_per_minute
        self.growth = growth_per_minute or GROWTH
        self._configured = growth_per_minute
        self._hit_s = -inf
        self._minute_s = -inf
        self._used = 0.0
        """In the minute that began at `_minute_s`."""
        self._before = self._earlier = 0.0
        """In the minute before, and in the one before that."""
        self._bucket: Bucket | None = None
        """While it is active."""

    @property
    def active(self) -> bool:
        """Whether it holds anything back."""
        return self._bucket is not None

    def wait_s(self, input_tokens: float, now_s: float) -> float:
        """Seconds until `input_tokens` may go; 0 now."""
        if self._bucket is None and self._configured is None:
            return 0.0
        self._turn(now_s)
        return self._bucket.wait_s(input_tokens, now_s) if self._bucket is not None else 0.0

    def take(self, input_tokens: float, now_s: float) -> None:
        """They go."""
        if now_s >= self._minute_s + MINUTE_S:
            self._turn(now_s)
        self._used += input_tokens
        if self._bucket is not None:
            self._bucket.refill(now_s)
            self._bucket.take(input_tokens)

    def hit(self, now_s: float, retry_after_s: float | None = None) -> None:
        """The API said `ramp_limit_exceeded`: this minute may take no more than the one before it did."""
        self._turn(now_s)
        if self._configured is None and self._bucket is not None and now_s - self._hit_s >= MINUTE_S:
            self.growth = max(LEAST_GROWTH, 1 + (self.growth - 1) / 2)
        self._hit_s = now_s
        self._allow(self._before, now_s)
        assert self._bucket is not None
        self._bucket.cap_level(0.0, now_s)

    def _turn(self, now_s: float) -> None:
        """Begin the next minute if it is time to; one without any use is idle time."""
        if now_s < self._minute_s + MINUTE_S:
            return
        passed = int((now_s - self._minute_s) / MINUTE_S) if self._minute_s > -inf else 0
        self._earlier = self._before if passed == 1 else self._used if passed == 2 else 0.0
        self._before = self._used if passed == 1 else 0.0
        self._minute_s = self._minute_s + passed * MINUTE_S if passed else now_s
        self._used = 0.0
        if self._configured is None:
            if self._bucket is None:
                return
            if now_s - self._hit_s > FORGET_S:
                self._bucket, self.growth = None, GROWTH
                return
        # The API's minute may have begun in the middle of ours: what began only lately does not count in full.
        self._allow(min(self.growth * self._before, self.growth**2 * self._earlier), now_s)

    def _allow(self, per_minute: float, now_s: float) -> None:
        per_s = max(per_minute, FLOOR_SHARE * self.limit_per_minute) / (MINUTE_S + DEPTH_S)
        capacity = max(1.0, per_s * DEPTH_S)
        if self._bucket is None:
            self._bucket = Bucket(capacity, per_s, now_s)
        else:
            self._bucket.resize(capacity, per_s, now_s)
