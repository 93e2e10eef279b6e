"""The embedded ledger.

The event loop appends to the journal (microseconds, survives a kill); one thread reads behind it and commits the rows
to SQLite in groups.  If SQLite cannot take them (disk full, a foreign lock), nothing is lost and nothing blocks, but
`begin` refuses new attempts until it can again: what is not recorded must not be spent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any
from weakref import WeakSet

import apsw
import msgspec

from headgate.errors import LedgerError, Unavailable
from headgate.events import Outcome, Reason, UsageSource
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, CorrectionRecord, OpenAttempt, Resource
from headgate.stores.sqlite.journal import Frame, Journal, Orphan, contents, orphans

__all__ = ["SCHEMA_VERSION", "SqliteLedger", "crashed", "insert", "open_reader", "open_writer", "use_wal"]

log = logging.getLogger("headgate.ledger")

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
    """,
}
"""What makes the next version of each; its text stays when schema.sql goes on.  New columns stand last: rows are
inserted by their order."""
QUICK_CHECK_UP_TO_BYTES = 256 * 1024 * 1024
"""A larger file is not read whole at every start."""
BUSY_TIMEOUT_MS = 2_000
REFUSE_AFTER_S = 10.0
"""A lock held by somebody else for longer than this stops new attempts."""
RETRY_S = 0.5
GIVE_UP_S = 5.0
"""How long a stop tries to write to a database that cannot be written.  The journal keeps what it cannot."""
OWNERS_CACHED = 10_000

_TABLES: dict[str, type[msgspec.Struct]] = {
    "calls": CallRecord,
    "attempts": AttemptRecord,
    "batch_items": BatchItemRecord,
    "resources": Resource,
    "corrections": CorrectionRecord,
}
Row = tuple[str, Sequence[Any]]
"""A table's name, and a value for each of its columns."""

_astuple = msgspec.structs.astuple


class SqliteLedger:
    """Opens or creates the file at `path`, repairs what a crash left, and keeps a writer thread until `close`.

    Args:
        estimate: what an attempt that was under way in a crash probably cost, in pico-dollars; None: its model
            has no price.
        max_backlog_bytes: rows waiting to be committed; beyond it new attempts are refused.

    Raises:
        LedgerError: the file is damaged, newer than this version, or cannot be written; it is left as it is.
    """

    def __init__(
        self,
        path: Path,
        estimate: Callable[[OpenAttempt], int | None],
        *,
        commit_interval_s: float = 0.05,
        max_backlog_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self.path = path.expanduser()
        self._interval_s = commit_interval_s
        self._max_backlog = max_backlog_bytes
        self._open_frames: dict[tuple[str, int], bytes] = {}
        self._unjournaled: deque[Row] = deque()
        self._settled_unjournaled: list[tuple[str, int]] = []
        self._owners: OrderedDict[str, Resource] = OrderedDict()
        self._failing: tuple[float, str] | None = None
        self._waiting: deque[tuple[int, Callable[[], object]]] = deque()
        self._db_lock = threading.Lock()
        """Held while a connection to the file is used, so that none is in use when the process forks."""
        self._db: apsw.Connection | None = None
        _living.add(self)
        with self._db_lock, explained(self.path, "written"):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = db = _open(self.path)
            try:
                folder = self.path.with_name(self.path.name + ".journal")
                self.recovered = sum([_recover(db, orphan, estimate) for orphan in orphans(folder)])
                self._journal = Journal(folder, f"{os.getpid()}-{secrets.token_hex(4)}")
            except BaseException:
                db.close()
                raise
        self._wake = threading.Event()
        self._closing = False
        self._on_end: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._write_forever, name="headgate-ledger", daemon=True)
        self._thread.start()

    # -- the event loop's side ----------------------------------------------------------------------------------

    def begin(self, attempt: OpenAttempt) -> None:
        failing = self._failing
        if failing is not None and (failing[1] != "locked" or time.monotonic() - failing[0] > REFUSE_AFTER_S):
            raise _unavailable(f"the ledger cannot be written ({failing[1]})")
        if self._journal.appended - self._journal.taken > self._max_backlog:
            raise _unavailable("the ledger is too far behind")
        self._forget_settled()
        open_frames = self._open_frames
        try:
            frame = self._journal.append(Frame.OPEN, attempt, open_frames.values())
        except OSError as problem:
            raise _unavailable(f"the ledger's journal cannot be written ({_short(problem)})") from None
        open_frames[attempt.call_id, attempt.attempt] = frame

    def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        rows: list[Row] = [("attempts", _astuple(attempt)) for attempt in attempts]
        rows.append(("calls", _astuple(call)))
        journaled = self._take(rows)
        for attempt in attempts:
            key = attempt.call_id, attempt.attempt
            if journaled:
                self._open_frames.pop(key, None)
            else:
                self._settled_unjournaled.append(key)

    def record_batch_items(self, items: Sequence[BatchItemRecord]) -> None:
        self._take([("batch_items", _astuple(item)) for item in items])

    def remember(self, resource: Resource) -> None:
        self._owners.setdefault(resource.id, resource)
        if len(self._owners) > OWNERS_CACHED:
            self._owners.popitem(last=False)
        self._take([("resources", _astuple(resource))])

    async def owner(self, resource_id: str) -> Resource | None:
        known = self._owners.get(resource_id)
        if known is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(None, self._look_up, resource_id)

    async def flush(self) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._waiting.append((self._journal.appended, lambda: loop.call_soon_threadsafe(done.set_result, None)))
        self._wake.set()
        await done

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        self._on_end = lambda: loop.call_soon_threadsafe(written.set_result, None)
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            await written  # the thread tells: while the interpreter ends, no other can be started to wait for it
        self._thread.join()
        self._forget_settled()
        whole = self._journal.taken == self._journal.appended and not self._open_frames
        self._journal.close(remove=whole)
        _living.discard(self)
        with self._db_lock:
            self._let_go()

    @property
    def problem(self) -> str | None:
        """Why rows cannot be committed right now, or None."""
        return self._failing[1] if self._failing else None

    def _take(self, rows: list[Row]) -> bool:
        """Whether the rows are in the journal."""
        journaled = True
        try:
            self._journal.append(Frame.ROWS, rows, self._open_frames.values())
        except OSError as problem:
            # The call is over and paid: it goes to SQLite all the same, only not safe from a kill until then.
            if not self._unjournaled:
                log.error("the ledger's journal cannot be written: %s", _short(problem))
            self._unjournaled.extend(rows)
            journaled = False
        if not self._wake.is_set():
            self._wake.set()
        return journaled

    def _forget_settled(self) -> None:
        """Attempts whose rows could not be journaled count as open until SQLite has the rows."""
        if self._settled_unjournaled and not self._unjournaled:
            for key in self._settled_unjournaled:
                self._open_frames.pop(key, None)
            self._settled_unjournaled.clear()

    def _look_up(self, resource_id: str) -> Resource | None:
        with self._db_lock, closing(open_reader(self.path)) as db:
            row = db.execute("SELECT * FROM resources WHERE id = ?", (resource_id,)).fetchone()
        return Resource(**dict(zip(Resource.__struct_fields__, row, strict=True))) if row else None

    # -- the writer's side --------------------------------------------------------------------------------------

    def _write_forever(self) -> None:
        try:
            self._write_until_closed()
        except Exception:
            # A defect of ours.  What is not recorded must not be spent; the journal keeps what was.
            self._failing = (-inf, "defect")
            log.exception("the ledger %s cannot be written", self.path)
        finally:
            if self._on_end is not None:
                self._on_end()

    def _write_until_closed(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing_now = self._closing
            if not closing_now and not self._waiting:
                time.sleep(self._interval_s)
            while self._write_some(patient=not closing_now):
                pass
            while self._waiting and self._waiting[0][0] <= self._journal.taken:
                self._waiting.popleft()[1]()
            if closing_now:
                return

    def _write_some(self, *, patient: bool) -> bool:
        """Commit what there is; whether there was anything, and it could be written."""
        taken = self._journal.take()
        extra = [self._unjournaled[index] for index in range(len(self._unjournaled))]
        if (taken or extra) and not self._commit(taken, extra, patient=patient):
            return False
        self._journal.done(taken)
        for _ in extra:
            self._unjournaled.popleft()
        return bool(taken or extra)

    def _commit(self, taken: bytes, extra: list[Row], *, patient: bool) -> bool:
        """Write rows in one transaction, trying until it works; when closing, for `GIVE_UP_S`."""
        until = None if patient else time.monotonic() + GIVE_UP_S
        while True:
            try:
                with self._db_lock:
                    if self._db is None:
                        self._db = _reopen(self.path)
                    insert(self._db, chain(*contents(taken, Frame.ROWS), extra))
            except apsw.BusyError:
                self._fail("locked", "another process holds the ledger's lock")
            except apsw.Error as problem:
                self._fail(_class(problem), str(problem))
            else:
                if self._failing is not None:
                    self._failing = None
                    log.warning("the ledger can be written again")
                return True
            if until is not None and time.monotonic() > until:
                return False
            time.sleep(RETRY_S)
            if self._closing and until is None:
                until = time.monotonic() + GIVE_UP_S

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _fail(self, what: str, detail: str) -> None:
        if self._failing is None or self._failing[1] != what:
            self._failing = (time.monotonic(), what)
            log.error("the ledger %s cannot be written: %s", self.path, detail)


# -- forks -------------------------------------------------------------------------------------------------------------
#
# SQLite forbids to carry a connection across a fork: it would take locks that its parent holds for its own.  So every
# ledger lets go of its file before, and takes it again with its next commit; the child's ledger starts from nothing.

_living: WeakSet[SqliteLedger] = WeakSet()
_held: list[SqliteLedger] = []


def _before_fork() -> None:
    for ledger in list(_living):
        ledger._db_lock.acquire()
        _held.append(ledger)
        ledger._let_go()


def _after_in_parent() -> None:
    while _held:
        _held.pop()._db_lock.release()


def _after_in_child() -> None:
    _held.clear()
    _living.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


ROWS_AT_ONCE = 64
"""Rows in one statement.  Every statement gives up the interpreter's lock, and the event loop has to wait for it
to come back; more rows than this fall out of the processor's cache between being read and being written."""


def insert(db: apsw.Connection, rows: Iterable[Row]) -> None:
    """Write rows in one transaction.  One that is there already stays as it is."""
    pending: dict[str, list[Sequence[Any]]] = {}
    db.execute("BEGIN IMMEDIATE")
    try:
        for table, values in rows:
            group = pending.setdefault(table, [])
            group.append(values)
            if len(group) == ROWS_AT_ONCE:
                db.execute(_insert_statement(table, ROWS_AT_ONCE), tuple(chain.from_iterable(group)))
                group.clear()
        for table, group in pending.items():
            for size in (8, 1):
                while len(group) >= size:
                    db.execute(_insert_statement(table, size), tuple(chain.from_iterable(group[:size])))
                    del group[:size]
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself has rolled back after some errors, a full disk for one
            db.execute("ROLLBACK")
        raise


@lru_cache
def _insert_statement(table: str, rows: int) -> str:
    row = f"({','.join('?' * len(_TABLES[table].__struct_fields__))})"
    return f"INSERT OR IGNORE INTO {table} VALUES {','.join([row] * rows)}"  # noqa: S608  # names of ours


# -- opening -----------------------------------------------------------------------------------------------------------


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
    return _reopen(path.expanduser())


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
        why = _short(problem) if isinstance(problem, OSError) else str(problem)
        remedy = "its folder writable" if what == "written" else "it readable"
        raise LedgerError(
            f"the ledger {path} cannot be {what}: {why}; make {remedy}, "
            "or set ledger.path (HEADGATE_LEDGER__PATH) to another place"
        ) from None


def _open(path: Path) -> apsw.Connection:
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


def _reopen(path: Path) -> apsw.Connection:
    """As `_open`, for a file that this process has checked before."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.execute("PRAGMA synchronous = FULL")
    return db


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


def _damaged(path: Path, problem: object) -> LedgerError:
    return LedgerError(
        f"the ledger {path} is damaged ({problem}).  Nothing was changed or deleted.  Keep a copy, then either restore "
        f"a backup, or save what can be read with `sqlite3 {path} .recover`, or move the file away to start a new one"
    )


# -- after a crash -----------------------------------------------------------------------------------------------------


def _recover(db: apsw.Connection, orphan: Orphan, estimate: Callable[[OpenAttempt], int | None]) -> int:
    """Bring in what a crash left in the journal.  Returns the number of calls that were under way then.

    May itself be killed at any point: rows that are there already stay as they are, and the files go last.
    """
    with orphan:
        under_way: dict[tuple[str, int], OpenAttempt] = {}
        rows: list[Row] = []
        for kind, content in orphan.frames():
            if kind is Frame.OPEN:
                attempt = OpenAttempt(*content)
                under_way[attempt.call_id, attempt.attempt] = attempt
                continue
            for table, values in content:
                rows.append((table, values))
                if table == "attempts":
                    under_way.pop((values[0], values[1]), None)
        insert(db, rows)
        lost = [attempt for key, attempt in under_way.items() if not _is_recorded(db, key)]
        insert(db, crashed(lost, estimate))
        orphan.remove()
        return len({attempt.call_id for attempt in lost})


def _is_recorded(db: apsw.Connection, attempt: tuple[str, int]) -> bool:
    return db.execute("SELECT 1 FROM attempts WHERE call_id = ? AND attempt = ?", attempt).get is not None


def crashed(attempts: Iterable[OpenAttempt], estimate: Callable[[OpenAttempt], int | None]) -> list[Row]:
    """Rows for attempts that were sent, or about to be, when the process died."""
    rows: list[Row] = []
    calls: dict[str, CallRecord] = {}
    for attempt in attempts:
        bound = estimate(attempt)
        cost_pico, problem, unconfirmed_pico = (0, None, bound) if bound is not None else (None, "model", 0)
        record = AttemptRecord(
            call_id=attempt.call_id, attempt=attempt.attempt, started_ms=attempt.started_ms,
            credential=attempt.credential, pool=attempt.pool, error="crashed",
            estimated_input_tokens=attempt.estimated_input_tokens,
            estimated_output_tokens=attempt.estimated_output_tokens,
            usage_source=UsageSource.UNKNOWN, cost_pico=cost_pico, cost_problem=problem,
            unconfirmed_pico=unconfirmed_pico,
        )  # fmt: skip
        rows.append(("attempts", _astuple(record)))
        call = calls.get(attempt.call_id)
        if call is None:
            calls[attempt.call_id] = call = CallRecord(
                call_id=attempt.call_id, started_ms=attempt.started_ms, kind=attempt.kind, workflow=attempt.workflow,
                user=attempt.user, session=attempt.session, lane=attempt.lane, caller_key=attempt.caller_key,
                correlation_id=attempt.correlation_id, model=attempt.model, stream=attempt.stream,
                outcome=Outcome.CRASHED, usage_source=UsageSource.UNKNOWN, cost_pico=cost_pico, cost_problem=problem,
            )  # fmt: skip
        call.attempts = max(call.attempts, attempt.attempt)
        call.unconfirmed_pico += unconfirmed_pico
    return [*rows, *(("calls", _astuple(call)) for call in calls.values())]


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        f"Headgate does not send this call: {why}. Try again when that is mended.",
        reason=Reason.LEDGER_UNAVAILABLE,
        status=503,
        retry_after_s=5.0,
    )


def _class(problem: apsw.Error) -> str:
    if isinstance(problem, apsw.FullError):
        return "disk full"
    return "damaged" if isinstance(problem, (apsw.CorruptError, apsw.NotADBError)) else "i/o error"


def _short(problem: OSError) -> str:
    return os.strerror(problem.errno) if problem.errno else type(problem).__name__
