"""`headgate cost reconcile`: the ledger beside the API's own reports of usage and cost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.audit_note import note
from headgate.cli.ledger_span import LedgerFile, day_of, end_of, start_of
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say, say_next
from headgate.core.audit import Act
from headgate.core.price import usd, usd_text
from headgate.core.shown import percent
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.config.schema import Config
    from headgate.core.reconcile import Difference
    from headgate.core.usage_report import Counts
    from headgate.stores.sqlite.reconcile import Guess, OfDays
    from headgate.upstream.usage_reports import Reports

__all__ = ["reconcile"]

DAYS = 7
"""Compared unless told otherwise."""
MOST_NAMED = 5


def reconcile(
    since: Annotated[
        str | None, typer.Option("--since", "--from", help="From this day on, YYYY-MM-DD; default a week ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", "--to", help="Up to and with this day; default the last that is told.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Add the corrections that make the ledger right.")] = False,
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Compare the ledger with the API's own reports.

    By UTC day and model, and by API key where `upstream.api_key_id` is set.  Needs an admin key.  Lists what differs by
    more than 1 %, and the attempts of unknown usage that may explain it; exit 1 if anything is listed and not written.
    With --write, corrections are added: the ledger's lines stay as they are.  Budgets that cover every call, or go by
    the model alone, have them in their sums then.
    """
    from headgate.config import load_config
    from headgate.upstream.usage_reports import last_told

    settings = load_config(os.environ, file=config).config
    told = last_told(datetime.now(UTC))
    last = min(told, day_of(until, "--until")) if until is not None else told
    first = day_of(since, "--since") if since is not None else last - timedelta(days=DAYS - 1)
    if first > last:
        raise HeadgateError(
            f"the reports tell whole days up to {told}, an hour after each has ended (UTC); begin with --since {told} "
            "or earlier"
        )
    names = _key_names(settings)
    reports = asyncio.run(_ask(settings, first, last, names))
    differences, of_days, path = _compare(settings, ledger, first, last, names, reports)
    due = [(one.place, one.correction) for one in differences if not one.correction.says_nothing]
    if write and due:
        from headgate.stores.sqlite.reconcile import add_corrections

        made_ms = int(datetime.now(UTC).timestamp() * 1000)
        note(path, Act.LEDGER_CORRECT, f"{first} to {last}", after={"corrections": len(due)})
        add_corrections(path, due, made_ms, expected=of_days.corrections)
    budgets = _told_to_budgets(settings, config, path) if write else 0
    drifted = [one for one in differences if any(one.drifts)]
    explained = _explained(of_days)
    if json:
        print_json({
            "from": str(first),
            "to": str(last),
            "by_key": bool(names),
            "places": [_facts(one, explained(one)) for one in differences],
            "drifted": len(drifted),
            "corrections": len(due),
            "written": write and bool(due),
            "budget_accounts": budgets,
        })  # fmt: skip
    else:
        _tell(drifted, explained, first, last, by_key=bool(names))
        if budgets:
            say(f"{budgets} accounts of budgets have the corrections of their days in what they have settled")
        _tell_due(len(due), write=write)
    if drifted and not write:
        raise typer.Exit(1)


def _told_to_budgets(settings: Config, config: Path | None, ledger: Path) -> int:
    """Have the budgets beside this ledger take its corrections in.  Returns how many accounts have some."""
    from headgate.cli.budget_file import opened
    from headgate.core.corrected import LONGEST_DAYS, corrected
    from headgate.stores.sqlite.reconcile import corrections_since

    if not settings.budgets or ledger.expanduser().resolve() != Path(settings.ledger.path).expanduser().resolve():
        return 0
    now = datetime.now(UTC)
    now_ms = int(now.timestamp() * 1000)
    made = corrections_since(ledger, str(now.date() - timedelta(days=LONGEST_DAYS)))
    with opened(config) as budgets:
        accounts = corrected(budgets.in_force.values(), made, now_ms)
        budgets.store.correct(accounts, now_ms)
    return len(accounts)


def _key_names(settings: Config) -> dict[str, str]:
    """Names of credentials by the ids of their keys; empty where none is configured."""
    upstream = settings.upstream
    named = [("default", upstream.api_key_id), *((one.name, one.api_key_id) for one in upstream.credentials)]
    return {key_id: name for name, key_id in named if key_id is not None}


async def _ask(settings: Config, first: date, last: date, names: dict[str, str]) -> Reports:
    from headgate.config.secrets import resolve
    from headgate.net.client import WireError
    from headgate.upstream.admin_api import AdminApi, AdminRefused
    from headgate.upstream.dial import TcpDial
    from headgate.upstream.usage_reports import read_reports

    upstream = settings.upstream
    key = resolve("upstream.admin_key", upstream.admin_key, upstream.admin_key_file, upstream.admin_key_command)
    if key is None:
        raise HeadgateError(
            "the reports of usage and cost are for an admin key only; make one in the Console and set "
            "upstream.admin_key_file"
        )
    dial = TcpDial(ca_file=upstream.ca_file, allow_private=upstream.allow_private_addresses)
    api = AdminApi(upstream.base_url, key, dial)
    try:
        return await read_reports(api, first, last, names)
    except WireError as problem:
        raise HeadgateError(f"{upstream.base_url} cannot be reached ({problem.kind}); try again later") from None
    except (AdminRefused, ValueError) as problem:
        raise HeadgateError(f"the reports of usage and cost cannot be had: {problem}") from None
    finally:
        api.close()


def _compare(
    settings: Config, ledger: Path | None, first: date, last: date, names: dict[str, str], reports: Reports
) -> tuple[list[Difference], OfDays, Path]:
    from headgate.core.reconcile import Place, price_by
    from headgate.core.reconcile import reconcile as compare
    from headgate.engine.load import load_catalog, load_prices
    from headgate.stores.sqlite.reconcile import of_days

    catalog = load_catalog()

    def place(day: str, model: str, credential: str) -> Place:
        return Place(day, catalog.model(model).id if model else "", credential if names else "")

    path = ledger or Path(settings.ledger.path)
    found = of_days(path, str(first), str(last), start_of(str(first), "--since"), end_of(str(last), "--until"), place)
    ours = [line for line in found.booked if not names or line.place.credential in names.values()]
    corrected = [(where, its) for where, its in found.corrected if bool(where.credential) == bool(names)]
    if len(corrected) < len(found.corrected):
        raise HeadgateError(
            "these days were corrected before with upstream.api_key_id set otherwise, and would be corrected twice; "
            "set it as it was then, or compare later days"
        )
    used = [(name, line._replace(model=catalog.model(line.model).id)) for name, line in reports.used]
    differences = compare(ours, corrected, used, reports.billed, price_by(load_prices(settings.prices.file)))
    return differences, found, path


def _explained(found: OfDays) -> Callable[[Difference], list[Guess]]:
    """The attempts of unknown usage of a place that is not corrected yet."""
    by_place: dict[tuple[str, ...], list[Guess]] = {}
    for guess in found.guesses:
        by_place.setdefault(guess.place, []).append(guess)
    return lambda one: by_place.get(one.place, []) if not one.correction.says_nothing else []


def _tell(
    drifted: list[Difference],
    explained: Callable[[Difference], list[Guess]],
    first: date,
    last: date,
    *,
    by_key: bool,
) -> None:
    if not drifted:
        print(f"{first} to {last}: the ledger and the reports agree within 1 %")
        return
    rows = []
    for one in drifted:
        place = one.place if by_key else one.place[:2]
        for name, ours, theirs in one.drifts:
            figures = [money(usd(n)) if name == "cost" else f"{n:,}" for n in (ours, theirs)]
            share = (theirs - ours) / max(abs(ours), abs(theirs))
            rows.append((*place, name, *figures, f"{'+' if share > 0 else ''}{percent(share)}"))
    head = ("day", "model", *(("key",) if by_key else ()), "of", "ledger", "report", "difference")
    print_table(head, rows, right=tuple(range(len(head) - 3, len(head))))
    for one in drifted:
        guesses = explained(one)
        if guesses:
            named = ", ".join(f"{its.call_id} ({its.error or its.usage_source})" for its in guesses[:MOST_NAMED])
            more = f", and {len(guesses) - MOST_NAMED} more" if len(guesses) > MOST_NAMED else ""
            say(
                f"{one.place.day} {one.place.model}: nobody told the whole usage of {len(guesses)} attempts, expected "
                f"to cost {money(usd(one.unconfirmed_pico))} beyond the ledger: {named}{more}"
            )


def _tell_due(due: int, *, write: bool) -> None:
    if not due:
        say_next("headgate cost --by day")
    elif write:
        say(f"{due} corrections are written; `headgate cost` has them in its sums from now on")
        say_next("headgate cost --by day")
    else:
        say(f"{due} corrections would make the ledger say what the reports say")
        say_next("headgate cost reconcile --write")


def _facts(one: Difference, guesses: list[Guess]) -> dict[str, Any]:
    correction = one.correction
    return {
        **one.place._asdict(),
        "ledger": _side(one.booked, one.booked_pico),
        "report": _side(one.reported, one.reported_pico),
        "drifts": [name for name, _, _ in one.drifts],
        "unconfirmed_usd": usd_text(one.unconfirmed_pico),
        "unknown_attempts": [
            {"call_id": its.call_id, "attempt": its.attempt, "error": its.error, "usage_source": its.usage_source,
             "expected_usd": usd_text(its.unconfirmed_pico)}
            for its in guesses
        ],
        "correction": None
        if correction.says_nothing
        else _side(correction.counts, correction.cost_pico) | {"cost_problem": correction.cost_problem},
    }  # fmt: skip


def _side(counts: Counts, pico: int | None) -> dict[str, Any]:
    return counts._asdict() | {"cost_pico": pico, "cost_usd": None if pico is None else usd_text(pico)}
