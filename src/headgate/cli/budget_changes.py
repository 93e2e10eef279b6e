"""`headgate budget set`, `unset`, `preview` and `audit`: change a budget while Headgate runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from headgate.cli.audit_note import note, who
from headgate.cli.budget_file import OpenBudgets, opened
from headgate.cli.operators import Settings
from headgate.cli.output import Json, money, print_json, print_table, say, say_next
from headgate.core.audit import Act
from headgate.core.budget import SETTINGS, Budget, PastCall, Preview, is_whole
from headgate.core.budget import preview as try_on
from headgate.core.price import usd as dollars
from headgate.core.price import usd_text
from headgate.core.shown import counted, percent

__all__ = ["audit", "preview", "set_", "unset"]

Name = Annotated[str, typer.Argument(help="The budget, as in the settings.")]
Usd = Annotated[str | None, typer.Option(help="How much it may be, such as 650.00.")]
Mode = Annotated[str | None, typer.Option(help="strict or smooth.")]
WarnAt = Annotated[str | None, typer.Option(help="As a share of the budget, such as 0.5; 0 is never.")]
SlowAt = Annotated[str | None, typer.Option(help="Likewise, where --slow is set.")]
Slow = Annotated[str | None, typer.Option(help="What slows: lane:NAME or model:NAME.")]
RefuseAt = Annotated[str | None, typer.Option(help="Likewise.")]


class Last(StrEnum):
    hour = "hour"
    day = "day"
    week = "week"


_LAST_MS = {Last.hour: 3_600_000, Last.day: 86_400_000, Last.week: 7 * 86_400_000}


def set_(
    name: Name,
    usd: Usd = None,
    mode: Mode = None,
    warn_at: WarnAt = None,
    slow_at: SlowAt = None,
    slow: Slow = None,
    refuse_at: RefuseAt = None,
    config: Settings = None,
) -> None:
    """Change a budget for all who run, within a second.

    What is spent stays spent.  The change stands over the settings until `headgate budget unset`; who made it is
    written down.
    """
    told = _told(usd, mode, warn_at, slow_at, slow, refuse_at)
    if not told:
        raise typer.BadParameter("say what to change, such as --usd 650.00", param_hint="--usd")
    with opened(config, write=True) as budgets:
        before, after = budgets.get(name), budgets.tried(name, told)
        _change(budgets, Act.BUDGET_SET, name, told)
    print(f"{name}: {_in_words(before)} -> {_in_words(after)}")
    say_next("headgate budget")


def unset(
    name: Name,
    setting: Annotated[
        list[str] | None, typer.Option(help="Only this one, such as usd or refuse_at; may be given again.")
    ] = None,
    config: Settings = None,
) -> None:
    """Have a budget be as the settings say again."""
    wanted = setting or list(SETTINGS)
    unknown = [one for one in wanted if one not in SETTINGS]
    if unknown:
        raise typer.BadParameter(f"must be one of {', '.join(SETTINGS)}", param_hint="--setting")
    with opened(config, write=True) as budgets:
        before = budgets.get(name)
        newest = _newest(budgets, name)
        dropped = {one: None for one in wanted if newest.get(one) is not None}
        after = budgets.tried(name, dropped)
        if dropped:
            _change(budgets, Act.BUDGET_UNSET, name, dropped)
    print(f"{name}: {_in_words(before)} -> {_in_words(after)}" if dropped else f"{name}: {_in_words(after)}, as it was")
    say_next("headgate budget")


def preview(
    name: Name,
    usd: Usd = None,
    mode: Mode = None,
    warn_at: WarnAt = None,
    slow_at: SlowAt = None,
    slow: Slow = None,
    refuse_at: RefuseAt = None,
    last: Annotated[Last, typer.Option(help="Which past calls it is tried on.")] = Last.hour,
    config: Settings = None,
    json: Json = False,
) -> None:
    """Say what a changed budget would have done to the last hour's calls.

    One after the other, each at its real cost, in a window that began when it really did.  Nothing is changed.
    """
    from headgate.engine.load import load_catalog
    from headgate.stores.sqlite.spending import past_calls, refused_calls

    with opened(config) as budgets:
        tried = budgets.tried(name, _told(usd, mode, warn_at, slow_at, slow, refuse_at))
        path = Path(budgets.config.ledger.path)
    catalog = load_catalog()
    since_ms = _now_ms() - _LAST_MS[last]
    start_ms = tried.calendar.span(since_ms).start_ms if tried.calendar is not None else since_ms
    calls = list(past_calls(path, start_ms, lambda model: catalog.model(model).id))
    found = _of_the_last(tried, calls, since_ms)
    past = refused_calls(path, since_ms, lambda model: catalog.model(model).id)
    refused_then = [call for call in past if tried.covers(call.who)]
    answered_then = sum(call.answered for call in refused_then)
    if json:
        print_json({
            "budget": name, "last": last.value,
            "calls": sum(call.started_ms >= since_ms and not call.own for call in calls),
            "covered": found.covered, "refused": found.refused, "slowed": found.slowed,
            "spent_usd": usd_text(found.spent_pico), "refused_then": len(refused_then),
            "answered_then": answered_then,
        })  # fmt: skip
        return
    print(f"{name}, {_in_words(tried)}, over the last {last.value}:")
    if not found.covered:
        print("it would have covered no call")
    else:
        refused, slowed = found.refused / found.covered, found.slowed / found.covered
        print(
            f"would have refused {percent(refused)} and slowed {percent(slowed)} of {counted(found.covered, 'call')}, "
            f"and let {money(dollars(found.spent_pico))} be spent"
        )
    if refused_then:
        otherwise = f", of which a fallback answered {answered_then:,}" if answered_then else ""
        known = "nobody knows what they would have cost"
        say(f"besides: {len(refused_then):,} that a budget refused then{otherwise}; {known}")
    say_next(f"headgate budget set {name} ..., with the same options")


def audit(config: Settings = None, json: Json = False) -> None:
    """Show every change ever made, and whether the list is whole.

    Each row holds a digest of all before it.  Exit 1 if a row was altered, taken out or put in.
    """
    with opened(config) as budgets:
        changes = budgets.store.changes()
    whole = is_whole(changes)
    if json:
        print_json({"whole": whole, "changes": [change._asdict() for change in changes]})
    elif not changes:
        print("no budget was ever changed by a command")
        say_next("headgate budget set NAME --usd AMOUNT")
    else:
        rows = [
            (
                change.number,
                f"{datetime.fromtimestamp(change.made_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}",
                change.actor,
                change.budget,
                change.setting,
                "as in the settings" if change.value is None else change.value,
            )
            for change in changes
        ]
        print_table(("number", "when", "who", "budget", "setting", "value"), rows, right=(0,))
        say("the list is whole" if whole else "rows of this list were altered, taken out or put in since")
    if not whole:
        raise typer.Exit(1)


def _told(
    usd: str | None, mode: str | None, warn_at: str | None, slow_at: str | None, slow: str | None, refuse_at: str | None
) -> dict[str, str]:
    values = (usd, mode, warn_at, slow_at, slow, refuse_at)
    return {setting: value for setting, value in zip(SETTINGS, values, strict=True) if value is not None}


def _of_the_last(budget: Budget, calls: Iterable[PastCall], since_ms: int) -> Preview:
    """What it would have done since then: what it does to all since its window began, less what it does before."""
    calls = list(calls)
    whole = try_on(budget, calls)
    before = try_on(budget, takewhile(lambda call: call.started_ms < since_ms, calls))
    return Preview(
        whole.covered - before.covered,
        whole.refused - before.refused,
        whole.slowed - before.slowed,
        whole.spent_pico - before.spent_pico,
    )


def _in_words(budget: Budget) -> str:
    shares = [
        f"{name} at {percent(pico / budget.cap_pico)}"
        for name, pico in (("warns", budget.warn_pico), ("slows", budget.slow_pico), ("refuses", budget.refuse_pico))
        if pico is not None
    ]
    words = ", ".join(shares).replace("slows", f"slows to {budget.slow}") or "only counts"
    return f"{money(dollars(budget.cap_pico))} {'strict' if budget.strict else 'smooth'} ({words})"


def _change(budgets: OpenBudgets, act: Act, name: str, settings: Mapping[str, str | None]) -> None:
    """First it is written down who does it, then it is done."""
    newest = _newest(budgets, name)
    before = {setting: newest.get(setting) for setting in settings}
    note(Path(budgets.config.ledger.path), act, name, before=before, after=settings)
    for setting, value in settings.items():
        budgets.store.change(name, setting, value, who(), _now_ms())


def _newest(budgets: OpenBudgets, name: str) -> dict[str, str | None]:
    """By setting what was changed last; None is what the settings say."""
    return {change.setting: change.value for change in budgets.changes if change.budget == name}


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
