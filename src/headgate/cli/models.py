"""`headgate cost models`: what it saves that policies choose the model, or would save."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.cli.ledger_span import LedgerFile, Since, Until, end_of, start_of
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say_next
from headgate.core.price import usd

if TYPE_CHECKING:
    from headgate.core.choice_savings import ChoiceSaving

__all__ = ["models"]


def models(
    since: Since = None,
    until: Until = None,
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Show what it saves that a workflow's policy chooses the model, or would save.

    Of rules in the shadow too.  Savings are for the tokens that were really used, at the price of the other model.
    """
    from headgate.config import load_config
    from headgate.core.choice_savings import choice_savings
    from headgate.engine.load import load_prices
    from headgate.stores.sqlite.queries import chosen_answers

    settings = load_config(os.environ, file=config).config
    answers = chosen_answers(
        ledger or Path(settings.ledger.path), since_ms=start_of(since, "--since"), until_ms=end_of(until, "--until")
    )
    found = choice_savings(answers, load_prices(settings.prices.file))
    if json:
        print_json({"choices": [_facts(saving) for saving in found]})
        return
    if not found:
        print("no call in the ledger had its model chosen by a policy")
        say_next("headgate cost --by model, for what each model costs")
        return
    rows = [
        (
            saving.workflow,
            saving.by,
            saving.named,
            saving.chosen,
            "in force" if saving.in_force else "watched",
            f"{saving.answers:,}",
            money(usd(saving.cost_pico)),
            money(usd(saving.saved_pico)),
        )
        for saving in found
    ]
    print_table(("workflow", "by", "named", "chosen", "state", "answers", "cost", "saves"), rows, right=(5, 6, 7))
    if any(not saving.in_force for saving in found):
        say_next("try the answers of the other model on your own examples, then take out the shadow")
    else:
        say_next("headgate cost --by model")


def _facts(saving: ChoiceSaving) -> dict[str, Any]:
    facts = asdict(saving)
    for name in ("cost", "saved"):
        facts[f"{name}_usd"] = f"{usd(facts[f'{name}_pico']):f}"
    return facts
