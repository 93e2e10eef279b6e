"""What it saves to ask another model than the one a call named, or would save.  Pure.

Both prices are of the tokens that were really used.  What another model would have used differs a little: it may write
longer answers, or count the same text otherwise; so the figure is an estimate, where the cost beside it is exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from headgate.core.price import PriceBook
from headgate.usage import MessageFacts, Usage

__all__ = ["ChoiceSaving", "ChosenAnswer", "choice_savings"]


class ChosenAnswer(NamedTuple):
    """The answer to a call of which the policy chose the model, or would have."""

    workflow: str
    by: str
    """What of the policy chose it: `model`, `rule 1`, `budget`."""
    in_force: bool
    """Otherwise it was only watched."""
    named: str
    """The model that the call named."""
    chosen: str
    answered: str
    """The model that answered."""
    day: date
    """UTC."""
    usage: Usage
    cost_pico: int


@dataclass(slots=True)
class ChoiceSaving:
    """Of one choice; money in pico-dollars."""

    workflow: str
    by: str
    in_force: bool
    named: str
    chosen: str
    answers: int = 0
    cost_pico: int = 0
    """Exact."""
    saved_pico: int = 0
    """Against the model that was named; of a choice that is only watched, what it would have saved."""


def choice_savings(answers: Iterable[ChosenAnswer], prices: PriceBook) -> list[ChoiceSaving]:
    """By workflow and choice, the greatest saving first.  Answers of a model without a price save nothing."""
    found: dict[tuple[str, str, bool, str, str], ChoiceSaving] = {}
    for answer in answers:
        key = (answer.workflow, answer.by, answer.in_force, answer.named, answer.chosen)
        saving = found.get(key)
        if saving is None:
            saving = found[key] = ChoiceSaving(*key)
        saving.answers += 1
        saving.cost_pico += answer.cost_pico
        other = answer.named if answer.in_force else answer.chosen
        then, now = _pico(answer, other, prices), _pico(answer, answer.answered, prices)
        if then is not None and now is not None:
            saving.saved_pico += then - now if answer.in_force else now - then
    return sorted(found.values(), key=lambda each: (-each.saved_pico, each.workflow, each.by))


def _pico(answer: ChosenAnswer, model: str, prices: PriceBook) -> int | None:
    return prices.charge(MessageFacts(model=model, usage=answer.usage), model=model, day=answer.day).pico
