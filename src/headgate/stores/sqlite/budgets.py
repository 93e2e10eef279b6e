"""What is spent of budgets, in one SQLite file for all processes of a machine.

A grant is written through to the disk before anything is spent of it, so that nothing that happens afterwards can make
it vanish.  What is told of spending may be lost with the power: then the grant still stands and counts as spent.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import apsw

from headgate.core.budget import AccountKey, Change, chained
from headgate.core.corrected import Corrected
from headgate.core.grants import WANTED_MS, Ask, Drawn, Report, State, grant_of
from headgate.errors import LedgerError
from headgate.stores.sqlite.database import NotOurs, Schema, open_database, transaction
from headgate.stores.timing import Took, nobody, timed

__all__ = ["SqliteBudgets"]

SCHEMA = Schema("budgets.sql", 2, {1: "ALTER TABLE accounts ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0"})
BUSY_TIMEOUT_MS = 5_000
"""A lock that somebody else holds is waited for so long; then calls are refused."""
KEPT_MS = 400 * 86_400_000
"""Accounts that nobody has used for longer are forgotten."""

_USE = """
    INSERT INTO accounts (budget, who, window, end_ms, used_ms) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET used_ms = excluded.used_ms
"""
_CORRECT = """
    INSERT INTO accounts (budget, who, window, end_ms, used_ms, corrected) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET corrected = excluded.corrected
"""
_ACCOUNT = """
    SELECT max(0, settled + corrected), wanted_ms, told, end_ms
    FROM accounts WHERE budget = ? AND who = ? AND window = ?
"""
_ACCOUNTS = """
    SELECT budget, who, window, max(0, settled + corrected), wanted_ms, told, end_ms,
        ifnull(sum(amount), 0), ifnull(sum(amount) FILTER (WHERE process = ?), 0)
    FROM accounts LEFT JOIN grants USING (budget, who, window)
    WHERE end_ms > ? GROUP BY budget, who, window ORDER BY budget, who, window
"""
_SETTLE = "UPDATE accounts SET settled = settled + ? WHERE budget = ? AND who = ? AND window = ?"
_WANT = "UPDATE accounts SET wanted_ms = ? WHERE budget = ? AND who = ? AND window = ?"
_ANNOUNCE = "UPDATE accounts SET told = told | ? WHERE budget = ? AND who = ? AND window = ? AND NOT told & ?"
_GRANTED = """
    SELECT ifnull(sum(amount), 0), ifnull(sum(amount) FILTER (WHERE process = ?), 0)
    FROM grants WHERE budget = ? AND who = ? AND window = ?
"""
_GRANT = """
    INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, until_ms = excluded.until_ms
"""
_KEEP = "UPDATE grants SET amount = ?, until_ms = ? WHERE budget = ? AND who = ? AND window = ? AND process = ?"
_GIVE_BACK = "DELETE FROM grants WHERE budget = ? AND who = ? AND window = ? AND process = ?"
_RAN_OUT = """
    DELETE FROM grants WHERE budget = ? AND who = ? AND window = ? AND until_ms < ? AND process <> ?
    RETURNING amount
"""


class SqliteBudgets:
    """Opens or creates the file at `path`.

    Args:
        process: tells this process from all others that use the file, earlier ones included.

    Raises:
        LedgerError: the file cannot be used; it is left as it is.
    """

    immediate = False

    def __init__(self, path: Path, process: str, *, now_ms: int = 0) -> None:
        self.path = path.expanduser()
        self.took: Took = nobody
        self.ran_out = 0
        self.errors: Counter[str] = Counter()
        self._process = process
        self._lock = threading.Lock()
        self._db: apsw.Connection | None = None
        with self._transaction(durable=True) as db:
            db.execute("DELETE FROM accounts WHERE used_ms < ?", (now_ms - KEPT_MS,))
        _living.add(self)

    def draw(self, asks: Sequence[Ask], now_ms: int, until_ms: int) -> Drawn:
        # Waiting for the disk is for what is granted: those who find too little ask often.
        drawn = None
        if self._looks_short(asks, now_ms):
            drawn = self._drawn(asks, now_ms, until_ms, durable=False)
        return drawn or self._drawn(asks, now_ms, until_ms, durable=True) or Drawn((), [])

    def _looks_short(self, asks: Sequence[Ask], now_ms: int) -> bool:
        states = self.look([ask.key for ask in asks], now_ms)
        return any(
            grant_of(ask, state.settled, state.others + state.granted) is None
            for ask, state in zip(asks, states, strict=True)
        )

    def _drawn(self, asks: Sequence[Ask], now_ms: int, until_ms: int, *, durable: bool) -> Drawn | None:
        """None: there is enough, and it must be granted durably."""
        granted: list[int] = []
        short = None
        with self._transaction(durable=durable) as db:
            for ask in asks:
                settled, all_grants = self._reap(db, ask.key, ask.end_ms, now_ms)
                more = grant_of(ask, settled, all_grants)
                if more is None:
                    db.execute(_WANT, (now_ms, *ask.key))
                    short = short or ask.key
                else:
                    granted.append(more)
            if short is None:
                if not durable:
                    return None
                for ask, more in zip(asks, granted, strict=True):
                    db.execute(_GRANT, (*ask.key, self._process, more, until_ms))
            states = [self._state(db, ask.key, now_ms) for ask in asks]
        return Drawn(tuple(granted) if short is None else (), states, short)

    def report(self, reports: Sequence[Report], now_ms: int, until_ms: int) -> list[State]:
        states = []
        with self._transaction(durable=False) as db:
            for report in reports:
                self._reap(db, report.key, report.end_ms, now_ms)
                own = (*report.key, self._process)
                if report.keeps:
                    db.execute(_KEEP, (report.keeps, until_ms, *own))
                else:
                    db.execute(_GIVE_BACK, own)
                lost = report.had > 0 and not db.changes()
                spent = max(0, report.spent - report.had) if lost else report.spent
                if spent:
                    db.execute(_SETTLE, (spent, *report.key))
                states.append(self._state(db, report.key, now_ms)._replace(lost=lost))
        return states

    def look(self, keys: Sequence[AccountKey], now_ms: int) -> list[State]:
        with self._using() as db:
            return [self._state(db, key, now_ms) for key in keys]

    def announce(self, key: AccountKey, threshold: int) -> bool:
        with self._transaction(durable=False) as db:
            db.execute(_ANNOUNCE, (threshold, *key, threshold))
            return db.changes() > 0

    def accounts(self, now_ms: int) -> list[State]:
        with self._using() as db:
            rows: list[Any] = db.execute(_ACCOUNTS, (self._process, now_ms)).fetchall()
        return [
            State(
                AccountKey(*key),
                settled,
                everybody - own,
                own,
                now_ms - wanted_ms < WANTED_MS,
                told=told,
                end_ms=end_ms,
            )
            for *key, settled, wanted_ms, told, end_ms, everybody, own in rows
        ]

    def correct(self, corrected: Sequence[Corrected], now_ms: int) -> None:
        with self._transaction(durable=True) as db:
            for key, pico, end_ms in corrected:
                db.execute(_CORRECT, (*key, end_ms, now_ms, pico))

    def change(self, budget: str, setting: str, value: str | None, actor: str, now_ms: int) -> Change:
        with self._transaction(durable=True) as db:
            number, digest = db.execute(
                "SELECT number, digest FROM changes ORDER BY number DESC LIMIT 1"
            ).fetchone() or (0, "")
            change = chained(digest, Change(number + 1, budget, setting, value, actor, now_ms, ""))
            db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?)", change)
        return change

    def changes(self, after: int = 0) -> list[Change]:
        with self._using() as db:
            rows: list[Any] = db.execute("SELECT * FROM changes WHERE number > ? ORDER BY number", (after,)).fetchall()
        return [Change(*row) for row in rows]

    def close(self) -> None:
        _living.discard(self)
        with self._lock:
            self._let_go()

    # -- rows ---------------------------------------------------------------------------------------------------

    def _reap(self, db: apsw.Connection, key: AccountKey, end_ms: int, now_ms: int) -> tuple[int, int]:
        """Count grants of others that ran out as spent.  Returns what is settled, and granted to everybody."""
        db.execute(_USE, (*key, end_ms, now_ms))
        gone: list[Any] = db.execute(_RAN_OUT, (*key, now_ms, self._process)).fetchall()
        self.ran_out += len(gone)
        ran_out = sum([amount for (amount,) in gone])
        if ran_out:
            db.execute(_SETTLE, (ran_out, *key))
        return _one(db, _ACCOUNT, key)[0], _one(db, _GRANTED, ("", *key))[0]

    def _state(self, db: apsw.Connection, key: AccountKey, now_ms: int) -> State:
        row = db.execute(_ACCOUNT, key).fetchone()
        if row is None:
            return State(key, 0, 0, 0)
        settled, wanted_ms, told, end_ms = row
        everybody, own = _one(db, _GRANTED, (self._process, *key))
        wanted = now_ms - wanted_ms < WANTED_MS
        return State(key, settled, everybody - own, own, wanted, told=told, end_ms=end_ms)

    # -- the file -----------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[apsw.Connection]:
        """All of it or nothing, alone in the file."""
        with self._using("commit" if durable else "write") as db:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            with transaction(db):
                yield db

    @contextmanager
    def _using(self, op: str = "read") -> Iterator[apsw.Connection]:
        with self._lock, timed(self.took, op):
            try:
                if self._db is None:
                    self._db = _open(self.path)
                yield self._db
            except (OSError, apsw.Error) as problem:
                self.errors[op] += 1
                raise self._explained(problem) from None

    def _explained(self, problem: Exception) -> LedgerError:
        if isinstance(problem, (apsw.CorruptError, apsw.NotADBError)):
            return LedgerError(
                f"the budgets {self.path} are damaged ({problem}).  Nothing was changed.  Restore a backup, or move "
                "the file away to begin with empty budgets"
            )
        if isinstance(problem, apsw.BusyError):
            return LedgerError(f"the budgets {self.path} are locked by another program; stop that program")
        return LedgerError(
            f"the budgets {self.path} cannot be written: {problem}; make the folder writable, or set ledger.path to "
            "another place"
        )

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def _one(db: apsw.Connection, sql: str, bindings: Sequence[Any]) -> Any:
    row = db.execute(sql, bindings).fetchone()
    assert row is not None
    return row


def _open(path: Path) -> apsw.Connection:
    try:
        return open_database(path, SCHEMA, busy_timeout_ms=BUSY_TIMEOUT_MS)
    except NotOurs as problem:
        raise LedgerError(f"budgets: {problem}") from None


# A connection must not be carried across a fork: every store lets go of its file before, and takes it again when it is
# used; the child's stores are its parent's, and are used by nobody there.

_living: WeakSet[SqliteBudgets] = WeakSet()
_held: list[SqliteBudgets] = []


def _before_fork() -> None:
    for store in list(_living):
        store._lock.acquire()
        _held.append(store)
        store._let_go()


def _after_in_parent() -> None:
    while _held:
        _held.pop()._lock.release()


def _after_in_child() -> None:
    _held.clear()
    _living.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
