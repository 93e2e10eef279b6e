"""A token bucket: refilled continuously up to its depth, and shared with others whom nobody sees (claude-api.md §8.1).

Times are monotonic seconds handed in.  The level may fall below zero: what was used without asking is a debt.
"""

from __future__ import annotations

from headgate.sim.weather import Weather

__all__ = ["Bucket"]

ROUNDING = 1e-6
"""A client that waits exactly as told must not be refused over the last bit of a float."""
MINUTE_S = 60.0


class Bucket:
    """One limiter's store.  Holds `depth_s` seconds' worth of refill."""

    __slots__ = ("_field", "_weather", "at_s", "capacity", "level", "limit", "period_s", "refill_per_s")

    def __init__(
        self,
        limit: int,
        depth_s: float,
        now_s: float,
        *,
        period_s: float = MINUTE_S,
        weather: Weather | None = None,
        field: int = 0,
    ) -> None:
        """`limit` in `period_s`.

        Args:
            depth_s: of a minute; a longer period has as many times the depth.
            weather: knows what others take, or None where there are no others.
            field: which of `OtherUsers` is taken from here.
        """
        self.limit = limit
        self.period_s = period_s
        self.refill_per_s = limit / period_s
        # Never less than one: a limit of 10 RPM at a depth of one second must still let a request in.
        self.capacity = max(1.0, self.refill_per_s * depth_s * (period_s / MINUTE_S))
        self.level = self.capacity
        self.at_s = now_s
        self._weather = weather
        self._field = field

    def missing(self, now_s: float) -> float:
        """What is missing from a full bucket."""
        elapsed_s = now_s - self.at_s
        if elapsed_s > 0:
            weather = self._weather
            if weather is None or weather.quiet:
                self.level = min(self.capacity, self.level + elapsed_s * self.refill_per_s)
            else:
                self.level = self._shared(weather, now_s)
            self.at_s = now_s
        return self.capacity - self.level

    def _shared(self, weather: Weather, now_s: float) -> float:
        """The level after others have had theirs: they never overdraw, so a debt of ours is refilled undisturbed."""
        level = self.level
        for seconds, others in weather.tides(self.at_s, now_s):
            if level < 0:
                debt_s = min(seconds, -level / self.refill_per_s)
                level += debt_s * self.refill_per_s
                seconds -= debt_s  # what is left of it
            left_per_s = self.refill_per_s * (1 - others.share) - others[self._field] / MINUTE_S
            level = min(self.capacity, max(min(level, 0.0), level + seconds * left_per_s))
        return level

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` can be taken, 0 for now, as long as nobody else takes any.

        More than the bucket holds is let in when it is full, and leaves a debt; more than the limit never fits, and is
        told to wait for a full bucket, as the API would say it (§8.1).
        """
        missing = self.missing(now_s)
        if amount > self.limit:
            return max(1.0, missing / self.refill_per_s)
        short = min(amount, self.capacity) - self.level
        return short / self.refill_per_s if short > ROUNDING else 0.0

    def take(self, amount: float, now_s: float) -> None:
        """Take `amount`; a negative one gives back."""
        self.missing(now_s)
        self.level = min(self.capacity, self.level - amount)

    def triple(self, now_s: float, unix_s: float, *, thousands: bool) -> tuple[int, int, float]:
        """Limit, remaining, and unix time of full refill, as the headers tell them (§8.4)."""
        missing = self.missing(now_s)
        remaining = max(0.0, self.limit - missing)
        told = int((remaining + 500) // 1000 * 1000) if thousands else int(remaining + ROUNDING)
        return self.limit, min(told, self.limit), unix_s + missing / self.refill_per_s
