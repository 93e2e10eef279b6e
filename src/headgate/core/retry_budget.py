"""How many second attempts an upstream is asked to bear.  Pure: time is an argument.

Two bounds, over all calls of one upstream.  At every instant the calls that are being retried are at most a share of
the others in flight (Envoy's retry budget).  And each first attempt that comes back is credit for the same share of a
retry, which lasts ten seconds (Finagle's): a refused attempt takes a moment and an answered one minutes, so what is in
flight alone would bound little; and an idle hour buys no storm.
"""

from __future__ import annotations

from math import inf

__all__ = ["RetryBudget"]

WINDOW_S = 10
ROUNDING = 1e-9


class RetryBudget:
    """Of one upstream.

    Args:
        share: of the calls in flight, and of a retry for each first attempt.
        floor: so many calls may be retried at the same time however few there are,
        floor_per_window: and so many retries begin within ten seconds.
    """

    __slots__ = ("_credit", "_floor", "_floor_per_window", "_retries", "_share", "_slot", "in_flight", "retrying")

    def __init__(self, *, share: float = 0.2, floor: int = 3, floor_per_window: int = 10) -> None:
        self._share = share
        self._floor = floor
        self._floor_per_window = floor_per_window
        self.in_flight = 0
        """Calls under way, those that are being retried included."""
        self.retrying = 0
        self._slot = 0
        # By the second, the last of them `_slot`.
        self._credit = [0.0] * WINDOW_S
        self._retries = [0] * WINDOW_S

    def begun(self) -> None:
        """A call makes its first attempt."""
        self.in_flight += 1

    def came_back(self, now_s: float) -> None:
        """It is known how a first attempt went."""
        if now_s >= self._slot + 1:
            self._turn(now_s)
        self._credit[self._slot % WINDOW_S] += self._share

    def ended(self) -> None:
        """A call is over."""
        self.in_flight -= 1

    def wait_s(self, now_s: float) -> float:
        """Seconds until it is worth asking for a retry: 0 now, `inf` if a call must end first."""
        if self.retrying + 1 > max(self._floor, self._share * (self.in_flight - self.retrying)):
            return inf
        self._turn(now_s)
        if sum(self._retries) < self._floor_per_window or sum(self._credit) >= 1.0 - ROUNDING:
            return 0.0
        return self._slot + 1 - now_s

    def take(self, now_s: float) -> bool:
        """A call in flight is retried, if there is room for that; `give_back` when the retry is over."""
        if self.wait_s(now_s) > 0.0:
            return False
        self.retrying += 1
        self._retries[self._slot % WINDOW_S] += 1
        cost = 1.0
        for passed in range(self._slot + 1, self._slot + WINDOW_S + 1):  # the oldest first
            spent = min(cost, self._credit[passed % WINDOW_S])
            self._credit[passed % WINDOW_S] -= spent
            cost -= spent
        return True

    def give_back(self) -> None:
        self.retrying -= 1

    def _turn(self, now_s: float) -> None:
        """Forget what is older than the window."""
        slot = int(now_s)
        for passed in range(self._slot + 1, min(slot, self._slot + WINDOW_S) + 1):
            self._credit[passed % WINDOW_S] = 0.0
            self._retries[passed % WINDOW_S] = 0
        self._slot = max(self._slot, slot)
