"""Headgate itself: its ledger, its disk, its loop, its records, and whoever is to be told."""

from __future__ import annotations

from headgate.alerts.expr import Expr, Number, metric
from headgate.alerts.functions import Top, increase, largest, total
from headgate.alerts.rule import HOUR_S, Detail, Limits, Rule
from headgate.alerts.rules.questions import grown
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]

LEDGER_ERRORS = Rule(
    id="ledger_errors",
    number="AL-18",
    title="The ledger cannot be written",
    says="{value:operation} of the {store} failed in the last ten minutes ({op}).",
    means="What cannot be recorded is not sent: soon every call is refused.",
    next="df -h",
    asks=lambda limits: grown(limits.of(catalogue.STORE_ERRORS), 600, "store", "op") > limits.threshold,
    unit="count",
    severity="page",
    threshold=0,
    cause="{store}",
)
RESERVATION_AGE = Rule(
    id="reservation_age",
    number="AL-18",
    title="An attempt does not end",
    says="An attempt was written down {value} ago and is not over; no call may take as long.",
    means="A leak: its money stays held, and its place taken.",
    next="headgate limits",
    asks=lambda limits: largest(limits.of(catalogue.RESERVATION_AGE)) > limits.threshold,
    unit="seconds",
    severity="page",
    threshold=8 * HOUR_S,
    for_s=300,
)
DISK_FULL = Rule(
    id="disk_full",
    number="AL-25",
    title="The ledger's disk is nearly full",
    says="{value} of the file system that the ledger is on is used.",
    means="When it is full, calls are refused: what cannot be recorded is not sent.",
    next="df -h",
    asks=lambda limits: largest(limits.of(catalogue.DISK_USED)) > limits.threshold,
    unit="share",
    severity="page",
    threshold=0.9,
    for_s=300,
    cause="ledger",
)
LOOP_LAG = Rule(
    id="loop_lag",
    number="AL-25",
    title="Headgate itself is slow",
    says="Something waited {value} for its turn in the process.",
    means="Every call waits as long, again and again.",
    next="headgate limits",
    asks=lambda limits: largest(limits.of(catalogue.LOOP_LAG)) > limits.threshold,
    unit="seconds",
    severity="ticket",
    threshold=0.5,
    for_s=120,
)
TELEMETRY_DROPPED = Rule(
    id="telemetry_dropped",
    number="AL-30",
    title="Records are lost",
    says="{value} of {signal} could not be written or sent in the last quarter of an hour.",
    means="Nobody's call is the worse for it, and what is asked later has gaps.",
    next="df -h",
    asks=lambda limits: grown(limits.of(catalogue.TELEMETRY_DROPPED), 900, "signal") > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    per="signal",
)
SERIES_DROPPED = Rule(
    id="series_dropped",
    number="AL-30",
    title="More names than there is room for",
    says="In the last hour {value:value} had to be booked under `other`.",
    means="Somebody makes up workflows, or there are more than a hundred.",
    next="headgate cost --by workflow",
    asks=lambda limits: grown(limits.of(catalogue.SERIES_DROPPED), 3600) > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    runbook="telemetry_dropped",
)
NOT_DELIVERED = Rule(
    id="not_delivered",
    number="AL-24",
    title="Somebody is not told of alerts",
    says="The receiver {sender} has not taken a notification for {value}.",
    means="Its address is wrong, or it is gone.",
    next="headgate alerts",
    asks=lambda limits: largest(limits.of(catalogue.OUTBOX_AGE), "sender") > limits.threshold,
    unit="seconds",
    severity="ticket",
    threshold=900,
    per="sender",
)


def _stale(limits: Limits) -> Expr:
    """Where a gateway watches itself at all."""
    rounds = total(increase(limits.of(catalogue.EVALUATIONS), 300))
    return (rounds < limits.threshold).when(largest(limits.of(catalogue.ALERT_STATE)))


def _differ(limits: Limits) -> Expr:
    """How many kinds of settings, or versions of Headgate, run beside each other."""
    settings = total(largest(limits.of(catalogue.CONFIG_INFO), "version_short"))
    versions = total(largest(limits.of(catalogue.BUILD_INFO), "version"))
    return (settings > limits.threshold) | (versions > limits.threshold)


VERSION_SKEW = Rule(
    id="version_skew",
    number="AL-29",
    title="Processes do not run the same",
    says="Processes run {value} different settings, or versions of Headgate.",
    means="Which limits, budgets and prices a call meets depends on the process that it comes to.",
    next="headgate alerts explain version_skew",
    asks=_differ,
    unit="count",
    severity="ticket",
    threshold=1,
    for_s=600,
    detail=Detail(
        "{value} with settings {version_short}",
        lambda labels: Top(3, total(metric(catalogue.CONFIG_INFO.name), "version_short")),
        "count",
    ),
)
EVALUATOR_STALE = Rule(
    id="evaluator_stale",
    number="AL-30",
    title="Headgate does not watch itself any more",
    says="The rules were evaluated {value:time} in the last five minutes.",
    means="Only Prometheus can tell you this, and only it tells you of anything.",
    next="headgate alerts",
    asks=_stale,
    unit="count",
    severity="page",
    threshold=1,
    for_s=60,
    runbook="watchdog",
)
WATCHDOG = Rule(
    id="watchdog",
    number="AL-30",
    title="Alerts are watched",
    says="This is always told.  When it stops, alerts do not reach you.",
    means="For a receiver that wakes somebody when nothing comes.",
    next="headgate alerts",
    asks=lambda limits: Number(1),
    unit="count",
    severity="none",
    threshold=0,
    repeat_s=300,
)


RULES: tuple[Rule, ...] = (
    LEDGER_ERRORS,
    RESERVATION_AGE,
    DISK_FULL,
    LOOP_LAG,
    TELEMETRY_DROPPED,
    SERIES_DROPPED,
    NOT_DELIVERED,
    VERSION_SKEW,
    EVALUATOR_STALE,
    WATCHDOG,
)
