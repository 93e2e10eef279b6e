"""Queues and limits.  Gauges: looked up when somebody looks."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.labels import LANE, POOL
from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "BREAKER",
    "DIMENSION",
    "INFLIGHT",
    "LIMIT_CAPACITY",
    "LIMIT_RESERVED",
    "LIMIT_USED",
    "NOT_BEFORE",
    "QUEUE_AGE",
    "QUEUE_DEPTH",
    "SLOT",
    "UPSTREAM_REMAINING",
    "UPSTREAM_STALE",
]

DIMENSION = Label(
    name="dimension",
    meaning="Requests, input tokens without cache reads, output tokens; each a minute.",
    values=("rpm", "itpm", "otpm"),
)
SLOT = Label(
    name="credential_slot",
    meaning="Which of our API keys, in the order of the settings: `1` is that of `[upstream]`.",
    values=("1", "2", "3", "4", "5", "6", "7", "8"),
)
QUEUE_DEPTH = Metric(
    name="headgate_queue_depth",
    kind="gauge",
    help="Calls that wait for the account's limits.",
    labels=(LANE,),
)
QUEUE_AGE = Metric(
    name="headgate_queue_oldest_age_seconds",
    kind="gauge",
    help="How long the longest of them has waited; 0 while nobody waits, or the lane is closed.",
    labels=(LANE,),
)
INFLIGHT = Metric(
    name="headgate_inflight",
    kind="gauge",
    help="Attempts that are under way to the API.",
    labels=(LANE,),
)
LIMIT_CAPACITY = Metric(
    name="headgate_limit_capacity",
    kind="gauge",
    help="What the account may use a minute, as far as is known, of all API keys together.",
    labels=(POOL, DIMENSION),
)
LIMIT_USED = Metric(
    name="headgate_limit_used",
    kind="gauge",
    help="What was used of it in the last minute.",
    labels=(POOL, DIMENSION),
)
LIMIT_RESERVED = Metric(
    name="headgate_limit_reserved",
    kind="gauge",
    help="What attempts under way hold; a part of what was used.",
    labels=(POOL, DIMENSION),
)
UPSTREAM_REMAINING = Metric(
    name="headgate_upstream_limit_remaining",
    kind="gauge",
    help="What is left in the API's own bucket, as response headers said last; the least of all API keys.",
    labels=(POOL, DIMENSION),
)
UPSTREAM_STALE = Metric(
    name="headgate_upstream_limit_stale",
    kind="gauge",
    help="1 if headers have said nothing of it for more than a minute.",
    labels=(POOL, DIMENSION),
)
NOT_BEFORE = Metric(
    name="headgate_not_before_seconds",
    kind="gauge",
    help="For how long nothing goes to a pool, because the API asked for time or kept failing.",
    labels=(POOL,),
)
BREAKER = Metric(
    name="headgate_breaker_state",
    kind="gauge",
    help="0 closed, 1 half open: now and then a call goes to see whether the API is back, 2 open: none goes.",
    labels=(POOL, SLOT),
)
