"""`headgate audit`: who did what, and that nobody changed the list of it since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from headgate.core.audit import person
from headgate.edge.intake import personal
from headgate.safety.content.desk import Kept, Sample
from headgate.stores.sqlite import SqliteLedger
from headgate.stores.sqlite.content import SqliteContent
from support.records import attempts_of, call

ADA = "ada.AUDITED@example.org"
SETTINGS = '[budgets.team]\nusd = "100"\n'


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with settings, a ledger of one call, its text and a sample."""

    async def write() -> None:
        ledger = SqliteLedger(tmp_path / "headgate.db", lambda _: 0)
        record = call("call_1", user=personal(ADA))
        ledger.record(record, attempts_of(record))
        await ledger.close()

    asyncio.run(write())
    (tmp_path / "headgate.toml").write_text(f'{SETTINGS}[ledger]\npath = "{tmp_path / "headgate.db"}"\n')
    with closing(SqliteContent(tmp_path / "content.db")) as store:
        now = 1_790_000_000_000
        store.keep(Kept("call_1", now, "triage", personal(ADA), "s", "full", "SECRET-QUESTION", "fine"))
        sample = Sample("call_1", now, "triage", personal(ADA), "s", "claude", "end_turn", '{"messages": []}', "fine")
        store.sample(sample, 10, Random(1))
    return tmp_path


DONE = {
    ("budget", "set", "team", "--usd", "650"): ("budget.set", "team", {"usd": None}, {"usd": "650"}),
    ("content", "call_1"): ("content.read", "call_1", None, {"form": "full"}),
    ("content", "call_2"): ("content.read", "call_2", None, {"form": None}),
    ("samples", "export"): ("samples.export", "all", None, {"samples": 1}),
    ("samples", "export", "--workflow", "triage"): ("samples.export", "triage", None, {"samples": 1}),
    ("forget", "--user", ADA): ("content.forget", person(personal(ADA)), None, None),
}


@pytest.mark.parametrize("command", DONE, ids=lambda command: "-".join(command[:2]))
def test_what_is_done_by_a_command_is_written_down_with_who_did_it(
    cli: Callable[..., Any], kept: Path, command: tuple[str, ...]
):
    cli(*command, LOGNAME="ann", USER="ann")

    (row,) = cli("audit", "--json").json
    assert (row["action"], row["subject"], row["before"], row["after"]) == DONE[command]
    assert (row["number"], row["actor"]) == (1, "command:ann")


def test_a_budget_that_was_changed_back_has_what_it_was_before(cli: Callable[..., Any], kept: Path):
    cli("budget", "set", "team", "--usd", "650")
    cli("budget", "unset", "team")
    cli("budget", "unset", "team")  # there is nothing left to change

    rows = cli("audit", "--action", "budget", "--json").json
    assert [(row["action"], row["before"], row["after"]) for row in rows] == [
        ("budget.set", {"usd": None}, {"usd": "650"}), ("budget.unset", {"usd": "650"}, {"usd": None})
    ]  # fmt: skip


@pytest.mark.parametrize(
    "command", [("content", "call_1"), ("samples", "export"), ("budget", "set", "team", "--usd", "650"),
                ("forget", "--user", ADA)], ids=lambda command: "-".join(command[:2]),
)  # fmt: skip
def test_what_cannot_be_written_down_is_not_done(cli: Callable[..., Any], kept: Path, command: tuple[str, ...]):
    """Fail closed: nothing is shown, handed on, changed or forgotten unseen."""
    (kept / "audit.db").write_bytes(b"no database" * 100)

    ran = cli(*command)

    assert ran.code == 1
    assert "the audit trail" in ran.err
    assert (ran.out, "SECRET" in ran.err) == ("", False)
    (kept / "audit.db").unlink()
    assert "SECRET-QUESTION" in cli("content", "call_1").out
    assert cli("budget", "--json").json[0]["cap_usd"].startswith("100")


def test_it_shows_what_is_asked_for(cli: Callable[..., Any], kept: Path):
    for number in range(3):
        cli("content", f"call_{number}")
    cli("samples", "export", LOGNAME="bob")

    def found(*options: str) -> int:
        return len(cli("audit", *options, "--json").json)

    assert found() == 4
    assert found("--action", "content") == found("--action", "content.read") == 3
    assert found("--action", "cont") == 0
    assert found("--actor", "command:bob") == 1
    assert found("--subject", "call_2") == 1
    assert found("--since", "2000-01-01") == 4
    assert found("--until", "2000-01-01") == 0
    assert "content.read" in cli("audit").out


def test_who_only_looks_makes_no_file(cli: Callable[..., Any], kept: Path):
    assert "nothing was done" in cli("audit").out
    assert cli("audit", "verify").code == 0
    assert not (kept / "audit.db").exists()


def test_s50_a_row_that_was_altered_is_named_and_the_command_fails(cli: Callable[..., Any], kept: Path):
    for number in range(4):
        cli("content", f"call_{number}")
    assert cli("audit", "verify").out == "whole: 4 rows\n"

    with closing(apsw.Connection(str(kept / "audit.db"))) as db:
        db.execute("DROP TRIGGER audit_is_not_altered")
        db.execute("UPDATE audit SET actor = 'command:nobody' WHERE number = 2")

    ran = cli("audit", "verify")
    assert (ran.code, ran.out[:16]) == (1, "broken at row 2:")
    told = cli("audit", "verify", "--json").json
    assert (told["whole"], told["first_broken"]["number"]) == (False, 2)


def test_s50_a_row_is_shown_whatever_was_made_of_it(cli: Callable[..., Any], kept: Path):
    """A time that no calendar has, too."""
    cli("content", "call_1")
    with closing(apsw.Connection(str(kept / "audit.db"))) as db:
        db.execute("DROP TRIGGER audit_is_not_altered")
        db.execute("UPDATE audit SET at_ms = 100000000000000000")

    ran = cli("audit")

    assert (ran.code, "100000000000000000" in ran.out) == (0, True)


def test_a_digest_that_was_kept_elsewhere_must_be_in_the_chain(cli: Callable[..., Any], kept: Path):
    cli("content", "call_1")
    (row,) = cli("audit", "--json").json

    assert cli("audit", "verify", "--expect", row["digest"]).code == 0
    assert cli("audit", "verify", "--expect", "0" * 64).code == 1
    (kept / "audit.db").unlink()
    assert cli("audit", "verify", "--expect", row["digest"]).code == 1


def test_a_budget_that_was_raised_in_its_own_file_shows(cli: Callable[..., Any], kept: Path):
    """Without a row of the trail."""
    cli("budget", "set", "team", "--usd", "650")
    with closing(apsw.Connection(str(kept / "budgets.db"))) as db:
        db.execute("UPDATE changes SET value = '65000'")

    assert cli("audit", "verify").code == 1


def test_who_is_forgotten_is_in_no_row_and_the_chain_still_holds(cli: Callable[..., Any], kept: Path):
    """Neither by name, nor by the name that the ledger has of them from now on."""
    cli("content", "call_1")
    name = cli("forget", "--user", ADA, "--json").json["name"]
    cli("content", "call_1")

    assert cli("audit", "verify").out == "whole: 3 rows\n"
    held = b"".join(path.read_bytes() for path in kept.glob("audit.db*"))
    for word in (ADA, "AUDITED", personal(ADA), name):
        assert word.encode() not in held
