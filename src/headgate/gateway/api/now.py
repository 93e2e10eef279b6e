"""How the gateway stands this moment: what `/api/now` says, and the news of `/api/live`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec

from headgate._version import __version__
from headgate.engine.engine import Engine
from headgate.errors import LedgerError
from headgate.gateway.api.alerts import Alerts
from headgate.gateway.api.health import Recent, concerns, level_of
from headgate.gateway.api.panels import Panels
from headgate.gateway.limits import limits_of
from headgate.stores.sqlite import SqliteLedger

__all__ = ["Now"]

BUDGETS_EVERY_S = 10.0
"""Their store is another file."""


class Now:
    """Lives on the engine's event loop."""

    def __init__(self, engine: Engine, panels: Panels, alerts: Alerts) -> None:
        self._engine = engine
        self._panels = panels
        self._alerts = alerts
        self._began_s = engine.clock.now_s()
        self._budgets: list[dict[str, Any]] = []
        self._budgets_until_s = self._began_s

    async def event(self) -> bytes:
        """The news, in one line."""
        return msgspec.json.encode(await self.told())

    async def told(self) -> dict[str, Any]:
        """Health, limits, lanes and the last hour."""
        engine = self._engine
        hour, unreadable = await self._last_hour()
        budgets = await self._budget_lines()
        limits = limits_of(engine)
        ledger = engine.ledger
        found = concerns(
            limits,
            {name: lane.max_wait_s for name, lane in engine.config.lanes.items()},
            None if hour is None else Recent(15, hour["quarter"]["counted"], hour["quarter"]["failed"]),
            ledger.problem if isinstance(ledger, SqliteLedger) else None,
            unreadable,
            budgets,
            self._alerts.firing(),
            self._alerts.unevaluated(),
        )
        return {
            "at_ms": engine.clock.unix_ms(),
            "version": __version__,
            "up_s": round(engine.clock.now_s() - self._began_s),
            "upstream": engine.config.upstream.base_url,
            "health": {"level": level_of(found), "concerns": [asdict(concern) for concern in found]},
            "under_way": sum(pool["under_way"] for pool in limits["pools"]),
            "waiting": sum(pool["waiting"] for pool in limits["pools"]),
            "limits": limits,
            "lanes": {name: {"weight": its.weight, "max_wait_s": its.max_wait_s, "max_queue": its.max_queue}
                      for name, its in engine.config.lanes.items()},
            "hour": hour,
        }  # fmt: skip

    async def _last_hour(self) -> tuple[dict[str, Any] | None, str | None]:
        """What the ledger tells of it, and why it tells nothing."""
        if not self._panels.has_ledger:
            return None, None
        try:
            return await self._panels.last_hour(), None
        except LedgerError as problem:
            return None, str(problem)

    async def _budget_lines(self) -> list[dict[str, Any]]:
        now_s = self._engine.clock.now_s()
        if now_s >= self._budgets_until_s:
            self._budgets_until_s = now_s + BUDGETS_EVERY_S
            self._budgets = await self._panels.budget_lines(foretold=False)
        return self._budgets
