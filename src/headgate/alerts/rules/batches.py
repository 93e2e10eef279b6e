"""Message Batches that come to nothing."""

from __future__ import annotations

from headgate.alerts.expr import one_of
from headgate.alerts.functions import largest
from headgate.alerts.rule import HOUR_S, Rule
from headgate.alerts.rules.questions import grown
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]

BATCH_LATE = Rule(
    id="batch_late",
    number="AL-23",
    title="A batch will not be done in time",
    says="{value} after it was made less than nine tenths of a Message Batch was done; after 24 h the rest expires.",
    means="What is not answered by then has to be asked again.",
    next="headgate alerts explain batch_late",
    asks=lambda limits: largest(limits.of(catalogue.BATCH_AGE)) > limits.threshold,
    unit="seconds",
    severity="ticket",
    threshold=22 * HOUR_S,
)
BATCH_RESULTS_MISSING = Rule(
    id="batch_results_missing",
    number="AL-23",
    title="Items of a batch have no result",
    says="{value} items of Message Batches are {result}, as was seen in the last hour.",
    means="Nobody has an answer to them, and whoever waits for one waits in vain.",
    next="headgate alerts explain batch_results_missing",
    asks=lambda limits: (
        grown(limits.of(catalogue.BATCH_ITEMS, result=one_of("missing", "expired")), HOUR_S, "result")
        > limits.threshold
    ),
    unit="count",
    severity="ticket",
    threshold=0,
)

RULES: tuple[Rule, ...] = (
    BATCH_LATE,
    BATCH_RESULTS_MISSING,
)
