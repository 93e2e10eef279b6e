"""What the dashboard's panels show of the ledger.  Every total is the answer of the query that `headgate cost` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from headgate.clock import utc
from headgate.core.cache_advice import Advice, advise
from headgate.core.call_path import path_of, spans_of
from headgate.core.price import usd, usd_text
from headgate.engine.engine import Engine
from headgate.events import Outcome
from headgate.gateway.api.query import DAY_MS, MINUTE_MS, Span, one_of, read_query, span_of
from headgate.gateway.api.reader import Reader
from headgate.stores.sqlite import SqliteLedger, panels
from headgate.stores.sqlite.call_search import FoundCall, Search, find_calls, one_call
from headgate.stores.sqlite.outlook import budget_lines, forecast_facts, windows
from headgate.stores.sqlite.panels import Bucket, Pace
from headgate.stores.sqlite.queries import GROUPS, Spend, cache_use, of_callers, spend, total_of

__all__ = ["NoLedger", "Panels"]

BUCKETS = 48
MOST_ROWS = 100
"""Of whatever callers name (workflows, users, sessions) there may be any number; those that cost less are summed."""
MOST_BUDGETS = 200
OUTCOMES = ("failed", *Outcome)
DAYS = ("today", "7d", "30d", "month", "all")
"""Whole days of UTC, as `headgate cost --since` has them."""

T = TypeVar("T")


class NoLedger(Exception):
    """This process writes its calls down elsewhere, or not at all."""


class Panels:
    """Reads the engine's ledger.  Each method answers one question, told as the query of its address."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    @property
    def has_ledger(self) -> bool:
        return isinstance(self._engine.ledger, SqliteLedger)

    async def ask(self, question: object, ask: Callable[[Path], T]) -> T:
        """What `ask` finds in the ledger, or found a moment ago.

        Raises:
            NoLedger: there is none that can be read.
            LedgerError: it is damaged.
        """
        ledger = self._engine.ledger
        if not isinstance(ledger, SqliteLedger):
            raise NoLedger
        path = ledger.path
        return await self._reader.read(question, lambda: ask(path))

    def _same_model(self, name: str) -> str:
        return self._engine.catalog.model(name).id

    def _least_cacheable(self, name: str) -> int:
        return self._engine.catalog.model(name).min_cacheable_tokens

    @property
    def _now_ms(self) -> int:
        return self._engine.clock.unix_ms()

    # -- workflows ----------------------------------------------------------------------------------------------

    async def workflows(self, query: str) -> dict[str, Any]:
        """How each workflow's calls went, what they used, and what they cost."""
        span = span_of(read_query(query, ("span",)), self._now_ms)
        return await self.ask(("workflows", span), lambda path: _workflows(path, span))

    async def lanes(self, query: str) -> dict[str, Any]:
        """How long calls of each lane waited."""
        span = span_of(read_query(query, ("span",)), self._now_ms, "1h")
        waits = await self.ask(("lanes", span), lambda path: panels.lane_waits(path, **span._asdict()))
        return {**span._asdict(), "lanes": waits}

    # -- money --------------------------------------------------------------------------------------------------

    async def spend(self, query: str) -> dict[str, Any]:
        """What was spent, by whom or what."""
        told = read_query(query, ("by", "days"))
        by = one_of(told, "by", tuple(GROUPS), "workflow")
        days = one_of(told, "days", DAYS, "30d")
        since_ms = _first_ms(days, self._now_ms)
        return await self.ask(("spend", by, since_ms), lambda path: _spend(path, by, days, since_ms))

    async def outlook(self, query: str) -> dict[str, Any]:
        """Where the day and the month go, and how far each budget is."""
        read_query(query, ())
        return await self._outlook()

    async def _outlook(self) -> dict[str, Any]:
        now_ms = self._now_ms
        lines = await self.budget_lines(foretold=True)
        found = await self.ask("windows", lambda path: windows(path, UTC, now_ms))
        return {
            "windows": [
                {"kind": kind, "name": of.name, "start_ms": of.start_ms, "end_ms": of.end_ms, "time_zone": "UTC",
                 "spent_usd": usd_text(spent), "forecast": forecast_facts(its)}
                for kind, of, spent, its in found
            ],
            "budgets": lines[:MOST_BUDGETS],
            "more_budgets": max(0, len(lines) - MOST_BUDGETS),
        }  # fmt: skip

    async def budget_lines(self, *, foretold: bool) -> list[dict[str, Any]]:
        """As `headgate budget --json` prints them, with or without a forecast."""
        budgets = self._engine.budgets
        if budgets is None:
            return []
        states, now_ms, in_force = await budgets.states(), self._now_ms, dict(budgets.budgets)

        def lines(ledger: Path | None) -> list[dict[str, Any]]:
            return [its.facts() for its in budget_lines(in_force, states, ledger, now_ms, self._same_model)]

        return await self.ask("budgets", lines) if foretold else lines(None)

    # -- calls --------------------------------------------------------------------------------------------------

    async def calls(self, query: str) -> dict[str, Any]:
        """The newest calls that fit."""
        told = read_query(query, ("q", "workflow", "model", "outcome", "before", "span"))
        if "outcome" in told:
            one_of(told, "outcome", OUTCOMES, "")
        span = span_of(told, self._now_ms, "30d")
        search = Search(
            text=told.get("q", "").strip() or None,
            workflow=told.get("workflow"),
            model=told.get("model"),
            outcome=told.get("outcome"),
            before=told.get("before"),
            since_ms=span.since_ms,
            until_ms=span.until_ms,
        )
        found = await self.ask(search, lambda path: find_calls(path, search))
        calls = [_call_line(call) for call in found.calls]
        return {**span._asdict(), "calls": calls, "more": found.more, "cut_short": found.cut_short}

    async def call(self, call_id: str) -> dict[str, Any] | None:
        """One call, its attempts, and the path it took; None: there is no such call."""
        found = await self.ask(("call", call_id), lambda path: one_call(path, call_id))
        if found is None:
            return None
        call, attempts = found
        return {
            "call": _with_dollars(call),
            "attempts": [_with_dollars(attempt) for attempt in attempts],
            "path": path_of(call, attempts),
            "spans": spans_of(call, attempts),
        }

    # -- the prompt cache ---------------------------------------------------------------------------------------

    async def advice(self, query: str) -> dict[str, Any]:
        """What caching saved and could save, as `headgate cache advise --json` prints it, where most can be gained."""
        span = span_of(read_query(query, ("span",)), self._now_ms, "7d")
        prices = self._engine.prices
        found = await self.ask(
            ("advice", span), lambda path: advise(cache_use(path, **span._asdict()), prices, self._least_cacheable)
        )
        shown = [_advice_facts(advice) for advice in found[:MOST_ROWS]]
        return {**span._asdict(), "workflows": shown, "more_workflows": len(found) - len(shown)}

    # -- the last hour ------------------------------------------------------------------------------------------

    async def last_hour(self) -> dict[str, Any]:
        """Minute by minute, over all workflows, and how the last quarter of it went."""
        span = span_of({"span": "1h"}, self._now_ms)
        quarter = Span(span.until_ms - 15 * MINUTE_MS, span.until_ms)
        return await self.ask(("hour", span), lambda path: _last_hour(path, span, quarter))


def _first_ms(days: str, now_ms: int) -> int:
    """The midnight with which `days` begin."""
    today_ms = now_ms // DAY_MS * DAY_MS
    if days == "month":
        return today_ms - (utc(now_ms).day - 1) * DAY_MS
    return {"today": today_ms, "7d": today_ms - 6 * DAY_MS, "30d": today_ms - 29 * DAY_MS, "all": 0}[days]


def _workflows(path: Path, span: Span) -> dict[str, Any]:
    told = span._asdict()
    spent = spend(path, "workflow", **told)
    went = {pace.workflow: pace for pace in panels.paces(path, **told)}
    dearest = sorted(spent, key=lambda row: (-row.cost_pico, row.name))
    shown, rest = dearest[:MOST_ROWS], dearest[MOST_ROWS:]
    lines = panels.timelines(path, [row.name for row in shown], **told, buckets=BUCKETS)
    rows = [
        {**row.facts(), **_cached(row), "pace": went.get(row.name), "line": _line(lines[row.name])} for row in shown
    ]
    return {
        **told,
        "rows": rows,
        "others": {"groups": len(rest), **_all_of(rest, went)} if rest else None,
        "total": _all_of(spent, went),
    }


def _all_of(rows: Sequence[Spend], went: Mapping[str, Pace]) -> dict[str, Any]:
    total = total_of(rows)
    paces = (went[row.name] for row in rows if row.name in went)
    return {**total.facts(), **_cached(total_of(of_callers(rows))), "pace": panels.sums_of(paces)}


def _cached(row: Spend) -> dict[str, float | None]:
    """The share of the prompt that the cache served."""
    prompt = row.prompt_tokens
    return {"cached_share": row.cache_read_tokens / prompt if prompt else None}


def _line(buckets: Iterable[Bucket]) -> dict[str, list[int]]:
    buckets = list(buckets)
    return {"calls": [bucket.calls for bucket in buckets], "failed": [bucket.failed for bucket in buckets]}


def _spend(path: Path, by: str, days: str, since_ms: int) -> dict[str, Any]:
    rows = spend(path, by, since_ms=since_ms)
    by_day = rows if by == "day" else spend(path, "day", since_ms=since_ms)
    dearest = rows if by == "day" else sorted(rows, key=lambda row: (-row.cost_pico, row.name))
    shown, rest = dearest[:MOST_ROWS], dearest[MOST_ROWS:]
    since = "" if not since_ms else f" --since {utc(since_ms):%Y-%m-%d}"
    return {
        "by": by,
        "days": days,
        "since_ms": since_ms,
        "command": f"headgate cost --by {by}{since}",
        "rows": [row.facts() for row in shown],
        "others": {"groups": len(rest), **total_of(rest).facts()} if rest else None,
        "total": total_of(by_day).facts(),
        "by_day": [{"day": row.name, "cost_usd": f"{usd(row.cost_pico):f}"} for row in by_day],
    }


def _call_line(call: FoundCall) -> dict[str, Any]:
    facts = asdict(call)
    cost_pico = facts.pop("cost_pico")
    return {**facts, "cost_usd": None if cost_pico is None else usd_text(cost_pico)}


def _with_dollars(record: msgspec.Struct) -> dict[str, Any]:
    """A record with its money as exact text: integers of that size are not safe in every reader of JSON."""
    facts: dict[str, Any] = msgspec.to_builtins(record)
    cost_pico, unconfirmed_pico = facts.pop("cost_pico"), facts.pop("unconfirmed_pico")
    facts["cost_usd"] = None if cost_pico is None else usd_text(cost_pico)
    facts["unconfirmed_usd"] = usd_text(unconfirmed_pico)
    return facts


def _advice_facts(advice: Advice) -> dict[str, Any]:
    facts = asdict(advice)
    for name in ("cost", "saved", "could"):
        facts[f"{name}_usd"] = usd_text(facts.pop(f"{name}_pico"))
    return facts


def _last_hour(path: Path, span: Span, quarter: Span) -> dict[str, Any]:
    minutes = panels.timeline(path, **span._asdict(), buckets=60)
    rows = spend(path, "workflow", **span._asdict())
    lately = panels.paces(path, **quarter._asdict())
    return {
        **span._asdict(),
        "minutes": {
            **_line(minutes),
            "waited_ms": [minute.waited_ms for minute in minutes],
            "cost_usd": [float(usd(minute.cost_pico)) for minute in minutes],
        },
        "quarter": panels.sums_of(lately),
        "durations": panels.durations(path, **quarter._asdict()),
        "waits": panels.lane_waits(path, **quarter._asdict()),
        "spent": {**total_of(rows).facts(), **_cached(total_of(of_callers(rows)))},
    }
