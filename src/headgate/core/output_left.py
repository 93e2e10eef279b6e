"""How long until some output is left: while there is any the API lets a call in, and it charges output as it is written
(claude-api.md §8.1).

Pure: seconds of one monotonic clock are handed in.  core/emission.py counts, here it is asked: of answers under way,
what headers told, and how much may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Protocol

from headgate.core.emission import LONGEST, Emission
from headgate.core.limiter import Limiter

__all__ = ["Answer", "OutputLeft"]

COUNT_EVERY_S = 0.05
COUNT_EACH_S = 50e-6
"""How often what answers under way have written is counted anew, or after so long for each of them: all are gone
through."""
HEAR_EVERY_S = 0.25
"""How often headers are compared with what was counted."""
LEAST_LOOK_S = 0.02
"""Between two looks at whether output is left: what is written meanwhile is only predicted."""
MOST_DOUBT = 0.7
"""Of the room for output, that is kept free for what is not known of answers under way."""
SINCE_TOLD = 1 / 4
"""Of that doubt, what is about what has been written since headers told."""
STEP_SLACKS = 4.0
"""The least step of output, which is only seen rounded, in roundings."""
OUTPUT = 2
"""Its place in what is charged."""


class Answer(Protocol):
    """One that is under way."""

    charged: list[float]
    since_s: float
    begun_s: float | None
    written: float


class OutputLeft:
    """Of one backend.

    Args:
        limiter: of output.
        answers: those under way, as they are at any time.
    """

    __slots__ = ("_answers", "_count_every_s", "_counted_s", "_heard_s", "_limiter", "emission")

    def __init__(self, limiter: Limiter, answers: Mapping[Any, Answer]) -> None:
        self.emission = Emission()
        self._limiter = limiter
        self._answers = answers
        self._counted_s = self._heard_s = -inf
        self._count_every_s = COUNT_EVERY_S

    def wait_s(self, now_s: float) -> float:
        """Seconds until some is left: by what was told, and what was written and refilled since; 0 now."""
        outputs, emission = self._limiter, self.emission
        told = outputs.told
        if told is None:
            return 0.0
        room, slack = outputs.room, told.slack
        if now_s - self._counted_s >= self._count_every_s:
            self._count(now_s)
            self._look_ahead(now_s)
        elif emission.missing + slack + 1.0 <= room:
            return 0.0  # plenty, whatever is in doubt
        if outputs.step:
            room = min(room + max(outputs.step, slack * STEP_SLACKS), outputs.most)
        elif slack > room * MOST_DOUBT:
            slack = room * MOST_DOUBT
        doubt = emission.doubt()
        if doubt < slack:
            slack = doubt
        short = min(emission.missing + slack, emission.most + slack * SINCE_TOLD) + 1.0 - room
        short -= (now_s - emission.at_s) * outputs.refill_per_s
        if short <= 0.0:
            return 0.0
        # Answers under way make it longer, or have ended by then: it is looked at again.
        return max(short / outputs.refill_per_s, LEAST_LOOK_S)

    def wrote(self, answer: Answer, output_tokens: float, now_s: float) -> None:
        """So much of an answer seems to have been written."""
        if output_tokens > answer.written:
            self.emission.wrote(output_tokens - answer.written, self._limiter.refill_per_s, now_s)
            answer.written = output_tokens

    def ended(self, answer: Answer, output_tokens: float, now_s: float) -> None:
        """One that is no longer among those under way, and what it has written."""
        self.emission.ended(
            answer.written,
            output_tokens,
            now_s - answer.since_s,
            len(self._answers) + 1,
            self._limiter.refill_per_s,
            now_s,
        )

    def hear(self, now_s: float) -> None:
        """What headers said just now bounds what was counted."""
        outputs, emission = self._limiter, self.emission
        told = outputs.told
        if now_s - self._heard_s < HEAR_EVERY_S or told is None or told.missing is None or outputs.told_at_s != now_s:
            return
        if emission.tokens_per_s:
            self._heard_s = now_s
            self._count(now_s)
        emission.hear(told.missing, told.slack, outputs.refill_per_s, now_s)
        self._look_ahead(now_s)

    def _count(self, now_s: float) -> None:
        """Answers under way are taken to be written as fast as usual."""
        answers, emission = self._answers, self.emission
        self._counted_s = now_s
        self._count_every_s = max(COUNT_EVERY_S, len(answers) * COUNT_EACH_S)
        if not emission.tokens_per_s:
            return
        emission.wrote(0.0, self._limiter.refill_per_s, now_s)
        left = spread = 0.0
        writing = 0
        for answer in answers.values():
            begun_s = answer.since_s + emission.wait_s if answer.begun_s is None else answer.begun_s
            expected = answer.charged[OUTPUT]
            self.wrote(answer, min(expected * LONGEST, emission.written(begun_s, now_s)), now_s)
            written = answer.written
            spread += written * written
            if written < expected:
                left += expected - written
                writing += 1
        emission.left, emission.spread, emission.writing = left, spread, writing

    def _look_ahead(self, now_s: float) -> None:
        """So much is missing, and as much more as the answers under way will write faster than it refills."""
        outputs, emission = self._limiter, self.emission
        if emission.tokens_per_s:
            outputs.missing = emission.missing + emission.ahead(outputs.refill_per_s)
            outputs.at_s = now_s
