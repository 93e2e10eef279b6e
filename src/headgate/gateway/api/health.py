"""Whether the gateway does its work now, and what stands in the way if not.  Pure: it judges facts of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from headgate.core.shown import dollars

__all__ = ["Concern", "Recent", "concerns", "level_of"]

Level = Literal["ok", "watch", "bad"]

FEW_CALLS = 20
"""Of fewer, no share of errors is worth a word."""
ERRORS_WATCH, ERRORS_BAD = 0.01, 0.05
WAIT_WATCH, WAIT_BAD = 0.5, 0.9
"""Shares of a lane's `max_wait_s` that its oldest call has waited."""
LEAST_WAIT_S = 5.0
"""A shorter wait worries nobody, whatever the lane allows."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that somebody should look at."""

    level: Literal["watch", "bad"]
    title: str
    detail: str
    view: str
    """Where on the dashboard it is shown."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Calls of the last minutes that an error rate is taken of."""

    minutes: int
    counted: int
    failed: int


def concerns(
    limits: dict[str, Any],
    patience_s: dict[str, float],
    recent: Recent | None,
    ledger_problem: str | None,
    unreadable: str | None,
    budgets: Iterable[dict[str, Any]],
    alerts: Iterable[dict[str, Any]],
    unasked: str | None = None,
) -> list[Concern]:
    """What stands in the way, the worst first.

    Args:
        limits: as `/api/limits` tells them.
        patience_s: `max_wait_s` of each lane.
        recent: None where nobody keeps a ledger.
        ledger_problem: why rows cannot be written.
        unreadable: why it cannot be asked.
        budgets: as `headgate budget --json` tells them.
        alerts: those that fire, with `severity`, `title` and `text`.
        unasked: that nobody asks the alert rules, in words.
    """
    found = [
        *_of_the_ledger(ledger_problem, unreadable),
        *(concern for pool in limits["pools"] for concern in _of_a_pool(pool, patience_s)),
        *_of_errors(recent),
        *_of_budgets(budgets),
        *(_of_an_alert(alert) for alert in alerts),
        *_of_the_watch(unasked),
    ]
    return sorted(found, key=lambda concern: concern.level != "bad")


def level_of(found: Sequence[Concern]) -> Level:
    """The worst of all."""
    return min((concern.level for concern in found), key=("bad", "watch").index, default="ok")


def _of_the_ledger(problem: str | None, unreadable: str | None) -> Iterator[Concern]:
    if problem is not None:
        detail = f"The ledger cannot be written ({problem}). What cannot be recorded is not sent."
        yield Concern("bad", "No call is sent", detail, "now")
    if unreadable is not None:
        yield Concern("watch", "Past calls cannot be told", f"{unreadable}.", "now")


def _of_a_pool(pool: dict[str, Any], patience_s: dict[str, float]) -> Iterator[Concern]:
    closed = [each for each in pool["backends"] if each["breaker"]["state"] != "closed" or each["out_for_s"]]
    level: Literal["watch", "bad"] = "bad" if len(closed) == len(pool["backends"]) else "watch"
    for each in closed:
        if each["out_for_s"]:
            why = f"Out of service for {each['out_for_s']:.0f} s more: {each['out_because']}."
        else:
            breaker = each["breaker"]
            why = f"{breaker['because']}; next try in {breaker['next_try_in_s']:.0f} s."
        yield Concern(level, f"{pool['pool']}: key {each['backend']} sends nothing", why, "limits")
    for name, lane in pool["lanes"].items():
        most_s = patience_s.get(name, 0.0)
        oldest_s = lane["oldest_s"]
        if lane["closed_for_s"] or oldest_s < max(LEAST_WAIT_S, WAIT_WATCH * most_s):
            continue
        yield Concern(
            "bad" if oldest_s >= WAIT_BAD * most_s else "watch",
            f"{pool['pool']}: lane {name} waits long",
            f"{lane['waiting']} calls wait, the oldest for {oldest_s:.0f} s; after {most_s:.0f} s a call is refused.",
            "lanes",
        )


def _of_errors(recent: Recent | None) -> Iterator[Concern]:
    if recent is None or recent.counted < FEW_CALLS:
        return
    share = recent.failed / recent.counted
    if share > ERRORS_WATCH:
        yield Concern(
            "bad" if share > ERRORS_BAD else "watch",
            f"{share:.1%} of calls fail",
            f"{recent.failed} of {recent.counted} calls of the last {recent.minutes} minutes.",
            "workflows",
        )


def _of_budgets(budgets: Iterable[dict[str, Any]]) -> Iterator[Concern]:
    """One for each budget, however many accounts it has: of the fullest, and how many are as far."""
    concerned: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for line in budgets:
        if line["level"] != "ok":
            concerned.setdefault((line["budget"], line["level"] == "refuse"), []).append(line)
    for (name, refuses), lines in concerned.items():
        fullest = max(lines, key=lambda line: float(line["share"]))
        whose = f" of {fullest['who']}" if fullest["who"] else ""
        others = f", and {len(lines) - 1} others like it" if len(lines) > 1 else ""
        yield Concern(
            "bad" if refuses else "watch",
            f"Budget {name}{whose} {'refuses calls' if refuses else 'runs low'}{others}",
            f"{fullest['share']:.0%} of {dollars(Decimal(fullest['cap_usd']))} used in this {fullest['window']}.",
            "spend",
        )


def _of_the_watch(unasked: str | None) -> Iterator[Concern]:
    if unasked is not None:
        yield Concern(
            "watch", "No alert is watched for", f"The rules are {unasked}. Nobody is told of anything.", "alerts"
        )


def _of_an_alert(alert: dict[str, Any]) -> Concern:
    return Concern("bad" if alert["severity"] == "page" else "watch", alert["title"], alert["text"], "alerts")
