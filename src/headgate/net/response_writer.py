"""Answers into bytes: whole, or as a stream that runs no faster than the client reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headgate.net.app import Request, Response, Truncated
from headgate.net.http import ByteSource, header_lines, reason_phrase
from headgate.net.outbox import Writer

__all__ = ["BODILESS", "ResponseWriter"]

BODILESS = (204, 304)
"""Statuses whose answers end with the head."""
_STATUS_LINES = {code: f"HTTP/1.1 {code} {reason_phrase(code)}\r\n".encode() for code in range(200, 600)}


class ResponseWriter:
    """Writes the answers of one connection, one after the other."""

    __slots__ = ("_head", "_loop", "_out", "_watch", "drained", "heartbeat", "paused", "since_s")

    def __init__(self, out: Writer, loop: asyncio.AbstractEventLoop, watch: Callable[[], None]) -> None:
        """`watch`: have somebody look again in time, for what is said below may have become due sooner."""
        self._out = out
        self._loop = loop
        self._watch = watch
        self._head = b""
        """Of a stream, until it leaves together with the first of the body."""
        self.paused = False
        """The client is slow to take what it was sent."""
        self.drained: asyncio.Future[None] | None = None
        """Waited for, while it is."""
        self.heartbeat: tuple[float, bytes] | None = None
        """`beat` is due when the stream under way has been silent for that many seconds."""
        self.since_s = 0.0
        """When it was last written to, or the client became slow."""

    def write_whole(self, request: Request, response: Response, *, close: bool) -> None:
        """Write an answer that is no stream; `close`: the last one."""
        head = _head(response, close, len(response.body), False)
        bare = request.method == "HEAD" or response.status in BODILESS
        self._out.write_soon(head if bare else head + response.body)

    async def relay(self, request: Request, response: Response, stream: ByteSource, *, close: bool) -> None:
        """Write an answer as `stream` gives it.

        Raises:
            Truncated: it is not whole.
        """
        length = response.length
        chunked = length is None and not request.http_10 and not response.bare
        self._head = b"" if response.bare else _head(response, close, length, chunked)
        if request.method == "HEAD":
            self._emit(b"")
            return
        try:
            if chunked and response.heartbeat is not None:
                self.heartbeat = response.heartbeat
                self.since_s = self._loop.time()
                self._watch()
            await self._pass_on(stream, length, chunked)
        finally:
            self.heartbeat = None

    async def _pass_on(self, stream: ByteSource, length: int | None, chunked: bool) -> None:
        loop_time = self._loop.time
        read = stream.read
        left = length
        while data := await read():
            if left is not None:
                left -= len(data)
            if chunked:
                data = b"%x\r\n%s\r\n" % (len(data), data)
            if self.heartbeat is not None:
                self.since_s = loop_time()
            self._emit(data)
            if self.paused:
                await self.until_drained()
        if left:
            raise Truncated("the body is not as long as was said")
        self._emit(b"0\r\n\r\n" if chunked else b"")

    def beat(self) -> None:
        """Say that the stream is still under way."""
        if self.heartbeat is not None:
            self.since_s = self._loop.time()
            data = self.heartbeat[1]
            self._emit(b"%x\r\n%s\r\n" % (len(data), data))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        if self.drained is not None and not self.drained.done():
            self.drained.set_result(None)

    def _emit(self, data: bytes) -> None:
        if self._head:
            data = self._head + data
            self._head = b""
        self._out.write(data)

    async def until_drained(self) -> None:
        """Wait for a slow client."""
        self.drained = self._loop.create_future()
        self.since_s = self._loop.time()
        self._watch()
        try:
            await self.drained
        finally:
            self.drained = None


def _head(response: Response, close: bool, length: int | None, chunked: bool) -> bytes:
    status = response.status
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status, response.lines]
    if response.headers:
        parts.append(header_lines(response.headers))
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    elif length is not None and status not in BODILESS:
        parts.append(b"content-length: %d\r\n" % length)
    parts.append(b"connection: close\r\n\r\n" if close or (length is None and not chunked) else b"\r\n")
    return b"".join(parts)
