"""The file of what is observed: never in the way, and what is lost is counted."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import apsw
import pytest

from headgate.stores.sqlite.alert_rows import load_board
from headgate.stores.sqlite.sample_rows import forget_samples, read_samples, write_samples
from headgate.stores.sqlite.telemetry import QUEUE_LENGTH, Telemetry, TelemetryLost, open_telemetry
from support.patience import HANG_S

KEYS = (("a", (("x", "1"),)), ("b", ()))


@pytest.fixture(params=["file", "memory"])
def telemetry(request, tmp_path):
    store = Telemetry(tmp_path / "deep" / "telemetry.db" if request.param == "file" else None)
    yield store
    store.close()


def count(db: apsw.Connection) -> int:
    return db.execute("SELECT count(*) FROM leases").get


def add(db: apsw.Connection) -> None:
    db.execute("INSERT INTO leases VALUES (?, 'me', 0)", (f"lease {count(db)}",))


def test_what_was_posted_is_there_for_whoever_asks(telemetry):
    """In the order in which it was given."""
    telemetry.post("test", add)
    telemetry.post("test", add)

    assert asyncio.run(telemetry.ask("test", count)) == 2


def test_work_that_fails_leaves_nothing_behind(telemetry):
    """All of it or nothing; it is counted, and the next is done."""

    def half(db):
        add(db)
        raise apsw.ConstraintError("in the middle")

    telemetry.post("half", half)

    assert asyncio.run(telemetry.ask("test", count)) == 0
    assert telemetry.dropped == {"half": 1}


def test_who_asks_is_told_that_it_was_not_done(telemetry):
    """A lease that cannot be taken is not a lease."""

    def never(db):
        raise apsw.FullError("disk full")

    with pytest.raises(TelemetryLost, match="disk full"):
        asyncio.run(telemetry.ask("test", never))


def test_what_was_written_is_there_after_a_restart(tmp_path):
    """Closing does what waits."""
    first = Telemetry(tmp_path / "telemetry.db")
    first.post("test", add)
    first.close()
    second = Telemetry(tmp_path / "telemetry.db")

    assert asyncio.run(second.ask("test", count)) == 1
    second.close()


def test_a_queue_that_is_full_drops_and_counts(tmp_path):
    """A disk that stands still costs no memory."""
    store, go = Telemetry(tmp_path / "telemetry.db"), threading.Event()
    begun = threading.Event()
    store.post("slow", lambda db: (begun.set(), go.wait(HANG_S)))
    begun.wait(HANG_S)
    for _ in range(QUEUE_LENGTH + 5):
        store.post("many", add)

    assert store.dropped == {"many": 5}
    go.set()
    store.close()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b"no database" * 500), id="damaged"),
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: apsw.Connection(str(path)).execute("CREATE TABLE mine (a)"), id="another's"),
        pytest.param(lambda path: apsw.Connection(str(path)).pragma("user_version", 99), id="newer"),
    ],
)
def test_a_file_that_cannot_be_used_is_left_as_it_is(spoil, tmp_path):
    """Telemetry is lost and counted; nobody is kept from starting."""
    path = tmp_path / "telemetry.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    store = Telemetry(path)
    store.post("test", add)

    with pytest.raises(TelemetryLost):
        asyncio.run(store.ask("asked", count))
    assert store.dropped == {"test": 1, "asked": 1}
    store.close()
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_only_its_owner_reads_it(tmp_path):
    """Names of workflows and amounts of money are nobody else's."""
    open_telemetry(tmp_path / "telemetry.db").close()

    assert Path(tmp_path / "telemetry.db").stat().st_mode & 0o077 == 0


def samples_in(db: apsw.Connection, **more) -> list[tuple[int, str, list]]:
    return [(row.at_ms, row.instance, list(row.samples)) for row in read_samples(db, 15, 0, 100, **more)]


def test_samples_come_back_as_they_were_written():
    """Of every process, in the order of time; to the last bit."""
    db = open_telemetry(None)
    write_samples(db, 15, 20, "one", KEYS, [0.1, 2.0])
    write_samples(db, 15, 10, "two", KEYS[:1], [7.0])
    write_samples(db, 300, 10, "one", KEYS, [1.0, 1.0])

    assert samples_in(db) == [
        (10, "two", [("a", (("x", "1"),), 7.0)]),
        (20, "one", [("a", (("x", "1"),), 0.1), ("b", (), 2.0)]),
    ]


def test_samples_are_read_by_metric_and_process():
    """Who looks for one metric does not unpack the others; who follows others leaves out itself."""
    db = open_telemetry(None)
    write_samples(db, 15, 10, "one", KEYS, [1.0, 2.0])
    write_samples(db, 15, 10, "two", KEYS, [3.0, 4.0])

    assert samples_in(db, wanted=lambda name: name == "b", but="one") == [(10, "two", [("b", (), 4.0)])]


def test_samples_that_are_forgotten_take_their_layout_along():
    """Nothing grows for ever."""
    db = open_telemetry(None)
    write_samples(db, 15, 10, "one", KEYS, [1.0, 2.0])
    write_samples(db, 15, 90, "one", KEYS[:1], [1.0])
    write_samples(db, 300, 10, "one", KEYS[:1], [1.0])

    forget_samples(db, 15, 50)

    assert [row[0] for row in samples_in(db)] == [90]
    assert db.execute("SELECT count(*) FROM layouts").get == 1
    assert db.execute("SELECT count(*) FROM samples").get == 2


def test_a_file_of_an_older_headgate_is_brought_up_to_date(tmp_path: Path):
    """What stood in it stays: alerts that fire are known, with what they were last measured at."""
    path = tmp_path / "telemetry.db"
    db = open_telemetry(path)
    columns = layout_of(db)
    for table in ("evaluations", "exemplars", "admin_addresses"):
        db.execute(f"DROP TABLE {table}")
    for column in ("low", "high"):
        db.execute(f"ALTER TABLE alerts DROP COLUMN {column}")
    db.execute("INSERT INTO alerts VALUES ('error_rate', '[]', 0.25, 1, 2, 3)")
    db.pragma("user_version", 1)
    db.close()

    db = open_telemetry(path)
    (known,), now = load_board(db, 10), layout_of(db)
    db.close()

    assert now == columns
    assert (known.rule, known.low, known.high) == ("error_rate", 0.25, 0.25)


def layout_of(db: apsw.Connection) -> dict[str, list[str]]:
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return {name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in tables}
