"""Alert rules, and how those who are told were told."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "ALERT_STATE",
    "DELIVERED",
    "EVALUATIONS",
    "NOTIFICATIONS",
    "OUTBOX_AGE",
    "OUTBOX_PENDING",
    "RULE",
    "SENDER",
    "SENDER_KIND",
    "WEBHOOK_DELIVERIES",
]

RULE = Label(name="alert", meaning="An alert rule, by its id.", first_come=64)
SENDER = Label(name="sender", meaning="A receiver of alerts, by its name in the settings.", first_come=16)
SENDER_KIND = Label(
    name="kind",
    meaning="How it is reached.",
    values=("webhook", "slack", "pagerduty", "alertmanager", "smtp"),
)
DELIVERED = Label(
    name="result",
    meaning="`sent`; `retried`: a try that failed; `given_up`: the last one too; `dropped`: too many waited.",
    values=("sent", "retried", "given_up", "dropped"),
)
ALERT_STATE = Metric(
    name="headgate_alert_state",
    kind="gauge",
    help="0 ok, 1 pending, 2 firing, 3 nothing is measured that the rule goes by.",
    labels=(RULE,),
)
EVALUATIONS = Metric(
    name="headgate_alert_evaluations_total",
    kind="counter",
    help="Times that all rules were evaluated by this process.",
)
NOTIFICATIONS = Metric(
    name="headgate_notifications_total",
    kind="counter",
    help="What was told of alerts, by receiver.",
    labels=(SENDER, DELIVERED),
    born_with=DELIVERED,
)
OUTBOX_PENDING = Metric(
    name="headgate_outbox_pending",
    kind="gauge",
    help="Notifications that their receiver has not taken yet.",
    labels=(SENDER_KIND, SENDER),
)
OUTBOX_AGE = Metric(
    name="headgate_outbox_oldest_age_seconds",
    kind="gauge",
    help="How long the oldest of them has waited; 0 if there is none.",
    labels=(SENDER_KIND, SENDER),
)
WEBHOOK_DELIVERIES = Metric(
    name="headgate_webhook_deliveries_total",
    kind="counter",
    help="What was told over HTTP: all receivers but those by mail.",
    labels=(DELIVERED,),
    born_with=DELIVERED,
)
