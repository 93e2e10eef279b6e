"""A stream that breaks after its content began, started anew before its reader's eyes.

Only for a reader that has said it can bear that: what it has read so far is void, and the answer begins again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from headgate.call import ReplyStream
from headgate.events import ErrorClass
from headgate.failure import Failure

__all__ = ["RestartingStream"]

Restart = Callable[[ReplyStream, Failure, bool], Coroutine[Any, Any, ReplyStream | None]]
"""Makes another attempt after a stream that broke, and tells its reader if that has seen a part of it; None if there is
none."""


class RestartingStream:
    """The stream of the attempt under way: of the first one, and of those that follow it."""

    def __init__(self, stream: ReplyStream, restart: Restart) -> None:
        self._restart = restart
        self._callbacks: list[Callable[[], None]] = []
        self._ended = False
        self._closed = False
        self._seen = False
        self._left: Failure | None = None
        self._restarting: asyncio.Task[ReplyStream | None] | None = None
        self._follow(stream)

    @property
    def failure(self) -> Failure | None:
        return self._left or self._stream.failure

    @property
    def error(self) -> bytes | None:
        return self._stream.error

    @property
    def cut(self) -> bool:
        return self._stream.cut

    async def opened(self) -> Failure | None:
        return None

    async def read(self) -> bytes:
        while True:
            stream = self._stream
            data = await stream.read()
            failure = stream.failure
            if failure is None or self._ended or self._closed:
                self._seen = True
                return data
            # `data` ends in an error event, which the reader gets if this was the last attempt.
            restarting = self._restarting = asyncio.create_task(self._restart(stream, failure, self._seen))
            restarting.add_done_callback(self._restarted)
            try:
                following = await restarting
            except asyncio.CancelledError:
                reader = asyncio.current_task()
                if not self._closed or (reader is not None and reader.cancelling()):
                    raise
                return b""  # it was closed meanwhile, by another task than the one that reads
            if self._closed:
                return b""
            if following is None:
                self._end()
                return data

    def _restarted(self, restarting: asyncio.Task[ReplyStream | None]) -> None:
        self._restarting = None
        following = None if restarting.cancelled() or restarting.exception() is not None else restarting.result()
        if following is not None:
            self._follow(following)
        if self._closed:
            self._stream.close()
            self._end()

    def close(self) -> None:
        self._closed = True
        if not self._ended:
            self._left = Failure(ErrorClass.CANCELLED)
        if self._restarting is not None:
            self._restarting.cancel()  # the answer is over when that attempt is, whose cost is a part of it
            return
        self._stream.close()
        self._end()

    def on_end(self, callback: Callable[[], None]) -> None:
        if self._ended:
            callback()
        else:
            self._callbacks.append(callback)

    def _follow(self, stream: ReplyStream) -> None:
        self._stream = stream
        stream.on_end(self._one_ended)

    def _one_ended(self) -> None:
        """An attempt is over; the answer is, if that is its good end."""
        if self._stream.failure is None:
            self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            for callback in self._callbacks:
                callback()
