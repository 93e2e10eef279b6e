"""Keeps watch over spending: what this hour should cost, everything together and each of the dearest workflows, told as
gauges, so that Prometheus and the evaluator here judge by the same figures.

The past is read out of the ledger, in a thread.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

from headgate.clock import Clock
from headgate.core.baseline import Baseline, Judgement
from headgate.core.cost_change import Change, changes
from headgate.core.day_class import DayClasses
from headgate.core.forecast import HOUR_MS
from headgate.errors import LedgerError
from headgate.events import OWN_REQUESTS
from headgate.stores.sqlite.day import used
from headgate.stores.sqlite.queries import spend
from headgate.stores.sqlite.spending import hours, known_since_ms
from headgate.telemetry.metrics.catalogue import COST_BAND, COST_BASELINE, COST_FALLEN, COST_RISE, COST_SCOPE, PICO
from headgate.telemetry.metrics.exemplars import KEPT
from headgate.telemetry.metrics.registry import Registry

__all__ = ["ALL", "CostWatch"]

ALL = "all"
MOST_WORKFLOWS = 16
"""The dearest of the last week; others are in `all`."""
KNOWN_MS = 400 * 24 * HOUR_MS
READ_AGAIN_MS = 600_000
"""Calls are counted in the hour in which they began, and some end much later: closed hours are read again."""
TEN_MINUTES_MS = 600_000
WEEK_MS = 7 * 24 * HOUR_MS
_MORE = {
    "calls": "more calls", "attempts": "more attempts a call", "tokens": "more tokens an attempt",
    "price": "dearer tokens",
}  # fmt: skip
"""By what a change is of (core/cost_change.py)."""


class _Judged(NamedTuple):
    scope: str
    judgement: Judgement
    dearer: list[Change]
    """What costs more than in the same hour a week ago, most first; asked only of what is out of line."""


class CostWatch:
    """Looks when it is asked to, once a minute or so, and sets the gauges.

    Args:
        incidents: tells, by scope, days from which nothing is to be learned.
        floor_pico: an hour that costs so little more than expected is nobody's alarm.
    """

    def __init__(
        self,
        registry: Registry,
        ledger: Path,
        classes: DayClasses,
        clock: Clock,
        *,
        floor_pico: int,
        incidents: Callable[[], Mapping[str, Collection[date]]] = dict,
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._classes = classes
        self._clock = clock
        self._floor_pico = floor_pico
        self._incidents = incidents
        self._by_hour: dict[str, Counter[int]] = defaultdict(Counter)
        self._read_ms = 0
        self._baselines: dict[str, Baseline] = {}

    async def look(self) -> None:
        """Judge the present, and tell.  A ledger that cannot be read tells nothing new."""
        now_ms = self._clock.unix_ms()
        try:
            judged = await asyncio.to_thread(self._judge, now_ms)
        except LedgerError:
            return
        self._tell(judged)

    def _judge(self, now_ms: int) -> list[_Judged]:
        if now_ms - self._read_ms >= READ_AGAIN_MS or now_ms // HOUR_MS != self._read_ms // HOUR_MS:
            self._read(now_ms)
        lately = Counter[str]()
        for row in spend(self._ledger, "workflow", since_ms=now_ms - TEN_MINUTES_MS, until_ms=now_ms):
            for scope in (ALL, _scope_of(row.name)):
                lately[scope] += row.cost_pico + row.unconfirmed_pico
        judged = {scope: its.judge(now_ms, lately[scope]) for scope, its in self._baselines.items()}
        dearer = self._dearer(now_ms) if any(its.rise > 1 for its in judged.values()) else []
        return [
            _Judged(scope, its, [each for each in dearer if scope in (ALL, _scope_of(each.workflow))])
            for scope, its in judged.items()
        ]

    def _dearer(self, now_ms: int) -> list[Change]:
        """The last hour against the same one a week ago: who is told of a rise asks first of what it is."""
        before, after = (used(self._ledger, at_ms - HOUR_MS, at_ms) for at_ms in (now_ms - WEEK_MS, now_ms))
        return [change for change in changes(before, after) if change.pico > 0]

    def _read(self, now_ms: int) -> None:
        """Read what is new: the first time everything, then the hours that may have changed."""
        known_ms = known_since_ms(self._ledger)
        if known_ms is None:
            return
        since_hour = (self._read_ms - HOUR_MS if self._read_ms else now_ms - KNOWN_MS) // HOUR_MS
        found: dict[str, Counter[int]] = defaultdict(Counter)
        for hour in hours(self._ledger, since_hour * HOUR_MS, ("workflow",)):
            for scope in (ALL, _scope_of(OWN_REQUESTS if hour.own else hour.who.workflow)):
                found[scope][hour.hour] += hour.pico
        for scope, by_hour in found.items():
            self._by_hour[scope] = Counter({**self._by_hour[scope], **by_hour})
        self._read_ms = now_ms
        incidents = self._incidents()
        self._baselines = {
            scope: Baseline(
                self._by_hour[scope],
                self._classes,
                known_ms=known_ms,
                floor=self._floor_pico,
                incidents=incidents.get(scope, ()),
            )
            for scope in (ALL, *self._dearest(now_ms))
        }

    def _dearest(self, now_ms: int) -> list[str]:
        """The workflows that cost most in the last week."""
        last_week = range((now_ms // HOUR_MS) - 168, now_ms // HOUR_MS + 1)
        cost = {
            scope: sum(by_hour.get(hour, 0) for hour in last_week)
            for scope, by_hour in self._by_hour.items()
            if scope != ALL
        }
        dearest = sorted(cost, key=lambda scope: (-cost[scope], scope))
        return [scope for scope in dearest[:MOST_WORKFLOWS] if cost[scope]]

    def _tell(self, judged: Iterable[_Judged]) -> None:
        known = [(scope, its, its.hour) for scope, its, _ in judged if its.hour is not None]
        self._registry.set(COST_BASELINE, [((scope,), hour.baseline) for scope, _, hour in known])
        self._registry.set(COST_BAND, [((scope,), hour.band) for scope, _, hour in known])
        self._registry.set(COST_RISE, [((scope,), its.rise) for scope, its, _ in known])
        for scope, its, dearer in judged:
            if its.rise > 1:
                self._name(scope, dearer[:KEPT])
        self._registry.set(COST_FALLEN, [((scope,), float(its.fallen)) for scope, its, _ in known])

    def _name(self, scope: str, dearer: Iterable[Change]) -> None:
        """Examples for whoever is told of the rise."""
        label = self._registry.word(COST_SCOPE, scope)
        for each in dearer:
            factor = max(each.parts, key=each.parts.__getitem__)  # what moved it up; another may have moved it down
            what = f"{each.workflow} on {each.model}, {_MORE[factor]}"
            self._registry.exemplars.note(COST_RISE, label, what, each.pico * PICO)


def _scope_of(workflow: str | None) -> str:
    """A workflow by its name, with a word before it, so that none can be taken for the sum of all."""
    return f"workflow:{workflow or 'unset'}"
