"""`headgate budget`: what may be spent, and what is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.budget_changes import audit, preview, set_, unset
from headgate.cli.budget_file import OpenBudgets, opened
from headgate.cli.forecast import by_what
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say, say_next
from headgate.core.budget import Budget
from headgate.core.grants import NEVER_MS, State
from headgate.core.price import usd
from headgate.core.shown import percent

if TYPE_CHECKING:
    from headgate.stores.sqlite.outlook import BudgetLine

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True)
app.command(name="set")(set_)
app.command()(unset)
app.command()(preview)
app.command()(audit)

SHOWN = 20
"""Accounts of one budget."""


@app.callback()
def budget(
    context: typer.Context,
    everybody: Annotated[bool, typer.Option("--all", help="Every account of budgets that are split.")] = False,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Show what may be spent and what is.

    Of each budget the accounts whose window is not over, those with the largest share first.  `held` is set aside for
    calls under way and for processes that may spend it without asking.
    """
    if context.invoked_subcommand is not None:
        return
    with opened(config) as budgets:
        if not budgets.configured:
            print_json([]) if json else print("no budget is configured")
            say_next("write [budgets.NAME] into headgate.toml: usd, window, per")
            return
        lines = _lines(budgets)
    if json:
        print_json([line.facts() for line in lines])
        return
    shown, left_out = _cut(lines, everybody=everybody)
    head = ("budget", "whose", "window", "cap", "settled", "held", "share", "level", "begins anew", "forecast")
    print_table(head, [_cells(line) for line in shown], right=(3, 4, 5, 6))
    for name, count in left_out.items():
        say(f"{name}: {count} more accounts; show them with --all")
    by = {by_what(line.forecast) for line in lines if line.forecast is not None}
    if by:
        say(f"forecast: the window's end, from the cheapest to the dearest, by {' or '.join(sorted(by))}")
    say_next(f"headgate budget preview {lines[0].budget.name} --usd AMOUNT")


def _lines(budgets: OpenBudgets) -> list[BudgetLine]:
    from headgate.engine.load import load_catalog
    from headgate.stores.sqlite.outlook import budget_lines

    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    catalog = load_catalog()
    states = budgets.store.accounts(now_ms)
    ledger = Path(budgets.config.ledger.path)
    return list(budget_lines(budgets.in_force, states, ledger, now_ms, lambda model: catalog.model(model).id))


def _cut(lines: list[BudgetLine], *, everybody: bool) -> tuple[list[BudgetLine], Counter[str]]:
    shown, counts, left_out = [], Counter[str](), Counter[str]()
    for line in lines:
        name = line.budget.name
        counts[name] += 1
        if everybody or counts[name] <= SHOWN:
            shown.append(line)
        else:
            left_out[name] += 1
    return shown, left_out


def _cells(line: BudgetLine) -> tuple[object, ...]:
    its, state, foretold = line.budget, line.state, line.forecast
    amounts = [money(round(usd(pico), 4)) for pico in (its.cap_pico, state.settled, line.held)]
    ahead = (
        "-" if foretold is None else f"{_about(foretold.expected)} ({_about(foretold.low)} to {_about(foretold.high)})"
    )
    share = percent(line.known / its.cap_pico)
    return (its.name, state.key.who or "-", state.key.window, *amounts, share, line.level, _reset(its, state), ahead)


def _about(pico: int) -> str:
    return f"${usd(pico):,.2f}"


def _reset(its: Budget, state: State) -> str:
    if its.calendar is None or state.end_ms >= NEVER_MS:
        return "-"
    return f"{datetime.fromtimestamp(state.end_ms / 1000, its.calendar.zone):%Y-%m-%d %H:%M} {its.zone}"
