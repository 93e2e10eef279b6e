"""A transport for the SDK's HTTP client over the memory network of a virtual run: HTTP to the byte, and no socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf
from typing import Any

import httpx2

from headgate.net.client import Connection, WireError
from headgate.net.connection_pool import ConnectionPool
from headgate.net.http import Origin
from headgate.sim.virtual_time import memory_dial

__all__ = ["MemoryTransport"]

CONNECTIONS = 100_000
KEEPALIVE_S = 5.0


class MemoryTransport(httpx2.AsyncBaseTransport):
    """For `httpx2.AsyncClient(transport=...)`.  What the client asks for as a read timeout is kept, in virtual time."""

    def __init__(self) -> None:
        self._pools: dict[Origin, ConnectionPool] = {}

    async def handle_async_request(self, request: Any) -> Any:
        body = await request.aread()
        url = request.url
        origin = Origin(url.scheme, url.host, url.port or 80)
        pool = self._pools.get(origin)
        if pool is None:
            pool = ConnectionPool(origin, memory_dial, max_connections=CONNECTIONS, keepalive_s=KEEPALIVE_S)
            self._pools[origin] = pool
        lines = [b"%s: %s\r\n" % header for header in request.headers.raw]
        head = b"%s %s HTTP/1.1\r\n%s\r\n" % (request.method.encode(), url.raw_path, b"".join(lines))
        silence_s = (request.extensions.get("timeout") or {}).get("read")
        silence_s = inf if silence_s is None else float(silence_s)
        try:
            connection = await pool.take(inf, inf)
        except WireError as error:
            raise httpx2.ConnectError(str(error), request=request) from None
        try:
            connection.request(head, body)
            connection.expect_within(silence_s, "first_byte_timeout")
            status, headers = await connection.head()
        except BaseException as problem:
            connection.abort()
            if isinstance(problem, WireError):
                raise _named(problem, request) from None
            raise
        stream = _Body(connection, silence_s, request)
        return httpx2.Response(status, headers=headers.items(), stream=stream, request=request)

    async def aclose(self) -> None:
        for pool in self._pools.values():
            pool.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, connection: Connection, silence_s: float, request: Any) -> None:
        self._connection: Connection | None = connection
        self._silence_s = silence_s
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection = self._connection
        if connection is None:
            return
        try:
            while True:
                connection.expect_within(self._silence_s, "idle_timeout")
                data = await connection.read()
                if not data:
                    break
                yield data
        except WireError as error:
            raise _named(error, self._request) from None

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()


def _named(error: WireError, request: Any) -> Exception:
    """What the client's own transport would have raised."""
    timed_out = error.kind in ("first_byte_timeout", "idle_timeout")
    kind = httpx2.ReadTimeout if timed_out else httpx2.RemoteProtocolError
    return kind(str(error), request=request)
