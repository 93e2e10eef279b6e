"""How much output has been written, and how much more the answers under way will write than refills meanwhile.

The API charges output as it is written (claude-api.md §8.1), so the level that headers tell does not contain what calls
under way have yet to write.  Counting their whole reservations on top would stop everything: most of it is written no
faster than the bucket refills.  And what headers tell is rounded to thousands, which is more than a shallow bucket
holds: so what is missing now is counted too, and headers only bound it.  Pure: seconds of one monotonic clock are
handed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, sqrt

__all__ = ["Emission"]

SMOOTHING = 0.1
DOUBT_S = 2.0
"""By so long an answer may be ahead of the others, or behind."""


class Emission:
    """What the answers of one backend write."""

    __slots__ = ("_seconds", "_tokens", "at_s", "missing", "most", "tokens_per_s", "wait_s")

    def __init__(self) -> None:
        self.tokens_per_s = 0.0
        """Of one answer that has begun; 0 until one has ended."""
        self.wait_s = 0.0
        """For the first byte of an answer."""
        self._tokens = self._seconds = 0.0
        self.missing = 0.0
        """From the API's bucket at `at_s`, as well as we know."""
        self.most = inf
        """No more than that can be missing, by what headers said last and what has been written since."""
        self.at_s = -inf

    def wrote(self, tokens: float, refill_per_s: float, now_s: float) -> None:
        """So much more has been written, or less than was thought (negative)."""
        refilled = (now_s - self.at_s) * refill_per_s
        self.missing = max(0.0, self.missing - refilled) + tokens
        if self.most < inf:
            self.most = max(0.0, self.most - refilled) + tokens
        self.at_s = now_s

    def hear(self, told: float, slack: float, doubt: float, refill_per_s: float, now_s: float) -> None:
        """Headers say that so much is missing, give or take `slack`.

        Args:
            doubt: of what is counted here: the larger it is the less that counts.
        """
        self.wrote(0.0, refill_per_s, now_s)
        self.most = told + slack
        least = max(0.0, told - slack)
        middle = (least + self.most) / 2
        play = max(0.0, middle - least - doubt)
        self.missing = min(max(self.missing, middle - play), middle + play)

    def doubt(self, answers: int) -> float:
        """By how much so many answers under way may have written more than is thought."""
        return self.tokens_per_s * DOUBT_S * sqrt(answers)

    def ended(self, output_tokens: float, wait_s: float, seconds: float) -> None:
        """An answer is complete, whose first byte came after `wait_s`, and the rest in so many seconds."""
        if output_tokens <= 0.0 or seconds <= 0.0:
            return
        share = SMOOTHING if self._seconds else 1.0
        self.wait_s += share * (wait_s - self.wait_s)
        self._tokens += share * (output_tokens - self._tokens)
        self._seconds += share * (seconds - self._seconds)
        self.tokens_per_s = self._tokens / self._seconds

    def written(self, begun_s: float, now_s: float) -> float:
        """What an answer has brought that began then."""
        return max(0.0, now_s - begun_s) * self.tokens_per_s

    def ahead(self, answers: Iterable[tuple[float, float]], refill_per_s: float) -> float:
        """By how much what is missing will still grow because of answers under way.

        Args:
            answers: of each, the tokens expected and those that seem to be written.
        """
        left = 0.0
        writing = 0
        for tokens, written in answers:
            if tokens > written:
                left += tokens - written
                writing += 1
        emitted_per_s = self.tokens_per_s * writing
        return left * (1.0 - refill_per_s / emitted_per_s) if emitted_per_s > refill_per_s else 0.0
