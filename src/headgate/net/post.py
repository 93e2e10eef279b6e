"""POST something small to an address, and read the answer: no redirect is followed, nothing is tried twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from headgate.net.client import Connection, Dial, WireError
from headgate.net.connection_pool import ConnectionPool
from headgate.net.http import HeaderBlock, Origin

__all__ = ["Posted", "Poster", "is_sendable", "post"]

MOST_ANSWER_BYTES = 16 * 1024
"""Who says more is not listened to any longer."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Posted(NamedTuple):
    """What was answered."""

    status: int
    headers: HeaderBlock
    body: bytes
    """The beginning of it, if it is long."""


class Poster:
    """Posts to one address, one after the other, on a connection that is kept from one to the next."""

    def __init__(self, url: str, dial: Dial, *, keepalive_s: float) -> None:
        """
        Args:
            url: http or https; was checked while loading.
            keepalive_s: how long a connection is kept that nothing goes over.
        """
        parts = urlsplit(url)
        origin = Origin.of(parts)
        self._host = origin.authority
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._pool = ConnectionPool(origin, dial, max_connections=1, keepalive_s=keepalive_s)

    async def post(self, headers: Iterable[tuple[str, str]], body: bytes, *, within_s: float) -> Posted:
        """Send `body`.

        Args:
            headers: beyond those that say where it goes and how long it is.
            within_s: for all of it, from the name's address to the answer's last byte.

        Raises:
            WireError: nobody answers, or not in time.
            ValueError: a header would not end where it should.
        """
        head = self._head(headers, len(body))
        by_s = asyncio.get_running_loop().time() + within_s
        connection = await self._pool.take(within_s, within_s)
        try:
            async with asyncio.timeout_at(by_s):
                connection.request(head, body)
                status, told = await connection.head()
                posted = Posted(status, told, await _read(connection))
        except TimeoutError:
            connection.abort()
            raise WireError("deadline", f"no answer within {within_s:g} s") from None
        except BaseException:
            connection.abort()
            raise
        connection.release()
        return posted

    def close(self) -> None:
        self._pool.close()

    def _head(self, headers: Iterable[tuple[str, str]], length: int) -> bytes:
        told = (
            ("host", self._host),
            ("accept-encoding", "identity"),
            ("content-length", str(length)),
            *headers,
        )
        for name, value in (("target", self._target), *told):
            if not is_sendable(name, value):
                raise ValueError(f"{name} holds characters that cannot be sent")
        lines = "".join([f"{name}: {value}\r\n" for name, value in told])
        return f"POST {self._target} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


async def post(url: str, headers: Iterable[tuple[str, str]], body: bytes, dial: Dial, *, within_s: float) -> Posted:
    """As `Poster.post`, once, on a connection of its own."""
    poster = Poster(url, dial, keepalive_s=0.0)
    try:
        return await poster.post((("connection", "close"), *headers), body, within_s=within_s)
    finally:
        poster.close()


def is_sendable(name: str, value: str) -> bool:
    """Whether a header is one, and ends where it should."""
    return _NAME.fullmatch(name) is not None and value.isascii() and value.isprintable()


async def _read(connection: Connection) -> bytes:
    """All of an answer, or as much as anybody might want."""
    body = b""
    while len(body) < MOST_ANSWER_BYTES:
        data = await connection.read()
        if not data:
            break
        body += data
    return body[:MOST_ANSWER_BYTES]
