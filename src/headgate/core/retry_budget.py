"""How many second attempts an upstream is asked to bear.  Pure: time is an argument.

Two bounds, over all calls of one upstream.  At every instant the calls that are being retried are at most a share of
the others in flight (Envoy's retry budget); and over any ten seconds the retries are at most the same share of the
first attempts that came back (Finagle's), because a refused attempt takes a moment and an answered one minutes.  Credit
lasts as long as the window: an idle hour buys no storm.
"""

from __future__ import annotations

from math import inf

__all__ = ["RetryBudget"]

WINDOW_S = 10


class RetryBudget:
    """Of one upstream.

    Args:
        share: of the calls in flight, and of the first attempts within the window.
        floor: so many calls may be retried at the same time however few there are,
        floor_per_window: and so many retries begin within a window.
    """

    __slots__ = ("_firsts", "_firsts_in", "_floor", "_floor_per_window", "_retries", "_retries_in", "_share",
                 "_slot", "in_flight", "retrying")  # fmt: skip

    def __init__(self, *, share: float = 0.2, floor: int = 3, floor_per_window: int = 10) -> None:
        self._share = share
        self._floor = floor
        self._floor_per_window = floor_per_window
        self.in_flight = 0
        """Calls under way, those that are being retried included."""
        self.retrying = 0
        self._slot = 0
        self._firsts = self._retries = 0
        """Within the window."""
        self._firsts_in = [0] * WINDOW_S
        self._retries_in = [0] * WINDOW_S
        """The same, by the second."""

    def begun(self) -> None:
        """A call makes its first attempt."""
        self.in_flight += 1

    def came_back(self, now_s: float) -> None:
        """It is known how a first attempt went."""
        self._turn(now_s)
        self._firsts += 1
        self._firsts_in[self._slot % WINDOW_S] += 1

    def ended(self) -> None:
        """A call is over."""
        self.in_flight -= 1

    def wait_s(self, now_s: float) -> float:
        """Seconds until it is worth asking for a retry: 0 now, `inf` if a call must end first."""
        if self.retrying + 1 > max(self._floor, self._share * (self.in_flight - self.retrying)):
            return inf
        self._turn(now_s)
        if self._retries + 1 > max(self._floor_per_window, self._share * self._firsts):
            return self._slot + 1 - now_s
        return 0.0

    def take(self, now_s: float) -> bool:
        """A call in flight is retried, if there is room for that; `give_back` when the retry is over."""
        if self.wait_s(now_s) > 0.0:
            return False
        self.retrying += 1
        self._retries += 1
        self._retries_in[self._slot % WINDOW_S] += 1
        return True

    def give_back(self) -> None:
        self.retrying -= 1

    def _turn(self, now_s: float) -> None:
        """Forget what is older than the window."""
        slot = int(now_s)
        for passed in range(self._slot + 1, min(slot, self._slot + WINDOW_S) + 1):
            self._firsts -= self._firsts_in[passed % WINDOW_S]
            self._retries -= self._retries_in[passed % WINDOW_S]
            self._firsts_in[passed % WINDOW_S] = self._retries_in[passed % WINDOW_S] = 0
        self._slot = max(self._slot, slot)
