"""What an account's limits are, who says so, and since when (claude-api.md §8.2, §8.4, §8.5).

Response headers know best, then the Rate Limits API, then the tier.  Nothing raises a limit above its configured
ceiling.  Times are seconds of one monotonic clock, handed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal

__all__ = ["UNLIMITED", "Limit", "Source"]

UNLIMITED = 1e12
"""Permits a minute of a limiter that does not apply: finite, so that arithmetic stays arithmetic."""
BELIEVE_AFTER = 3
"""A higher limit is believed once this many responses in a row have said the same, and so is one that is lower by
far."""
LOWER_BY_FAR = 10
STALE_AFTER_S = 900.0
"""Headers that have said nothing for so long know no better than the Rate Limits API."""

Source = Literal["headers", "rate limits API"]


@dataclass(slots=True)
class Limit:
    """Permits a minute of one limiter, where that figure comes from, and when it was last said."""

    per_minute: float
    source: str
    """`headers`, `rate limits API`, `tier …`, or `configured ceiling` where that is what binds."""
    at_s: float
    ceiling: float = inf
    """Configured: nobody raises the limit above it."""
    upstream: float = 0.0
    """What the API lets through, our ceiling aside.  0, to begin with: no more, until somebody says so."""
    workspace: float = inf
    """What our workspace may use of it, by the Rate Limits API.  Headers tell only what the organisation may."""
    rumour: tuple[float, int] = (0.0, 0)
    """Another limit that headers speak of and that is not believed yet, and how many in a row did."""
    remaining: float | None = None
    """As headers told it last, rounded as they round; of a bucket that holds a whole minute, which it may not."""
    remaining_at_s: float | None = None

    def __post_init__(self) -> None:
        self.upstream = self.upstream or self.per_minute

    @property
    def capped(self) -> bool:
        """Whether a ceiling keeps us below what the API lets through."""
        return self.per_minute < self.upstream

    def hear(self, said: float, source: Source, now_s: float) -> bool:
        """Somebody says what the limit is.  Returns whether it is another one now.

        One strange answer moves nothing: what headers say of a limit that is higher, or lower by far, is a rumour until
        several say the same.
        """
        upstream = min(said, self.workspace)
        new = min(upstream, self.ceiling)
        if source == "headers":
            if new > self.per_minute or new * LOWER_BY_FAR < self.per_minute:
                seen = self.rumour[1] + 1 if self.rumour[0] == new else 1
                self.rumour = (new, seen)
                if seen < BELIEVE_AFTER:
                    return False
            self.rumour = (0.0, 0)
        elif self.source == "headers" and now_s - self.at_s < STALE_AFTER_S:
            return False
        changed = upstream != self.upstream or new != self.per_minute
        self.upstream = upstream
        self.per_minute = new
        if self.capped:
            self.source = "configured ceiling"
        else:
            self.source = source if upstream == said else "rate limits API"
        self.at_s = now_s
        return changed
