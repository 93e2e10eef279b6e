"""A call that the engine makes on its own loop for a caller elsewhere, and the way of its answer to that caller.

One task on the engine's loop makes the call and then carries its stream over, a few pieces ahead of the reader and no
further.  Whatever becomes of the caller, ending that task ends the call, so nothing is left between the two.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from headgate.call import Call, Reply, ReplyStream, StreamRestart
from headgate.failure import Failure

__all__ = ["AsyncPortalCall", "EngineLoop", "PortalCall", "Stopped", "SyncPortalCall"]

AHEAD_BYTES = 256 * 1024


class Stopped(Exception):
    """The engine was shut down while the call was under way."""


class EngineLoop(Protocol):
    """The engine's loop, as seen from other threads."""

    def post(self, what: Callable[[], object]) -> bool:
        """Run `what` there; False if the loop has ended, or is the parent's after a fork."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task; called on the loop itself."""
        ...


class PortalCall(ABC):
    """Made by the caller, begun at once.  Each attribute is written by one side only; a wake-up carries all that has
    come since the last one."""

    def __init__(self, make: Callable[[Call], Coroutine[Any, Any, Reply]], call: Call, loop: EngineLoop) -> None:
        self._make = make
        self._call = call
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._reply: Reply | None = None
        self._problem: BaseException | None = None
        self._pieces: deque[Any] = deque()
        """Bytes to be read, and between them the restarts that the reader is to be told of when it gets there."""
        self._on_restart = call.on_restart
        if call.on_restart is not None:
            call.on_restart = self._pieces.append
        self._put_bytes = 0
        self._taken_bytes = 0
        self._full = False
        self._room = asyncio.Event()
        self._ended = False
        self.failure: Failure | None = None
        self.cut = False
        """Whether what was read is not the whole body."""
        if not loop.post(self._begin):
            self._problem, self._ended = Stopped(), True

    @abstractmethod
    def _wake(self) -> None:
        """Tell the caller to look.  Called on the engine's loop."""

    def close(self) -> None:
        """The caller has what it wants, or has left: the upstream call ends now.  From any thread, at any time."""
        if not self._ended:
            self._loop.post(self._end)

    # -- on the engine's loop -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._task = self._loop.spawn(self._run())

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            reply = self._reply = await self._make(self._call)
            if reply.stream is not None:
                await self._pump(reply.stream)
        except BaseException as problem:
            self._problem = problem
        finally:
            self._ended = True
            self._wake()

    async def _pump(self, stream: ReplyStream) -> None:
        self._wake()
        try:
            while data := await stream.read():
                self._pieces.append(data)
                self._put_bytes += len(data)
                self._wake()
                if self._put_bytes - self._taken_bytes > AHEAD_BYTES:
                    await self._wait_for_room()
            self.failure, self.cut = stream.failure, stream.cut
        except BaseException:
            self.cut = True
            raise
        finally:
            stream.close()

    async def _wait_for_room(self) -> None:
        # `_full` is set before the sizes are looked at, and the reader looks at it after it changed them: so one of the
        # two always sees the other.
        self._full = True
        while self._put_bytes - self._taken_bytes > AHEAD_BYTES:
            await self._room.wait()
            self._room.clear()
        self._full = False

    # -- on the caller's side -----------------------------------------------------------------------------------

    def _answer(self) -> Reply | None:
        """The reply; None if there is none yet.

        Raises:
            Refused: the call was not sent.
            Stopped: the engine was shut down.
        """
        ended = self._ended  # looked at first: a reply that came just before the end is still seen
        reply = self._reply
        if reply is None and ended:
            problem, self._problem = self._problem, None
            raise Stopped if problem is None or isinstance(problem, asyncio.CancelledError) else problem
        return reply

    def _take(self) -> bytes | None:
        """All that is there, `b""` at the end, None if there is nothing yet."""
        ended = self._ended  # looked at first: what came before the end is still taken
        pieces = self._pieces
        if not pieces:
            return b"" if ended else None
        if self._on_restart is not None:
            return self._up_to_restart()
        return self._took(
            pieces.popleft() if len(pieces) == 1 else b"".join([pieces.popleft() for _ in range(len(pieces))])
        )

    def _up_to_restart(self) -> bytes | None:
        """As `_take`, for a reader that is told where its stream begins anew, just before it gets there."""
        pieces = self._pieces
        if isinstance(pieces[0], StreamRestart):
            assert self._on_restart is not None
            self._on_restart(pieces.popleft())
            return self._take()
        taken = []
        while pieces and not isinstance(pieces[0], StreamRestart):
            taken.append(pieces.popleft())
        return self._took(b"".join(taken))

    def _took(self, data: bytes) -> bytes:
        self._taken_bytes += len(data)
        if self._full:
            self._loop.post(self._room.set)
        return data


class AsyncPortalCall(PortalCall):
    """For a coroutine on another asyncio loop."""

    def __init__(self, make: Callable[[Call], Coroutine[Any, Any, Reply]], call: Call, loop: EngineLoop) -> None:
        self._own_loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._told = False
        super().__init__(make, call, loop)

    def _wake(self) -> None:
        if not self._told:
            self._told = True
            try:
                self._own_loop.call_soon_threadsafe(self._ready.set)
            except RuntimeError:  # the caller's loop is closed: nobody will ever read this
                self._end()

    async def _woken(self) -> None:
        await self._ready.wait()
        self._ready.clear()
        self._told = False

    async def answer(self) -> Reply:
        """The reply, its stream left out: `read` gives that.

        Raises:
            Refused: the call was not sent.
            Stopped: the engine was shut down.
        """
        try:
            while (reply := self._answer()) is None:
                await self._woken()
        except BaseException:
            self.close()
            raise
        return reply

    async def read(self, timeout_s: float | None) -> bytes:
        """The next bytes of the stream, or `b""` at its end.

        Raises:
            TimeoutError: nothing came within `timeout_s`.
        """
        while (data := self._take()) is None:
            async with asyncio.timeout(timeout_s):
                await self._woken()
        return data


class SyncPortalCall(PortalCall):
    """For a thread."""

    def __init__(self, make: Callable[[Call], Coroutine[Any, Any, Reply]], call: Call, loop: EngineLoop) -> None:
        self._ready = threading.Event()
        super().__init__(make, call, loop)

    def _wake(self) -> None:
        self._ready.set()

    def answer(self) -> Reply:
        """As `AsyncPortalCall.answer`."""
        try:
            while (reply := self._answer()) is None:
                self._ready.wait()
                self._ready.clear()
        except BaseException:
            self.close()
            raise
        return reply

    def read(self, timeout_s: float | None) -> bytes:
        """As `AsyncPortalCall.read`."""
        while (data := self._take()) is None:
            if not self._ready.wait(timeout_s):
                raise TimeoutError
            self._ready.clear()
        return data
