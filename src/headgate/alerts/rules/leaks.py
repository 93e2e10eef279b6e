"""What is written down and should not be: keys in logs, personal data in text that is kept."""

from __future__ import annotations

from headgate.alerts.rule import Rule
from headgate.alerts.rules.questions import grown
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]

SECRET_IN_LOG = Rule(
    id="secret_in_log",
    number="AL-27",
    title="A key was on its way into a log",
    says="In the last quarter of an hour {value:key} had to be taken out of the log of {sink} ({known_by}).",
    means="What Headgate wrote is clean; whoever sent the key may have shown it to others too.",
    next="headgate alerts explain secret_in_log",
    asks=lambda limits: grown(limits.of(catalogue.SECRETS_IN_LOG), 900, "sink", "known_by") > limits.threshold,
    unit="count",
    severity="page",
    threshold=0,
)
PII_KEPT = Rule(
    id="pii_kept",
    number="AL-28",
    title="Personal data is kept as it is",
    says="{workflow}, which keeps text unscrubbed, kept {value:finding} of {type} in the last hour.",
    means="Whoever reads the log reads them.",
    next="headgate config explain --changed",
    asks=lambda limits: (
        grown(limits.of(catalogue.PII_FINDINGS, action="kept"), 3600, "workflow", "type") > limits.threshold
    ),
    unit="count",
    severity="ticket",
    threshold=0,
    per="workflow",
)

RULES: tuple[Rule, ...] = (SECRET_IN_LOG, PII_KEPT)
