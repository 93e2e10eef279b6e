"""`headgate cost`: what was spent, from the ledger."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.forecast import forecast
from headgate.cli.ledger_span import LedgerFile, Since, Until, end_of, ledger_path, start_of
from headgate.cli.max_tokens import max_tokens
from headgate.cli.models import models
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say, say_next
from headgate.cli.reconcile import reconcile
from headgate.core.price import usd

if TYPE_CHECKING:
    from headgate.stores.sqlite.queries import Spend

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True)
app.command()(reconcile)
app.command()(forecast)
app.command()(max_tokens)
app.command()(models)


class By(StrEnum):
    workflow = "workflow"
    team = "team"
    user = "user"
    session = "session"
    key = "key"
    model = "model"
    lane = "lane"
    tag = "tag"
    day = "day"


@app.callback()
def cost(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="What to sum by.  Days are UTC.")] = By.workflow,
    since: Since = None,
    until: Until = None,
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Show what was spent.

    Calls, tokens and money, exact to the pico-dollar, with what is not confirmed apart.  What an answer costs has the
    calls in it that failed.  A request that answered several calls is one attempt, shared among them.  What Headgate
    asked of its own accord is no call: it is the line (headgate), or in the sums of its model and its day.
    """
    if context.invoked_subcommand is not None:
        return
    from headgate.core.own_spend import own_line
    from headgate.stores.sqlite.queries import own_spend, spend, total_of

    path = ledger_path(ledger, config)
    since_ms, until_ms = start_of(since, "--since"), end_of(until, "--until")
    rows = spend(path, by.value, since_ms=since_ms, until_ms=until_ms)
    total = total_of(spend(path, By.day, since_ms=since_ms, until_ms=until_ms) if by is By.tag else rows)
    own = own_spend(path, since_ms=since_ms, until_ms=until_ms)
    if json:
        print_json({
            "by": by.value, "rows": [row.facts() for row in rows], "total": total.facts(),
            "own": [row.facts() for row in own],
        })  # fmt: skip
        return
    head = (
        by.value,
        "calls",
        "answered",
        "attempts",
        "input",
        "cache read",
        "cache write",
        "output",
        "cost",
        "per answer",
        "unconfirmed",
    )
    table = [_cells(row) for row in [*rows, total]]
    print_table(head, table, right=tuple(range(1, 11)))
    if (line := own_line(own)) is not None:
        say(f"{line}; not in what an answer costs")
    if total.unpriced:
        say(f"{total.unpriced} answers have no known cost and are not in these sums: see cost_problem in the log")
    if total.unconfirmed_pico:
        say("unconfirmed: sent without any answer that says what it used; the expected cost, not in the cost")
    if by is By.tag:
        say("a call with several tags is in the line of each, and once in the total")
    if not total.calls:
        say_next("headgate serve, and send a call through it")
    else:
        say_next(f"headgate cost --by {By.model if by is not By.model else By.workflow}")


def _cells(row: Spend) -> tuple[object, ...]:
    written = row.cache_write_5m_tokens + row.cache_write_1h_tokens
    counts = (
        row.calls,
        row.answered,
        row.requests,
        row.input_tokens,
        row.cache_read_tokens,
        written,
        row.output_tokens,
    )
    unconfirmed = money(usd(row.unconfirmed_pico)) if row.unconfirmed_pico else "-"
    per_answer = money(round(usd(row.cost_pico - row.own_pico) / row.answered, 8)) if row.answered else "-"
    return (row.name, *(f"{count:,}" for count in counts), money(usd(row.cost_pico)), per_answer, unconfirmed)
