"""What operators do at their listener is written down before it is done."""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from headgate.clock import Clock
from headgate.core.audit import Act, AuditRow
from headgate.errors import LedgerError
from headgate.stores.base import Ledger
from headgate.stores.sqlite import SqliteLedger
from headgate.stores.sqlite.audit import SqliteAudit, audit_path

__all__ = ["FAILED_EVERY_S", "Trail"]

log = logging.getLogger("headgate.audit")

FAILED_EVERY_S = 60.0
"""Failed logins are one row in so long, however many there are."""


class Trail:
    """The audit trail beside the engine's ledger; in memory where that is.  Lives on one event loop."""

    def __init__(self, ledger: Ledger, clock: Clock, on_row: Callable[[AuditRow], None]) -> None:
        """
        Args:
            on_row: told of each row that was written.
        """
        on_disk = isinstance(ledger, SqliteLedger)
        self.store = SqliteAudit(audit_path(ledger.path) if isinstance(ledger, SqliteLedger) else None)
        self._clock = clock
        self._on_row = on_row
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headgate-audit") if on_disk else None
        self._failed = 0
        self._failed_until_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def note(
        self,
        act: Act,
        actor: str,
        subject: str = "",
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what is about to be done.

        Raises:
            LedgerError: it was not written, so it must not be done.
        """
        add = partial(self.store.add, self._clock.unix_ms(), actor, act, subject, before=before, after=after)
        if self._thread is None:
            row = add()
        else:
            row = await asyncio.get_running_loop().run_in_executor(self._thread, add)
        self._on_row(row)

    def failed_login(self) -> None:
        """Somebody had no token, or a wrong one.  Never waits, never raises."""
        self._failed += 1
        now_s = self._clock.now_s()
        if now_s >= self._failed_until_s:
            self._failed_until_s = now_s + FAILED_EVERY_S
            self._tell_failed()

    def started(self, settings: str, facts: Mapping[str, Any]) -> None:
        """A gateway begins with settings of this digest.  Never waits, never raises."""
        self._start(Act.START, f"process:{_who()}", settings, facts)

    async def close(self) -> None:
        if self._failed:
            self._tell_failed()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._thread is not None:
            self._thread.shutdown()
        self.store.close()

    def _tell_failed(self) -> None:
        failed, self._failed = self._failed, 0
        self._start(Act.LOGIN_FAILED, "unknown", "", {"failures": failed})

    def _start(self, act: Act, actor: str, subject: str, after: Mapping[str, Any]) -> None:
        async def write() -> None:
            try:
                await self.note(act, actor, subject, after=after)
            except LedgerError as problem:
                log.error("%s", problem)

        task = asyncio.get_running_loop().create_task(write())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _who() -> str:
    """As whom this process runs."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such name on this system
        return "unknown"
