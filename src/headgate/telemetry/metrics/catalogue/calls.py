"""Calls as callers see them: how they end, and how long they take."""

from __future__ import annotations

from headgate.events import Outcome, OwnRequest, Reason
from headgate.telemetry.metrics.catalogue.labels import LANE, MODEL, REASON, WORKFLOW
from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "AUTH_FAILURES",
    "DECISIONS",
    "DURATION",
    "OUTCOME",
    "OVERHEAD",
    "OWN",
    "OWN_REQUESTS_SENT",
    "QUEUE_WAIT",
    "REJECTIONS",
    "REQUESTS",
    "REQUESTS_BY_MODEL",
    "TTFT",
    "UNKNOWN",
    "UPSTREAM_DURATION",
]

OUTCOME = Label(
    name="outcome",
    meaning="How a call ended: the outcomes of errors.md, but that a call for which a budget had no room is `budget`, "
    "and one that passes the limit of its user or session `rate`.",
    values=(*(each.value for each in Outcome if each is not Outcome.CRASHED), "budget"),
)
UNKNOWN = Label(
    name="reason",
    meaning="A reason of errors.md, or `admin_token`: the operators' port was asked without its token.",
    values=(Reason.CALLER_UNKNOWN.value, Reason.NOT_ALLOWED.value, "admin_token"),
)
OWN = Label(
    name="own",
    meaning="What Headgate made it for: an own request of errors.md.",
    values=tuple([each.value for each in OwnRequest]),
)
_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 18.0, 25.0, 40.0, 60.0, 90.0, 120.0, 240.0, 360.0, 600.0)
"""18, 240 and 600 are thresholds of people's patience and of proxies."""
_OWN_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REQUESTS = Metric(
    name="headgate_requests_total",
    kind="counter",
    help="Calls that are over, each once.",
    labels=(WORKFLOW, LANE, OUTCOME),
    born_with=OUTCOME,
)
OWN_REQUESTS_SENT = Metric(
    name="headgate_own_requests_total",
    kind="counter",
    help="Requests that Headgate made of its own accord, each once. They are no calls: of other metrics only attempts, "
    "retries, tokens and cost have them, by workflow as `(headgate)`.",
    labels=(OWN, OUTCOME),
)
REQUESTS_BY_MODEL = Metric(
    name="headgate_requests_by_model_total",
    kind="counter",
    help="Messages that are over, by the model that answered or, where none did, that was asked for.",
    labels=(MODEL, OUTCOME),
    born_with=OUTCOME,
)
DURATION = Metric(
    name="headgate_request_duration_seconds",
    kind="histogram",
    help="From a call's begin to its last byte, waits included; without calls that Headgate refused.",
    labels=(WORKFLOW, LANE),
    bounds=_SECONDS,
)
TTFT = Metric(
    name="headgate_ttft_seconds",
    kind="histogram",
    help="From a call's begin to the first content of its stream.",
    labels=(MODEL, LANE),
    bounds=_SECONDS,
)
UPSTREAM_DURATION = Metric(
    name="headgate_upstream_duration_seconds",
    kind="histogram",
    help="From sending an attempt to the end of its answer.",
    labels=(MODEL,),
    bounds=_SECONDS,
)
OVERHEAD = Metric(
    name="headgate_overhead_seconds",
    kind="histogram",
    help="Headgate's own time for a call that was sent: what is left without waiting and without the API.",
    labels=(LANE,),
    bounds=_OWN_SECONDS,
)
QUEUE_WAIT = Metric(
    name="headgate_queue_wait_seconds",
    kind="histogram",
    help="Waiting for the account's limits, over all attempts of a call that was sent.",
    labels=(LANE,),
    bounds=_SECONDS,
)
DECISIONS = Metric(
    name="headgate_decisions_total",
    kind="counter",
    help="Calls that Headgate refused, delayed, repeated or answered otherwise, each reason once a call.",
    labels=(REASON, LANE),
)
REJECTIONS = Metric(
    name="headgate_rejections_total",
    kind="counter",
    help="Calls that Headgate refused before anything was sent.",
    labels=(LANE, REASON),
    born_with=REASON,
)
AUTH_FAILURES = Metric(
    name="headgate_auth_failures_total",
    kind="counter",
    help="Requests without a credential that is known here, or beyond what it may.",
    labels=(UNKNOWN,),
    born_with=UNKNOWN,
)
