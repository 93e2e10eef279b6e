"""What calls cost, what they may cost, and what they should."""

from __future__ import annotations

from headgate.alerts.functions import largest
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.panels.panel import Dashboard, Line, Panel
from headgate.telemetry.panels.queries import HOUR_S, grew, of

__all__ = ["MONEY"]

MONEY = Dashboard(
    "money",
    "Money",
    (
        Panel(
            "Spent an hour",
            "Where does money go?",
            "usd",
            (Line(grew(catalogue.COST, "workflow", window_s=HOUR_S), "{workflow}"),),
        ),
        Panel(
            "By model",
            "Which models cost it?",
            "usd",
            (Line(grew(catalogue.COST_BY_MODEL, "model", window_s=HOUR_S), "{model}"),),
        ),
        Panel(
            "Per call that succeeded",
            "What does an answer cost?",
            "usd",
            (
                Line(
                    grew(catalogue.COST, "workflow", window_s=HOUR_S)
                    / grew(catalogue.REQUESTS, "workflow", window_s=HOUR_S, outcome="ok"),
                    "{workflow}",
                ),
            ),
        ),
        Panel(
            "Budgets",
            "How much of each budget is spent or held?",
            "share",
            (
                Line(
                    largest(
                        (of(catalogue.BUDGET_SETTLED) + of(catalogue.BUDGET_HELD)) / of(catalogue.BUDGET_CAP),
                        "scope",
                        "window",
                    ),
                    "{scope} ({window})",
                ),
            ),
            threshold=1.0,
            rare=True,
        ),
        Panel(
            "Budgets by their end",
            "How much of each will be spent when its window ends?",
            "share",
            (
                Line(
                    largest(of(catalogue.BUDGET_PROJECTED) / of(catalogue.BUDGET_CAP), "scope", "window"),
                    "{scope} ({window})",
                ),
            ),
            threshold=1.0,
            rare=True,
        ),
        Panel(
            "Expected",
            "What should this hour cost, on this kind of day, and from where on is it out of line?",
            "usd",
            (
                Line(largest(of(catalogue.COST_BASELINE), "scope"), "expected ({scope})"),
                Line(largest(of(catalogue.COST_BASELINE) + of(catalogue.COST_BAND), "scope"), "out of line ({scope})"),
            ),
            rare=True,
        ),
        Panel(
            "Out of line",
            "How far is spending above what this kind of day expects, in widths of its band?",
            "count",
            (Line(largest(of(catalogue.COST_RISE), "scope"), "{scope}"),),
            threshold=1.0,
            rare=True,
        ),
        Panel(
            "Estimated",
            "How much of it is not known for certain?",
            "usd",
            (Line(grew(catalogue.COST_ESTIMATED, window_s=HOUR_S), "estimated"),),
            rare=True,
        ),
    ),
)
