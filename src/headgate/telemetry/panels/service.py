"""Calls as callers see them: how many, how many fail, how long they take."""

from __future__ import annotations

from headgate.alerts.expr import Expr
from headgate.alerts.functions import quantile, ratio
from headgate.alerts.rules.questions import FAILED, JUDGED
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.panels.panel import Dashboard, Line, Panel
from headgate.telemetry.panels.queries import HOUR_S, WINDOW_S, grew, of, per_second, quantile_by, quantiles

__all__ = ["SERVICE"]


def _failed_share(*by: str, window_s: float = WINDOW_S) -> Expr:
    return ratio(
        grew(catalogue.REQUESTS, *by, window_s=window_s, outcome=FAILED),
        grew(catalogue.REQUESTS, *by, window_s=window_s, outcome=JUDGED),
    )


SERVICE = Dashboard(
    "service",
    "Service",
    (
        Panel(
            "Calls",
            "How much is asked, and by which workflow?",
            "per_second",
            (Line(per_second(catalogue.REQUESTS, "workflow"), "{workflow}"),),
        ),
        Panel(
            "Failed share",
            "Which share of a workflow's calls fails, after everything that Headgate tried?",
            "share",
            (Line(_failed_share("workflow"), "{workflow}"),),
            threshold=0.01,
        ),
        Panel(
            "Outcomes",
            "How do calls end?",
            "per_second",
            (Line(per_second(catalogue.REQUESTS, "outcome"), "{outcome}"),),
        ),
        Panel(
            "Time to the last byte",
            "How long do callers wait, queue included?",
            "seconds",
            quantiles(catalogue.DURATION, "workflow"),
        ),
        Panel(
            "Interactive calls",
            "Do people wait?",
            "seconds",
            (Line(quantile(0.95, of(catalogue.DURATION, lane="interactive"), WINDOW_S, "workflow"), "p95 {workflow}"),),
            threshold=18.0,
        ),
        Panel(
            "Time to the first content",
            "How long until a stream begins?",
            "seconds",
            (Line(quantile_by(0.95, catalogue.TTFT, "model"), "p95 {model}"),),
        ),
        Panel(
            "What may still fail",
            "How much of what 99 % success leaves in an hour is used up?",
            "share",
            (Line(_failed_share(window_s=HOUR_S) / 0.01, "used up"),),
            threshold=1.0,
        ),
        Panel(
            "Headgate's own time",
            "What does the gateway itself add?",
            "seconds",
            (Line(quantile_by(0.95, catalogue.OVERHEAD, "lane"), "p95 {lane}"),),
        ),
    ),
)
