"""Calls that fail, are declined, or end too early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headgate.alerts.expr import Expr, Number, metric
from headgate.alerts.functions import Top, increase, ratio, total
from headgate.alerts.rule import HOUR_S, Detail, Limits, Rule
from headgate.alerts.rules.questions import DAY_S, FAILED, JUDGED, first_in_a_day, share_of_workflow
from headgate.alerts.samples import Labels
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]


def _judged(limits: Limits, window_s: float) -> Expr:
    return total(increase(limits.of(catalogue.REQUESTS, outcome=JUDGED), window_s))


def _failed(limits: Limits, window_s: float) -> Expr:
    """While a breaker is open calls are refused instead of failing: to whoever made them it is the same."""
    failed = total(increase(limits.of(catalogue.REQUESTS, outcome=FAILED), window_s))
    refused = total(increase(limits.of(catalogue.REJECTIONS, reason="breaker_open"), window_s))
    return (failed | Number(0)) + (refused | Number(0))


def _failed_share(limits: Limits, window_s: float) -> Expr:
    return ratio(_failed(limits, window_s), _judged(limits, window_s))


def _failing(limits: Limits) -> Expr:
    """Over ten minutes and still over five.  Of few calls, three that failed are enough."""
    enough = (_judged(limits, 600) >= limits.minimum) | (_failed(limits, 600) >= 3)
    long, short = (_failed_share(limits, window_s) > limits.threshold for window_s in (600, 300))
    return long & short & enough


def _burning(long_s: float, short_s: float) -> Callable[[Limits], Expr]:
    def asks(limits: Limits) -> Expr:
        long, short = (_failed_share(limits, window_s) > limits.threshold for window_s in (long_s, short_s))
        return long & short & (_judged(limits, long_s) >= limits.minimum)

    return asks


def _most_failed(labels: Labels) -> Expr:
    failed = increase(metric(catalogue.REQUESTS.name, outcome=FAILED), 600)
    return Top(3, total(failed, "workflow", "outcome")) > 0


_FAILED_DETAIL = Detail("{value} in {workflow}: {outcome}", _most_failed, "count")

ERROR_RATE = Rule(
    id="error_rate",
    number="AL-01",
    title="Calls fail",
    says="{value} of calls failed in the last ten minutes; {threshold} is tolerated.",
    means="Callers get errors, after everything that Headgate tried.",
    next="headgate report",
    asks=_failing,
    unit="share",
    severity="ticket",
    threshold=0.01,
    minimum=100,
    for_s=300,
    detail=_FAILED_DETAIL,
    cause="api_down",
)
ERROR_RATE_HIGH = replace(
    ERROR_RATE, id="error_rate_high", title="Many calls fail", severity="page", threshold=0.05, runbook="error_rate"
)
SLO_BURN_FAST = Rule(
    id="slo_burn_fast",
    number="AL-02",
    title="A month's errors are used up in two days",
    says="{value} of calls failed in the last hour: more than 14 times what 99 % success leaves.",
    means="2 % of what may fail in a month failed in an hour.",
    next="headgate limits",
    asks=_burning(3600, 300),
    unit="share",
    severity="page",
    threshold=0.144,
    minimum=100,
    for_s=120,
    detail=_FAILED_DETAIL,
    runbook="slo_burn",
    cause="api_down",
)
SLO_BURN_SLOW = replace(
    SLO_BURN_FAST,
    id="slo_burn_slow",
    title="A month's errors are used up in five days",
    says="{value} of calls failed in the last six hours: more than six times what 99 % success leaves.",
    means="5 % of what may fail in a month failed in six hours.",
    asks=_burning(6 * HOUR_S, 1800),
    threshold=0.06,
    for_s=900,
)
SLO_BURN_STEADY = replace(
    SLO_BURN_FAST,
    id="slo_burn_steady",
    title="More fails than a month allows",
    says="{value} of calls failed in the last three days; 99 % success leaves {threshold}.",
    means="If it goes on, the month ends below the objective.",
    asks=_burning(3 * DAY_S, 6 * HOUR_S),
    severity="ticket",
    threshold=0.01,
    for_s=3600,
)


REFUSALS = Rule(
    id="refusals",
    number="AL-22",
    title="The model declines",
    says="{value} of the calls of {workflow} were declined by the model in the last hour.",
    means="Users get no answer.  A new prompt, or somebody who tries what the model must not do.",
    next="headgate cost --by workflow",
    asks=share_of_workflow(catalogue.REQUESTS, {"outcome": "refused"}, 3600),
    unit="share",
    severity="ticket",
    threshold=0.01,
    per="workflow",
    minimum=100,
    for_s=600,
)
TRUNCATION = Rule(
    id="truncation",
    number="AL-22",
    title="Answers are cut",
    says="{value} of the answers of {workflow} ended at max_tokens in the last hour.",
    means="Users get half an answer, programs half a JSON.",
    next="headgate cost max-tokens",
    asks=share_of_workflow(catalogue.STOP_REASONS, {"stop_reason": "max_tokens"}, 3600),
    unit="share",
    severity="ticket",
    threshold=0.01,
    per="workflow",
    minimum=100,
    for_s=600,
)


NEW_REFUSAL = Rule(
    id="new_refusal",
    number="AL-22",
    title="The model declines for a reason that is new today",
    says="Calls of {workflow} were declined as {category}.",
    means="A prompt has changed, or somebody tries something.",
    next="headgate cost --by workflow",
    asks=lambda limits: first_in_a_day(limits, catalogue.REFUSALS, "workflow", "category"),
    unit="count",
    severity="info",
    threshold=0,
    per="workflow",
    repeat_s=None,
    runbook="refusals",
)


RULES: tuple[Rule, ...] = (
    ERROR_RATE,
    ERROR_RATE_HIGH,
    SLO_BURN_FAST,
    SLO_BURN_SLOW,
    SLO_BURN_STEADY,
    REFUSALS,
    TRUNCATION,
    NEW_REFUSAL,
)
