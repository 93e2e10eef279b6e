"""Message Batches, of callers and of Headgate's own."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = ["BATCHES", "BATCH_AGE", "BATCH_ITEMS", "BATCH_RESULT", "BATCH_STATE"]

BATCH_STATE = Label(
    name="state",
    meaning="Of callers' batches, as they were when somebody last looked at them: `in_progress`, `canceling`, and "
    "`ended`, while their results were not read whole. Of Headgate's own: `collecting`, it waits for more calls; "
    "`under_way`, it is being made, or the API works on it.",
    values=("in_progress", "canceling", "ended", "collecting", "under_way"),
)
BATCH_RESULT = Label(
    name="result",
    meaning="What the API said of an item. `missing`: its batch has ended, and its result was not among those that "
    "were read; `duplicate`: its result was there again; `given_up`: its call did not wait any longer.",
    values=("succeeded", "errored", "canceled", "expired", "missing", "duplicate", "given_up"),
)
BATCHES = Metric(
    name="headgate_batches",
    kind="gauge",
    help="Message Batches that callers made through Headgate, and those that Headgate makes of calls.",
    labels=(BATCH_STATE,),
)
BATCH_AGE = Metric(
    name="headgate_batch_oldest_age_seconds",
    kind="gauge",
    help="How old the oldest batch of a caller's was when somebody last looked at it and less than nine tenths of it "
    "was done; 0 if there is none. After a day it expires.",
)
BATCH_ITEMS = Metric(
    name="headgate_batch_items_total",
    kind="counter",
    help="Items of Message Batches that callers made through Headgate, and of those that it makes of calls, by what "
    "became of them.",
    labels=(BATCH_RESULT,),
    born_with=BATCH_RESULT,
)
