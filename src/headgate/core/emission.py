"""How much output the answers under way will still write, beyond what refills meanwhile.

The API charges output as it is written (claude-api.md §8.1), so the level that headers tell does not contain what calls
under way have yet to write.  Counting their whole reservations on top would stop everything: most of it is written no
faster than the bucket refills.  Pure: seconds of one monotonic clock are handed in.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Emission"]

SMOOTHING = 0.1


class Emission:
    """Learns how fast answers are written, their first byte's wait included."""

    __slots__ = ("tokens_per_s",)

    def __init__(self) -> None:
        self.tokens_per_s = 0.0
        """Of one answer; 0 until one has ended."""

    def ended(self, output_tokens: float, seconds: float) -> None:
        """An answer is complete."""
        if output_tokens > 0.0 and seconds > 0.0:
            speed = output_tokens / seconds
            self.tokens_per_s += SMOOTHING * (speed - self.tokens_per_s) if self.tokens_per_s else speed

    def ahead(self, answers: Iterable[tuple[float, float]], refill_per_s: float, now_s: float) -> float:
        """By how much what is missing will still grow because of answers under way.

        Args:
            answers: of each, when it was asked for and the tokens expected.
        """
        speed = self.tokens_per_s
        left = 0.0
        writing = 0
        for asked_s, tokens in answers:
            more = tokens - speed * (now_s - asked_s)
            if more > 0.0:
                left += more
                writing += 1
        emitted_per_s = speed * writing
        return left * (1.0 - refill_per_s / emitted_per_s) if emitted_per_s > refill_per_s else 0.0
