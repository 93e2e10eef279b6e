"""`headgate cost forecast`: what will have been spent by the end of the day and of the month."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from headgate.cli.ledger_span import LedgerFile, ledger_path
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say, say_next
from headgate.core.forecast import Forecast
from headgate.core.price import usd, usd_text

__all__ = ["by_what", "forecast"]


def forecast(
    ledger: LedgerFile = None,
    config: Settings = None,
    time_zone: Annotated[str, typer.Option(help="Whose days and months, such as Europe/Amsterdam.")] = "UTC",
    json: Json = False,
) -> None:
    """Foretell the day's and the month's cost.

    By the same hours of the last weeks where the ledger knows two at least, with a range from the cheapest week to the
    dearest; else as if spending went on as it has.  What is not confirmed counts as expected.
    """
    from headgate.config.budgets import BudgetSettingError, zone_of
    from headgate.stores.sqlite.outlook import forecast_facts, windows

    path = ledger_path(ledger, config)
    try:
        zone = zone_of(time_zone)
    except BudgetSettingError as problem:
        raise typer.BadParameter(str(problem), param_hint="--time-zone") from None
    found = windows(path, zone, int(datetime.now(UTC).timestamp() * 1000))
    if not found:
        print_json([]) if json else print("no calls in the ledger")
        say_next("headgate serve, and send a call through it")
        return
    told: list[dict[str, Any]] = []
    rows: list[tuple[object, ...]] = []
    for kind, span, spent, its in found:
        told.append({
            "window": kind, "name": span.name, "time_zone": time_zone, "spent_usd": usd_text(spent),
            **forecast_facts(its),
        })  # fmt: skip
        rows.append(
            (span.name, *(money(round(usd(n), 6)) for n in (spent, its.expected, its.low, its.high)), by_what(its))
        )
    if json:
        print_json(told)
        return
    print_table((f"until the end of ({time_zone})", "spent", "expected", "low", "high", "by"), rows, right=(1, 2, 3, 4))
    say("low and high are the cheapest and the dearest that went before; nothing keeps spending between them")
    say_next("headgate budget, to bound it")


def by_what(its: Forecast) -> str:
    """What a forecast goes by, in words."""
    return f"these hours of {its.weeks} weeks" if its.by == "weeks" else "the rate so far"
