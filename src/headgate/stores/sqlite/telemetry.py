"""What is observed and may be lost: one SQLite file beside the ledger, written by one thread.

It never costs a call anything: work waits in a bounded queue, and what cannot be done (a full disk, a damaged file) is
dropped and counted.  Several processes may use the file.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw

from headgate.stores.sqlite.database import NotOurs, Schema, open_database, transaction
from headgate.stores.timing import Took, nobody, timed

__all__ = ["Telemetry", "TelemetryLost", "Work", "open_telemetry"]

log = logging.getLogger("headgate.telemetry")

T = TypeVar("T")
Work = Callable[[apsw.Connection], object]

_UPGRADES = {
    1: """
        CREATE TABLE evaluations (at_ms INTEGER NOT NULL, instance TEXT NOT NULL);
        CREATE TABLE exemplars (
            metric TEXT NOT NULL, label TEXT NOT NULL, at_ms INTEGER NOT NULL, what TEXT NOT NULL, amount REAL NOT NULL
        );
        CREATE INDEX exemplars_by_time ON exemplars (metric, label, at_ms);
        CREATE TABLE admin_addresses (address TEXT PRIMARY KEY, seen_ms INTEGER NOT NULL) WITHOUT ROWID;
        ALTER TABLE alerts ADD COLUMN low REAL;
        ALTER TABLE alerts ADD COLUMN high REAL;
    """,
}
SCHEMA = Schema("telemetry.sql", 2, _UPGRADES)
QUEUE_LENGTH = 1_000
BUSY_TIMEOUT_MS = 2_000
REOPEN_S = 30.0
"""A file that cannot be opened is tried again so often."""


class TelemetryLost(Exception):
    """The file cannot be used, or this was not done in it.  The message says why."""


class Telemetry:
    """The file at `path`; None keeps everything in memory and starts no thread, for runs in virtual time.

    Work is given as a function of a connection, in a transaction of its own: all of it is done, or nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = None if path is None else path.expanduser()
        self.took: Took = nobody
        """Told how long transactions take."""
        self.dropped: Counter[str] = Counter()
        """Work that was not done, by what it was for."""
        self._db: apsw.Connection | None = None
        self._closed_until_s = 0.0
        self._problem = ""
        self._queue: deque[tuple[str, Work, _Answer | None]] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def post(self, signal: str, work: Work) -> None:
        """Have it done; nobody waits for it.  Never raises.

        Args:
            signal: what it is for, in the count of what was dropped.
        """
        if self.path is None:
            self._do(signal, work, None)
        elif len(self._queue) >= QUEUE_LENGTH or self._closing:
            self.dropped[signal] += 1
        else:
            self._enqueue(signal, work, None)

    async def ask(self, signal: str, work: Callable[[apsw.Connection], T]) -> T:
        """Have it done and return what it returns.

        Raises:
            TelemetryLost: it was not done.
        """
        if len(self._queue) >= QUEUE_LENGTH or self._closing:
            raise TelemetryLost("too much waits to be written")
        answer = _Answer(asyncio.get_running_loop())
        if self.path is None:
            self._do(signal, work, answer)
        else:
            self._enqueue(signal, work, answer)
        found: T = await answer.future
        return found

    def close(self) -> None:
        """Do what waits, for two seconds at most, and let go of the file."""
        self._closing = True
        if self._thread is not None:
            self._wake.set()
            self._thread.join(timeout=2)
        elif self._db is not None:
            self._db.close()
            self._db = None

    def _enqueue(self, signal: str, work: Work, answer: _Answer | None) -> None:
        self._queue.append((signal, work, answer))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="headgate-telemetry", daemon=True)
            self._thread.start()
        self._wake.set()

    def _run(self) -> None:
        while not self._closing or self._queue:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                self._do(*self._queue.popleft())
            if self._closing:
                self._wake.set()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _do(self, signal: str, work: Work, answer: _Answer | None) -> None:
        try:
            found = self._in_transaction(work)
        except Exception as problem:
            self.dropped[signal] += 1
            if answer is not None:
                answer.fail(TelemetryLost(str(problem)))
        else:
            if answer is not None:
                answer.give(found)

    def _in_transaction(self, work: Work) -> object:
        try:
            if self._db is None:
                self._db = self._open()
            with timed(self.took, "write"), transaction(self._db):
                return work(self._db)
        except (apsw.Error, OSError) as problem:
            if str(problem) != self._problem:  # said once for as long as it stays the same
                log.warning("telemetry is lost: %s: %s", self.path, problem)
                self._problem = str(problem)
            raise

    def _open(self) -> apsw.Connection:
        now_s = time.monotonic()
        if now_s < self._closed_until_s:
            raise TelemetryLost(self._problem)
        self._closed_until_s = now_s + REOPEN_S
        db = open_telemetry(self.path)
        self._closed_until_s = 0.0
        return db


def open_telemetry(path: Path | None) -> apsw.Connection:
    """A connection to the file, made if it is not there; None: to a new one in memory.

    Raises:
        TelemetryLost: it is not ours to use.
        apsw.Error, OSError: it cannot be used.
    """
    try:
        return open_database(path, SCHEMA, busy_timeout_ms=BUSY_TIMEOUT_MS)
    except NotOurs as problem:
        raise TelemetryLost(str(problem)) from None


class _Answer:
    """Carries a result to the loop that waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def give(self, found: object) -> None:
        self._tell(lambda: self.future.set_result(found))

    def fail(self, problem: Exception) -> None:
        self._tell(lambda: self.future.set_exception(problem))

    def _tell(self, settle: Callable[[], None]) -> None:
        def on_loop() -> None:
            if not self.future.done():  # whoever asked may have gone
                settle()

        with suppress(RuntimeError):  # its loop is closed
            self._loop.call_soon_threadsafe(on_loop)
