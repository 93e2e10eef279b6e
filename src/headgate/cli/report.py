"""`headgate report`: what a day cost and how it went, against what such a day should be."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.budget_file import opened
from headgate.cli.ledger_span import LedgerFile, day_of
from headgate.cli.operators import Settings
from headgate.cli.output import Json, print_json, say, say_next
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.report.facts import DayReport

__all__ = ["report"]


class Format(StrEnum):
    md = "md"
    html = "html"
    json = "json"


def report(
    day: Annotated[str, typer.Option(help="YYYY-MM-DD, of the calendar's time zone; or today, yesterday.")] = "today",
    format: Annotated[Format, typer.Option(help="Markdown, one HTML file, or JSON.")] = Format.md,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Tell what a day cost and how it went, against budgets and what this kind of day should cost.

    Of a day that is not over, as far as it is.  `[calendar]` says which days are of which kind, `[report]` sends it
    every day.
    """
    from headgate.report.document import facts_of
    from headgate.report.html import html_of
    from headgate.report.markdown import markdown_of
    from headgate.report.words import page_of

    told = _told(day, ledger, config)
    if not told.total.calls and not told.total.cost_pico:
        say(f"no calls on {told.day.isoformat()}")
    if json or format is Format.json:
        if out is None:
            print_json(facts_of(told))
            return
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(facts_of(told)), indent=2).decode()
    else:
        text = (html_of if format is Format.html else markdown_of)(page_of(told))
    if out is None:
        print(text, end="")
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise HeadgateError(f"--out: cannot write {out}: {problem.strerror}") from None
    say(f"written: {out}")
    say_next("[report] in headgate.toml sends it every day")


def _told(day: str, ledger: Path | None, config: Path | None) -> DayReport:
    from headgate.config.alerts import telemetry_path
    from headgate.config.calendar import day_classes
    from headgate.engine.load import load_catalog
    from headgate.report.alert_spans import alert_spans
    from headgate.report.facts import Sources, gather

    now = datetime.now(UTC)
    now_ms = int(now.timestamp() * 1000)
    catalog = load_catalog()
    with opened(config) as budgets:
        classes = day_classes(budgets.config.calendar)
        sources = Sources(
            ledger or Path(budgets.config.ledger.path),
            budgets.in_force,
            budgets.store.accounts,
            lambda model: catalog.model(model).id,
            classes,
            partial(alert_spans, telemetry_path(budgets.config)),
        )
        return gather(sources, _day(day, classes.at(now_ms)[0]), now_ms)


def _day(text: str, today: date) -> date:
    if text == "today":
        return today
    if text == "yesterday":
        return today - timedelta(days=1)
    return day_of(text, "--day")
