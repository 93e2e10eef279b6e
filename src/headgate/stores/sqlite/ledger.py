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
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import chain
from math import inf
from pathlib import Path
from weakref import WeakSet

import apsw
from msgspec.structs import astuple

from headgate.core.spent import Earlier
from headgate.errors import Unavailable
from headgate.events import Reason
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, OpenAttempt, Resource
from headgate.stores.base import LedgerState
from headgate.stores.sqlite.journal import Frame, Journal, contents, orphans
from headgate.stores.sqlite.ledger_file import explained, open_or_create, open_reader, reopen, words_of
from headgate.stores.sqlite.recovery import recover
from headgate.stores.sqlite.rows import Row, insert
from headgate.stores.sqlite.spending import spent_between
from headgate.stores.timing import Took, nobody, timed

__all__ = ["SqliteLedger"]

log = logging.getLogger("headgate.ledger")

REFUSE_AFTER_S = 10.0
"""A lock held by somebody else for longer than this stops new attempts."""
RETRY_S = 0.5
GIVE_UP_S = 5.0
"""How long a stop tries to write to a database that cannot be written.  The journal keeps what it cannot."""
OWNERS_CACHED = 10_000


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
        self._journal_errors = self._commit_errors = 0
        self._waiting: deque[tuple[int, Callable[[], object]]] = deque()
        self._db_lock = threading.Lock()
        """Held while a connection to the file is used, so that none is in use when the process forks."""
        self._db: apsw.Connection | None = None
        _living.add(self)
        with self._db_lock, explained(self.path, "written"):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = db = open_or_create(self.path)
            try:
                folder = self.path.with_name(self.path.name + ".journal")
                self.recovered = sum([recover(db, orphan, estimate) for orphan in orphans(folder)])
                self._journal = Journal(folder, f"{os.getpid()}-{secrets.token_hex(4)}")
            except BaseException:
                db.close()
                raise
        self.took = nobody
        self._wake = threading.Event()
        self._closing = False
        self._on_end: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._write_forever, name="headgate-ledger", daemon=True)
        self._thread.start()

    @property
    def took(self) -> Took:
        return self._took

    @took.setter
    def took(self, tell: Took) -> None:
        self._took = self._journal.took = tell

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
            self._journal_errors += 1
            raise _unavailable(f"the ledger's journal cannot be written ({words_of(problem)})") from None
        open_frames[attempt.call_id, attempt.attempt] = frame

    def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        rows: list[Row] = [("attempts", astuple(attempt)) for attempt in attempts]
        rows.append(("calls", astuple(call)))
        journaled = self._take(rows)
        for attempt in attempts:
            key = attempt.call_id, attempt.attempt
            if journaled:
                self._open_frames.pop(key, None)
            else:
                self._settled_unjournaled.append(key)

    def record_batch_items(self, items: Sequence[BatchItemRecord]) -> None:
        self._take([("batch_items", astuple(item)) for item in items])

    def remember(self, resource: Resource) -> None:
        self._owners.setdefault(resource.id, resource)
        if len(self._owners) > OWNERS_CACHED:
            self._owners.popitem(last=False)
        self._take([("resources", astuple(resource))])

    async def owner(self, resource_id: str) -> Resource | None:
        known = self._owners.get(resource_id)
        if known is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(None, self._look_up, resource_id)

    async def spent_between(self, since_ms: int, until_ms: int) -> list[Earlier]:
        return await asyncio.get_running_loop().run_in_executor(None, self._spent_between, since_ms, until_ms)

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

    def state(self) -> LedgerState:
        oldest = next(iter(self._open_frames.values()), None)
        return LedgerState(
            len(self._open_frames),
            OpenAttempt(*next(contents(oldest, Frame.OPEN))).started_ms if oldest is not None else None,
            self._journal.appended - self._journal.taken,
            self._journal_errors,
            self._commit_errors,
            self.recovered,
        )

    def _take(self, rows: list[Row]) -> bool:
        """Whether the rows are in the journal."""
        journaled = True
        try:
            self._journal.append(Frame.ROWS, rows, self._open_frames.values())
        except OSError as problem:
            self._journal_errors += 1
            # The call is over and paid: it goes to SQLite all the same, only not safe from a kill until then.
            if not self._unjournaled:
                log.error("the ledger's journal cannot be written: %s", words_of(problem))
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

    def _spent_between(self, since_ms: int, until_ms: int) -> list[Earlier]:
        with self._db_lock:
            return spent_between(self.path, since_ms, until_ms)

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
                with self._db_lock, timed(self._took, "commit"):
                    if self._db is None:
                        self._db = reopen(self.path)
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
        self._commit_errors += 1
        if self._failing is None or self._failing[1] != what:
            self._failing = (time.monotonic(), what)
            log.error("the ledger %s cannot be written: %s", self.path, detail)


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
