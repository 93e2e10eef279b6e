"""How long stores take, as their own threads tell it; added up on the event loop when somebody looks."""

from __future__ import annotations

from collections import deque

from headgate.stores.timing import Took
from headgate.telemetry.metrics.catalogue import STORE_SECONDS
from headgate.telemetry.metrics.registry import Registry

__all__ = ["StoreOps"]

MOST_WAITING = 8_192
"""Where nobody looks, the oldest are forgotten: a minute's of a busy gateway."""


class StoreOps:
    """Takes the times of all stores of a process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._told: deque[tuple[str, str, float]] = deque(maxlen=MOST_WAITING)
        registry.on_read(self._add_up)

    def of(self, store: str) -> Took:
        """What one store tells them to, from any thread."""
        told = self._told
        return lambda op, seconds: told.append((store, op, seconds))

    def _add_up(self) -> None:
        told = self._told
        while told:
            store, op, seconds = told.popleft()
            self._registry.histogram(STORE_SECONDS, store, op).add(seconds)
