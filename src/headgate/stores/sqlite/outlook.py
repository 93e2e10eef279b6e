"""How far budgets are, and where spending goes by the end of its window: for `headgate budget`, `headgate cost
forecast` and the dashboard alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headgate.core.budget import AccountKey, Budget
from headgate.core.forecast import HOUR_MS, WEEKS, Forecast, forecast
from headgate.core.grants import NEVER_MS, State
from headgate.core.price import usd_text
from headgate.core.window import Calendar, Span
from headgate.stores.sqlite.queries import spend
from headgate.stores.sqlite.spending import hours, known_since_ms

__all__ = ["BudgetLine", "WindowOutlook", "budget_lines", "forecast_facts", "windows"]

KNOWN_MS = (WEEKS * 168 + 1) * HOUR_MS
"""So much of the past is looked at."""


# -- budgets ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One account, or a budget of which nothing is spent in this window."""

    budget: Budget
    state: State
    forecast: Forecast | None

    @property
    def held(self) -> int:
        """Set aside for calls under way and for processes that may spend it without asking."""
        return self.state.others + self.state.granted

    @property
    def known(self) -> int:
        return self.state.settled + self.held

    @property
    def level(self) -> str:
        budget = self.budget
        for name, at in (("refuse", budget.refuse_pico), ("slow", budget.slow_pico), ("warn", budget.warn_pico)):
            if at is not None and self.known >= at:
                return name
        return "ok"

    def facts(self) -> dict[str, Any]:
        """For programs; exact dollars as text."""
        its, state = self.budget, self.state
        return {
            "budget": its.name, "who": state.key.who, "window": its.window, "name": state.key.window,
            "mode": "strict" if its.strict else "smooth", "cap_usd": usd_text(its.cap_pico),
            "settled_usd": usd_text(state.settled), "held_usd": usd_text(self.held),
            "share": round(self.known / its.cap_pico, 6), "level": self.level,
            "ends_ms": None if state.end_ms >= NEVER_MS else state.end_ms, "time_zone": its.zone,
            "forecast": None if self.forecast is None else forecast_facts(self.forecast),
        }  # fmt: skip


def budget_lines(
    in_force: Mapping[str, Budget],
    states: Iterable[State],
    ledger: Path | None,
    now_ms: int,
    same_model: Callable[[str], str],
) -> Iterator[BudgetLine]:
    """Of each budget the accounts whose window is not over, those with most spent first.

    Args:
        ledger: by which they are foretold, which takes a while; it need not be there.  None: they are not.
        same_model: the one name of a model that has several.
    """
    by_budget: dict[str, list[State]] = defaultdict(list)
    for state in states:
        by_budget[state.key.budget].append(state)
    past = _Past(in_force, ledger, now_ms, same_model)
    for name, its in in_force.items():
        window, end_ms = "-", NEVER_MS
        if its.calendar is not None:
            window, _, end_ms = its.calendar.span(now_ms)
        current = [state for state in by_budget[name] if state.key.window == window]
        current.sort(key=lambda state: (-(state.settled + state.others + state.granted), state.key.who))
        for state in current or [State(AccountKey(name, "", window), 0, 0, 0, end_ms=end_ms)]:
            yield BudgetLine(its, state, past.forecast(its, state))


class _Past:
    """What the ledger says was spent, hour by hour, for forecasts."""

    def __init__(
        self, in_force: Mapping[str, Budget], ledger: Path | None, now_ms: int, same_model: Callable[[str], str]
    ) -> None:
        self._now_ms = now_ms
        self._spent: dict[str, dict[str, Counter[int]]] = {}
        self._known_ms: int | None = None
        foretold = [its for its in in_force.values() if _is_foretold(its)]
        if ledger is None or not foretold or not ledger.expanduser().is_file():
            return
        self._known_ms = known_since_ms(ledger)
        scopes = {scope for its in foretold for scope in (*its.per, *(only for only, _ in its.only))}
        for hour in hours(ledger, now_ms - KNOWN_MS, scopes, same_model):
            for its in foretold:
                if not hour.of_batch and its.covers(hour.who):
                    accounts = self._spent.setdefault(its.name, defaultdict(Counter))
                    for who in its.split(hour.who):
                        accounts[who][hour.hour] += hour.pico

    def forecast(self, its: Budget, state: State) -> Forecast | None:
        """None: nothing is known, or the window is none of the calendar's longer ones."""
        if self._known_ms is None or its.calendar is None or not _is_foretold(its):
            return None
        spent_in = self._spent.get(its.name, {}).get(state.key.who, Counter())
        _, start_ms, end_ms = its.calendar.span(self._now_ms)
        return forecast(
            state.settled, spent_in, now_ms=self._now_ms, start_ms=start_ms, end_ms=end_ms, known_ms=self._known_ms
        )


def _is_foretold(its: Budget) -> bool:
    """Of one session little follows for the next."""
    sessions = "session" in its.per or any(scope == "session" for scope, _ in its.only)
    return its.window in ("day", "week", "month") and not sessions


# -- everything that is spent ----------------------------------------------------------------------------------------


class WindowOutlook(NamedTuple):
    """The current day or month."""

    kind: Literal["day", "month"]
    span: Span
    spent: int
    """Pico-dollars, with what is not confirmed as expected."""
    forecast: Forecast


def windows(ledger: Path, zone: tzinfo, now_ms: int) -> list[WindowOutlook]:
    """The day and the month of a time zone; none of a ledger without calls.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    known_ms = known_since_ms(ledger)
    if known_ms is None:
        return []
    kinds: tuple[Literal["day", "month"], ...] = ("day", "month")
    spans = {kind: Calendar(kind, zone).span(now_ms) for kind in kinds}
    spent_in: Counter[int] = Counter()
    for hour in hours(ledger, min(spans["month"].start_ms, now_ms - KNOWN_MS), ()):
        spent_in[hour.hour] += hour.pico
    told = []
    for kind, span in spans.items():
        spent = sum(row.cost_pico + row.unconfirmed_pico for row in spend(ledger, "day", since_ms=span.start_ms))
        its = forecast(spent, spent_in, now_ms=now_ms, start_ms=span.start_ms, end_ms=span.end_ms, known_ms=known_ms)
        told.append(WindowOutlook(kind, span, spent, its))
    return told


def forecast_facts(its: Forecast) -> dict[str, Any]:
    """For programs; exact dollars as text."""
    return {
        "expected_usd": usd_text(its.expected), "low_usd": usd_text(its.low), "high_usd": usd_text(its.high),
        "by": its.by, "weeks": its.weeks,
    }  # fmt: skip
