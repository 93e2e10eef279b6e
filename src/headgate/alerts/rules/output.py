"""Answers that are not the structured output that was asked for."""

from __future__ import annotations

from headgate.alerts.expr import Expr, metric, one_of
from headgate.alerts.functions import Top, increase, ratio, total
from headgate.alerts.rule import HOUR_S, Detail, Limits, Rule
from headgate.alerts.rules.questions import DAY_S
from headgate.events import UNFIT, Validation
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]

_UNFIT = one_of(*sorted(UNFIT))
_JUDGED = one_of(Validation.VALID, *sorted(UNFIT))


def _unfit(limits: Limits, window_s: float, ago_s: float = 0.0) -> Expr:
    return total(increase(limits.of(catalogue.OUTPUT_VALIDATION, result=_UNFIT).back(ago_s), window_s), "workflow")


def _judged(limits: Limits, window_s: float, ago_s: float = 0.0) -> Expr:
    return total(increase(limits.of(catalogue.OUTPUT_VALIDATION, result=_JUDGED).back(ago_s), window_s), "workflow")


def _often(limits: Limits) -> Expr:
    judged = _judged(limits, HOUR_S)
    return (ratio(_unfit(limits, HOUR_S), judged) > limits.threshold) & (judged >= limits.minimum)


_WHICH = Detail(
    "{value} of them {result}",
    lambda labels: (
        Top(
            3,
            total(increase(metric(catalogue.OUTPUT_VALIDATION.name, result=_UNFIT, **dict(labels)), HOUR_S), "result"),
        )
        > 0
    ),
    "count",
)

OUTPUT_UNFIT = Rule(
    id="output_unfit",
    number="AL-21",
    title="Structured outputs are not what was asked for",
    says="{value} of the structured outputs of {workflow} in the last hour were no JSON of their schema; {threshold} "
    "is tolerated.",
    means="Programs cannot read these answers; they fail, or ask again and pay twice.",
    next="headgate alerts explain output_unfit",
    asks=_often,
    unit="share",
    severity="ticket",
    threshold=0.02,
    per="workflow",
    minimum=50,
    for_s=600,
    detail=_WHICH,
)


def _risen(limits: Limits) -> Expr:
    """Of an hour, against the week before it.  In a week without any, the first ten are a rise."""
    week_s = 7 * DAY_S
    lately = ratio(_unfit(limits, HOUR_S), _judged(limits, HOUR_S))
    before = ratio(_unfit(limits, week_s, HOUR_S), _judged(limits, week_s, HOUR_S))
    enough = (_unfit(limits, HOUR_S) >= limits.minimum) & (_judged(limits, week_s, HOUR_S) >= limits.minimum * 10)
    return (lately > before * limits.threshold) & enough


OUTPUT_UNFIT_RISE = Rule(
    id="output_unfit_rise",
    number="AL-21",
    title="More structured outputs than usual are not what was asked for",
    says="{value} of the structured outputs of {workflow} in the last hour were no JSON of their schema, several times "
    "as many as in the week before.",
    means="A prompt, a schema or the model has changed, and programs that read the answers begin to fail.",
    next="headgate alerts explain output_unfit_rise",
    asks=_risen,
    unit="share",
    severity="ticket",
    threshold=3.0,
    per="workflow",
    minimum=10,
    for_s=600,
    detail=_WHICH,
    runbook="output_unfit",
)


RULES: tuple[Rule, ...] = (
    OUTPUT_UNFIT,
    OUTPUT_UNFIT_RISE,
)
