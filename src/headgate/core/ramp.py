"""How fast input may grow where the API limits that (claude-api.md §8.1).  Pure: time is an argument.

The thresholds of the API's ramp limit are not published, so nothing is held back before it says
`ramp_limit_exceeded`, or a growth is configured.  Then each minute may take so many times what the minute before really
took, spread evenly, so that it does not matter when the API's own minutes begin.
"""

from __future__ import annotations

from math import inf

__all__ = ["Ramp"]

MINUTE_S = 60.0
GROWTH = 1.5
"""A minute, once the API has complained; each further complaint takes half of what it is above 1."""
LEAST_GROWTH = 1.1
FLOOR_SHARE = 0.1
"""Of the input limit: so much any minute may take, however idle the one before."""
DEPTH_S = 2.0
"""How much of it may go at once."""
ROUNDING = 1e-6
"""Of a token: not worth a timer that fires again and again."""
FORGET_S = 3600.0


class Ramp:
    """Of one backend.  Counts what goes, and holds back only while there is a reason to.

    Args:
        limit_per_minute: input tokens; may be set anew at any time.
        growth_per_minute: as configured; None: what the API's complaints teach.
    """

    __slots__ = ("_before", "_configured", "_earlier", "_hit_s", "_left", "_left_s", "_minute_s", "_per_s", "_used",
                 "active", "growth", "limit_per_minute")  # fmt: skip

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
        self.active = False
        """Whether it holds anything back."""
        self._per_s = 0.0
        self._left, self._left_s = 0.0, -inf
        """Tokens that may go, and when that was; below 0 it is a debt."""

    def wait_s(self, input_tokens: float, now_s: float) -> float:
        """Seconds until `input_tokens` may go; 0 now."""
        if not self.active and self._configured is None:
            return 0.0
        self._turn(now_s)
        if not self.active:
            return 0.0
        # More than may ever go at once waits for all of that, and leaves a debt.
        missing = min(input_tokens, self._depth) - self._refill(now_s)
        if missing <= ROUNDING:
            return 0.0
        return missing / self._per_s if self._per_s > 0 else inf

    def take(self, input_tokens: float, now_s: float) -> None:
        """They go."""
        if now_s >= self._minute_s + MINUTE_S:
            self._turn(now_s)
        self._used += input_tokens
        if self.active:
            self._left = self._refill(now_s) - input_tokens

    def hit(self, now_s: float, retry_after_s: float | None = None) -> None:
        """The API said `ramp_limit_exceeded`: this minute may take no more than the one before it did."""
        self._turn(now_s)
        if self._configured is None and self.active and now_s - self._hit_s >= MINUTE_S:
            self.growth = max(LEAST_GROWTH, 1 + (self.growth - 1) / 2)
        self._hit_s = now_s
        self._allow(self._before, now_s)
        self._left = min(self._left, 0.0)

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
            if not self.active:
                return
            if now_s - self._hit_s > FORGET_S:
                self.active, self.growth = False, GROWTH
                return
        # The API's minute may have begun in the middle of ours: what began only lately does not count in full.
        self._allow(min(self.growth * self._before, self.growth**2 * self._earlier), now_s)

    def _allow(self, per_minute: float, now_s: float) -> None:
        left = self._refill(now_s) if self.active else inf
        self.active = True
        self._per_s = max(per_minute, FLOOR_SHARE * self.limit_per_minute) / (MINUTE_S + DEPTH_S)
        self._left, self._left_s = min(left, self._depth), now_s

    @property
    def _depth(self) -> float:
        return max(1.0, self._per_s * DEPTH_S)

    def _refill(self, now_s: float) -> float:
        """What may go now."""
        self._left = min(self._depth, self._left + (now_s - self._left_s) * self._per_s)
        self._left_s = now_s
        return self._left
