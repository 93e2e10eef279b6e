"""Token bucket that may go into debt.  Pure: time is an argument, in seconds on any clock that never goes back."""

from __future__ import annotations

from math import inf

__all__ = ["Bucket"]


class Bucket:
    """Permits that refill at a steady rate up to `capacity`.  `level` may be negative: permits promised ahead of time.

    Mutable, and without validation: it is asked several times for every call.
    """

    __slots__ = ("at_s", "capacity", "level", "refill_per_s")

    def __init__(self, capacity: float, refill_per_s: float, now_s: float) -> None:
        self.capacity = capacity
        self.refill_per_s = refill_per_s
        self.level = capacity
        self.at_s = now_s

    def refill(self, now_s: float) -> float:
        """Bring the level up to date and return it."""
        level = self.level + (now_s - self.at_s) * self.refill_per_s
        if level > self.capacity:
            level = self.capacity
        self.level = level
        self.at_s = now_s
        return level

    def wait_s(self, permits: float, now_s: float) -> float:
        """Seconds until `permits` are there; 0 if they are.

        More than `capacity` will never be there at once: such a request waits for a full bucket and leaves a debt.
        """
        level = self.refill(now_s)
        if level >= permits:
            return 0.0
        missing = min(permits, self.capacity) - level
        # Rounding: a millionth of a permit is not worth a timer that fires again and again.
        if missing <= 1e-6:
            return 0.0
        return missing / self.refill_per_s if self.refill_per_s > 0 else inf

    def take(self, permits: float) -> None:
        """Take permits (negative: give back), whether they are there or not."""
        level = self.level - permits
        self.level = level if level < self.capacity else self.capacity

    def resize(self, capacity: float, refill_per_s: float, now_s: float) -> None:
        """A new limit: what is in the bucket stays, unless it no longer fits."""
        self.refill(now_s)
        self.capacity = capacity
        self.refill_per_s = refill_per_s
        self.level = min(self.level, capacity)

    def cap_level(self, level: float, now_s: float) -> None:
        """Somebody who knows says that there is no more than `level`."""
        if self.refill(now_s) > level:
            self.level = level
