"""What reconciling found, as a gauge."""

from __future__ import annotations

import asyncio
from pathlib import Path

from headgate.core.reconcile import Correction, Place
from headgate.stores.sqlite import SqliteLedger
from headgate.stores.sqlite.reconcile import add_corrections
from headgate.telemetry.metrics.ledger_drift import LedgerDrift
from headgate.telemetry.metrics.registry import Registry
from support.exposed import series
from support.records import DAY_MS, FIRST_DAY_MS, attempts_of, call


class At:
    """A clock on which it is always the same time."""

    def __init__(self, unix_ms: int) -> None:
        self._unix_ms = unix_ms

    def now_s(self) -> float:
        return 0.0

    def unix_ms(self) -> int:
        return self._unix_ms

    async def sleep(self, seconds: float) -> None:
        return


def told(path: Path, *, days_later: int) -> dict[str, float]:
    registry = Registry({})
    asyncio.run(LedgerDrift(registry, path, At(FIRST_DAY_MS + days_later * DAY_MS)).look())
    return series(registry, "headgate_ledger_reconcile_drift_ratio")


def ledger(path: Path) -> Path:
    async def main() -> None:
        store = SqliteLedger(path, lambda attempt: 0)
        record = call(started_ms=FIRST_DAY_MS, cost_pico=80)
        store.record(record, attempts_of(record, cost_pico=80))
        await store.close()

    asyncio.run(main())
    return path


def test_what_a_report_said_beyond_the_ledger_shows_for_a_week(tmp_path: Path):
    path = ledger(tmp_path / "ledger.db")
    day = Place("2026-02-16", "claude-haiku-5-5", "default")
    add_corrections(path, [(day, Correction(cost_pico=20))], FIRST_DAY_MS, expected=0)

    assert told(path, days_later=2) == {"": 0.2}
    assert told(path, days_later=9) == {}


def test_a_ledger_that_cannot_be_read_stops_nothing(tmp_path: Path, caplog):
    assert told(tmp_path / "ledger.db", days_later=2) == {}
    assert "cannot be looked up" in caplog.text
