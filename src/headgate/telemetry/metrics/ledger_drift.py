"""By how much the ledger was found to differ from the API's own reports."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from headgate.clock import Clock
from headgate.errors import LedgerError
from headgate.stores.sqlite.reconcile import last_drift
from headgate.telemetry.metrics.catalogue import LEDGER_DRIFT
from headgate.telemetry.metrics.registry import Registry

__all__ = ["LOOK_EVERY_S", "LedgerDrift"]

log = logging.getLogger("headgate.ledger")

LOOK_EVERY_S = 3_600.0
"""Reports are of whole days."""
WITHIN_MS = 7 * 86_400_000


class LedgerDrift:
    """Looks it up in a thread, now and then."""

    def __init__(self, registry: Registry, ledger: Path, clock: Clock) -> None:
        self._registry = registry
        self._ledger = ledger
        self._clock = clock

    async def look(self) -> None:
        since_ms = self._clock.unix_ms() - WITHIN_MS
        try:
            drift = await asyncio.to_thread(last_drift, self._ledger, since_ms)
        except LedgerError as problem:
            log.warning("what was reconciled cannot be looked up: %s", problem)
            return
        self._registry.set(LEDGER_DRIFT, [((), drift or 0.0)])
