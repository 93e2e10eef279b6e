"""`headgate cost forecast`: what will have been spent by the end of the day and of the month."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from headgate.cli.ledger_span import LedgerFile
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say, say_next
from headgate.core.forecast import HOUR_MS, WEEKS, Forecast
from headgate.core.forecast import forecast as foretell
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
    from headgate.config import load_config
    from headgate.config.budgets import BudgetSettingError, zone_of
    from headgate.core.window import Calendar
    from headgate.stores.sqlite.queries import spend
    from headgate.stores.sqlite.spending import hours, known_since_ms

    path = ledger or Path(load_config(os.environ, file=config).config.ledger.path)
    try:
        zone = zone_of(time_zone)
    except BudgetSettingError as problem:
        raise typer.BadParameter(str(problem), param_hint="--time-zone") from None
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    kinds: tuple[Literal["day", "month"], ...] = ("day", "month")
    spans = {kind: Calendar(kind, zone).span(now_ms) for kind in kinds}
    known_ms = known_since_ms(path)
    if known_ms is None:
        print_json([]) if json else print("no calls in the ledger")
        say_next("headgate serve, and send a call through it")
        return
    since_ms = min(spans["month"].start_ms, now_ms - int(timedelta(weeks=WEEKS).total_seconds() * 1000) - HOUR_MS)
    spent_in: Counter[int] = Counter()
    for hour in hours(path, since_ms, ()):
        spent_in[hour.hour] += hour.pico
    told: list[dict[str, Any]] = []
    rows: list[tuple[object, ...]] = []
    for kind, span in spans.items():
        spent = sum(row.cost_pico + row.unconfirmed_pico for row in spend(path, "day", since_ms=span.start_ms))
        its = foretell(spent, spent_in, now_ms=now_ms, start_ms=span.start_ms, end_ms=span.end_ms, known_ms=known_ms)
        told.append({
            "window": kind, "name": span.name, "time_zone": time_zone, "spent_usd": usd_text(spent),
            "expected_usd": usd_text(its.expected), "low_usd": usd_text(its.low), "high_usd": usd_text(its.high),
            "by": its.by, "weeks": its.weeks,
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
