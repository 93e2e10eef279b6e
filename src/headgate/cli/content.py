"""`headgate content`, `headgate samples`, `headgate forget`: the text of calls that is kept, and how it is let go."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.audit_note import note
from headgate.cli.ledger_span import LedgerFile, ledger_path
from headgate.cli.operators import Settings
from headgate.cli.output import Json, print_json, print_line, print_table, say, say_next
from headgate.core.audit import Act, person
from headgate.core.printable import printable
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.safety.content.desk import Sample
    from headgate.stores.sqlite.content import SqliteContent

__all__ = ["content", "forget", "samples_app"]

samples_app = typer.Typer(help="Scrubbed calls that are kept as material for an eval set.", no_args_is_help=True)

Workflow = Annotated[str | None, typer.Option(help="Of this workflow only.")]


@samples_app.callback()
def _group() -> None:
    """Scrubbed calls that are kept as material for an eval set."""


def content(
    call_id: Annotated[str, typer.Argument(help="The call's id, as in its header and its log line.")],
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Show what is kept of a call's text: see the setting log.content.

    Who looked is written down first (`headgate audit`); if that cannot be, nothing is shown.
    """
    with _opened(ledger, config) as store:
        kept = store.text_of(call_id)
    note(ledger_path(ledger, config), Act.CONTENT_READ, call_id, after={"form": None if kept is None else kept.form})
    if kept is None:
        raise HeadgateError(
            f"no text is kept of {call_id}: its workflow keeps none (log.content, log_content), or its time is over "
            "(log.keep_days)"
        )
    if json:
        print_json(kept._asdict())
        return
    say(f"{kept.call_id}, {_when(kept.started_ms)}, workflow {kept.workflow}, {kept.form}")
    print(f"request   {printable(kept.request)}\nresponse  {printable(kept.response)}")


@samples_app.command("list")
def list_samples(
    workflow: Workflow = None, ledger: LedgerFile = None, config: Settings = None, json: Json = False
) -> None:
    """Tell how many samples there are, by workflow."""
    with _opened(ledger, config) as store:
        samples, offered = store.samples(workflow), store.offered()
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.workflow, []).append(sample)
    facts = [
        {
            "workflow": name,
            "samples": len(its),
            "calls": offered.get(name, 0),
            "first": _when(min(each.started_ms for each in its)),
            "last": _when(max(each.started_ms for each in its)),
        }
        for name, its in found.items()
    ]
    if json:
        print_json(facts)
        return
    print_table(
        ("workflow", "samples", "of calls", "from", "to"), [tuple(fact.values()) for fact in facts], right=(1, 2)
    )
    if facts:
        say_next("headgate samples export > samples.jsonl")
    else:
        say_next("keep_samples = 100 under [workflows.NAME] in headgate.toml")


@samples_app.command("export")
def export_samples(workflow: Workflow = None, ledger: LedgerFile = None, config: Settings = None) -> None:
    """Print the samples, each as a JSON object on a line: the request as it can be asked again, and the answer."""
    with _opened(ledger, config) as store:
        samples = store.samples(workflow)
        note(ledger_path(ledger, config), Act.SAMPLES_EXPORT, workflow or "all", after={"samples": len(samples)})
        for sample in samples:
            print_line(_exported(sample))


def forget(
    user: Annotated[str, typer.Option(help="As calls name them; a mail address as it is.")],
    ledger: LedgerFile = None,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Forget a user: delete the text of their calls, and take their name out of the ledger.

    Cost and tokens stay, under a name drawn by chance that nothing leads back from.  What log collectors and budgets
    keep is told in docs/howto/log-content.md.
    """
    from headgate.edge.intake import personal
    from headgate.stores.sqlite.content import SqliteContent, content_path
    from headgate.stores.sqlite.forget import forget_in_ledger

    path = ledger_path(ledger, config)
    stored, name = personal(user), f"forgotten-{secrets.token_hex(6)}"
    texts = samples = 0
    note(path, Act.CONTENT_FORGET, person(stored))
    file = content_path(str(path))
    if file.is_file():
        with closing(SqliteContent(file)) as store:
            texts, samples = store.forget(stored)
    calls = forget_in_ledger(path, stored, name)
    if json:
        print_json({"calls": calls, "texts": texts, "samples": samples, "name": name if calls else None})
        return
    print(f"{calls} calls in the ledger, {texts} texts and {samples} samples deleted")
    if calls:
        say(f"in the ledger the user is now {name}")
        say_next(f"headgate cost --by user, which has their cost under {name}")
    else:
        say_next("headgate cost --by user, which lists whom the ledger knows")


@contextmanager
def _opened(ledger: Path | None, config: Path | None) -> Iterator[SqliteContent]:
    from headgate.stores.sqlite.content import SqliteContent, content_path

    path = content_path(str(ledger_path(ledger, config)))
    if not path.is_file():
        raise HeadgateError(
            f"there is no {path} yet: no text was kept; set log.content, or keep_samples of a workflow, and start "
            "`headgate serve`"
        )
    with closing(SqliteContent(path)) as store:
        yield store


def _when(started_ms: int) -> str:
    return datetime.fromtimestamp(started_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _exported(sample: Sample) -> dict[str, Any]:
    import msgspec

    return {
        "id": sample.call_id,
        "at": datetime.fromtimestamp(sample.started_ms / 1000, UTC).isoformat(timespec="seconds"),
        "workflow": sample.workflow,
        "model": sample.model,
        "stop_reason": sample.stop_reason,
        "request": msgspec.Raw(sample.request.encode()),
        "response": sample.response,
    }
