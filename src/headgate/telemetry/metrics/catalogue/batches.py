"""Calls that Headgate asks in Message Batches."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = ["BATCH_ITEMS", "BATCH_RESULT"]

BATCH_RESULT = Label(
    name="result",
    meaning="What the API said of an item; `missing`: nothing came of it in time.",
    values=("succeeded", "errored", "canceled", "expired", "missing"),
)
BATCH_ITEMS = Metric(
    name="headgate_batch_items_total",
    kind="counter",
    help="Calls that Headgate asked in a Message Batch, by what became of them there.",
    labels=(BATCH_RESULT,),
    born_with=BATCH_RESULT,
)
