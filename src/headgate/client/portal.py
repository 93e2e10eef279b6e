"""One engine per process, on a thread and an event loop of its own.

Sync callers have no loop; async callers have one that may end, or be one of several.  So the engine lives beside all of
them, and its limits and ledger are shared by all.  The thread starts with the first call; a forked child starts its
own.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from dataclasses import replace
from typing import Any

from headgate.client.intake import Intake
from headgate.config import Loaded, load_config
from headgate.engine.engine import Engine
from headgate.event_loop import new_event_loop

__all__ = ["Portal", "running", "shared", "shutdown"]


class Portal:
    """A running engine, and the way to it from other threads."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._started: Future[Engine] = Future()
        self._gate = threading.RLock()  # garbage collection may close a stream while it is held
        self._open = True
        self._context = Context()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="headgate-engine", daemon=True)
        try:
            self._thread.start()
            self.engine = self._started.result()
        except BaseException:  # Ctrl-C: nobody will have this engine, so nobody else would end it
            self._started.add_done_callback(self._end)
            raise
        self.intake = Intake(self.engine, loaded, self.post)

    @property
    def open(self) -> bool:
        """Whether it takes calls."""
        return self._open

    def post(self, what: Callable[[], object]) -> bool:
        """Run `what` on the engine's loop; False if that has ended, or is the parent's after a fork."""
        if not self._open:
            return False
        with self._gate:
            if self._open:
                # In a context of our own: the caller's would be kept alive by the connections it opens.
                self._loop.call_soon_threadsafe(what, context=self._context)
            return self._open

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that ends with the engine; called on its loop."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        """End the calls under way, write down what there is, and end the thread."""
        if self.post(self._stop.set):
            self._thread.join(timeout=10)

    def _end(self, started: Future[Engine]) -> None:
        if started.exception() is None:
            self.post(self._stop.set)

    def disown(self) -> None:
        """In a forked child: the thread, its loop and its connections are the parent's."""
        self._open = False

    def _run(self) -> None:
        loop = new_event_loop()
        try:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(self._serve())
        except BaseException as problem:
            if self._started.done():
                raise
            self._started.set_exception(problem)
        finally:
            with self._gate:
                self._open = False
            # `asyncio.Runner` would start a thread to end the loop's executor, which an ending interpreter refuses.
            asyncio.set_event_loop(None)
            loop.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with Engine.from_config(self.loaded.config, os.environ, in_process=True) as engine:
            self._started.set_result(engine)
            await self._stop.wait()
            with self._gate:
                self._open = False
            await asyncio.sleep(0)  # what was posted before that begins, so that it is ended with the others
            if self._tasks:
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(list(self._tasks))  # each settles what it has used


_lock = threading.Lock()
_portal: Portal | None = None


def shared() -> Portal:
    """The process's engine, started now if it is not running yet.

    Raises:
        ConfigError, PriceError, LedgerError: it could not be started.
    """
    global _portal
    with _lock:
        if _portal is None or not _portal.open:
            _portal = Portal(_settings())
        return _portal


def running() -> Portal | None:
    """The process's engine, if it has been started."""
    portal = _portal
    return portal if portal is not None and portal.open else None


def shutdown() -> None:
    """Flush and stop the process's engine.  Happens by itself when the process ends; the next call starts another."""
    global _portal
    with _lock:
        portal, _portal = _portal, None
    if portal is not None:
        portal.close()


def _settings() -> Loaded:
    """As for the gateway, but that a library does not write to its host's standard output unasked."""
    loaded = load_config(os.environ)
    if "log.path" in loaded.chosen():
        return loaded
    quiet = replace(loaded.config, log=replace(loaded.config.log, path="off"))
    return replace(loaded, config=quiet)


def _forget() -> None:
    """In a forked child: the thread and its connections are the parent's."""
    global _portal, _lock
    if _portal is not None:
        _portal.disown()
    _portal = None
    _lock = threading.Lock()


atexit.register(shutdown)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
