"""Work that is done again and again beside the calls: it never stops for a failure, and never runs twice at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from headgate.clock import Clock

__all__ = ["Repeated"]

log = logging.getLogger("headgate.alerts")


class Repeated:
    """Has `work` done every so often.  `start`, then `await stop()` once.

    Args:
        name: what to call it where it fails.
    """

    def __init__(self, name: str, every_s: float, work: Callable[[], Awaitable[None]], clock: Clock) -> None:
        self._name = name
        self._every_s = every_s
        self._work = work
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        due_s = self._clock.now_s()
        while True:
            try:
                await self._work()
            except Exception:  # whatever it is, the next time may go well
                log.exception("%s failed", self._name)
            now_s = self._clock.now_s()
            due_s = max(due_s + self._every_s, now_s)
            await self._clock.sleep(due_s - now_s)
