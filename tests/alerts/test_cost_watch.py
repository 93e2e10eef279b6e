"""Watch over spending: the ledger's hours are judged, and the gauges say how."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

from headgate.alerts.cost_watch import CostWatch
from headgate.clock import Clock
from headgate.core.day_class import DayClasses
from headgate.stores.sqlite import SqliteLedger
from headgate.telemetry.metrics.catalogue import COST_BASELINE, COST_FALLEN, COST_RISE, Metric
from headgate.telemetry.metrics.registry import Registry
from support.records import DAY_MS, FIRST_DAY_MS, attempts_of, call, spent

HOUR_MS = 3_600_000
USD = 10**12
NOON = FIRST_DAY_MS + 8 * DAY_MS + 12 * HOUR_MS
"""Of a Tuesday, with six workdays before it."""


class At(Clock):
    def __init__(self, unix_ms: int) -> None:
        self.at_ms = unix_ms

    def unix_ms(self) -> int:
        return self.at_ms


def ledger(folder: Path, *more: tuple[int, str, int], until_ms: int = NOON) -> Path:
    """Ten dollars an hour of chat and five of nightly, and what else is asked for."""
    hours = range(FIRST_DAY_MS, until_ms, HOUR_MS)
    calls = [(at_ms, name, usd * USD) for at_ms in hours for name, usd in (("chat", 10), ("nightly", 5))]
    return spent(
        folder / "ledger.db",
        *({"started_ms": at_ms, "workflow": name, "cost_pico": pico} for at_ms, name, pico in (*calls, *more)),
    )


def watched(path: Path, *, at_ms: int = NOON, incidents: tuple[date, ...] = ()) -> Registry:
    registry = Registry({})
    watch = CostWatch(registry, path, DayClasses(), At(at_ms), floor_pico=USD, incidents=lambda: {"all": incidents})
    asyncio.run(watch.look())
    return registry


def test_days_of_an_incident_are_not_learned(tmp_path: Path):
    """Three workdays at three times the cost would else be what is expected."""
    dear = [(FIRST_DAY_MS + day * DAY_MS + hour * HOUR_MS, "chat", 30 * USD) for day in (2, 3, 4) for hour in range(24)]
    days = tuple(date(2026, 2, 16 + day) for day in (2, 3, 4))

    path = ledger(tmp_path, *dear)

    assert gauges(watched(path, incidents=days), COST_BASELINE)["all"] == 15.0
    assert gauges(watched(path), COST_BASELINE)["all"] > 15.0


def gauges(registry: Registry, metric: Metric) -> dict[str, float]:
    return {labels[0][1]: value for name, labels, value in registry.snapshot({metric.name})}


def test_what_an_hour_should_cost_is_told_of_all_and_of_each_workflow(tmp_path: Path):
    assert gauges(watched(ledger(tmp_path)), COST_BASELINE) == {
        "all": 15.0,
        "workflow:chat": 10.0,
        "workflow:nightly": 5.0,
    }


def test_headgates_own_requests_are_watched_as_a_workflow(tmp_path: Path):
    """What keeping caches costs is in no workflow's rise, and a rise of it is told."""
    hours = range(FIRST_DAY_MS, NOON, HOUR_MS)
    of_chat = [{"started_ms": at_ms, "workflow": "chat", "cost_pico": 10 * USD} for at_ms in hours]
    own = [each | {"cost_pico": USD, "own": "keep_warm"} for each in of_chat]
    lately = {"started_ms": NOON - 60_000, "workflow": "chat", "cost_pico": 20 * USD, "own": "keep_warm"}

    registry = watched(spent(tmp_path / "ledger.db", *of_chat, *own, lately))

    assert gauges(registry, COST_BASELINE) == {"all": 11.0, "workflow:chat": 10.0, "workflow:(headgate)": 1.0}
    rises = gauges(registry, COST_RISE)
    assert (rises["workflow:chat"], rises["workflow:(headgate)"] > 1) == (0, True)


def test_spending_in_line_is_no_rise(tmp_path: Path):
    registry = watched(ledger(tmp_path))

    assert set(gauges(registry, COST_RISE).values()) == {0.0}
    assert set(gauges(registry, COST_FALLEN).values()) == {0.0}


def test_a_rise_is_told_where_it_is(tmp_path: Path):
    """Two closed hours of one workflow at twice its cost: that workflow's alarm, and of all together."""
    more = [(NOON - back * HOUR_MS, "chat", 10 * USD) for back in (1, 2)]

    rises = gauges(watched(ledger(tmp_path, *more)), COST_RISE)

    assert rises["workflow:chat"] == (20 - 10) / (0.25 * 10)
    assert rises["all"] > 1
    assert rises["workflow:nightly"] == 0


def test_ten_minutes_that_run_away_are_told_at_once(tmp_path: Path):
    rises = gauges(watched(ledger(tmp_path, (NOON - 60_000, "chat", 20 * USD))), COST_RISE)

    assert rises["workflow:chat"] > 1


def test_traffic_that_is_lost_is_told(tmp_path: Path):
    fallen = gauges(watched(ledger(tmp_path, until_ms=NOON - 2 * HOUR_MS)), COST_FALLEN)

    assert fallen == {"all": 1.0, "workflow:chat": 1.0, "workflow:nightly": 1.0}


def test_a_workflow_named_all_is_not_everything(tmp_path: Path):
    its = gauges(watched(ledger(tmp_path, (NOON - 30 * HOUR_MS, "all", USD))), COST_BASELINE)

    assert (its["all"], its["workflow:all"]) == (15.0, 0.0)


def test_a_ledger_that_begins_tells_nothing(tmp_path: Path):
    path = spent(tmp_path / "ledger.db", {"started_ms": NOON - HOUR_MS, "cost_pico": 1000 * USD})

    assert gauges(watched(path), COST_RISE) == {}


def test_later_looks_read_only_what_may_have_changed_and_see_it(tmp_path: Path):
    """An answer that ended after its hour was closed is in that hour."""
    path = ledger(tmp_path)
    registry, clock = Registry({}), At(NOON)
    watch = CostWatch(registry, path, DayClasses(), clock, floor_pico=USD)

    async def main() -> None:
        await watch.look()
        clock.at_ms += HOUR_MS
        late = [(NOON - HOUR_MS // 2, "chat", 40 * USD), (NOON, "chat", 60 * USD)]
        await asyncio.to_thread(_add, path, late)
        await watch.look()

    asyncio.run(main())

    assert gauges(registry, COST_RISE)["workflow:chat"] == (50 - 10) / (0.25 * 10)


def _add(path: Path, calls: list[tuple[int, str, int]]) -> None:
    async def main() -> None:
        ledger = SqliteLedger(path, lambda attempt: 0)
        for number, (at_ms, name, pico) in enumerate(calls):
            record = call(f"call_late{number}", started_ms=at_ms, workflow=name, cost_pico=pico)
            ledger.record(record, attempts_of(record))
        await ledger.close()

    asyncio.run(main())


def test_a_rise_names_what_costs_more_and_why(tmp_path: Path):
    """AL-10: workflow, model and the factor that moved it; for the rise of all, and for the workflow's own."""
    lately = [(NOON - minutes * 60_000, "chat", 20 * USD) for minutes in range(1, 9)]

    registry = watched(ledger(tmp_path, *lately))
    named = {(each.label, each.what): round(each.amount, 6) for each in registry.exemplars.take()}

    assert gauges(registry, COST_RISE)["all"] > 1
    assert named == {(scope, "chat on claude-haiku-5-5, more calls"): 160.0 for scope in ("all", "workflow:chat")}


def test_spending_in_line_names_nobody(tmp_path: Path):
    assert watched(ledger(tmp_path)).exemplars.take() == []
