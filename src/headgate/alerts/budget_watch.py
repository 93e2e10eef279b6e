"""Keeps watch over budgets: what will have been spent of each when its window ends, told as a gauge, so that somebody
is warned before calls are refused.

The past is read out of the ledger, in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from headgate.clock import Clock
from headgate.core.budget import Budget
from headgate.core.grants import State
from headgate.errors import HeadgateError
from headgate.stores.sqlite.outlook import budget_lines
from headgate.telemetry.metrics.catalogue import BUDGET_PROJECTED
from headgate.telemetry.metrics.registry import Registry

__all__ = ["LOOK_EVERY_S", "BudgetWatch"]

LOOK_EVERY_S = 600.0
"""Four weeks of the ledger are summed up for it, which takes a second of a thread where they are millions of calls."""


class BudgetWatch:
    """Looks when it is asked to, and sets the gauge.

    Args:
        in_force: the budgets by name, as they are now.
        states: their accounts.
        same_model: the one name of a model that has several.
    """

    def __init__(
        self,
        registry: Registry,
        ledger: Path,
        in_force: Callable[[], Mapping[str, Budget]],
        states: Callable[[], Awaitable[Sequence[State]]],
        same_model: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._in_force = in_force
        self._states = states
        self._same_model = same_model
        self._clock = clock

    async def look(self) -> None:
        """Foretell, and tell: of a budget that is split, its dearest part.  What cannot be read tells nothing, and
        nothing old either."""
        try:
            states = await self._states()
            rows = await asyncio.to_thread(self._rows, dict(self._in_force()), states)
        except HeadgateError:
            rows = {}
        self._registry.set(BUDGET_PROJECTED, rows.items(), max)

    def _rows(self, in_force: Mapping[str, Budget], states: Sequence[State]) -> dict[tuple[str, str], float]:
        rows: dict[tuple[str, str], float] = {}
        for line in budget_lines(in_force, states, self._ledger, self._clock.unix_ms(), self._same_model):
            if line.forecast is not None:
                key = (line.budget.name, line.budget.window)
                rows[key] = max(line.forecast.expected, rows.get(key, 0))
        return rows
