"""`headgate audit`: what operators did, and whether the list of it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.ledger_span import LedgerFile, Since, Until, end_of, ledger_path, start_of
from headgate.cli.operators import Settings
from headgate.cli.output import Json, print_json, print_table, say, say_next
from headgate.core.audit import AuditRow, Broken
from headgate.core.budget import is_whole

if TYPE_CHECKING:
    from headgate.stores.sqlite.audit import SqliteAudit

__all__ = ["app"]

app = typer.Typer(help="Show what operators did, and whether the list of it is whole.", invoke_without_command=True)

SHOWN = 50


@app.callback()
def audit(
    context: typer.Context,
    action: Annotated[
        str | None, typer.Option(help="Only this, such as content.read; or all of a kind, such as budget.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only of them, such as dashboard or command:ann.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this, such as a call's id.")] = None,
    since: Since = None,
    until: Until = None,
    everything: Annotated[bool, typer.Option("--all", help="Not only the newest.")] = False,
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Show what operators did, the newest last.

    Logins, changes of budgets, what was said of alerts, text of calls that was read, handed on or forgotten,
    corrections of the ledger, and with which settings gateways began.
    """
    if context.invoked_subcommand is not None:
        return
    from_ms, to_ms = start_of(since, "--since"), end_of(until, "--until")
    with _opened(ledger_path(ledger, config)) as trail:
        rows = [] if trail is None else trail.rows()
    found = [
        row
        for row in rows
        if from_ms <= row.at_ms < to_ms
        and (action is None or row.action == action or row.action.startswith(f"{action}."))
        and actor in (None, row.actor)
        and subject in (None, row.subject)
    ]
    shown = found if everything or json else found[-SHOWN:]
    if json:
        print_json([_facts(row) for row in shown])
        return
    if not shown:
        print("nothing was done that is written down" if not rows else "nothing fits")
    else:
        head = ("number", "when", "who", "what", "to what", "before", "after")
        print_table(head, [_cells(row) for row in shown], right=(0,))
    if len(shown) < len(found):
        say(f"{len(found) - len(shown)} older ones; show them with --all")
    say_next("headgate audit verify")


@app.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(metavar="digest", help="A row's digest out of the log: the chain must hold it.")
    ] = None,
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Check that no row was altered, taken out or put in.  Exit 1 and the first such row if one was.

    Who can write the file can make the whole chain anew; `--expect` finds that out, with a digest that was kept
    elsewhere: the log line of each row has it.
    """
    path = ledger_path(ledger, config)
    with _opened(path) as trail:
        rows = 0 if trail is None else len(trail.rows())
        broken = trail.first_broken(expect) if trail is not None else _nothing(expect)
    changes = _changes_are_whole(path)
    if json:
        print_json({
            "whole": broken is None and changes, "rows": rows, "budget_changes_whole": changes,
            "first_broken": None if broken is None else broken._asdict(),
        })  # fmt: skip
    elif broken is not None:
        print(f"broken at row {broken.number}: {broken.why}")
    elif not changes:
        print("the changes of budgets that are in force were altered: `headgate budget audit` shows them")
    else:
        print(f"whole: {rows} rows")
    if broken is not None or not changes:
        raise typer.Exit(1)


def _nothing(expect: str | None) -> Broken | None:
    return None if expect is None else Broken(1, "there is no trail")


def _changes_are_whole(ledger: Path) -> bool:
    """The changes in `budgets.db` are what is in force; they have a chain of their own."""
    from headgate.stores.sqlite.budgets import SqliteBudgets

    path = ledger.with_name("budgets.db")
    if not path.is_file():
        return True
    with closing(SqliteBudgets(path, f"command-{os.getpid()}")) as budgets:
        return is_whole(budgets.changes())


@contextmanager
def _opened(ledger: Path) -> Iterator[SqliteAudit | None]:
    """The trail, if there is one: who only looks makes none."""
    from headgate.stores.sqlite.audit import SqliteAudit, audit_path

    path = audit_path(ledger)
    if not path.is_file():
        yield None
        return
    with closing(SqliteAudit(path)) as trail:
        yield trail


def _facts(row: AuditRow) -> dict[str, Any]:
    return row._asdict() | {"before": _read(row.before), "after": _read(row.after)}


def _read(text: str | None) -> Any:
    """What a JSON text says; one that was cut or tampered with stays text."""
    import msgspec

    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _cells(row: AuditRow) -> tuple[object, ...]:
    return (row.number, _when(row.at_ms), row.actor, row.action, row.subject, row.before or "-", row.after or "-")


def _when(at_ms: int) -> str:
    """The number itself of a time that somebody made up, which no calendar has."""
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return str(at_ms)
