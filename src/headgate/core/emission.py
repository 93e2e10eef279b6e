"""How much output has been written, and how much more the answers under way will write than refills meanwhile.

The API charges output as it is written (claude-api.md §8.1), so the level that headers tell does not contain what calls
under way have yet to write.  Counting their whole reservations on top would stop everything: most of it is written no
faster than the bucket refills.  And what headers tell is rounded to thousands, which is more than a shallow bucket
holds: so what is missing now is counted too, and headers only bound it.  Pure: seconds of one monotonic clock are
handed in.
"""

from __future__ import annotations

from math import inf, sqrt

__all__ = ["LONGEST", "Emission"]

SMOOTHING = 0.05
PROPORTIONAL = 0.05
"""How much speaks for answers that take as long as their tokens do and wait for nothing, while their lengths differ too
little to tell."""
LONGEST = 4.0
"""An answer under way is still writing, up to so many times what was expected.  One that takes longer has stalled."""
SIGMAS = (2.0, 4.0)
"""Standard deviations of what is counted that are kept free: at first, and at most, after 429s."""
BOLDER = 1 / 2000
"""Standard deviations that each call takes off again."""
SHYER = 0.5
"""Standard deviations that each 429 adds."""


class Emission:
    """What the answers of one backend write."""

    __slots__ = (
        "_covariance",
        "_errors",
        "_put_right",
        "_seconds",
        "_sigmas",
        "_squares",
        "_tokens",
        "_variance",
        "at_s",
        "left",
        "missing",
        "most",
        "spread",
        "tokens_per_s",
        "wait_s",
        "writing",
    )

    def __init__(self) -> None:
        self.tokens_per_s = 0.0
        """Of one answer that has begun; 0 until one has ended."""
        self.wait_s = 0.0
        """For the first byte of an answer."""
        self._tokens = self._seconds = self._variance = self._covariance = 0.0
        """Means of complete answers, the variance of their tokens, and how their seconds go with those."""
        self._errors = self._squares = 0.0
        """Mean square of what was counted wrongly of an answer when it ended, and of what was counted."""
        self._sigmas = SIGMAS[0]
        self.missing = 0.0
        """From the API's bucket at `at_s`, as well as we know."""
        self.most = inf
        """No more than that can be missing, by what headers said last and what has been written since."""
        self.left = 0.0
        """What answers under way are still expected to write."""
        self.writing = 0
        """How many of them are."""
        self.spread = 0.0
        """The sum of the squares of what they seem to have written."""
        self._put_right = 0.0
        """What headers have put right of answers that are still under way."""
        self.at_s = -inf

    def wrote(self, tokens: float, refill_per_s: float, now_s: float) -> None:
        """So much more has been written, or less than was thought (negative)."""
        refilled = (now_s - self.at_s) * refill_per_s
        missing = self.missing - refilled
        self.missing = missing + tokens if missing > 0.0 else tokens
        if self.most < inf:
            most = self.most - refilled
            self.most = most + tokens if most > 0.0 else tokens
        self.at_s = now_s

    def hear(self, told: float, slack: float, refill_per_s: float, now_s: float) -> None:
        """Headers say that so much is missing, give or take `slack`."""
        self.wrote(0.0, refill_per_s, now_s)
        self.most = told + slack
        counted = self.missing
        self.missing = min(max(counted, told - slack), self.most)
        self._put_right += self.missing - counted

    def doubt(self) -> float:
        """By how much answers under way may have written more than is thought."""
        return self._sigmas * sqrt(self.spread * self._errors / self._squares) if self._squares else 0.0

    def sent(self) -> None:
        """A call goes."""
        if self._sigmas > SIGMAS[0]:
            self._sigmas -= BOLDER

    def refused(self) -> None:
        """One was refused although some output seemed to be left."""
        self._sigmas = min(SIGMAS[1], self._sigmas + SHYER)

    def ended(
        self, written: float, tokens: float, seconds: float, answers: int, refill_per_s: float, now_s: float
    ) -> None:
        """One of so many answers under way is over, and what it wrote is known.

        Args:
            written: what was counted of it.
            seconds: since it was asked for.
        """
        error = tokens - written
        if tokens > 0.0 and seconds > 0.0:
            self._learn(tokens, seconds)
            self._errors += SMOOTHING * (error * error - self._errors)
            self._squares += SMOOTHING * (written * written - self._squares)
        # Its part of what headers have put right is not put right again.
        known = self._put_right / answers
        self._put_right -= known
        self.wrote(error - known, refill_per_s, now_s)

    def _learn(self, tokens: float, seconds: float) -> None:
        """Seconds are a wait and then so many for each token: the line through the answers of late."""
        mean, mean_s = self._tokens, self._seconds
        if not mean_s:
            mean, mean_s = tokens, seconds
        longer, later = tokens - mean, seconds - mean_s
        self._tokens = mean = mean + SMOOTHING * longer
        self._seconds = mean_s = mean_s + SMOOTHING * later
        variance, covariance = self._variance, self._covariance
        self._variance = variance = variance + SMOOTHING * (longer * longer - variance)
        self._covariance = covariance = covariance + SMOOTHING * (longer * later - covariance)
        prior = PROPORTIONAL * mean
        all_s = mean_s / mean
        slope_s = (covariance + prior * mean_s) / (variance + prior * mean)
        s_per_token = slope_s if slope_s < all_s else all_s
        if s_per_token < all_s / 10:
            s_per_token = all_s / 10
        self.tokens_per_s = 1.0 / s_per_token
        self.wait_s = mean_s - mean * s_per_token

    def written(self, begun_s: float, now_s: float) -> float:
        """What an answer has brought that began then."""
        return max(0.0, now_s - begun_s) * self.tokens_per_s

    def ahead(self, refill_per_s: float) -> float:
        """By how much what is missing will still grow because of answers under way."""
        emitted_per_s = self.tokens_per_s * self.writing
        return self.left * (1.0 - refill_per_s / emitted_per_s) if emitted_per_s > refill_per_s else 0.0
