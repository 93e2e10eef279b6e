"""A request's body as a stream, bounded by stopping the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headgate.net.app import Truncated

__all__ = ["READ_AHEAD_BYTES", "Upload"]

READ_AHEAD_BYTES = 256 * 1024
"""More than this of what a client sends is not held for an application that is not there yet to take it."""


class Upload:
    """Fed by whoever reads the connection, read by the application."""

    __slots__ = ("_chunks", "_end", "_pause_reading", "_resume_reading", "_size", "_waiter", "received")

    def __init__(self, pause_reading: Callable[[], None], resume_reading: Callable[[], None]) -> None:
        self._pause_reading = pause_reading
        self._resume_reading = resume_reading
        self._chunks: list[bytes] = []
        self._size = 0
        self._end: bool | Truncated = False
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0
        """Bytes, in all."""

    def feed(self, chunk: bytes) -> None:
        self.received += len(chunk)
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > READ_AHEAD_BYTES:
            self._pause_reading()
        self._wake()

    def complete(self) -> None:
        self._end = True
        self._wake()

    def cut(self) -> None:
        if self._end is False:
            self._end = Truncated("the client went away in the middle of the body")
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        while not self._chunks:
            if self._end is True:
                return b""
            if isinstance(self._end, Truncated):
                raise self._end
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._resume_reading()
        return data

    def close(self) -> None:
        self._chunks.clear()
