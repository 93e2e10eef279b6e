"""So many requests a minute for each of any number of people.  Pure: time is an argument, in seconds.

The generic cell rate algorithm (ITU-T I.371): for each of them one instant is kept, the one at which all that was taken
will have been earned.  Whose instant has passed is like somebody new, so only those of the last minute are kept.
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["RequestQuota"]

KEPT = 65_536
"""Callers choose the names: beyond it the one that was quiet for longest is forgotten, and begins anew."""


class RequestQuota:
    """`per_minute` requests at once, and one more every 60 s / `per_minute`, for each name by itself."""

    def __init__(self, per_minute: int, *, kept: int = KEPT) -> None:
        self.per_minute = per_minute
        self._interval_s = 60.0 / per_minute
        self._ahead_s = 60.0 - self._interval_s
        """So far may what was taken lie ahead of what is earned."""
        self._kept = kept
        self._earned_s: OrderedDict[str, float] = OrderedDict()
        """Whoever took last stands last."""

    @property
    def known(self) -> int:
        """Names that are kept."""
        return len(self._earned_s)

    def wait_s(self, name: str, now_s: float) -> float:
        """Seconds until `name` may take one; 0 is now."""
        wait_s = self._earned_s.get(name, now_s) - now_s - self._ahead_s
        return wait_s if wait_s > _LEAST_S else 0.0

    def take(self, name: str, now_s: float) -> None:
        """Count one request.  Whoever asks has asked `wait_s` before."""
        earned = self._earned_s
        earned[name] = max(now_s, earned.get(name, now_s)) + self._interval_s
        earned.move_to_end(name)
        self._forget(now_s)

    def give_back(self, name: str) -> None:
        """It was taken for a request that was not sent."""
        if name in self._earned_s:
            self._earned_s[name] -= self._interval_s

    def _forget(self, now_s: float) -> None:
        """Those who stand first, while all they took is earned or there are too many; a few at a time."""
        earned = self._earned_s
        for _ in range(4):
            name, earned_s = next(iter(earned.items()))
            if earned_s > now_s and len(earned) <= self._kept:
                return
            del earned[name]


_LEAST_S = 1e-6
"""Less is an error of arithmetic."""
