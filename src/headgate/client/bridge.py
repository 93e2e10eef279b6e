"""Carry a stream from the engine's loop to a caller elsewhere, a few pieces ahead of it and no further."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable

from headgate.call import ReplyStream
from headgate.failure import Failure

__all__ = ["AsyncBridge", "SyncBridge"]

AHEAD_BYTES = 256 * 1024


class _Bridge:
    """Pieces go in on the engine's loop and come out elsewhere; one wake-up carries all that have come meanwhile."""

    def __init__(self, stream: ReplyStream, loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._engine_loop = loop
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._room = asyncio.Event()
        self._ended = False
        self.failure: Failure | None = None
        self.cut = False
        self._pump = asyncio.run_coroutine_threadsafe(self._carry(), loop)

    def _wake(self) -> None:
        raise NotImplementedError

    async def _carry(self) -> None:
        stream = self._stream
        try:
            while data := await stream.read():
                self._pieces.append(data)
                self._size += len(data)
                self._wake()
                while self._size > AHEAD_BYTES:
                    self._room.clear()
                    await self._room.wait()
            self.failure, self.cut = stream.failure, stream.cut
        finally:
            stream.close()
            self._ended = True
            self._wake()

    def _take(self) -> bytes | None:
        """All that is there, `b""` at the end, None if there is nothing yet."""
        ended = self._ended  # looked at first: what came before the end is still taken
        pieces = self._pieces
        if not pieces:
            return b"" if ended else None
        taken = [pieces.popleft() for _ in range(len(pieces))]
        data = b"".join(taken)
        full = self._size > AHEAD_BYTES
        self._size -= len(data)
        if full:
            self._tell(self._room.set)
        return data

    def close(self) -> None:
        """The caller has what it wants: the upstream call ends now."""
        if not self._ended:
            self._pump.cancel()

    def _tell(self, what: Callable[[], object]) -> None:
        if not self._engine_loop.is_closed():
            self._engine_loop.call_soon_threadsafe(what)


class AsyncBridge(_Bridge):
    """To a coroutine on another loop."""

    def __init__(self, stream: ReplyStream, loop: asyncio.AbstractEventLoop) -> None:
        self._own_loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._told = False
        super().__init__(stream, loop)

    def _wake(self) -> None:
        if not self._told and not self._own_loop.is_closed():
            self._told = True
            self._own_loop.call_soon_threadsafe(self._ready.set)

    async def read(self, timeout_s: float | None) -> bytes:
        """The next bytes, or `b""` at the end.

        Raises:
            TimeoutError: nothing came within `timeout_s`.
        """
        while (data := self._take()) is None:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
            self._ready.clear()
            self._told = False
        return data


class SyncBridge(_Bridge):
    """To a thread."""

    def __init__(self, stream: ReplyStream, loop: asyncio.AbstractEventLoop) -> None:
        self._ready = threading.Event()
        super().__init__(stream, loop)

    def _wake(self) -> None:
        self._ready.set()

    def read(self, timeout_s: float | None) -> bytes:
        """As `AsyncBridge.read`."""
        while (data := self._take()) is None:
            if not self._ready.wait(timeout_s):
                raise TimeoutError
            self._ready.clear()
        return data
