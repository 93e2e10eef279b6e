"""What a day was, as data: out of the ledger, the budgets and the alerts.  Every total is that of `headgate cost`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import NamedTuple

from headgate.core.baseline import Baseline
from headgate.core.budget import Budget
from headgate.core.cost_change import Change, changes
from headgate.core.day_class import DayClasses
from headgate.core.forecast import HOUR_MS
from headgate.core.grants import State
from headgate.core.own_spend import OwnSpend
from headgate.core.window import Calendar, Span
from headgate.events import FALLBACKS, Outcome
from headgate.stores.sqlite.day import Ended, Hidden, Single, ended, hidden, singles, used
from headgate.stores.sqlite.outlook import BudgetLine, budget_lines
from headgate.stores.sqlite.panels import Pace, durations, paces, sums_of, timeline
from headgate.stores.sqlite.queries import Spend, of_callers, own_spend, spend, total_of
from headgate.stores.sqlite.spending import hours, known_since_ms

__all__ = ["AlertSpan", "DayReport", "Hour", "Sources", "WorkflowDay", "gather"]

MOST = 5
"""Of what stands out: calls, changes."""
MOST_WORKFLOWS = 100
LOOK_BACK_MS = 400 * 24 * HOUR_MS
"""So far back hours are read to tell what such a day should cost."""


class AlertSpan(NamedTuple):
    """An alert that was firing in some part of the day."""

    id: str
    title: str
    severity: str
    labels: dict[str, str]
    started_ms: int
    ended_ms: int | None
    """None: it still is."""


class Hour(NamedTuple):
    """One hour of the day."""

    start_ms: int
    calls: int
    failed: int
    cost_pico: int
    expected_pico: float | None
    """What such an hour should cost; None: nothing is known to compare with."""
    band_pico: float | None


@dataclass(frozen=True, slots=True)
class WorkflowDay:
    """How one workflow did."""

    spend: Spend
    pace: Pace | None
    """None: it made no call; the money is of batches, of Headgate's own requests, or what the API reports beyond the
    ledger."""
    before_pico: int | None
    """What it cost on the day that is compared with; None: there is none."""
    truncated: int
    """Answers that `max_tokens` cut."""
    refused: int
    """Answers that the model refused to give."""


@dataclass(frozen=True, slots=True)
class DayReport:
    """A day, whole."""

    day: date
    zone: tzinfo
    kind: str
    """Of day: `workday`, or as the calendar names it."""
    span: Span
    until_ms: int
    """Up to when it is told: the day's end, or now."""
    total: Spend
    callers: Spend
    """The part of it that calls used."""
    own: list[OwnSpend]
    """And that which Headgate used of its own accord, by what it was for."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    expected_pico: float | None
    """What such a day should have cost until then; None: too little is known."""
    band_pico: float | None
    compared: date | None
    """The last day before of the same kind."""
    budgets: list[BudgetLine]
    workflows: list[WorkflowDay]
    """The dearest first, and no more than a hundred: callers name them as they like."""
    others: WorkflowDay | None
    """The rest of them, added up; None: there is none."""
    hours: list[Hour]
    changes: list[Change]
    hidden: list[Hidden]
    turned_away: list[Ended]
    """Calls that Headgate refused."""
    answered_otherwise: list[Ended]
    """Calls that a fallback answered."""
    cut_or_refused: list[Ended]
    """Answers that `max_tokens` cut or the model refused."""
    slowest: list[Single]
    dearest: list[Single]
    alerts: list[AlertSpan]

    @property
    def over(self) -> bool:
        """The day is: its figures are final."""
        return self.until_ms >= self.span.end_ms


class Sources(NamedTuple):
    """Where the facts are."""

    ledger: Path
    budgets: Mapping[str, Budget]
    states: Callable[[int], Sequence[State]]
    """The accounts of budgets whose window had not ended at an instant, in Unix milliseconds."""
    same_model: Callable[[str], str]
    """The one name of a model that has several."""
    classes: DayClasses
    alerts: Callable[[int, int], Sequence[AlertSpan]]
    """Alerts that fired between two instants."""


def gather(sources: Sources, day: date, now_ms: int) -> DayReport:
    """Everything about `day`, as far as it is past.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    ledger, classes = sources.ledger, sources.classes
    span = _span_of(day, classes)
    until_ms = max(span.start_ms, min(span.end_ms, now_ms))
    since_ms = span.start_ms
    by_workflow = spend(ledger, "workflow", since_ms=since_ms, until_ms=until_ms)
    compared = _compared(sources, day)
    before = _as_far(_span_of(compared, classes), until_ms - since_ms) if compared is not None else None
    ways = ended(ledger, since_ms, until_ms)
    took = durations(ledger, since_ms=since_ms, until_ms=until_ms)
    workflows = _workflows(ledger, by_workflow, before, since_ms, until_ms, ways)
    by_hour = _hours(sources, span, until_ms)
    expected = [(hour.expected_pico, hour.band_pico) for hour in by_hour if hour.start_ms < until_ms]
    known = bool(expected) and all(pico is not None for pico, _ in expected)
    return DayReport(
        day=day,
        zone=classes.zone,
        kind=classes.of(day),
        span=span,
        until_ms=until_ms,
        total=total_of(by_workflow),
        callers=total_of(of_callers(by_workflow)),
        own=own_spend(ledger, since_ms=since_ms, until_ms=until_ms),
        p50_ms=took.p50_ms,
        p95_ms=took.p95_ms,
        p99_ms=took.p99_ms,
        expected_pico=sum(pico or 0 for pico, _ in expected) if known else None,
        band_pico=max(band or 0 for _, band in expected) if known else None,
        compared=compared,
        budgets=_budgets(sources, until_ms),
        workflows=workflows[:MOST_WORKFLOWS],
        others=_added_up(workflows[MOST_WORKFLOWS:]),
        hours=by_hour,
        changes=[] if before is None else changes(used(ledger, *before[1:]), used(ledger, since_ms, until_ms))[:MOST],
        hidden=hidden(ledger, since_ms, until_ms),
        turned_away=[each for each in ways if each.outcome == Outcome.SHED],
        answered_otherwise=[each for each in ways if each.reason in FALLBACKS],
        cut_or_refused=[each for each in ways if each.stop_reason in ("max_tokens", "refusal")],
        slowest=singles(ledger, since_ms, until_ms, "total_ms", MOST),
        dearest=singles(ledger, since_ms, until_ms, "cost_pico", MOST),
        alerts=list(sources.alerts(since_ms, until_ms)),
    )


def _span_of(day: date, classes: DayClasses) -> Span:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=classes.zone)
    return Calendar("day", classes.zone).span(int(noon.timestamp() * 1000))


def _as_far(whole: Span, ms: int) -> Span:
    """As much of a day as is over of the one that it is compared with."""
    return whole._replace(end_ms=min(whole.end_ms, whole.start_ms + ms))


def _compared(sources: Sources, day: date) -> date | None:
    """The last day before of the same kind that the ledger knows whole."""
    known_ms = known_since_ms(sources.ledger)
    if known_ms is None:
        return None
    first = sources.classes.at(known_ms)[0]
    each = day - timedelta(days=1)
    while each > first:
        if sources.classes.of(each) == sources.classes.of(day):
            return each
        each -= timedelta(days=1)
    return None


def _budgets(sources: Sources, until_ms: int) -> list[BudgetLine]:
    """Of budgets of a day or longer, as they stood last: the fullest account of each."""
    at_ms = until_ms - 1
    lines = budget_lines(sources.budgets, sources.states(at_ms), sources.ledger, at_ms, sources.same_model)
    fullest: dict[str, BudgetLine] = {}
    for line in lines:
        if line.budget.window in ("day", "week", "month"):
            fullest.setdefault(line.budget.name, line)
    return list(fullest.values())


def _workflows(
    ledger: Path,
    by_workflow: Sequence[Spend],
    before: Span | None,
    since_ms: int,
    until_ms: int,
    ways: Sequence[Ended],
) -> list[WorkflowDay]:
    went = {pace.workflow: pace for pace in paces(ledger, since_ms=since_ms, until_ms=until_ms)}
    cost_before: dict[str, int] = {}
    if before is not None:
        rows = spend(ledger, "workflow", since_ms=before.start_ms, until_ms=before.end_ms)
        cost_before = {row.name: row.cost_pico for row in rows}
    stopped = Counter[tuple[str, str | None]]()
    for each in ways:
        stopped[each.workflow, each.stop_reason] += each.calls
    days = [
        WorkflowDay(
            row,
            went.get(row.name),
            None if before is None else cost_before.get(row.name, 0),
            stopped[row.name, "max_tokens"],
            stopped[row.name, "refusal"],
        )
        for row in by_workflow
    ]
    return sorted(days, key=lambda each: (-each.spend.cost_pico, each.spend.name))


def _added_up(days: Sequence[WorkflowDay]) -> WorkflowDay | None:
    """As of one workflow; of percentiles there is no sum."""
    if not days:
        return None
    name = f"{len(days):,} others"
    went = [each.pace for each in days if each.pace is not None]
    before = [each.before_pico for each in days if each.before_pico is not None]
    return WorkflowDay(
        replace(total_of(each.spend for each in days), name=name),
        Pace(workflow=name, **sums_of(went), p50_ms=None, p95_ms=None, p99_ms=None, first_byte_p95_ms=None),
        sum(before) if before else None,
        sum(each.truncated for each in days),
        sum(each.refused for each in days),
    )


def _hours(sources: Sources, span: Span, until_ms: int) -> list[Hour]:
    known_ms = known_since_ms(sources.ledger)
    spent = Counter[int]()
    for hour in hours(sources.ledger, span.start_ms - LOOK_BACK_MS, ()):
        spent[hour.hour] += hour.pico
    its = None
    if known_ms is not None:
        its = Baseline(spent, sources.classes, known_ms=known_ms, floor=0)
    count = (span.end_ms - span.start_ms) // HOUR_MS
    line = timeline(sources.ledger, since_ms=span.start_ms, until_ms=span.start_ms + count * HOUR_MS, buckets=count)
    found = []
    for number in range(count):
        start_ms = span.start_ms + number * HOUR_MS
        bucket = line[number]
        expected = its.expected(start_ms // HOUR_MS) if its is not None and start_ms < until_ms else None
        found.append(
            Hour(
                start_ms,
                bucket.calls,
                bucket.failed,
                bucket.cost_pico,
                expected.baseline if expected is not None else None,
                expected.band if expected is not None else None,
            )
        )
    return found
