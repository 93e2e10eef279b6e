"""The audit trail: one append-only SQLite file beside the ledger, for all processes of a machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from headgate.core.audit import Act, AuditRow, Broken, chained, first_broken
from headgate.errors import LedgerError
from headgate.stores.sqlite.database import NotOurs, Schema, open_database, transaction

__all__ = ["SqliteAudit", "audit_path"]

SCHEMA = Schema("audit.sql", 1)
BUSY_TIMEOUT_MS = 5_000
LONGEST = 1_000
"""Characters of one field."""

_ROWS = (
    "SELECT number, CAST(at_ms AS INTEGER), CAST(actor AS BLOB), CAST(action AS BLOB), CAST(subject AS BLOB), "
    "CAST(before AS BLOB), CAST(after AS BLOB), CAST(digest AS BLOB) FROM audit ORDER BY number"
)
"""Whatever somebody put into the file can be read, and is then seen not to be what was written."""

_encode = msgspec.json.Encoder(order="sorted").encode


def audit_path(ledger: Path) -> Path:
    """Where the trail of a ledger's operators is: `audit.db` in its folder."""
    return ledger.expanduser().with_name("audit.db")


class SqliteAudit:
    """Opens or creates the file when it is first used; None keeps everything in memory.  May be used by threads."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._db: apsw.Connection | None = None

    def add(
        self,
        at_ms: int,
        actor: str,
        action: Act,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AuditRow:
        """Write a row down; it is on the disk when this returns.

        Raises:
            LedgerError: it is not, so what it tells of must not be done.
        """
        with self._using() as db:
            db.execute("PRAGMA synchronous = FULL")
            with transaction(db):
                number, digest = db.execute(
                    "SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1"
                ).fetchone() or (0, "")
                number = max(number, _last(db)) + 1
                who, what = actor[:LONGEST], subject[:LONGEST]
                row = AuditRow(number, at_ms, who, action.value, what, _json(before), _json(after), "")
                row = chained(digest, row)
                db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        return row

    def rows(self) -> list[AuditRow]:
        """All, from the first.

        Raises:
            LedgerError: they cannot be read.
        """
        with self._using() as db:
            return list(_rows(db))

    def first_broken(self, expected: str | None = None) -> Broken | None:
        """Where the chain does not hold; None: it holds.

        Raises:
            LedgerError: it cannot be read.
        """
        with self._using() as db, transaction(db):  # so that nobody adds a row meanwhile
            return first_broken(_rows(db), last=_last(db), expected=expected)

    def close(self) -> None:
        with self._lock:
            db, self._db = self._db, None
            if db is not None:
                db.close()

    @contextmanager
    def _using(self) -> Iterator[apsw.Connection]:
        with self._lock:
            try:
                if self._db is None:
                    self._db = open_database(self.path, SCHEMA, busy_timeout_ms=BUSY_TIMEOUT_MS)
                yield self._db
            except NotOurs as problem:
                raise LedgerError(f"the audit trail: {problem}") from None
            except (apsw.Error, OSError) as problem:
                raise LedgerError(
                    f"the audit trail {self.path} cannot be used ({problem}), and what it would tell of is not done; "
                    "make the folder writable, or free room on its disk"
                ) from None


def _json(facts: Mapping[str, Any] | None) -> str | None:
    return None if facts is None else _encode(facts).decode()[:LONGEST]


def _rows(db: apsw.Connection) -> Iterator[AuditRow]:
    for number, at_ms, actor, action, subject, before, after, digest in db.execute(_ROWS):
        facts = [None if each is None else _text(each) for each in (before, after)]
        yield AuditRow(number, at_ms, _text(actor), _text(action), _text(subject), facts[0], facts[1], _text(digest))


def _text(stored: bytes) -> str:
    return stored.decode("utf-8", "backslashreplace")


def _last(db: apsw.Connection) -> int:
    """The highest number that was ever given."""
    row = db.execute("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    return 0 if row is None else row[0] or 0
