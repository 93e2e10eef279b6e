"""Whether the gateway does its work now, and what stands in the way if not.  Pure: it judges facts of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from headgate.core.shown import counted, dollars, percent

__all__ = ["Concern", "Recent", "concerns", "level_of"]

Level = Literal["ok", "watch", "bad"]

FEW_CALLS = 20
"""Of fewer, no share of errors is worth a word."""
ERRORS_WATCH, ERRORS_BAD = 0.01, 0.05
WAIT_WATCH, WAIT_BAD = 0.5, 0.9
"""Shares of a lane's `max_wait_s` that its oldest call has waited."""
MOST_TITLES = 4
"""Of what else one cause brings about."""
LEDGER, ANSWERS, WAITING = "ledger", "api_down", "waiting"
_DEAREST = (LEDGER, ANSWERS, WAITING)
"""Causes that keep all callers from their answers; others follow as they come."""
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
    cause: str
    """Concerns of one cause are one concern: in a storm a dozen rules say the same."""


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
    unevaluated: str | None = None,
) -> list[Concern]:
    """What stands in the way, the worst first; of what one cause brings about, the worst stands for the rest.

    Args:
        limits: as `/api/limits` tells them.
        patience_s: `max_wait_s` of each lane.
        recent: None where nobody keeps a ledger.
        ledger_problem: why rows cannot be written.
        unreadable: why it cannot be asked.
        budgets: as `headgate budget --json` tells them.
        alerts: those that fire, with `severity`, `title`, `text` and `cause`.
        unevaluated: that nobody evaluates the alert rules, in words.
    """
    found = [
        *_of_the_ledger(ledger_problem, unreadable),
        *(concern for pool in limits["pools"] for concern in _of_a_pool(pool, patience_s)),
        *_of_errors(recent),
        *_of_budgets(budgets),
        *(_of_an_alert(alert) for alert in alerts),
        *_of_the_watch(unevaluated),
    ]
    by_cause: dict[str, list[Concern]] = defaultdict(list)
    for concern in sorted(found, key=_badness):
        by_cause[concern.cause].append(concern)
    return [_as_one(*alike) for alike in by_cause.values()]


def level_of(found: Sequence[Concern]) -> Level:
    """The worst of all."""
    return min((concern.level for concern in found), key=("bad", "watch").index, default="ok")


def _badness(concern: Concern) -> tuple[bool, int]:
    """What is bad before what is to be watched, and what keeps all callers from their answers first."""
    dear = _DEAREST.index(concern.cause) if concern.cause in _DEAREST else len(_DEAREST)
    return concern.level != "bad", dear


def _as_one(worst: Concern, *others: Concern) -> Concern:
    """The worst of a cause, with what else it brings about."""
    details = [worst.detail]
    if like := sum([other.title == worst.title for other in others]):
        details.append(f"{counted(like, 'other')} like it.")
    titles = [*dict.fromkeys(other.title for other in others if other.title != worst.title)]
    if titles:
        more = f"; {len(titles) - MOST_TITLES} more" if len(titles) > MOST_TITLES else ""
        details.append(f"Also: {'; '.join(titles[:MOST_TITLES])}{more}.")
    return replace(worst, detail=" ".join(details))


def _of_the_ledger(problem: str | None, unreadable: str | None) -> Iterator[Concern]:
    if problem is not None:
        detail = f"The ledger cannot be written ({problem}). What cannot be recorded is not sent."
        yield Concern("bad", "No call is sent", detail, "now", LEDGER)
    if unreadable is not None:
        yield Concern("watch", "Past calls cannot be told", f"{unreadable}.", "now", "past")


def _of_a_pool(pool: dict[str, Any], patience_s: dict[str, float]) -> Iterator[Concern]:
    closed = [each for each in pool["backends"] if each["breaker"]["state"] != "closed" or each["out_for_s"]]
    level: Literal["watch", "bad"] = "bad" if len(closed) == len(pool["backends"]) else "watch"
    for each in closed:
        if each["out_for_s"]:
            why = f"Out of service for {each['out_for_s']:.0f} s more: {each['out_because']}."
        else:
            breaker = each["breaker"]
            why = f"{breaker['because']}; next try in {breaker['next_try_in_s']:.0f} s."
        yield Concern(level, f"{pool['pool']}: key {each['backend']} sends nothing", why, "limits", ANSWERS)
    for name, lane in pool["lanes"].items():
        most_s = patience_s.get(name, 0.0)
        oldest_s = lane["oldest_s"]
        if lane["closed_for_s"] or oldest_s < max(LEAST_WAIT_S, WAIT_WATCH * most_s):
            continue
        yield Concern(
            "bad" if oldest_s >= WAIT_BAD * most_s else "watch",
            f"{pool['pool']}: lane {name} waits long",
            f"The oldest of {counted(lane['waiting'], 'call')} has waited for {oldest_s:.0f} s; after {most_s:.0f} s a "
            "call is refused.",
            "lanes",
            WAITING,
        )


def _of_errors(recent: Recent | None) -> Iterator[Concern]:
    if recent is None or recent.counted < FEW_CALLS:
        return
    share = recent.failed / recent.counted
    if share > ERRORS_WATCH:
        yield Concern(
            "bad" if share > ERRORS_BAD else "watch",
            f"{percent(share)} of calls fail",
            f"{recent.failed:,} of {counted(recent.counted, 'call')} of the last {recent.minutes} minutes.",
            "workflows",
            ANSWERS,
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
        others = f", and {counted(len(lines) - 1, 'other')} like it" if len(lines) > 1 else ""
        yield Concern(
            "bad" if refuses else "watch",
            f"Budget {name}{whose} {'refuses calls' if refuses else 'runs low'}{others}",
            f"{percent(fullest['share'])} of {dollars(Decimal(fullest['cap_usd']))} used in this {fullest['window']}.",
            "spend",
            f"budget {name}",
        )


def _of_the_watch(unevaluated: str | None) -> Iterator[Concern]:
    if unevaluated is not None:
        detail = f"The rules are {unevaluated}. Nobody is told of anything."
        yield Concern("watch", "No alert is watched for", detail, "alerts", "watchdog")


def _of_an_alert(alert: dict[str, Any]) -> Concern:
    level: Literal["watch", "bad"] = "bad" if alert["severity"] == "page" else "watch"
    return Concern(level, alert["title"], alert["text"], "alerts", alert["cause"])
