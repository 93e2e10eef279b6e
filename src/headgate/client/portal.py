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
from dataclasses import replace
from typing import Any, TypeVar

from headgate.config import Loaded, load_config
from headgate.engine.engine import Engine

__all__ = ["Portal", "running", "shared", "shutdown"]

T = TypeVar("T")


class Portal:
    """A running engine, and the way to it from other threads."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self._started: Future[Engine] = Future()
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="headgate-engine", daemon=True)
        self._thread.start()
        self.engine = self._started.result()
        self.loop: asyncio.AbstractEventLoop = self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `work` on the engine's loop.  Cancelling the future cancels it there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """Write down what there is and end the thread."""
        if self._thread.is_alive() and self._stop is not None:
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as problem:
            if self._started.done():
                raise
            self._started.set_exception(problem)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with Engine.from_config(self.loaded.config, os.environ, in_process=True) as engine:
            self._started.set_result(engine)
            await self._stop.wait()


_lock = threading.Lock()
_portal: Portal | None = None


def shared() -> Portal:
    """The process's engine, started now if it is not running yet.

    Raises:
        ConfigError, PriceError, LedgerError: it could not be started.
    """
    global _portal
    with _lock:
        if _portal is None:
            _portal = Portal(_settings())
        return _portal


def running() -> Portal | None:
    """The process's engine, if it has been started."""
    return _portal


def shutdown() -> None:
    """Flush and stop the process's engine.  Happens by itself when the process ends; the next call starts another."""
    global _portal
    with _lock:
        portal, _portal = _portal, None
    if portal is not None:
        portal.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _settings() -> Loaded:
    """As for the gateway, but that a library does not write to its host's standard output unasked."""
    loaded = load_config(os.environ)
    chosen = any(setting.path == "log.path" and setting.source != "default" for setting in loaded.settings)
    if chosen:
        return loaded
    quiet = replace(loaded.config, log=replace(loaded.config.log, path="off"))
    return replace(loaded, config=quiet)


def _forget() -> None:
    """In a forked child: the thread and its connections are the parent's."""
    global _portal, _lock
    _portal = None
    _lock = threading.Lock()


atexit.register(shutdown)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
