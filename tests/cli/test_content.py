"""`headgate content`, `samples` and `forget`: what is kept can be read, handed on, and let go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from headgate.edge.intake import personal
from headgate.safety.content.desk import Kept, Sample
from headgate.stores.sqlite import SqliteLedger
from headgate.stores.sqlite.content import SqliteContent
from support.records import attempts_of, call, rows

ADA, BOB = "ada.FORGETCORE@example.org", "bob"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with a ledger of six calls of two users, the text of each, and samples."""

    async def write() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db", lambda _: 0)
        for number in range(6):
            user = personal(ADA) if number % 2 else BOB
            record = call(
                f"call_{number}", user=user, session=f"s-{user}", correlation_id=f"of-{user}", cost_pico=10**12
            )
            ledger.record(record, attempts_of(record))
        await ledger.close()

    asyncio.run(write())
    with closing(SqliteContent(tmp_path / "content.db")) as store:
        for number in range(6):
            user = personal(ADA) if number % 2 else BOB
            store.keep(Kept(f"call_{number}", 1_790_000_000_000, "triage", user, "s", "full", f"I am {user}", "fine"))
            store.sample(
                Sample(f"call_{number}", 1_790_000_000_000, "triage", user, "s", "claude", "end_turn",
                       '{"messages": []}', f"to {user}"),
                10,
                Random(1),
            )  # fmt: skip
    return tmp_path


def test_forgetting_a_user_deletes_their_text_and_leaves_their_cost(cli: Callable[..., Any], kept: Path):
    """Under a name that nothing leads back from; what others did stays theirs."""
    ran = cli("forget", "--user", ADA, "--ledger", str(kept / "ledger.db"), "--json")

    assert (ran.json["calls"], ran.json["texts"], ran.json["samples"]) == (3, 3, 3)
    users = {row["user"]: row["cost_pico"] for row in rows(kept / "ledger.db", "calls")}
    assert users == {BOB: 10**12, ran.json["name"]: 10**12}
    told = cli("cost", "--by", "user", "--ledger", str(kept / "ledger.db"), "--json").out
    assert ran.json["name"] in told


def test_s18_nothing_on_the_disk_leads_to_who_was_forgotten(cli: Callable[..., Any], kept: Path):
    """Their name is in no row, no free page and no write-ahead log; neither are their sessions."""

    def named() -> set[str]:
        return {file.name for file in kept.rglob("*") if file.is_file() and personal(ADA).encode() in file.read_bytes()}

    assert named() == {"ledger.db", "content.db"}

    cli("forget", "--user", ADA, "--ledger", str(kept / "ledger.db"))

    assert named() == set()


def test_a_user_whom_nobody_knows_is_no_error(cli: Callable[..., Any], kept: Path):
    ran = cli("forget", "--user", "nobody", "--ledger", str(kept / "ledger.db"), "--json")

    assert ran.json == {"calls": 0, "texts": 0, "samples": 0, "name": None}


def test_the_text_of_a_call_by_its_id(cli: Callable[..., Any], kept: Path):
    ran = cli("content", "call_0", "--ledger", str(kept / "ledger.db"), "--json")

    assert (ran.json["request"], ran.json["form"]) == ("I am bob", "full")


def test_a_call_without_text_is_told_why(cli: Callable[..., Any], kept: Path):
    ran = cli("content", "call_9", "--ledger", str(kept / "ledger.db"))

    assert ran.code == 1
    assert "log.keep_days" in ran.err


def test_samples_are_listed_and_exported_as_json_lines(cli: Callable[..., Any], kept: Path):
    listed = cli("samples", "list", "--ledger", str(kept / "ledger.db"), "--json").json
    lines = cli("samples", "export", "--workflow", "triage", "--ledger", str(kept / "ledger.db")).out.splitlines()

    assert [(each["workflow"], each["samples"], each["calls"]) for each in listed] == [("triage", 6, 6)]
    first = json.loads(lines[0])
    assert (len(lines), first["id"], first["request"], first["response"]) == (6, "call_0", {"messages": []}, "to bob")


def test_without_a_file_it_is_told_how_to_get_one(cli: Callable[..., Any]):
    ran = cli("samples", "list")

    assert ran.code == 1
    assert "keep_samples" in ran.err
