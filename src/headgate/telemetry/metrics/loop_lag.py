"""How long things wait for their turn on the event loop, which one that does not let go makes all calls do."""

from __future__ import annotations

import asyncio

from headgate.clock import Clock
from headgate.telemetry.metrics.catalogue import LOOP_LAG
from headgate.telemetry.metrics.registry import Registry

__all__ = ["LoopLag"]

LOOK_EVERY_S = 0.25
KEPT_S = 15.0
"""A gauge is looked at every fifteen seconds or so: what was longest since then must still be there."""


class LoopLag:
    """Asks to be called at a certain time, and sees how late that is.  `start`, then `stop`."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._longest_s = [0.0, 0.0]
        """Before the last turn, and since."""
        self._turn_s = 0.0
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        registry.on_read(self._tell)

    def start(self) -> None:
        self._turn_s = self._clock.now_s() + KEPT_S
        self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self._due_s = self._clock.now_s() + LOOK_EVERY_S
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        now_s = self._clock.now_s()
        if now_s >= self._turn_s:
            self._longest_s = [self._longest_s[1], 0.0]
            self._turn_s = now_s + KEPT_S
        self._longest_s[1] = max(self._longest_s[1], now_s - self._due_s)
        self._wait()

    @property
    def longest_s(self) -> float:
        """The longest of late."""
        return max(self._longest_s)

    def _tell(self) -> None:
        self._registry.set(LOOP_LAG, [((), self.longest_s)])
