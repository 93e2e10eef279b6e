"""Real time kept out of a virtual run, and caught where somebody asks for it all the same.

`stand_in` lets the clocks of the standard library answer with the run's own time, for code that is not ours (the SDK
reads `time.time()` for a `retry-after` that is a date).  `Watch` notes every place in watched modules that asks the
machine for time, chance or a thread, or that waits by `asyncio.sleep` and not on the clock it was given.
"""

from __future__ import annotations

import _thread
import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from headgate.clock import Clock
from headgate.sim.virtual_time import VirtualLoop

__all__ = ["RealTimeUsed", "Watch", "stand_in"]


class RealTimeUsed(Exception):
    """Something in a virtual run hung on the machine; the message names each place."""


@contextmanager
def stand_in(clock: Clock, seed: int) -> Iterator[None]:
    """While the block runs, `time.time`, `time.monotonic` and their `_ns` give the time of `clock` to whoever runs on a
    virtual loop, `random`'s own functions begin at `seed`, and `time.sleep` and new threads raise `RealTimeUsed`.

    Code that took a function out of its module earlier (`from time import time`) keeps what it took.
    """

    def unless_virtual(real: Callable[..., Any], virtual: Callable[..., Any]) -> Callable[..., Any]:
        def stands_in(*args: Any) -> Any:
            return (virtual if isinstance(asyncio._get_running_loop(), VirtualLoop) else real)(*args)

        _STAND_INS.add(stands_in.__code__)
        return stands_in

    def refuse(*_: Any) -> None:
        raise RealTimeUsed("a virtual run has no threads and never waits for the machine: use asyncio, and its sleep")

    virtual: dict[tuple[Any, str], Callable[..., Any]] = {
        (time, "time"): lambda: clock.unix_ms() / 1000,
        (time, "time_ns"): lambda: clock.unix_ms() * 1_000_000,
        (time, "monotonic"): clock.now_s,
        (time, "monotonic_ns"): lambda: int(clock.now_s() * 1e9),
        (time, "sleep"): refuse,
        (threading.Thread, "start"): refuse,
    }
    before = {where: getattr(*where) for where in virtual}
    chance = random.getstate()
    random.seed(seed)
    try:
        for (owner, name), instead in virtual.items():
            setattr(owner, name, unless_virtual(before[owner, name], instead))
        yield
    finally:
        for (owner, name), real in before.items():
            setattr(owner, name, real)
        random.setstate(chance)


_STAND_INS: set[CodeType] = set()
_CLOCKS: tuple[Any, ...] = (
    time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns,
)  # fmt: skip
_MACHINE: dict[Any, str] = {
    **{function: f"time.{function.__name__}" for function in (*_CLOCKS, time.sleep, time.localtime, time.gmtime)},
    _thread.start_new_thread: "a thread",
    os.urandom: "os.urandom",
}
_TODAY = frozenset({"now", "utcnow", "today"})
_WAITING = asyncio.sleep.__code__
_MAY_WAIT = frozenset({"headgate.clock", "headgate.sim.virtual_time"})
"""Who makes the clocks."""


class Watch:
    """Notes, while it is on, every use of the machine's time in modules whose names begin with one of `prefixes`.

    Sees calls of the functions themselves, under whatever name they were imported.  Costs about three times the run.
    """

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._prefixes = prefixes
        self.found: dict[str, int] = {}
        """How often, by `file:line in function: what`."""

    def __enter__(self) -> Watch:
        self._before = sys.getprofile()
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def check(self) -> None:
        """Raise what was found.

        Raises:
            RealTimeUsed: naming each place.
        """
        if self.found:
            raise RealTimeUsed("; ".join(self.found))

    def _look(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call":
            what = _machine(called)
            if what is not None:
                self._note(frame, what)
        elif event == "call":
            code = frame.f_code
            if code is _WAITING:
                if frame.f_locals.get("delay", 0) > 0:
                    self._note(frame.f_back, "asyncio.sleep", _MAY_WAIT)
            elif code in _STAND_INS:
                self._note(frame.f_back, "the time module or a thread")

    def _note(self, frame: FrameType | None, what: str, allowed: frozenset[str] = frozenset()) -> None:
        module = str(frame.f_globals.get("__name__", "")) if frame is not None else ""
        if frame is None or module in allowed or not module.startswith(self._prefixes):
            return
        place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} in {module}.{frame.f_code.co_qualname}: {what}"
        self.found[place] = self.found.get(place, 0) + 1


def _machine(called: Any) -> str | None:
    """What of the machine's a C function gives, or None."""
    try:
        what: str | None = _MACHINE.get(called)
    except TypeError:  # a bound method of something that cannot be hashed
        return None
    if what is not None:
        return what
    owner = getattr(called, "__self__", None)
    if owner is random._inst:  # whose methods `random.random()` and the others are
        return f"random.{called.__name__}"
    if isinstance(owner, type) and issubclass(owner, date) and called.__name__ in _TODAY:
        return f"{owner.__name__}.{called.__name__}"
    return None
