"""`headgate budget`: what may be spent, and what is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.cli.budget_changes import audit, preview, set_, unset
from headgate.cli.budget_file import OpenBudgets, opened
from headgate.cli.forecast import by_what
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say, say_next
from headgate.core.budget import AccountKey, Budget
from headgate.core.forecast import HOUR_MS, WEEKS, Forecast
from headgate.core.forecast import forecast as foretell
from headgate.core.grants import NEVER_MS, State
from headgate.core.price import usd, usd_text

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True)
app.command(name="set")(set_)
app.command()(unset)
app.command()(preview)
app.command()(audit)

SHOWN = 20
"""Accounts of one budget."""
# -- how far they are --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """One account, or a budget of which nothing is spent in this window."""

    budget: Budget
    state: State
    forecast: Forecast | None

    @property
    def known(self) -> int:
        return self.state.settled + self.state.others

    @property
    def level(self) -> str:
        budget = self.budget
        for name, at in (("refuse", budget.refuse_pico), ("slow", budget.slow_pico), ("warn", budget.warn_pico)):
            if at is not None and self.known >= at:
                return name
        return "ok"


@app.callback()
def budget(
    context: typer.Context,
    everybody: Annotated[bool, typer.Option("--all", help="Every account of budgets that are split.")] = False,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Show what may be spent and what is.

    Of each budget the accounts whose window is not over, those with the largest share first.  `held` is set aside for
    calls under way and for processes that may spend it without asking.
    """
    if context.invoked_subcommand is not None:
        return
    with opened(config) as budgets:
        if not budgets.configured:
            print_json([]) if json else print("no budget is configured")
            say_next("write [budgets.NAME] into headgate.toml: usd, window, per")
            return
        now_ms = _now_ms()
        lines = list(_lines(budgets, now_ms))
    if json:
        print_json([_facts(line) for line in lines])
        return
    shown, left_out = _cut(lines, everybody=everybody)
    head = ("budget", "whose", "window", "cap", "settled", "held", "share", "level", "begins anew", "forecast")
    print_table(head, [_cells(line) for line in shown], right=(3, 4, 5, 6))
    for name, count in left_out.items():
        say(f"{name}: {count} more accounts; show them with --all")
    by = {by_what(line.forecast) for line in lines if line.forecast is not None}
    if by:
        say(f"forecast: the window's end, from the cheapest to the dearest, by {' or '.join(sorted(by))}")
    say_next(f"headgate budget preview {lines[0].budget.name} --usd AMOUNT")


def _lines(budgets: OpenBudgets, now_ms: int) -> Iterator[_Line]:
    by_budget: dict[str, list[State]] = defaultdict(list)
    for state in budgets.store.accounts(now_ms):
        by_budget[state.key.budget].append(state)
    past = _Past(budgets, now_ms)
    for name, its in budgets.in_force.items():
        window, end_ms = "-", NEVER_MS
        if its.calendar is not None:
            window, _, end_ms = its.calendar.span(now_ms)
        states = [state for state in by_budget[name] if state.key.window == window]
        states.sort(key=lambda state: (-(state.settled + state.others), state.key.who))
        for state in states or [State(AccountKey(name, "", window), 0, 0, 0, end_ms=end_ms)]:
            yield _Line(its, state, past.forecast(its, state))


class _Past:
    """What the ledger says was spent, hour by hour, for forecasts."""

    def __init__(self, budgets: OpenBudgets, now_ms: int) -> None:
        from headgate.engine.engine import load_catalog
        from headgate.stores.sqlite.spending import hours, known_since_ms

        self._now_ms = now_ms
        self._spent: dict[str, dict[str, Counter[int]]] = {}
        path = Path(budgets.config.ledger.path).expanduser()
        self._known_ms = known_since_ms(path) if path.is_file() else None
        if self._known_ms is None:
            return
        catalog = load_catalog()
        foretold = [its for its in budgets.in_force.values() if _is_foretold(its)]
        since_ms = now_ms - (WEEKS * 168 + 1) * HOUR_MS
        scopes = {scope for its in foretold for scope in (*its.per, *(only for only, _ in its.only))}
        for hour in hours(path, since_ms, scopes, lambda model: catalog.model(model).id) if foretold else ():
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
        return foretell(
            state.settled, spent_in, now_ms=self._now_ms, start_ms=start_ms, end_ms=end_ms, known_ms=self._known_ms
        )


def _is_foretold(its: Budget) -> bool:
    """Of one session little follows for the next."""
    sessions = "session" in its.per or any(scope == "session" for scope, _ in its.only)
    return its.window in ("day", "week", "month") and not sessions


def _cut(lines: list[_Line], *, everybody: bool) -> tuple[list[_Line], Counter[str]]:
    shown, counts, left_out = [], Counter[str](), Counter[str]()
    for line in lines:
        name = line.budget.name
        counts[name] += 1
        if everybody or counts[name] <= SHOWN:
            shown.append(line)
        else:
            left_out[name] += 1
    return shown, left_out


def _cells(line: _Line) -> tuple[object, ...]:
    its, state, foretold = line.budget, line.state, line.forecast
    amounts = [money(round(usd(pico), 4)) for pico in (its.cap_pico, state.settled, state.others)]
    ahead = (
        "-" if foretold is None else f"{_about(foretold.expected)} ({_about(foretold.low)} to {_about(foretold.high)})"
    )
    share = f"{line.known / its.cap_pico:.0%}"
    return (its.name, state.key.who or "-", state.key.window, *amounts, share, line.level, _reset(its, state), ahead)


def _about(pico: int) -> str:
    return f"${usd(pico):,.2f}"


def _reset(its: Budget, state: State) -> str:
    if its.calendar is None or state.end_ms >= NEVER_MS:
        return "-"
    return f"{datetime.fromtimestamp(state.end_ms / 1000, its.calendar.zone):%Y-%m-%d %H:%M} {its.zone}"


def _facts(line: _Line) -> dict[str, Any]:
    its, state, foretold = line.budget, line.state, line.forecast
    return {
        "budget": its.name, "who": state.key.who, "window": its.window, "name": state.key.window,
        "mode": "strict" if its.strict else "smooth", "cap_usd": usd_text(its.cap_pico),
        "settled_usd": usd_text(state.settled), "held_usd": usd_text(state.others),
        "share": round(line.known / its.cap_pico, 6), "level": line.level,
        "ends_ms": None if state.end_ms >= NEVER_MS else state.end_ms, "time_zone": its.zone,
        "forecast": None if foretold is None else {
            "expected_usd": usd_text(foretold.expected), "low_usd": usd_text(foretold.low),
            "high_usd": usd_text(foretold.high), "by": foretold.by, "weeks": foretold.weeks,
        },
    }  # fmt: skip


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
