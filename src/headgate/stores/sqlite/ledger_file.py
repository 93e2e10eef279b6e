"""The ledger's file: made, opened, checked, and brought up to date.  What is wrong with it is said in words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from headgate.errors import LedgerError

__all__ = [
    "SCHEMA_VERSION", "explained", "open_or_create", "open_reader", "open_writer", "reopen", "use_wal", "words_of",
]  # fmt: skip

SCHEMA_VERSION = 3
UPGRADES = {
    1: "ALTER TABLE attempts ADD COLUMN hops TEXT",
    2: """
        ALTER TABLE calls ADD COLUMN team TEXT;
        ALTER TABLE calls ADD COLUMN tags TEXT;
        ALTER TABLE calls ADD COLUMN shaped TEXT;
        ALTER TABLE calls ADD COLUMN dropped_messages INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE calls ADD COLUMN dropped_tokens INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE calls ADD COLUMN cache_plan TEXT;
        ALTER TABLE calls ADD COLUMN joined INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE calls ADD COLUMN batch_id TEXT;
        ALTER TABLE attempts ADD COLUMN shared_by INTEGER NOT NULL DEFAULT 1;
        CREATE TABLE corrections (
            day                   TEXT NOT NULL,
            model                 TEXT NOT NULL,
            credential            TEXT NOT NULL,
            made_ms               INTEGER NOT NULL,
            input_tokens          INTEGER NOT NULL,
            output_tokens         INTEGER NOT NULL,
            cache_read_tokens     INTEGER NOT NULL,
            cache_write_5m_tokens INTEGER NOT NULL,
            cache_write_1h_tokens INTEGER NOT NULL,
            cost_pico             INTEGER,
            cost_problem          TEXT,
            unconfirmed_pico      INTEGER NOT NULL,
            unpriced              INTEGER NOT NULL,
            web_searches          INTEGER NOT NULL,
            PRIMARY KEY (day, model, credential, made_ms)
        ) WITHOUT ROWID;
        CREATE INDEX calls_by_time ON calls (started_ms);
    """,
}
"""What makes the next version of each; its text stays when schema.sql goes on.  New columns stand last: rows are
inserted by their order."""
QUICK_CHECK_UP_TO_BYTES = 256 * 1024 * 1024
"""A larger file is not read whole at every start."""
BUSY_TIMEOUT_MS = 2_000


def open_or_create(path: Path) -> apsw.Connection:
    """The ledger's own connection.  A file of an older version is brought up to date; a new one only its owner reads.

    Raises:
        LedgerError, apsw.Error, OSError: it is left as it is.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = apsw.Connection(str(path))
    try:
        db.set_busy_timeout(BUSY_TIMEOUT_MS * 5)
        version = _check_ours(db, path)
        use_wal(db)
        db.execute("PRAGMA synchronous = FULL")
        if version < SCHEMA_VERSION:
            _bring_up_to_date(db)
        if version and path.stat().st_size <= QUICK_CHECK_UP_TO_BYTES:
            found = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != ("ok",):
                raise _damaged(path, found[0].splitlines()[-1] if found else "quick_check")
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
    except BaseException:
        db.close()
        raise
    return db


def reopen(path: Path) -> apsw.Connection:
    """As `open_or_create`, for a file that this process has checked before."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.execute("PRAGMA synchronous = FULL")
    return db


def open_reader(path: Path) -> apsw.Connection:
    """A read-only connection, for commands that look.

    Raises:
        LedgerError: there is no ledger at `path`, or it cannot be read.
    """
    path = path.expanduser()
    if not path.is_file():
        raise LedgerError(
            f"there is no ledger at {path} yet; it is made by `headgate serve`, or name another one with --ledger"
        )
    with explained(path, "read"):
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            db.set_busy_timeout(BUSY_TIMEOUT_MS)
            version = _check_ours(db, path)
            if not version:
                raise LedgerError(f"{path} is no ledger of Headgate; name another one with --ledger")
            if version < SCHEMA_VERSION:
                raise LedgerError(
                    f"the ledger {path} is of an older Headgate (schema {version}, this one knows {SCHEMA_VERSION}); "
                    "start `headgate serve` with it once, which brings it up to date"
                )
        except BaseException:
            db.close()
            raise
        return db


def open_writer(path: Path) -> apsw.Connection:
    """A connection that may write, for commands that add to a ledger that there is.

    Raises:
        LedgerError: as `open_reader`.
    """
    open_reader(path).close()
    return reopen(path.expanduser())


def use_wal(db: apsw.Connection) -> None:
    """Changing the mode takes a lock for which SQLite does not wait, whatever the busy timeout: of several first starts
    at once, some have to ask again."""
    until_s = time.monotonic() + BUSY_TIMEOUT_MS * 5 / 1000
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except apsw.BusyError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.02)
        else:
            return


def _check_ours(db: apsw.Connection, path: Path) -> int:
    """The version of the ledger that it is; 0 if it is empty.  Changes nothing."""
    version, tables = db.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version"
    ).get
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger {path} comes from a newer Headgate (schema {version}, this one knows {SCHEMA_VERSION}); "
            "upgrade Headgate, or set ledger.path to another file.  Nothing was changed"
        )
    if tables and not version:
        raise LedgerError(
            f"{path} is the database of another program; set ledger.path to another file.  Nothing was changed"
        )
    return int(version)


def _bring_up_to_date(db: apsw.Connection) -> None:
    """Make the tables, or change those of an older version.  All or nothing; several starts at once wait here, and the
    later ones find it done."""
    db.execute("BEGIN IMMEDIATE")
    try:
        version = db.pragma("user_version")
        if not version:
            db.execute(Path(__file__).with_name("schema.sql").read_text(encoding="utf-8"))
        for older in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
            db.execute(UPGRADES[older])
        db.pragma("user_version", SCHEMA_VERSION)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Say what is wrong with the ledger, and what to do, in the words of a `LedgerError`.

    Args:
        what: is being done with it: "read" or "written".
    """
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as problem:
        raise _damaged(path, problem) from None
    except apsw.BusyError:
        raise LedgerError(
            f"the ledger {path} is locked by another program; stop that program, or set ledger.path to another file"
        ) from None
    except (OSError, apsw.Error) as problem:
        why = words_of(problem) if isinstance(problem, OSError) else str(problem)
        remedy = "its folder writable" if what == "written" else "it readable"
        raise LedgerError(
            f"the ledger {path} cannot be {what}: {why}; make {remedy}, "
            "or set ledger.path (HEADGATE_LEDGER__PATH) to another place"
        ) from None


def words_of(problem: OSError) -> str:
    return os.strerror(problem.errno) if problem.errno else type(problem).__name__


def _damaged(path: Path, problem: object) -> LedgerError:
    return LedgerError(
        f"the ledger {path} is damaged ({problem}).  Nothing was changed or deleted.  Keep a copy, then either restore "
        f"a backup, or save what can be read with `sqlite3 {path} .recover`, or move the file away to start a new one"
    )
