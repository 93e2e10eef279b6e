"""How fast a Message Batch is processed: how long it takes as a whole, and which of its requests are done by when.

The facts say that most batches end within an hour and all within a day (claude-api.md §10); the rest is settings.
Chance comes in as `random.Random`, times are milliseconds since the batch was created.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from random import Random

from headgate.sim.settings import Batches

__all__ = ["BatchPace", "pace_of"]


@dataclass(frozen=True, slots=True)
class BatchPace:
    """Requests are done one after the other; for the first `ramp` of the time the pace grows from nothing."""

    size: int
    whole_ms: int
    ramp: float = 0.0

    def done(self, elapsed_ms: int) -> int:
        """How many requests are done after `elapsed_ms`; all of them only at the end."""
        elapsed_ms = max(0, elapsed_ms)
        if elapsed_ms >= self.whole_ms:
            return self.size
        return min(self.size - 1, int(self.size * self._share_done(elapsed_ms / self.whole_ms)))

    def instant_ms(self, number: int) -> int:
        """When the request of that number, counted from 0, is done."""
        return round(self.whole_ms * self._share_passed((number + 1) / self.size))

    def _share_done(self, passed: float) -> float:
        full = 1 / (1 - self.ramp / 2)
        if passed < self.ramp:
            return full * passed * passed / (2 * self.ramp)
        return full * (passed - self.ramp / 2)

    def _share_passed(self, done: float) -> float:
        full = 1 / (1 - self.ramp / 2)
        if done < full * self.ramp / 2:
            return sqrt(2 * self.ramp * done / full)
        return done / full + self.ramp / 2


def pace_of(size: int, settings: Batches, chance: Random) -> BatchPace:
    """The pace of a new batch of `size` requests."""
    seconds = settings.processing_s + settings.per_request_s * size
    if settings.spread:
        seconds *= exp(settings.spread * chance.gauss(0, 1))
    return BatchPace(size, round(seconds * 1000), settings.ramp)
