"""What Headgate does about trouble, when it does it often: retries, refusals, fallbacks."""

from __future__ import annotations

from headgate.alerts.expr import Expr, Matcher, metric
from headgate.alerts.functions import Top, increase, ratio, total
from headgate.alerts.rule import Detail, Limits, Rule
from headgate.alerts.rules.questions import first_in_a_day
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]


def _retried(limits: Limits) -> Expr:
    def share(window_s: float) -> Expr:
        again = increase(limits.of(catalogue.SUCCESS_BY_ATTEMPTS, attempts=Matcher("!=", "1")), window_s)
        return ratio(total(again), total(increase(limits.of(catalogue.SUCCESS_BY_ATTEMPTS), window_s)))

    successes = total(increase(limits.of(catalogue.SUCCESS_BY_ATTEMPTS), 1800))
    return (share(1800) >= limits.threshold) & (share(300) >= limits.threshold) & (successes >= limits.minimum)


RETRIED_SUCCESS = Rule(
    id="retried_success",
    number="AL-09",
    title="Retries hide errors",
    says="{value} of the calls that succeeded in the last half hour took more than one attempt.",
    means="Callers see nothing yet but waiting; without retries as many would have failed.",
    next="headgate limits",
    asks=_retried,
    unit="share",
    severity="ticket",
    threshold=0.10,
    minimum=50,
    detail=Detail(
        "retries hide {reason} on {model}: {value:attempt}",
        lambda labels: Top(3, total(increase(metric(catalogue.RETRIES.name), 1800), "model", "reason")) > 0,
        "count",
    ),
    cause="api_down",
)


def _rejected(limits: Limits) -> Expr:
    calls = total(increase(limits.of(catalogue.REQUESTS), 600), "lane")
    rejected = total(increase(limits.of(catalogue.REJECTIONS), 600), "lane")
    return (ratio(rejected, calls) > limits.threshold) & (calls >= limits.minimum)


REJECTIONS = Rule(
    id="rejections",
    number="AL-12",
    title="Calls are refused",
    says="{value} of the calls in lane {lane} were refused in the last ten minutes; {threshold} is tolerated.",
    means="Headgate sent them back without trying: what they ask for is not there.",
    next="headgate limits",
    asks=_rejected,
    unit="share",
    severity="ticket",
    threshold=0.05,
    thresholds={"interactive": 0.01},
    per="lane",
    minimum=20,
    for_s=600,
    detail=Detail(
        "{value} refused: {reason}",
        lambda labels: Top(3, total(increase(metric(catalogue.REJECTIONS.name, **dict(labels)), 600), "reason")) > 0,
        "count",
    ),
    cause="waiting",
)


def _fell_back(limits: Limits) -> Expr:
    calls = total(increase(limits.of(catalogue.REQUESTS), 900), "workflow")
    fallbacks = total(increase(limits.of(catalogue.FALLBACKS), 900), "workflow")
    return (ratio(fallbacks, calls) > limits.threshold) & (calls >= limits.minimum)


FALLBACKS = Rule(
    id="fallbacks",
    number="AL-13",
    title="Answers come from the second choice",
    says="{value} of the calls of {workflow} were answered by a fallback in the last quarter of an hour.",
    means="They cost and read differently from what was meant.",
    next="headgate cost --by model",
    asks=_fell_back,
    unit="share",
    severity="ticket",
    threshold=0.05,
    per="workflow",
    minimum=20,
    for_s=300,
    detail=Detail(
        "{value} from {from_model} to {to_model}: {reason}",
        lambda labels: (
            Top(
                3,
                total(
                    increase(metric(catalogue.FALLBACKS.name, **dict(labels)), 900), "from_model", "to_model", "reason"
                ),
            )
            > 0
        ),
        "count",
    ),
    cause="api_down",
)


FIRST_FALLBACK = Rule(
    id="first_fallback",
    number="AL-13",
    title="A fallback is used for the first time in a day",
    says="Calls for {from_model} were answered by {to_model}.",
    means="Whether the second choice is good enough shows now.",
    next="headgate cost --by model",
    asks=lambda limits: first_in_a_day(limits, catalogue.FALLBACKS, "from_model", "to_model"),
    unit="count",
    severity="info",
    threshold=0,
    repeat_s=None,
    runbook="fallbacks",
    cause="api_down",
)


RULES: tuple[Rule, ...] = (
    RETRIED_SUCCESS,
    REJECTIONS,
    FALLBACKS,
    FIRST_FALLBACK,
)
