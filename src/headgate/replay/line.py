"""The plain way to the simulated API, which all rivals take: one request, one answer, nothing tried twice."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from headgate.net.client import Dial, WireError
from headgate.net.connection_pool import ConnectionPool
from headgate.net.http import HeaderBlock
from headgate.replay.workload import Ask
from headgate.upstream.send import parse_base_url

__all__ = ["ASK_HEADER", "OF_THE_API", "Got", "Line", "headers_of"]

ASK_HEADER = b"x-replay-ask"
"""Tells the observer which call a request belongs to; nobody else looks at it."""
OF_THE_API = ((b"anthropic-version", b"2023-06-01"), (b"content-type", b"application/json"))
CONNECTIONS = 1_000_000
KEEPALIVE_S = 15.0


class Got(NamedTuple):
    """Status 0: the connection failed."""

    status: int
    headers: HeaderBlock


class Line:
    """Lives on the event loop it is made on.

    Args:
        marked: send prompts with their cache markers.
        length_inside: have the prompt, not a header, ask the simulator for the answer's length.
    """

    def __init__(self, base_url: str, dial: Dial, *, marked: bool, length_inside: bool = False) -> None:
        origin, _ = parse_base_url(base_url)
        self._pool = ConnectionPool(origin, dial, max_connections=CONNECTIONS, keepalive_s=KEEPALIVE_S)
        self._marked = marked
        self._length_inside = length_inside
        self._head = (f"POST /v1/messages HTTP/1.1\r\nhost: {origin.authority}\r\nx-api-key: sk-ant-replay\r\n").encode(
            "latin-1"
        )

    async def post(self, ask: Ask, retries: int = 0) -> Got:
        """Send `ask` and read the answer to its end.

        Args:
            retries: how often it was sent before, as SDKs tell it.
        """
        body = ask.body(marked=self._marked, length_inside=self._length_inside)
        headers = [
            *headers_of(ask, length_inside=self._length_inside),
            (b"x-stainless-retry-count", b"%d" % retries),
            (b"content-length", b"%d" % len(body)),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        try:
            connection = await self._pool.take(inf, inf)
            try:
                connection.request(b"%s%s\r\n" % (self._head, lines), body)
                status, told = await connection.head()
                while await connection.read():
                    pass
            except BaseException:
                connection.abort()
                raise
            connection.release()
        except WireError:
            return Got(0, HeaderBlock())
        return Got(status, told)

    def close(self) -> None:
        self._pool.close()


def headers_of(ask: Ask, *, length_inside: bool = False) -> list[tuple[bytes, bytes]]:
    """What everybody sends; the answer's length is asked of the simulator, unless the prompt does that."""
    headers = [*OF_THE_API, (ASK_HEADER, b"%d" % ask.number)]
    if not length_inside:
        headers.append((b"x-sim", b"tokens=%d" % ask.output_tokens))
    return headers
