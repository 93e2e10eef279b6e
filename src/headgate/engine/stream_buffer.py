"""Streams that are given to their caller only when they are complete, so that a break anywhere can be tried again."""

from __future__ import annotations

from collections.abc import Callable

from headgate.call import Call, ReplyStream
from headgate.events import ErrorClass
from headgate.failure import Failure

__all__ = ["BufferedStream", "StreamBuffer"]


class StreamBuffer:
    """Room for streams on their way, of all calls together.

    A stream that finds none is released as it comes: what can be answered is, and a break in it is then as in any other
    stream.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0

    async def complete(self, call: Call, stream: ReplyStream) -> BufferedStream | Failure:
        """`stream`, once all of it is there; a failure if it broke, and then nothing of it has been seen."""
        record = call.record
        bytes_out = record.bytes_out
        pieces: list[bytes] = []
        size = 0
        try:
            while (data := await stream.read()) and stream.failure is None:
                pieces.append(data)
                size += len(data)
                self.held_bytes += len(data)
                if self.held_bytes > self._max_bytes:
                    return BufferedStream(self, pieces, size, stream)
            failure = stream.failure
            if failure is None:
                return BufferedStream(self, pieces, size, None)
        except BaseException:
            self.held_bytes -= size
            stream.close()
            raise
        self.held_bytes -= size
        record.bytes_out, record.first_byte_ms = bytes_out, None
        if call.text_kept is not None:
            call.text_kept.clear()
        return failure


class BufferedStream:
    """What is held of a stream, and then the rest of it if there was no room for that."""

    error: bytes | None = None

    def __init__(self, buffer: StreamBuffer, pieces: list[bytes], size: int, rest: ReplyStream | None) -> None:
        self._buffer = buffer
        self._pieces = pieces
        self._size = size
        self._rest = rest
        self._ended = False
        self._left: Failure | None = None
        self._callbacks: list[Callable[[], None]] = []

    @property
    def failure(self) -> Failure | None:
        return self._rest.failure if self._rest is not None else self._left

    @property
    def cut(self) -> bool:
        return self._rest.cut if self._rest is not None else False

    async def opened(self) -> Failure | None:
        return None

    async def read(self) -> bytes:
        if self._pieces:
            return self._release()
        return await self._rest.read() if self._rest is not None else b""

    def close(self) -> None:
        if self._pieces:
            self._left = Failure(ErrorClass.CANCELLED)
            self._release()
        if self._rest is not None:
            self._rest.close()

    def on_end(self, callback: Callable[[], None]) -> None:
        if self._rest is not None:
            self._rest.on_end(callback)
        elif self._ended:
            callback()
        else:
            self._callbacks.append(callback)

    def _release(self) -> bytes:
        """All that is held, in one piece."""
        whole = b"".join(self._pieces)
        self._pieces = []
        self._buffer.held_bytes -= self._size
        self._ended = True
        for callback in self._callbacks:
            callback()
        return whole
