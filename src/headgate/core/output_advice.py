"""Which `max_tokens` a workflow needs, by how long its answers were.  Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

__all__ = ["KNOWN_AFTER", "OutputAdvice", "OutputCount", "advise_outputs"]

KNOWN_AFTER = 100
"""Answers before anything is advised: of fewer there is no hundredth."""
DEFAULT_MARGIN = 1.25
"""On top of what 99 of 100 answers need."""
CEILING_MARGIN = 1.5
"""On top of the longest."""
CUT_COUNTS_AS = 2
"""How long an answer would have been that was cut is not known: it is taken to be twice as long."""
MOST_CUT = 0.01
"""Share of answers cut, above which `max_tokens` is called too low."""


class OutputCount(NamedTuple):
    """So many answers were as long as this."""

    workflow: str
    output_tokens: int
    cut: bool
    """They ended with `max_tokens`."""
    max_tokens: int | None
    """In force for them."""
    answers: int


@dataclass(frozen=True, slots=True)
class OutputAdvice:
    """Of one workflow, in tokens."""

    workflow: str
    answers: int
    p50: int
    p99: int
    longest: int
    cut_share: float
    """Of answers that ended with `max_tokens`."""
    max_tokens_now: int | None
    """What most calls ask for."""
    max_tokens: int | None
    """Advised for calls that ask for none; None: too few answers are known."""
    max_tokens_ceiling: int | None
    """Advised as the most."""

    @property
    def cuts_too_much(self) -> bool:
        return self.cut_share > MOST_CUT


def advise_outputs(counts: Iterable[OutputCount]) -> list[OutputAdvice]:
    """By workflow, those with most answers first."""
    by_workflow: defaultdict[str, list[OutputCount]] = defaultdict(list)
    for count in counts:
        by_workflow[count.workflow].append(count)
    found = [_advice(workflow, counts) for workflow, counts in by_workflow.items()]
    return sorted(found, key=lambda advice: (-advice.answers, advice.workflow))


def _advice(workflow: str, counts: list[OutputCount]) -> OutputAdvice:
    lengths: Counter[int] = Counter()
    needs: Counter[int] = Counter()
    asked: Counter[int | None] = Counter()
    for count in counts:
        lengths[count.output_tokens] += count.answers
        needs[count.output_tokens * (CUT_COUNTS_AS if count.cut else 1)] += count.answers
        asked[count.max_tokens] += count.answers
    answers = lengths.total()
    default = ceiling = None
    if answers >= KNOWN_AFTER:
        default = _rounded_up(_quantile(needs, 0.99) * DEFAULT_MARGIN)
        ceiling = max(default, _rounded_up(max(needs) * CEILING_MARGIN))
    return OutputAdvice(
        workflow=workflow,
        answers=answers,
        p50=_quantile(lengths, 0.5),
        p99=_quantile(lengths, 0.99),
        longest=max(lengths),
        cut_share=sum(count.answers for count in counts if count.cut) / answers,
        max_tokens_now=asked.most_common(1)[0][0],
        max_tokens=default,
        max_tokens_ceiling=ceiling,
    )


def _quantile(lengths: Counter[int], share: float) -> int:
    """The length that this share of the answers does not pass."""
    left = ceil(lengths.total() * share)
    for tokens in sorted(lengths):
        left -= lengths[tokens]
        if left <= 0:
            return tokens
    raise ValueError("there are no answers")


def _rounded_up(tokens: float) -> int:
    """To two digits, which are easier to read and to keep."""
    step = int(10 ** max(0, len(str(ceil(tokens))) - 2))
    return ceil(tokens / step) * step
