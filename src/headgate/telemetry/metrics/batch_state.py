"""How Message Batches stand when somebody looks: those of callers, and those that Headgate makes."""

from __future__ import annotations

from collections.abc import Callable

from headgate.clock import Clock
from headgate.core.batches_seen import BatchesSeen
from headgate.telemetry.metrics.catalogue import BATCH_AGE, BATCHES
from headgate.telemetry.metrics.registry import Registry

__all__ = ["BatchState"]


class BatchState:
    """Sets the gauges before they are read."""

    def __init__(self, registry: Registry, clock: Clock, own: Callable[[], tuple[int, int]], seen: BatchesSeen) -> None:
        """
        Args:
            own: how many of Headgate's own collect calls, and how many are under way.
        """
        self._registry = registry
        self._clock = clock
        self._own = own
        self._seen = seen
        registry.on_read(self.refresh)

    def refresh(self) -> None:
        now_ms = self._clock.unix_ms()
        collecting, under_way = self._own()
        states = {"collecting": collecting, "under_way": under_way, **self._seen.states(now_ms)}
        self._registry.set(BATCHES, [((state,), count) for state, count in states.items()])
        self._registry.set(BATCH_AGE, [((), self._seen.oldest_late_s(now_ms))])
