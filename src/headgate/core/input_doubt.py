"""How wrong estimates of input are, and what is kept free for that.

The API charges what it takes a prompt to be at once; we learn the truth with the answer.  Until then the estimates of
calls under way may all be too low.  Pure.
"""

from __future__ import annotations

from math import sqrt

__all__ = ["InputDoubt"]

SMOOTHING = 0.02
FIRST_ERROR = 0.1
"""Of an estimate, as a share, until some are known."""
SIGMAS = (3.0, 8.0)
"""Standard deviations kept free: at first, and at most, after 429s."""
CALMER_PER_S = 1 / 3000
MOST = 4.0
"""Nothing is learned from being wrong by more than so many times."""


class InputDoubt:
    """The estimates of the calls of one backend whose input is not known yet."""

    __slots__ = ("_bias", "_sigmas", "_squares", "_sum", "_variance", "caution", "margin")

    def __init__(self) -> None:
        self._bias = 0.0
        self._variance = FIRST_ERROR * FIRST_ERROR
        self._sigmas = SIGMAS[0]
        self._sum = self._squares = 0.0
        self.margin = 0.0
        """Tokens by which calls under way may be larger than expected, all together."""
        self.caution = 1.0
        """What a single call may need, as a multiple of what is expected."""

    @property
    def calm(self) -> bool:
        return self._sigmas <= SIGMAS[0]

    def begins(self, expected: float) -> None:
        self._sum += expected
        self._squares += expected * expected
        self._measure()

    def ends(self, expected: float, truth: float) -> None:
        """The input of a call is known; 0 if it was not let in, which teaches nothing."""
        if truth > 0.0:
            error = truth / expected - 1.0
            if error > MOST - 1.0:
                error = MOST - 1.0
            bias, variance = self._bias, self._variance
            bias += SMOOTHING * (error - bias)
            variance += SMOOTHING * (error * error - variance)
            caution = 1.0 + self._sigmas * sqrt(variance)
            self.caution = caution + bias if bias > 0.0 else caution
            self._bias, self._variance = bias, variance
        squares = self._squares - expected * expected
        if squares < 1.0:  # nobody else is under way
            self._sum = self._squares = self.margin = 0.0
        else:
            self._sum -= expected
            self._squares = squares
            self._measure()

    def refused(self) -> None:
        """A 429 came although the depth is known: it was more than we thought."""
        self._sigmas = min(self._sigmas + 1.0, SIGMAS[1])

    def recover(self, seconds: float) -> None:
        self._sigmas = max(SIGMAS[0], self._sigmas - seconds * CALMER_PER_S)

    def _measure(self) -> None:
        if self._squares:
            self.margin = self._sigmas * sqrt(self._variance * self._squares)
            if self._bias > 0.0:
                self.margin += self._bias * self._sum
        else:
            self.margin = 0.0
