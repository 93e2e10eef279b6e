"""The audit trail on disk: rows are added and stay; what is done to the file shows."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from headgate.core.audit import Act
from headgate.errors import LedgerError
from headgate.stores.sqlite.audit import SqliteAudit, audit_path


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[SqliteAudit]:
    with closing(SqliteAudit(audit_path(tmp_path / "ledger.db"))) as store:
        for number in range(1, 6):
            store.add(number * 1000, "command:ann", Act.BUDGET_SET, "team", after={"usd": str(number)})
        yield store


def tamper(trail: SqliteAudit, *statements: str) -> None:
    """As who may write the file, and knows SQL."""
    assert trail.path is not None
    with closing(apsw.Connection(str(trail.path))) as db:
        db.execute("DROP TRIGGER audit_is_not_altered; DROP TRIGGER audit_is_not_deleted")
        for statement in statements:
            db.execute(statement)


def test_what_was_written_is_there_after_a_restart(trail: SqliteAudit, tmp_path: Path):
    with closing(SqliteAudit(tmp_path / "audit.db")) as again:
        assert [row.number for row in again.rows()] == [1, 2, 3, 4, 5]
        assert again.rows()[4][1:7] == (5000, "command:ann", "budget.set", "team", None, '{"usd":"5"}')
        assert again.first_broken() is None


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "REPLACE INTO audit SELECT"
                                       " number, 0, '', '', '', '', '', '' FROM audit"])  # fmt: skip
def test_rows_are_neither_altered_nor_deleted(trail: SqliteAudit, statement: str):
    """Not by mistake, and not by a defect of ours."""
    assert trail.path is not None
    with closing(apsw.Connection(str(trail.path))) as db:
        db.execute("PRAGMA recursive_triggers = ON")
        with pytest.raises(apsw.ConstraintError, match="audit rows stay"):
            db.execute(statement)

    assert trail.first_broken() is None


@pytest.mark.parametrize(
    ("statement", "number"),
    [("UPDATE audit SET actor = 'nobody' WHERE number = 3", 3), ("UPDATE audit SET at_ms = 1 WHERE number = 1", 1),
     ("DELETE FROM audit WHERE number = 2", 2), ("DELETE FROM audit WHERE number = 1", 1),
     ("DELETE FROM audit WHERE number >= 4", 4), ("DELETE FROM audit", 1),
     ("UPDATE audit SET actor = x'ff' WHERE number = 2", 2), ("UPDATE audit SET at_ms = 'now' WHERE number = 2", 2),
     ("UPDATE audit SET subject = CAST(x'ff' AS TEXT) WHERE number = 4", 4),
     ("INSERT INTO audit SELECT 6, at_ms, actor, action, subject, before, after, digest FROM audit WHERE number = 5",
      6)],
)  # fmt: skip
def test_s50_what_was_done_to_the_file_behind_our_back_shows_with_the_first_row(
    trail: SqliteAudit, statement: str, number: int
):
    """Also where the end was cut off."""
    tamper(trail, statement)

    found = trail.first_broken()

    assert found is not None
    assert found.number == number


def test_a_trail_that_goes_on_after_its_end_was_cut_off_still_shows_it(trail: SqliteAudit):
    tamper(trail, "DELETE FROM audit WHERE number >= 4")

    trail.add(9, "dashboard", Act.LOGIN, "")

    found = trail.first_broken()
    assert found is not None
    assert found.number == 4


def test_threads_and_processes_make_one_chain(tmp_path: Path):
    """Each row follows the one before it, whoever wrote that."""
    stores = [SqliteAudit(tmp_path / "audit.db") for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: stores[number % 4].add(number, "x", Act.LOGIN, str(number)), range(40)))

    assert stores[0].first_broken() is None
    assert len(stores[0].rows()) == 40
    for store in stores:
        store.close()


def test_only_its_owner_reads_the_file(trail: SqliteAudit):
    assert trail.path is not None
    assert stat.S_IMODE(os.stat(trail.path).st_mode) == 0o600


@pytest.mark.parametrize(
    "content", [b"not a database, but longer than the head of one" * 4, b"SQLite format 3\x00" * 9]
)
def test_a_file_that_is_not_a_trail_is_left_alone_and_nothing_is_written(tmp_path: Path, content: bytes):
    (tmp_path / "audit.db").write_bytes(content)

    with pytest.raises(LedgerError, match="the audit trail"), closing(SqliteAudit(tmp_path / "audit.db")) as store:
        store.add(1, "x", Act.LOGIN, "")

    assert (tmp_path / "audit.db").read_bytes() == content
