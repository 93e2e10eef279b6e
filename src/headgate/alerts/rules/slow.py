"""Calls that take long, or wait long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headgate.alerts.expr import Expr, metric
from headgate.alerts.functions import Top, increase, largest, quantile, ratio, total
from headgate.alerts.rule import HOUR_S, Detail, Limits, Rule
from headgate.alerts.rules.questions import DAY_S, count_of
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]


def _interactive_slow(limits: Limits) -> Expr:
    interactive = limits.of(catalogue.DURATION, lane="interactive")
    old = largest(limits.of(catalogue.QUEUE_AGE)) > OLD_S
    enough = total(increase(count_of(interactive), 300)) >= limits.minimum
    return (quantile(0.95, interactive, 300) > limits.threshold) & old & enough


OLD_S = 240.0
INTERACTIVE_SLOW = Rule(
    id="interactive_slow",
    number="AL-03",
    title="People wait while a queue is old",
    says="95 % of interactive calls took up to {value} ({threshold} is tolerated), and a call has waited for over "
    "240 s.",
    means="The account's limits do not carry what is asked of them, and people feel it.",
    next="headgate limits",
    asks=_interactive_slow,
    unit="seconds",
    severity="page",
    threshold=18.0,
    minimum=20,
    for_s=120,
    detail=Detail(
        "{value} waits the oldest call of lane {lane}",
        lambda labels: Top(3, largest(metric(catalogue.QUEUE_AGE.name), "lane")) > 0,
        "seconds",
    ),
    cause="waiting",
)


def _slow_workflow(share: float) -> Callable[[Limits], Expr]:
    def asks(limits: Limits) -> Expr:
        took = limits.of(catalogue.DURATION)
        enough = total(increase(count_of(took), 600), "workflow") >= limits.minimum
        return (quantile(share, took, 600, "workflow") > limits.threshold) & enough

    return asks


WORKFLOW_P95 = Rule(
    id="workflow_p95",
    number="AL-04",
    title="A workflow is slow",
    says="95 % of the calls of {workflow} took up to {value} in the last ten minutes; {threshold} is tolerated.",
    means="One call in twenty takes longer than that.",
    next="headgate limits",
    asks=_slow_workflow(0.95),
    unit="seconds",
    severity="ticket",
    threshold=60.0,
    per="workflow",
    minimum=20,
    for_s=600,
    runbook="workflow_slow",
    cause="waiting",
)
WORKFLOW_P99 = replace(
    WORKFLOW_P95,
    id="workflow_p99",
    title="A workflow's slowest calls are slow",
    says="99 % of the calls of {workflow} took up to {value} in the last ten minutes; {threshold} is tolerated.",
    means="One call in a hundred takes longer than that.",
    asks=_slow_workflow(0.99),
    threshold=180.0,
    minimum=100,
)


def _slower_than_a_week_ago(limits: Limits) -> Expr:
    took = limits.of(catalogue.DURATION)
    then = took.back(7 * DAY_S)
    enough = total(increase(count_of(took), 3600), "workflow") >= limits.minimum
    enough_then = total(increase(count_of(then), 3600), "workflow") >= limits.minimum
    slower = ratio(quantile(0.99, took, 3600, "workflow"), quantile(0.99, then, 3600, "workflow"))
    return (slower > limits.threshold) & enough & enough_then


WORKFLOW_DRIFT = Rule(
    id="workflow_drift",
    number="AL-04",
    title="A workflow has become slower",
    says="99 % of the calls of {workflow} took up to {value} times as long as in the same hour a week ago.",
    means="Nobody has complained yet.",
    next="headgate cost --by workflow",
    asks=_slower_than_a_week_ago,
    unit="times",
    severity="ticket",
    threshold=2.0,
    per="workflow",
    minimum=100,
    for_s=900,
    runbook="workflow_slow",
    cause="waiting",
)
QUEUE_AGE = Rule(
    id="queue_age",
    number="AL-14",
    title="Calls wait too long",
    says="A call in lane {lane} has waited for {value}; {threshold} is meant.",
    means="More is asked than the account's limits allow.",
    next="headgate limits",
    asks=lambda limits: largest(limits.of(catalogue.QUEUE_AGE), "lane") > limits.threshold,
    unit="seconds",
    severity="ticket",
    threshold=240.0,
    thresholds={"interactive": 10.0, "bulk": 4 * HOUR_S},
    per="lane",
    for_s=60,
    cause="waiting",
)


RULES: tuple[Rule, ...] = (
    INTERACTIVE_SLOW,
    WORKFLOW_P95,
    WORKFLOW_P99,
    WORKFLOW_DRIFT,
    QUEUE_AGE,
)
