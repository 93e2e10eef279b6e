"""POST something small to one address, and read the answer: no redirect is followed, nothing is tried twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from headgate.net.client import Connection, Dial, WireError
from headgate.net.http import HeaderBlock, Origin
from headgate.net.outbox import Outbox

__all__ = ["Posted", "post"]

MOST_ANSWER_BYTES = 16 * 1024
"""Who says more is not listened to any longer."""


class Posted(NamedTuple):
    """What was answered."""

    status: int
    headers: HeaderBlock
    body: bytes
    """The beginning of it, if it is long."""


async def post(url: str, headers: Iterable[tuple[str, str]], body: bytes, dial: Dial, *, within_s: float) -> Posted:
    """Send `body` on a connection of its own.

    Args:
        url: http or https; was checked while loading.
        headers: beyond those that say where it goes and how long it is; they are checked here.
        within_s: for all of it, from the name's address to the answer's last byte.

    Raises:
        WireError: nobody answers, or not in time.
        ValueError: a header would not end where it should.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    origin = Origin(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = _head(origin, target, headers, len(body))
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            connection = await dial(origin, lambda: Connection(loop, Outbox(loop)), within_s)
            try:
                connection.request(head, b"")
                await connection.send(body)
                status, told = await connection.head()
                return Posted(status, told, await _read(connection))
            finally:
                connection.abort()
    except TimeoutError:
        raise WireError("deadline", f"no answer within {within_s:g} s") from None


def _head(origin: Origin, target: str, headers: Iterable[tuple[str, str]], length: int) -> bytes:
    told = (
        ("host", str(origin).partition("://")[2]),
        ("accept-encoding", "identity"),
        ("connection", "close"),
        ("content-length", str(length)),
        *headers,
    )
    for name, value in (("target", target), *told):
        if not (name.isascii() and value.isascii() and (name + value).isprintable()):
            raise ValueError(f"{name} holds characters that cannot be sent")
    lines = "".join([f"{name}: {value}\r\n" for name, value in told])
    return f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode("ascii")


async def _read(connection: Connection) -> bytes:
    body = b""
    while len(body) < MOST_ANSWER_BYTES:
        data = await connection.read()
        if not data:
            break
        body += data
    return body[:MOST_ANSWER_BYTES]
