"""Queues, limits, breakers: what holds calls up."""

from __future__ import annotations

from headgate.alerts.functions import largest, total
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.panels.panel import Dashboard, Line, Panel
from headgate.telemetry.panels.queries import of, per_second, quantile_by

__all__ = ["TRAFFIC"]

TRAFFIC = Dashboard(
    "traffic",
    "Traffic control",
    (
        Panel(
            "Waiting",
            "How many calls wait, in which lane?",
            "count",
            (Line(largest(of(catalogue.QUEUE_DEPTH), "lane"), "{lane}"),),
        ),
        Panel(
            "Age of the oldest",
            "How long has the longest waited?",
            "seconds",
            (Line(largest(of(catalogue.QUEUE_AGE), "lane"), "{lane}"),),
            threshold=240.0,
        ),
        Panel(
            "Time in the queue",
            "How long do calls wait for their turn?",
            "seconds",
            (Line(quantile_by(0.95, catalogue.QUEUE_WAIT, "lane"), "p95 {lane}"),),
        ),
        Panel(
            "Under way",
            "How many attempts are with the API?",
            "count",
            (Line(total(of(catalogue.INFLIGHT), "lane"), "{lane}"),),
        ),
        Panel(
            "Refused",
            "What does Headgate send back without trying, and why?",
            "per_second",
            (Line(per_second(catalogue.REJECTIONS, "reason"), "{reason}"),),
            rare=True,
        ),
        Panel(
            "Limits used",
            "How near is the account to its limits?",
            "share",
            (
                Line(
                    largest(of(catalogue.LIMIT_USED) / of(catalogue.LIMIT_CAPACITY), "pool", "dimension"),
                    "{pool} {dimension}",
                ),
            ),
            threshold=0.9,
        ),
        Panel(
            "What the API says is left",
            "Does somebody else use the account?",
            "count",
            (Line(largest(of(catalogue.UPSTREAM_REMAINING), "pool", "dimension"), "{pool} {dimension}"),),
        ),
        Panel(
            "Attempts",
            "How do trips to the API end?",
            "per_second",
            (Line(per_second(catalogue.ATTEMPTS, "class"), "{class}"),),
        ),
        Panel(
            "Retries",
            "What is tried again?",
            "per_second",
            (Line(per_second(catalogue.RETRIES, "reason"), "{reason}"),),
            rare=True,
        ),
        Panel(
            "Breakers",
            "To which pools does nothing go?",
            "state",
            (Line(largest(of(catalogue.BREAKER), "pool"), "{pool}"),),
            threshold=2.0,
        ),
        Panel(
            "Asked to wait",
            "For how long does a pool rest?",
            "seconds",
            (Line(largest(of(catalogue.NOT_BEFORE), "pool"), "{pool}"),),
        ),
        Panel(
            "Fallbacks",
            "Which calls are answered by something else?",
            "per_second",
            (Line(per_second(catalogue.FALLBACKS, "workflow", "to_model"), "{workflow} by {to_model}"),),
            rare=True,
        ),
    ),
)
