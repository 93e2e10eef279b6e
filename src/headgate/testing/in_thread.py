"""Something that runs on an event loop, kept in a thread of its own for tests that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["InThread", "in_thread"]

T = TypeVar("T")
R = TypeVar("R")
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class InThread(Generic[T]):
    """What runs there, and the way to it."""

    it: T
    _loop: asyncio.AbstractEventLoop

    def do(self, work: Coroutine[Any, Any, R]) -> R:
        """Run `work` on its loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)


@contextmanager
def in_thread(
    name: str, start: Callable[[], Awaitable[T]], stop: Callable[[T], Awaitable[None]]
) -> Iterator[InThread[T]]:
    """`start` something on a loop in a thread called `name`, and `stop` it at the end of the block.

    Raises:
        Exception: whatever `start` raises.
    """
    started: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def live() -> None:
        told = asyncio.Event()
        try:
            running = await start()
        except BaseException as problem:
            started.set_exception(problem)
            return
        started.set_result((running, asyncio.get_running_loop(), told))
        await told.wait()
        await stop(running)

    thread = threading.Thread(target=lambda: asyncio.run(live()), name=name, daemon=True)
    thread.start()
    running, loop, told = started.result()
    try:
        yield InThread(running, loop)
    finally:
        loop.call_soon_threadsafe(told.set)
        thread.join(timeout=PATIENCE_S)
