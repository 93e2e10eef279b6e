"""HTTP/1.1 server: one `asyncio.Protocol` per connection around llhttp.

The application decides at the end of the head, before any body is read, whether to take a request and how
(`App.begin`).  A request whose client goes away is cancelled.  Everything that a peer can make grow is bounded: head
size, body size, bytes of bodies held over all connections, connections, and the time each phase may take.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from headgate.net.app import App
from headgate.net.outbox import Outbox
from headgate.net.request_reader import BodyMemory
from headgate.net.server_connection import ServerConnection
from headgate.net.server_limits import ServerLimits

__all__ = ["Server"]


@dataclass(eq=False)
class Server:
    """Listens, counts connections and drains.  `await start(...)`, then `await drain(...)` once."""

    app: App
    limits: ServerLimits = field(default_factory=ServerLimits)

    def __post_init__(self) -> None:
        self.connections: set[ServerConnection] = set()
        self.per_peer: Counter[str] = Counter()
        self.memory = BodyMemory(self.limits.buffered_bytes)
        self.draining = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self._empty: asyncio.Future[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on `host:port` (port 0 picks one) and return the port."""
        loop = asyncio.get_running_loop()
        self.outbox = Outbox(loop)
        listener = await loop.create_server(lambda: ServerConnection(self, loop), host, port, backlog=2048)
        self._listeners.append(listener)
        return cast(int, listener.sockets[0].getsockname()[1])

    async def drain(self, grace_s: float) -> None:
        """Take no new request, let those under way finish for `grace_s`, then cut what is left."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            connection.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._until_empty()
        for connection in list(self.connections):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):  # an aborted transport reports back within a turn or two of the loop
                await self._until_empty()
        if self.tasks:
            # Their connections are gone; what they still have to write down must be written before we say we are done.
            await asyncio.wait(self.tasks, timeout=1.0)

    async def _until_empty(self) -> None:
        if self.connections:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def forget(self, connection: ServerConnection) -> None:
        self.connections.discard(connection)
        if self._empty is not None and not self.connections and not self._empty.done():
            self._empty.set_result(None)

    @property
    def requests_under_way(self) -> int:
        return sum(connection.busy for connection in self.connections)
