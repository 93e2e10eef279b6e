"""Connections to one origin, kept from one exchange to the next."""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf

from headgate.net.client import Connection, Dial, WireError
from headgate.net.http import Origin
from headgate.net.outbox import Outbox

__all__ = ["ConnectionPool"]


class ConnectionPool:
    """At most `max_connections`; who finds none free waits in order."""

    def __init__(self, origin: Origin, dial: Dial, *, max_connections: int, keepalive_s: float) -> None:
        self.origin = origin
        self._dial = dial
        self._max = max_connections
        self._keepalive_s = keepalive_s
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(self._loop)
        self._idle: list[Connection] = []
        self._live = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()

    def take_idle(self) -> Connection | None:
        """A connection that is open and unused right now, or None: the path without a wait."""
        oldest_s = self._loop.time() - self._keepalive_s
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since_s >= oldest_s:
                return connection
            connection.abort()
        return None

    async def take(self, connect_s: float, wait_s: float) -> Connection:
        """A connection, dialled within `connect_s` if need be.

        Raises:
            WireError: `pool_timeout` when all are busy and none became free within `wait_s`, or what dialling raises.
        """
        connection = self.take_idle()
        while connection is None:
            if self._live < self._max:
                self._live += 1
                try:
                    connection = await self._dial(self.origin, lambda: Connection(self._loop, self._outbox), connect_s)
                except BaseException:
                    self._live -= 1
                    self._hand_on(None)
                    raise
                connection.owner = self
                if not connection.open:
                    self.forget(connection)
                    raise WireError("connect", "the upstream closed the connection as it opened", sent=False)
                return connection
            connection = await self._wait(wait_s)
        return connection

    async def _wait(self, wait_s: float) -> Connection | None:
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters.append(waiter)
        timer = self._loop.call_later(wait_s, _expire, waiter) if wait_s != inf else None
        try:
            connection = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                connection = waiter.result()
                if connection is not None:
                    self.give_back(connection)
                else:
                    self._hand_on(None)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return connection if connection is None or connection.is_open else None

    def give_back(self, connection: Connection) -> None:
        """Its exchange is over."""
        connection.idle_since_s = self._loop.time()
        if not self._hand_on(connection):
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone: its place is free."""
        connection.owner = None
        self._live -= 1
        self._hand_on(None)

    def _hand_on(self, connection: Connection | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def close(self) -> None:
        """Close what is idle and refuse those who wait.  Exchanges under way go on."""
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        while self._waiters:
            _expire(self._waiters.popleft())

    @property
    def live(self) -> int:
        return self._live

    @property
    def busy(self) -> bool:
        """Whether an exchange is under way, or somebody waits to begin one."""
        return self._live > sum([each.is_open for each in self._idle]) or bool(self._waiters)


def _expire(waiter: asyncio.Future[Connection | None]) -> None:
    if not waiter.done():
        waiter.set_exception(WireError("pool_timeout", "no connection to the upstream became free in time", sent=False))
