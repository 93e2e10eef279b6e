"""How near a gateway is to what it can take itself, whatever the API can: one level for all of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable

from headgate.telemetry.metrics.catalogue import PRESSURE
from headgate.telemetry.metrics.registry import Registry

__all__ = ["Pressure", "level"]

STEPS = (0.5, 0.8, 1.0)
"""Of a limit, where the levels 1, 2 and 3 begin."""
LAG_LIMIT_S = 0.5
"""Against which a lag of the event loop is measured."""


class Pressure:
    """Tells the level whenever somebody looks."""

    def __init__(self, registry: Registry, shares: Callable[[], Iterable[float]], lag_s: Callable[[], float]) -> None:
        """
        Args:
            shares: how much of each limit is used, at which calls are refused.
        """
        registry.on_read(lambda: registry.set(PRESSURE, [((), level(shares(), lag_s()))]))


def level(shares: Iterable[float], lag_s: float = 0.0) -> int:
    """0 calm, 1 busy, 2 strained, 3 at a limit: calls are refused.  A loop that lags refuses nobody."""
    strained = min(bisect_right(STEPS, lag_s / LAG_LIMIT_S), 2)
    return max([strained, *[bisect_right(STEPS, share) for share in shares]])
