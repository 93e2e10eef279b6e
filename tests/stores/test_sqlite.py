"""The SQLite ledger on its own: its file, its durability, and a disk or neighbours that misbehave."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec
import pytest

from headgate.core.usage import MAX_TOKENS
from headgate.engine.load import load_prices
from headgate.errors import LedgerError, Unavailable
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, CorrectionRecord, OpenAttempt, Resource
from headgate.stores.sqlite import SqliteLedger, journal, ledger_file, open_reader, recovery
from headgate.stores.sqlite import ledger as ledger_module
from headgate.stores.sqlite.queries import spend
from headgate.usage import MessageFacts, Usage
from support.records import attempts_of, call, filled, opened, rows

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def run(path: Path, act: Callable[[SqliteLedger], Awaitable[T]], *, closed: bool = False, **settings: int) -> T:
    """Open the ledger at `path`, do something, close it unless the act has."""

    async def main() -> T:
        store = SqliteLedger(path, lambda attempt: 0, commit_interval_s=0.001, **settings)
        try:
            return await act(store)
        finally:
            if not closed:
                await store.close()

    return asyncio.run(main())


async def write(store: SqliteLedger, *names: str) -> None:
    for name in names:
        record = call(name)
        store.begin(opened(record))
        store.record(record, attempts_of(record))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a thread signals nothing here
            await asyncio.sleep(0.005)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A foreign connection holds the write lock."""
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


# -- the schema ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ("calls", CallRecord),
        ("attempts", AttemptRecord),
        ("batch_items", BatchItemRecord),
        ("resources", Resource),
        ("corrections", CorrectionRecord),
    ],
)
def test_columns_are_the_fields_of_the_records(path: Path, table: str, kind: type):
    """Rows are written by position, so names and order must be the same."""

    async def act(store: SqliteLedger) -> None:
        with open_reader(path) as db:
            columns = [name for (name,) in db.execute(f"SELECT name FROM pragma_table_info('{table}')")]
        assert tuple(columns) == kind.__struct_fields__

    run(path, act)


def test_money_and_counts_are_integers_in_the_file(path: Path):
    """INV-04: what SQLite stores is 64-bit integers, the largest included; a sum of them drifts by nothing."""
    largest = filled(CallRecord, call_id="call_1", attempts=0, cost_pico=2**63 - 1)

    async def act(store: SqliteLedger) -> None:
        store.record(largest, [])
        await store.flush()

    run(path, act)

    kinds = {n: h for n, h in CallRecord.__annotations__.items() if n.endswith(("_tokens", "_pico"))}
    with open_reader(path) as db:
        found = db.execute(f"SELECT {', '.join(f'typeof({name})' for name in kinds)} FROM calls").fetchone()
    assert set(found) == {"integer"}
    assert rows(path, "calls")[0]["cost_pico"] == 2**63 - 1


@pytest.mark.parametrize("model", sorted({row.model for row in load_prices(None).rows()}))
def test_what_the_dearest_answer_costs_fits_the_ledger(model: str):
    """G13: an upstream that counts absurdly must not stop the ledger: the largest counts that are taken, of every
    kind at once and at the dearest rate, are still 64 bits."""
    usage = Usage(MAX_TOKENS, MAX_TOKENS, MAX_TOKENS, MAX_TOKENS, MAX_TOKENS, web_searches=MAX_TOKENS)
    usage.speed, usage.inference_geo = "fast", "us"

    charge = load_prices(None).charge(
        MessageFacts(model=model, usage=usage), model=model, day=date(2026, 11, 21), requested_geo="us"
    )

    assert charge.pico is None or 0 < charge.pico < 2**63


# -- durability and the event loop ---------------------------------------------------------------------------------


def test_f02_commits_are_synced_to_the_disk(path: Path):
    """FULL, in WAL mode: what is committed survives the loss of power."""

    async def act(store: SqliteLedger) -> None:
        assert store._db.pragma("journal_mode") == "wal"
        assert store._db.pragma("synchronous") == 2

    run(path, act)


def test_rows_are_committed_in_groups_by_a_thread_of_its_own(path: Path):
    """The event loop's thread never touches SQLite, and many calls share one commit."""
    commits: list[int] = []

    async def act(store: SqliteLedger) -> None:
        store._db.set_commit_hook(lambda: commits.append(threading.get_ident()) or False)
        await write(store, *(f"call_{number}" for number in range(500)))
        await store.flush()

    run(path, act)

    assert 0 < len(commits) < 50
    assert threading.get_ident() not in commits


def test_begin_and_record_do_not_wait_for_a_database_that_hangs(path: Path):
    """While a foreign process holds the lock, calls go on; their rows wait in the journal."""

    async def act(store: SqliteLedger) -> None:
        with locked(path):
            await write(store, *(f"call_{number}" for number in range(100)))
        await store.flush()

    run(path, act)

    assert len(rows(path, "calls")) == 100


def test_a_clean_stop_leaves_no_journal(path: Path):
    run(path, lambda store: write(store, "call_1"))

    assert list(path.with_name("ledger.db.journal").iterdir()) == []


def test_files_are_for_their_owner_only(path: Path):
    """The ledger says who asked what and when: no one else on the machine may read it."""

    async def act(store: SqliteLedger) -> None:
        await write(store, "call_1")
        await store.flush()
        for file in (path, *path.parent.glob("ledger.db-*"), *path.parent.glob("ledger.db.journal/*")):
            assert file.stat().st_mode & 0o077 == 0, file

    run(path, act)


def test_a_start_beside_a_living_process_leaves_its_journal_alone(path: Path):
    """Several processes may share one ledger: what another one has under way is not a crash."""

    async def act(store: SqliteLedger) -> None:
        store.begin(opened(call("call_1")))
        second = SqliteLedger(path, lambda attempt: 0)
        assert second.recovered == 0
        await second.close()
        record = call("call_1")
        store.record(record, attempts_of(record))

    run(path, act)

    assert [row["outcome"] for row in rows(path, "calls")] == ["ok"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits of seconds, in milliseconds."""
    monkeypatch.setattr(ledger_file, "BUSY_TIMEOUT_MS", 2)
    monkeypatch.setattr(ledger_module, "REFUSE_AFTER_S", 0.01)
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.001)
    monkeypatch.setattr(ledger_module, "GIVE_UP_S", 0.01)


# -- F03: the disk is full -----------------------------------------------------------------------------------------


def test_f03_a_full_database_refuses_new_calls_and_recovers_without_a_restart(path: Path):
    """No room for rows: nothing new is sent (503 and a reason), what is over waits, reading goes on; with room again
    everything is written."""

    async def act(store: SqliteLedger) -> None:
        await write(store, "call_0")
        await store.flush()
        pages = store._db.pragma("page_count")
        store._db.pragma("max_page_count", pages)
        await write(store, *(f"call_{number:04}" for number in range(1, 300)))
        await until(lambda: store.problem)

        assert store.problem == "disk full"
        with pytest.raises(Unavailable) as refused:
            store.begin(opened(call("call_new")))
        assert (refused.value.status, refused.value.reason) == (503, "ledger_unavailable")
        assert refused.value.retry_after_s
        assert len(rows(path, "calls")) == 1

        store._db.pragma("max_page_count", 1 << 30)
        await store.flush()
        assert store.problem is None
        store.begin(opened(call("call_new")))
        record = call("call_new")
        store.record(record, attempts_of(record))

    run(path, act)

    assert len(rows(path, "calls")) == 301
    assert not rows(path, "calls", "WHERE outcome != 'ok'")


@contextmanager
def no_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No new journal file can be made."""

    def full(file: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_allocate", full)
        yield


def test_f03_without_room_for_the_journal_no_call_is_sent_and_finished_ones_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What cannot be journaled before it is sent is not sent; what is over goes to SQLite without the journal."""
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 4096)
    begun: list[CallRecord] = []

    async def act(store: SqliteLedger) -> None:
        def begin_many() -> None:
            for number in range(1000):
                record = call(f"call_{number:04}")
                store.begin(opened(record))
                begun.append(record)

        with no_room(monkeypatch):
            with pytest.raises(Unavailable, match="No space left on device"):
                begin_many()
            for record in begun:
                store.record(record, attempts_of(record))
            await until(lambda: len(rows(path, "calls")) == len(begun))
        store.begin(opened(call("call_late")))
        record = call("call_late")
        store.record(record, attempts_of(record))

    run(path, act)

    assert {row["outcome"] for row in rows(path, "calls")} == {"ok"}
    assert len(rows(path, "attempts")) == len(begun) + 1


@pytest.mark.usefixtures("impatient")
def test_f03_a_stop_with_rows_that_no_disk_would_take_still_shows_every_attempt(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Neither journal nor database has room for the end of a call: its begin is still in the journal, and the next
    start closes it as unknown."""
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 200)

    async def act(store: SqliteLedger) -> None:
        with no_room(monkeypatch), locked(path):
            await write(store, "call_1")
            await store.close()

    run(path, act, closed=True)

    run(path, lambda store: asyncio.sleep(0))

    (row,) = rows(path, "attempts")
    assert (row["error"], row["usage_source"]) == ("crashed", "unknown")


@pytest.mark.usefixtures("impatient")
def test_a_defect_of_the_writer_stops_new_calls_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever it is, money is not spent on without a record; the next start finds the rows in the journal."""

    def broken(db: apsw.Connection, rows: object) -> None:
        raise ZeroDivisionError("a defect")

    async def act(store: SqliteLedger) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(ledger_module, "insert", broken)
            await write(store, "call_1")
            await until(lambda: store.problem)
        assert store.problem == "defect"
        with pytest.raises(Unavailable, match="cannot be written"):
            store.begin(opened(call("call_2")))

    run(path, act)
    assert rows(path, "calls") == []

    run(path, lambda store: asyncio.sleep(0))

    assert [row["outcome"] for row in rows(path, "calls")] == ["ok"]


# -- F05: locks ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_f05_a_lock_held_by_somebody_else_stops_new_calls_after_a_bounded_wait(path: Path):
    """Fail closed, and open again when the lock is gone: no deadlock, no half transaction, nothing lost."""

    async def act(store: SqliteLedger) -> None:
        with locked(path):
            await write(store, "call_1")
            refused: list[Unavailable] = []

            def refuses() -> bool:
                try:
                    record = call(f"call_probe{len(refused)}")
                    store.begin(opened(record))
                    store.record(record, attempts_of(record))
                except Unavailable as problem:
                    refused.append(problem)
                return bool(refused)

            await until(refuses)
            assert (refused[0].status, refused[0].reason) == (503, "ledger_unavailable")
            assert "locked" in str(refused[0])
            assert not rows(path, "calls")
        await store.flush()
        assert store.problem is None
        await write(store, "call_2")

    run(path, act)

    assert {"call_1", "call_2"} <= {row["call_id"] for row in rows(path, "calls")}


@pytest.mark.usefixtures("impatient")
def test_f05_a_lock_at_the_start_is_said_in_words(path: Path):
    run(path, lambda store: write(store, "call_1"))

    leave_crash(path)

    with locked(path), pytest.raises(LedgerError, match="locked by another program"):
        SqliteLedger(path, lambda attempt: 0)  # brings in the journal, which needs the lock


def leave_crash(path: Path) -> None:
    """A journal as a killed process leaves it."""
    folder = path.with_name(path.name + ".journal")
    lost = journal.Journal(folder, "1-dead")
    lost.append(journal.Frame.OPEN, opened(call("call_lost")))
    lost.close(remove=False)


def test_f05_a_backlog_that_passes_its_bound_stops_new_calls(path: Path):
    """Rows that wait are bounded too (INV-19)."""

    async def act(store: SqliteLedger) -> None:
        with locked(path), pytest.raises(Unavailable, match="too far behind"):
            await write(store, *(f"call_{number}" for number in range(1000)))
        await store.flush()
        await write(store, "call_after")

    run(path, act, max_backlog_bytes=20_000)


# -- F06, F07: files that cannot be trusted ------------------------------------------------------------------------


def damaged_header(path: Path) -> None:
    path.write_bytes(b"\x00" * 100 + path.read_bytes()[100:])


def damaged_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 64] = b"\xa5" * 64
    path.write_bytes(data)


def no_database(path: Path) -> None:
    path.write_text("these are the notes of a meeting, and of no interest to SQLite\n" * 20)


@pytest.mark.parametrize("harm", [damaged_header, damaged_page, no_database])
def test_f06_a_damaged_ledger_is_refused_with_the_way_out_and_left_as_it_is(path: Path, harm: Callable[[Path], None]):
    run(path, lambda store: write(store, *(f"call_{number}" for number in range(100))))
    harm(path)
    before = path.read_bytes()

    with pytest.raises(LedgerError, match=r"damaged.*Nothing was changed or deleted.*\.recover") as refused:
        SqliteLedger(path, lambda attempt: 0)

    assert path.read_bytes() == before
    assert str(path) in str(refused.value)


def test_f06_damage_below_the_header_is_said_by_reading_commands_too(path: Path):
    run(path, lambda store: write(store, *(f"call_{number}" for number in range(2000))))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)

    with pytest.raises(LedgerError, match="damaged"):
        spend(path, "workflow")


def test_f06_a_truncated_wal_loses_whole_transactions_only(path: Path):
    """SQLite cannot tell a cut WAL from one that ended there: what remains is a state that was once committed."""

    async def act(store: SqliteLedger) -> bytes:
        for number in range(30):
            await write(store, f"call_{number:02}")
            await store.flush()
        return path.with_name("ledger.db-wal").read_bytes()

    wal = run(path, act)
    torn = path.with_name("torn.db")
    run(torn, lambda store: asyncio.sleep(0))
    torn.write_bytes(b"")
    torn.with_name("torn.db-wal").write_bytes(wal[: len(wal) * 2 // 3])

    run(torn, lambda store: asyncio.sleep(0))

    names = [row["call_id"] for row in rows(torn, "calls")]
    assert names == [f"call_{number:02}" for number in range(len(names))]
    assert [row["call_id"] for row in rows(torn, "attempts")] == names


def as_folder(path: Path) -> None:
    path.mkdir()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("not a folder")


@pytest.mark.parametrize(("harm", "why"), [(as_folder, "Is a directory"), (below_a_file, "")])
def test_f06_a_place_that_cannot_be_written_is_said_with_the_setting(
    tmp_path: Path, harm: Callable[[Path], None], why: str
):
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    harm(path)

    with pytest.raises(LedgerError, match=rf"cannot be written: .*{why}.*ledger\.path \(HEADGATE_LEDGER__PATH\)"):
        SqliteLedger(path, lambda attempt: 0)


@pytest.mark.parametrize("problem", [apsw.FullError("database or disk is full"), OSError(errno.ENOSPC, "")])
def test_f04_of_a_full_disk_it_is_said_that_room_helps(path: Path, problem: Exception):
    with pytest.raises(LedgerError, match="free room on its disk"), ledger_file.explained(path, "written"):
        raise problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_f06_a_folder_of_somebody_else_is_said(path: Path, mode: int):
    path.parent.chmod(mode)
    try:
        with pytest.raises(LedgerError, match="cannot be written: Permission denied"):
            SqliteLedger(path, lambda attempt: 0)
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_f07_a_ledger_of_a_newer_version_is_refused_and_not_touched(path: Path, mode: str):
    """The newer Headgate can go on with it: going back is safe."""
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", mode)
    db.execute("CREATE TABLE calls (call_id TEXT, something_new TEXT)")
    db.pragma("user_version", 99)
    db.close()
    before = path.read_bytes()

    for opening in (lambda: SqliteLedger(path, lambda attempt: 0), lambda: open_reader(path)):
        with pytest.raises(LedgerError, match=r"newer Headgate \(schema 99, this one knows 6\).*Nothing was changed"):
            opening()
    assert path.read_bytes() == before


def version_1() -> str:
    """The tables as the first version had them."""
    schema = files("headgate.stores.sqlite").joinpath("schema.sql").read_text().partition("CREATE TABLE corrections")[0]
    schema = re.sub(r"(bytes_out +INTEGER NOT NULL),.*?\n\)", r"\1\n)", schema, count=1, flags=re.DOTALL)
    return re.sub(r" +(hops|shared_by) .*\n", "", schema)


def test_f07_a_ledger_of_an_older_version_is_brought_up_to_date_with_all_its_rows(path: Path, tmp_path: Path):
    """Its tables become those of a new one, column by column; who only reads is told to start Headgate once."""
    db = apsw.Connection(str(path))
    db.execute(version_1())
    columns = db.execute("SELECT count(*) FROM pragma_table_info('attempts')").get
    db.execute(f"INSERT INTO attempts VALUES ('call_old', 1, {', '.join(['0'] * (columns - 2))})")
    db.pragma("user_version", 1)
    db.close()

    with pytest.raises(LedgerError, match=r"older Headgate.*start `headgate serve` with it once"):
        open_reader(path)
    new = tmp_path / "new.db"
    for each in (path, new):
        asyncio.run(SqliteLedger(each, lambda attempt: 0).close())

    def tables(of: Path) -> list[tuple[object, ...]]:
        names = [name for (name,) in open_reader(of).execute("SELECT name FROM sqlite_schema ORDER BY name")]
        return [row for name in names for row in open_reader(of).execute(f"PRAGMA table_info({name})")]

    assert tables(path) == tables(new)
    rows = open_reader(path).execute("SELECT call_id, attempt, hops, shared_by FROM attempts").fetchall()
    assert rows == [("call_old", 1, None, 1)]


def test_f07_requests_of_headgates_own_are_told_apart_in_an_older_ledger_too(path: Path):
    """Version 3 had it in the reason, which is free for what was decided of them."""
    asyncio.run(SqliteLedger(path, lambda attempt: 0).close())
    db = apsw.Connection(str(path))
    for name, reason in (("call_1", "keep_alive"), ("call_2", "retried")):
        values = msgspec.structs.astuple(call(name, reason=reason))
        db.execute(f"INSERT INTO calls VALUES ({', '.join('?' * len(values))})", values)
    for column in CallRecord.__struct_fields__[CallRecord.__struct_fields__.index("own") :]:
        db.execute(f"ALTER TABLE calls DROP COLUMN {column}")
    db.pragma("user_version", 3)
    db.close()

    asyncio.run(SqliteLedger(path, lambda attempt: 0).close())

    assert [(row["own"], row["reason"]) for row in rows(path, "calls")] == [("keep_alive", None), (None, "retried")]


def test_f07_a_crash_of_an_older_version_is_brought_in_whole(path: Path):
    """Its journal has rows without the columns that were added since."""
    left = journal.Journal(path.with_name(path.name + ".journal"), "1-dead")
    known = CallRecord.__struct_fields__.index("own")
    left.append(journal.Frame.ROWS, [("calls", msgspec.structs.astuple(call("call_old"))[:known])])
    left.append(journal.Frame.ROWS, [("calls", msgspec.structs.astuple(call("call_new", own="keep_warm")))])
    left.close(remove=False)

    run(path, lambda store: asyncio.sleep(0))

    assert [(row["call_id"], row["own"]) for row in rows(path, "calls")] == [
        ("call_new", "keep_warm"),
        ("call_old", None),
    ]


def test_the_database_of_another_program_is_not_written_into(path: Path):
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE recipes (name TEXT)")
    db.close()
    before = path.read_bytes()

    with pytest.raises(LedgerError, match="database of another program"):
        SqliteLedger(path, lambda attempt: 0)

    assert path.read_bytes() == before


def test_a_journal_with_a_torn_end_is_read_up_to_it(path: Path):
    """A kill in the middle of a copy leaves half a frame; everything before it counts."""
    leave_crash(path)
    (file,) = path.with_name("ledger.db.journal").glob("*.journal")
    data = bytearray(file.read_bytes())
    end = data.index(bytes(64))
    data[end : end + 12] = b"\xff\x00\x00\x00\x12\x34\x56\x78half"
    file.write_bytes(data)

    async def recovered(store: SqliteLedger) -> int:
        return store.recovered

    assert run(path, recovered) == 1
    assert [row["call_id"] for row in rows(path, "calls")] == ["call_lost"]


def test_owners_are_remembered_over_a_restart(path: Path):
    made = filled(Resource, id="batch_1")

    async def remember(store: SqliteLedger) -> None:
        store.remember(made)

    async def ask(store: SqliteLedger) -> Resource | None:
        return await store.owner("batch_1")

    run(path, remember)

    assert run(path, ask) == made


def test_f01_the_calls_that_were_under_way_in_a_crash_are_counted_and_priced_by_the_estimate(path: Path):
    """What `headgate serve` tells its operator: calls, not attempts, and none that had ended."""
    left = journal.Journal(path.with_name(path.name + ".journal"), "1-dead")
    for name, number in (("call_1", 1), ("call_1", 2), ("call_2", 1), ("call_3", 1)):
        left.append(journal.Frame.OPEN, opened(call(name), number))
    ended = call("call_3")
    left.append(
        journal.Frame.ROWS,
        [("attempts", msgspec.structs.astuple(attempts_of(ended)[0])), ("calls", msgspec.structs.astuple(ended))],
    )
    left.close(remove=False)

    store = SqliteLedger(path, lambda attempt: 1000 * attempt.attempt)
    asyncio.run(store.close())

    assert store.recovered == 2
    assert [(row["call_id"], row["outcome"], row["unconfirmed_pico"]) for row in rows(path, "calls")] == [
        ("call_1", "crashed", 3000), ("call_2", "crashed", 1000), ("call_3", "ok", 0),
    ]  # fmt: skip


def test_a_crashed_call_carries_what_was_known_of_it(path: Path):
    """Who asked, for what and with which key: a cost that nobody can place is no help."""
    lost = filled(OpenAttempt, attempt=1)
    folder = path.with_name(path.name + ".journal")
    left = journal.Journal(folder, "1-dead")
    left.append(journal.Frame.OPEN, lost)
    left.close(remove=False)

    run(path, lambda store: asyncio.sleep(0))

    (row,) = rows(path, "calls")
    for name in (
        "started_ms",
        "kind",
        "workflow",
        "team",
        "user",
        "session",
        "tags",
        "lane",
        "caller_key",
        "correlation_id",
        "model",
        "own",
    ):
        assert row[name] == getattr(lost, name), name
    (row,) = rows(path, "attempts")
    for name in ("credential", "pool", "estimated_input_tokens", "estimated_output_tokens"):
        assert row[name] == getattr(lost, name), name


def test_e07_a_crashed_attempt_on_a_model_without_a_price_has_an_unknown_cost():
    """E07: 0 would look like free."""
    for table, values in recovery.crashed([opened(call("call_1"))], lambda attempt: None):
        names = (AttemptRecord if table == "attempts" else CallRecord).__struct_fields__
        record = dict(zip(names, values, strict=True))
        assert (record["cost_pico"], record["cost_problem"], record["unconfirmed_pico"]) == (None, "model", 0)


@pytest.mark.usefixtures("impatient")
def test_rows_that_wait_and_writes_that_failed_are_told(path: Path):
    """Until they are there."""

    async def act(store: SqliteLedger) -> None:
        with locked(path):
            await write(store, "call_1")
            await until(lambda: store.state().commit_errors > 1)
            assert store.state().backlog_bytes > 0
        await store.flush()
        assert (store.state().backlog_bytes, store.state().journal_errors) == (0, 0)

    run(path, act)


def test_a_journal_that_takes_nothing_is_told(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 200)

    async def act(store: SqliteLedger) -> None:
        with no_room(monkeypatch):
            await write(store, "call_1")
            assert store.state().journal_errors > 0
        await store.flush()

    run(path, act)
