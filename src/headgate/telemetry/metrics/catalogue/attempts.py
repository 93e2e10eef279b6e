"""Trips to the API: how they end, what is tried again, what is answered by something else."""

from __future__ import annotations

from headgate.events import ErrorClass
from headgate.telemetry.metrics.catalogue.labels import MODEL, REASON, WORKFLOW
from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "ATTEMPTS",
    "ATTEMPTS_MADE",
    "CLASS",
    "COUNTED",
    "ERROR",
    "FALLBACKS",
    "FROM_MODEL",
    "PROMPT_COUNTS",
    "RETRIES",
    "RETRIES_DENIED",
    "SUCCESS_BY_ATTEMPTS",
    "TO_MODEL",
    "TROUBLE",
]

_ERRORS = tuple([each.value for each in ErrorClass])
CLASS = Label(
    name="class",
    meaning="How an attempt ended: `ok`, or an error class of errors.md.",
    values=("ok", *_ERRORS),
)
ATTEMPTS_MADE = Label(name="attempts", meaning="Attempts that were made.", values=("1", "2", "3", "4plus"))
ERROR = Label(name="reason", meaning="The error class of the attempt that failed, as in errors.md.", values=_ERRORS)
TROUBLE = Label(
    name="reason",
    meaning="What was wrong: the error class of the attempt that failed, as in errors.md; `refusal` if the model "
    "declined, `not_sent` if Headgate did not send the call.",
    values=(*_ERRORS, "refusal", "not_sent"),
)
FROM_MODEL = Label(name="from_model", meaning="The model that was asked for, as `model`.")
TO_MODEL = Label(
    name="to_model",
    meaning="The model that answered instead, as `model`; `stale`, `canned` or `queued` if none did.",
)
COUNTED = Label(name="outcome", meaning="What came of it.", values=("counted", "failed", "timeout"))
ATTEMPTS = Metric(
    name="headgate_attempts_total",
    kind="counter",
    help="Trips to the API; of one that calls shared, each has its part.  `model` is the model that was asked; of a "
    "call that is no message its pool.",
    labels=(MODEL, CLASS),
    born_with=CLASS,
)
SUCCESS_BY_ATTEMPTS = Metric(
    name="headgate_success_by_attempts_total",
    kind="counter",
    help="Calls that the API answered well, by the attempts that took.",
    labels=(WORKFLOW, ATTEMPTS_MADE),
    born_with=ATTEMPTS_MADE,
)
RETRIES = Metric(
    name="headgate_retries_total",
    kind="counter",
    help="Attempts that failed and were followed by another.",
    labels=(MODEL, ERROR),
    born_with=ERROR,
)
RETRIES_DENIED = Metric(
    name="headgate_retries_denied_total",
    kind="counter",
    help="Attempts that failed and were not followed by another, and why not.",
    labels=(MODEL, REASON),
)
FALLBACKS = Metric(
    name="headgate_fallbacks_total",
    kind="counter",
    help="Calls that got another answer than the one that was asked for.",
    labels=(WORKFLOW, FROM_MODEL, TO_MODEL, TROUBLE),
    born_with=TROUBLE,
)
PROMPT_COUNTS = Metric(
    name="headgate_prompt_counts_total",
    kind="counter",
    help="Large prompts that the API was asked to count before admission.",
    labels=(COUNTED,),
    born_with=COUNTED,
)
