"""The SQLite ledger under kill -9: what it promised before the kill is there after it (F01, INV-03, INV-20)."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest

from headgate.stores.sqlite import SqliteLedger
from support.records import rows
from support.victim import ESTIMATE_PICO, Promises, Victims, cost_of


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    with Victims() as victims:
        yield victims


def reopen(path: Path) -> int:
    """Start on what a crash left, and stop in good order; the calls that were under way then."""
    ledger = SqliteLedger(path, lambda attempt: ESTIMATE_PICO)
    asyncio.run(ledger.close())
    return ledger.recovered


def check(path: Path, promises: Promises, replay: str) -> None:
    """That a ledger, reopened, holds all that was promised, and that its rows agree with each other."""
    calls = {row["call_id"]: row for row in rows(path, "calls")}
    attempts: dict[tuple[str, int], dict[str, Any]] = {
        (row["call_id"], row["attempt"]): row for row in rows(path, "attempts")
    }
    assert promises.begun <= attempts.keys(), replay
    assert promises.recorded <= {name for name, row in calls.items() if row["outcome"] == "ok"}, replay
    assert {name for name, _ in attempts} == calls.keys(), replay
    for name, row in calls.items():
        own = [attempt for (call_id, _), attempt in attempts.items() if call_id == name]
        assert len(own) == row["attempts"], replay
        assert sum(attempt["cost_pico"] for attempt in own) == row["cost_pico"], replay
        assert sum(attempt["unconfirmed_pico"] for attempt in own) == row["unconfirmed_pico"], replay
        if row["outcome"] == "ok":
            assert row["cost_pico"] == cost_of(name), replay
        else:
            assert (row["outcome"], row["usage_source"], row["cost_pico"]) == ("crashed", "unknown", 0), replay
            assert {(a["error"], a["usage_source"], a["unconfirmed_pico"]) for a in own} == {
                ("crashed", "unknown", ESTIMATE_PICO)
            }, replay
    db = apsw.Connection(str(path))
    assert db.execute("PRAGMA integrity_check").get == "ok", replay
    db.close()
    assert not list(path.with_name(path.name + ".journal").iterdir()), replay


def test_f01_killed_two_hundred_times_at_random_it_loses_no_attempt(tmp_path: Path, victims: Victims):
    """One file over all rounds: each start closes what the kill before left open, exactly once."""
    path, notes = tmp_path / "ledger.db", tmp_path / "promises"
    chance = random.Random(20261121)
    for number in range(200):
        seed = chance.getrandbits(32)
        pid = victims.start(path, notes, round=number, calls=100_000, seed=seed)
        time.sleep(chance.uniform(0.004, 0.03))
        os.kill(pid, signal.SIGKILL)
        assert victims.ended() == -signal.SIGKILL

    reopen(path)

    promises = Promises.read(notes)
    assert len(promises.begun) > len(promises.recorded) > 200, "the kills came too early to prove anything"
    check(path, promises, "seed 20261121")
    before = rows(path, "calls"), rows(path, "attempts")
    assert reopen(path) == 0
    assert (rows(path, "calls"), rows(path, "attempts")) == before


@pytest.mark.parametrize("first", range(4))
def test_f01_killed_at_any_line_of_its_own_code_it_loses_no_attempt(tmp_path: Path, victims: Victims, first: int):
    """Opening, begin, record, group commit, a new journal file, closing: a kill between any two lines of them."""
    for lines in range(1 + first * 13, 2500, 4 * 13):
        path, notes = tmp_path / f"{lines}.db", tmp_path / f"{lines}.promises"
        victims.start(path, notes, round=1, calls=9, seed=lines, die_after_lines=lines)
        ended = victims.ended()

        reopen(path)

        check(path, Promises.read(notes), f"die_after_lines={lines}")
        if ended == 0:
            break
    else:
        pytest.fail("the sweep ends before the code does: raise its bound")


def test_f01_killed_at_any_line_of_the_repair_the_next_start_repairs_it(tmp_path: Path, victims: Victims):
    """The repair itself may die at any point, and still closes every open attempt exactly once."""
    origin, notes = tmp_path / "origin", tmp_path / "promises"
    origin.mkdir()
    victims.start(origin / "ledger.db", notes, round=1, calls=30, seed=5, die_after_lines=1500)
    assert victims.ended() == -signal.SIGKILL
    assert len(list((origin / "ledger.db.journal").glob("*.journal"))) > 1, "the crash left one file only"
    for lines in range(1, 10_000, 19):
        place = tmp_path / f"at-{lines}"
        shutil.copytree(origin, place)
        repairing, ended = tmp_path / f"{lines}.promises", 0
        victims.start(place / "ledger.db", repairing, round=2, calls=0, seed=1, die_after_lines=lines)
        ended = victims.ended()

        reopen(place / "ledger.db")

        check(place / "ledger.db", Promises.read(notes), f"repair: die_after_lines={lines}")
        if ended == 0:
            break
    else:
        pytest.fail("the sweep ends before the repair does: raise its bound")


def test_several_processes_that_start_at_once_share_one_ledger(tmp_path: Path):
    """The first start of all makes the file; nobody takes another's journal for what a crash left."""
    path = tmp_path / "ledger.db"
    notes = [tmp_path / f"promises-{number}" for number in range(4)]
    with ExitStack() as stack:
        workers = [stack.enter_context(Victims()) for _ in notes]
        for number, (worker, note) in enumerate(zip(workers, notes, strict=True)):
            worker.start(path, note, round=number, calls=150, seed=number)
        assert [worker.ended() for worker in workers] == [0, 0, 0, 0]

    for note in notes:
        check(path, Promises.read(note), "no kill")
    assert {row["outcome"] for row in rows(path, "calls")} == {"ok"}
    assert len(rows(path, "calls")) == 4 * 150
