"""Stores tell how long their operations take, to whoever counts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from headgate.core.budget import AccountKey
from headgate.core.grants import Ask
from headgate.safety.content.desk import Kept, Sample
from headgate.stores.sqlite import SqliteLedger, journal
from headgate.stores.sqlite.budgets import SqliteBudgets
from headgate.stores.sqlite.content import SqliteContent
from headgate.stores.sqlite.telemetry import Telemetry
from headgate.stores.timing import timed
from headgate.telemetry.metrics.registry import Registry
from headgate.telemetry.metrics.store_ops import StoreOps
from support.exposed import series
from support.records import attempts_of, call, opened


@pytest.fixture
def registry() -> Registry:
    return Registry({})


@pytest.fixture
def ops(registry: Registry) -> StoreOps:
    return StoreOps(registry)


def counted(registry: Registry) -> dict[str, float]:
    return series(registry, "headgate_store_op_seconds_count")


def test_the_ledger_tells_of_its_commits_and_of_each_new_file_of_its_journal(
    tmp_path: Path, monkeypatch, registry, ops
):
    """What may wait for a disk; what is copied into memory for each call is not timed."""
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 4096)

    async def main() -> None:
        ledger = SqliteLedger(tmp_path / "ledger.db", lambda attempt: 0, commit_interval_s=0.001)
        ledger.took = ops.of("ledger")
        for number in range(30):
            record = call(f"call_{number}")
            ledger.begin(opened(record))
            ledger.record(record, attempts_of(record))
        await ledger.close()

    asyncio.run(main())

    assert {labels for labels, count in counted(registry).items() if count >= 1} == {
        "store=ledger,op=journal", "store=ledger,op=commit",
    }  # fmt: skip


def test_budgets_tell_what_waits_for_the_disk_from_what_does_not(tmp_path: Path, registry, ops):
    """A grant is written through before anything is spent of it."""
    store = SqliteBudgets(tmp_path / "budgets.db", "one")
    store.took = ops.of("budgets")
    store.draw([Ask(AccountKey("day", "", "w"), 100, 10, 10)], 0, 1000)
    store.announce(AccountKey("day", "", "w"), 1)
    store.close()

    found = counted(registry)

    assert found["store=budgets,op=commit"] == 1
    assert found["store=budgets,op=write"] == 1
    assert found["store=budgets,op=read"] >= 1


def test_the_text_of_calls_is_written_and_deleted(tmp_path: Path, registry, ops):
    """On the desk's thread."""
    store = SqliteContent(tmp_path / "content.db")
    store.took = ops.of("content")
    store.keep(Kept("call_1", 0, "chat", None, None, "full", "q", "a"))
    store.sample(Sample("call_1", 0, "chat", None, None, None, None, "{}", ""), 1, Random(1))
    store.purge(1)
    store.close()

    assert counted(registry) == {"store=content,op=write": 2, "store=content,op=delete": 1}


def test_what_is_observed_is_timed_too(tmp_path: Path, registry, ops):
    """A disk that is slow for telemetry is slow for the ledger beside it."""
    telemetry = Telemetry(tmp_path / "telemetry.db")
    telemetry.took = ops.of("telemetry")
    telemetry.post("test", lambda db: None)
    telemetry.close()

    assert counted(registry) == {"store=telemetry,op=write": 1}


def test_an_operation_that_fails_has_taken_its_time_too():
    """A lock that was waited for in vain is what one looks for."""
    told = []
    with pytest.raises(OSError, match="full"), timed(lambda op, seconds: told.append(op), "commit"):
        raise OSError("full")

    assert told == ["commit"]


def test_where_nobody_looks_times_do_not_pile_up(registry, ops):
    """The library in a program that serves no metrics."""
    took = ops.of("ledger")
    for _ in range(20_000):
        took("commit", 0.001)

    assert counted(registry)["store=ledger,op=commit"] < 10_000


def test_what_a_crash_left_open_is_counted(tmp_path: Path):
    """The next start books it, and says how much that was."""
    path = tmp_path / "ledger.db"

    async def main() -> int:
        dying = SqliteLedger(path, lambda attempt: 0)
        dying.begin(opened(call("call_1")))
        dying._journal.close(remove=False)  # its lock is gone, and its file stays
        left = SqliteLedger(path, lambda attempt: 0)
        found = left.state().recovered
        await left.close()
        return found

    assert asyncio.run(main()) == 1
