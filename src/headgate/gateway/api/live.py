"""News of the gateway as server-sent events: told to everybody who listens at the cost of telling one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from headgate.clock import Clock
from headgate.net.app import Response

__all__ = ["EVERY_S", "Live"]

log = logging.getLogger("headgate.admin")

EVERY_S = 2.0
MOST_LISTENERS = 64
PING = (15.0, b": still here\n\n")
"""So that a proxy between does not take a quiet stream for a dead one."""


class Live:
    """Tells `news()` to its listeners every two seconds, and asks for none while nobody listens."""

    def __init__(self, clock: Clock, news: Callable[[], Awaitable[bytes]]) -> None:
        self._clock = clock
        self._news = news
        self._listeners: set[_Listener] = set()
        self._task: asyncio.Task[None] | None = None

    def listen(self, may: Callable[[], bool]) -> Response | None:
        """A stream of news that ends when `may()` no longer holds; None: too many listen already."""
        if len(self._listeners) >= MOST_LISTENERS:
            return None
        listener = _Listener(self._listeners, may)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._tell())
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        return Response(200, headers, stream=listener, heartbeat=PING)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _tell(self) -> None:
        while self._listeners:
            try:
                event = b"event: now\ndata: " + await self._news() + b"\n\n"
            except Exception:
                log.exception("the dashboard's news cannot be told")
                event = b"event: trouble\ndata: {}\n\n"
            for listener in list(self._listeners):
                listener.hear(event)
            await self._clock.sleep(EVERY_S)


class _Listener:
    """One listener's stream.  Who takes news slowly gets the newest and misses some."""

    def __init__(self, listeners: set[_Listener], may: Callable[[], bool]) -> None:
        self._listeners = listeners
        self._may = may
        self._event = b"retry: 2000\n\n"
        self._heard = asyncio.Event()
        self._heard.set()
        listeners.add(self)

    def hear(self, event: bytes) -> None:
        self._event = event
        self._heard.set()

    async def read(self) -> bytes:
        await self._heard.wait()
        self._heard.clear()
        return self._event if self._may() else b""

    def close(self) -> None:
        self._listeners.discard(self)
