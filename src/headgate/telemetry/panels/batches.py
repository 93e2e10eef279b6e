"""Calls that Headgate asks in Message Batches."""

from __future__ import annotations

from headgate.alerts.functions import total
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.panels.asks import of, per_second
from headgate.telemetry.panels.panel import Dashboard, Line, Panel

__all__ = ["BATCHES"]

BATCHES = Dashboard(
    "batches",
    "Batches",
    (
        Panel(
            "Message Batches",
            "How many are being made or answered?",
            "count",
            (Line(total(of(catalogue.BATCHES), "state"), "{state}"),),
        ),
        Panel(
            "Calls in batches",
            "What becomes of calls that wait for a batch?",
            "per_second",
            (Line(per_second(catalogue.BATCH_ITEMS, "result"), "{result}"),),
            rare=True,
        ),
    ),
)
