"""Message Batches, of callers and of Headgate's own."""

from __future__ import annotations

from headgate.alerts.functions import largest, total
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.panels.panel import Dashboard, Line, Panel
from headgate.telemetry.panels.queries import of, per_second

__all__ = ["BATCHES"]

BATCHES = Dashboard(
    "batches",
    "Batches",
    (
        Panel(
            "Message Batches",
            "How many are under way?",
            "count",
            (Line(total(of(catalogue.BATCHES), "state"), "{state}"),),
        ),
        Panel(
            "The oldest batch",
            "Will one expire?",
            "seconds",
            (Line(largest(of(catalogue.BATCH_AGE)), "not nearly done"),),
            threshold=79_200.0,
        ),
        Panel(
            "Items of batches",
            "What becomes of what is asked in batches?",
            "per_second",
            (Line(per_second(catalogue.BATCH_ITEMS, "result"), "{result}"),),
            rare=True,
        ),
    ),
)
