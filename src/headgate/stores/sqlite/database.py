"""A SQLite file of ours: made if it is not there, left alone if it is another's, brought up to date, written all or
nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw

__all__ = ["NotOurs", "Schema", "bring_up_to_date", "open_database", "transaction", "use_wal"]

MODE_TIMEOUT_S = 10.0


class NotOurs(Exception):
    """The file cannot be used as it is, and was not changed.  The message says whose it is and what to do."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What stands in a file."""

    file: str
    """The SQL that makes a new one, beside this module."""
    version: int
    upgrades: Mapping[int, str] = field(default_factory=dict)
    """By version: what makes the next one of it.  Their text stays when `file` goes on."""


def open_database(
    path: Path | None, schema: Schema, *, busy_timeout_ms: int, secure_delete: bool = False
) -> apsw.Connection:
    """A connection to the file, which only its owner reads; None: to a new database in memory.

    Raises:
        NotOurs: it is of another program or a newer Headgate, or it is damaged.
        apsw.Error, OSError: it cannot be used.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = apsw.Connection(":memory:" if path is None else str(path))
    try:
        db.set_busy_timeout(busy_timeout_ms)
        if secure_delete:
            db.execute("PRAGMA secure_delete = ON")
        _check_ours(db, path, schema)
        if path is not None:
            use_wal(db)
            db.execute("PRAGMA synchronous = NORMAL")
        bring_up_to_date(db, schema)
    except BaseException:
        db.close()
        raise
    return db


def _check_ours(db: apsw.Connection, path: Path | None, schema: Schema) -> None:
    try:
        version, tables = db.execute(
            "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version"
        ).get
    except (apsw.NotADBError, apsw.CorruptError) as problem:
        raise NotOurs(f"{path} is damaged ({problem}); move it away, and a new one is made") from None
    if version > schema.version:
        raise NotOurs(f"{path} is of a newer Headgate; upgrade Headgate, or set ledger.path to another place")
    if tables and not version:
        raise NotOurs(f"{path} is the database of another program; move it away, or set ledger.path to another place")


def bring_up_to_date(db: apsw.Connection, schema: Schema) -> None:
    """Make the tables, or change those of an older version.  Several starts at once wait here, and the later ones find
    it done."""
    if db.pragma("user_version") == schema.version:
        return
    with transaction(db):
        version = db.pragma("user_version")
        if not version:
            db.execute(Path(__file__).with_name(schema.file).read_text(encoding="utf-8"))
        for older in range(version or schema.version, schema.version):
            db.execute(schema.upgrades[older])
        db.pragma("user_version", schema.version)


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[None]:
    """All of it or nothing, alone in the file."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself has rolled back after some errors, a full disk for one
            db.execute("ROLLBACK")
        raise


def use_wal(db: apsw.Connection) -> None:
    """Changing the mode takes a lock for which SQLite does not wait, whatever the busy timeout: of several first starts
    at once, some have to ask again."""
    until_s = time.monotonic() + MODE_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except apsw.BusyError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.02)
        else:
            return
