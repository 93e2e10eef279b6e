"""Watch over budgets: what will have been spent of each when its day ends."""

from __future__ import annotations

import asyncio
from datetime import UTC
from pathlib import Path

from headgate.alerts.budget_watch import BudgetWatch
from headgate.clock import Clock
from headgate.core.budget import AccountKey, Budget
from headgate.core.grants import State
from headgate.core.window import Calendar
from headgate.errors import LedgerError
from headgate.telemetry.metrics.catalogue import BUDGET_PROJECTED
from headgate.telemetry.metrics.registry import Registry
from support.records import FIRST_DAY_MS, spent

HOUR_MS = 3_600_000
USD = 10**12
NOON = FIRST_DAY_MS + 12 * HOUR_MS
DAY = Calendar("day", UTC)


class At(Clock):
    def unix_ms(self) -> int:
        return NOON


def budget(**changes: object) -> Budget:
    return Budget(**({"name": "team", "cap_pico": 100 * USD, "window": "day", "calendar": DAY} | changes))


def account(settled_usd: int, who: str = "") -> State:
    window, _, end_ms = DAY.span(NOON)
    return State(AccountKey("team", who, window), settled_usd * USD, 0, 0, end_ms=end_ms)


def foretold(ledger: Path, its: Budget, *states: State) -> dict[tuple[str, str], float]:
    registry = Registry({"scope": ["team"]})

    async def read() -> list[State]:
        if not states:
            raise LedgerError("the budgets cannot be read")
        return list(states)

    watch = BudgetWatch(registry, ledger, lambda: {"team": its}, read, str, At())
    registry.set(BUDGET_PROJECTED, [(("team", "day"), 7 * USD)])
    asyncio.run(watch.look())
    return {
        (dict(labels)["scope"], dict(labels)["window"]): round(value, 6)
        for _, labels, value in registry.snapshot({BUDGET_PROJECTED.name})
    }


def ten_an_hour(folder: Path, **changes: object) -> Path:
    hours = range(FIRST_DAY_MS, NOON, HOUR_MS)
    return spent(folder / "ledger.db", *({"started_ms": at_ms, "cost_pico": 10 * USD} | changes for at_ms in hours))


def test_what_is_spent_at_noon_is_half_of_the_day(tmp_path: Path):
    """As long as nothing else is known of such days: 120 dollars in twelve hours."""
    assert foretold(ten_an_hour(tmp_path), budget(), account(120)) == {("team", "day"): 240.0}


def test_of_a_budget_that_is_split_the_dearest_part_is_told(tmp_path: Path):
    """No label names whose it is."""
    states = (account(12, "ann"), account(60, "bob"))

    assert foretold(ten_an_hour(tmp_path), budget(per=("user",)), *states) == {("team", "day"): 120.0}


def test_of_an_hour_nothing_is_foretold(tmp_path: Path):
    """It is over before anybody has read of it."""
    hourly = budget(window="hour", calendar=Calendar("hour", UTC))

    assert foretold(ten_an_hour(tmp_path), hourly, account(12)) == {}


def test_what_cannot_be_read_tells_nothing_old(tmp_path: Path):
    """Or a warning of yesterday would go on."""
    assert foretold(ten_an_hour(tmp_path), budget()) == {}
    assert foretold(tmp_path / "none.db", budget(), account(12)) == {}
