"""What it saves to ask another model."""

from __future__ import annotations

from datetime import date
from typing import Any

from headgate.core.choice_savings import ChosenAnswer, choice_savings
from headgate.engine.load import load_prices
from headgate.usage import MessageFacts, Usage

SONNET, HAIKU = "claude-sonnet-5", "claude-haiku-5-5"
"""$2 and $10 for a million tokens, and $0.10 and $0.50."""
PRICES = load_prices(None)
DAY = date(2026, 11, 21)
MILLION = Usage(input=50_000, output=95_000)


def answer(*, in_force: bool, by: str = "rule 1", usage: Usage = MILLION, **more: Any) -> ChosenAnswer:
    answered = HAIKU if in_force else SONNET
    cost = PRICES.charge(MessageFacts(model=answered, usage=usage), model=answered, day=DAY).pico
    fields = {"workflow": "a", "named": SONNET, "chosen": HAIKU, "answered": answered} | more
    return ChosenAnswer(by=by, in_force=in_force, day=DAY, usage=usage, cost_pico=cost or 0, **fields)


def test_a_choice_saves_the_difference_for_the_same_tokens():
    """$1.05 at Sonnet's price, $0.0525 at Haiku's."""
    [saving] = choice_savings([answer(in_force=True)] * 2, PRICES)

    assert (saving.answers, saving.cost_pico) == (2, 2 * 52_500_000_000)
    assert saving.saved_pico == 2 * (1_050_000_000_000 - 52_500_000_000)


def test_a_choice_that_is_only_watched_would_save_as_much():
    [saving] = choice_savings([answer(in_force=False)], PRICES)

    assert (saving.cost_pico, saving.saved_pico) == (1_050_000_000_000, 1_050_000_000_000 - 52_500_000_000)


def test_a_dearer_model_saves_less_than_nothing():
    [saving] = choice_savings([answer(in_force=False, chosen="claude-opus-5")], PRICES)

    assert saving.saved_pico < 0


def test_what_has_no_price_is_counted_and_saves_nothing():
    [saving] = choice_savings([answer(in_force=False, chosen="claude-nobody")], PRICES)

    assert (saving.answers, saving.saved_pico) == (1, 0)


def test_every_choice_stands_by_itself_and_the_greatest_comes_first():
    small = Usage(input=1)
    found = choice_savings(
        [answer(in_force=True, usage=small), answer(in_force=False, usage=small), answer(in_force=True, by="model")],
        PRICES,
    )

    assert [(each.by, each.in_force) for each in found] == [("model", True), ("rule 1", True), ("rule 1", False)]
