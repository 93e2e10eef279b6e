"""The ledger's file: made, opened, checked, and brought up to date.  What is wrong with it is said in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from headgate.errors import LedgerError
from headgate.stores.sqlite.database import Schema, bring_up_to_date, use_wal

__all__ = ["explained", "open_or_create", "open_reader", "open_writer", "reopen", "words_of"]

_UPGRADES = {
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
    3: """
        ALTER TABLE calls ADD COLUMN own TEXT;
        UPDATE calls SET own = reason, reason = NULL WHERE reason IN ('keep_alive', 'keep_warm');
    """,
    4: "ALTER TABLE calls ADD COLUMN validation TEXT",
    5: "ALTER TABLE calls ADD COLUMN fell_back_on TEXT",
}
"""New columns stand last: rows are inserted by their order."""
SCHEMA = Schema("schema.sql", 6, _UPGRADES)
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
        bring_up_to_date(db, SCHEMA)
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
            if version < SCHEMA.version:
                raise LedgerError(
                    f"the ledger {path} is of an older Headgate (schema {version}, this one knows {SCHEMA.version}); "
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


def _check_ours(db: apsw.Connection, path: Path) -> int:
    """The version of the ledger that it is; 0 if it is empty.  Changes nothing."""
    version, tables = db.execute(
        "SELECT user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_user_version"
    ).get
    if version > SCHEMA.version:
        raise LedgerError(
            f"the ledger {path} comes from a newer Headgate (schema {version}, this one knows {SCHEMA.version}); "
            "upgrade Headgate, or set ledger.path to another file.  Nothing was changed"
        )
    if tables and not version:
        raise LedgerError(
            f"{path} is the database of another program; set ledger.path to another file.  Nothing was changed"
        )
    return int(version)


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
        full = isinstance(problem, apsw.FullError) or getattr(problem, "errno", None) == errno.ENOSPC
        room = "free room on its disk" if full else "make its folder writable"
        remedy = "make it readable" if what == "read" else room
        raise LedgerError(
            f"the ledger {path} cannot be {what}: {why}; {remedy}, "
            "or set ledger.path (HEADGATE_LEDGER__PATH) to another place"
        ) from None


def words_of(problem: OSError) -> str:
    return os.strerror(problem.errno) if problem.errno else type(problem).__name__


def _damaged(path: Path, problem: object) -> LedgerError:
    return LedgerError(
        f"the ledger {path} is damaged ({problem}).  Nothing was changed or deleted.  Keep a copy, then either restore "
        f"a backup, or save what can be read with `sqlite3 {path} .recover`, or move the file away to start a new one"
    )
