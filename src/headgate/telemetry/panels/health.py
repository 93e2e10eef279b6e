"""What is refused, found and lost, and how Headgate itself does."""

from __future__ import annotations

from headgate.alerts.functions import largest, total
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.panels.panel import Dashboard, Line, Panel
from headgate.telemetry.panels.queries import HOUR_S, grew, of, per_second, quantile_by

__all__ = ["HEALTH"]

HEALTH = Dashboard(
    "health",
    "Safety and health",
    (
        Panel(
            "Alerts",
            "What is wrong?  1 pending, 2 firing.",
            "state",
            (Line(largest(of(catalogue.ALERT_STATE), "alert").equals(2), "{alert}"),),
        ),
        Panel(
            "Who is not told",
            "How long has a notification waited that its receiver does not take?",
            "seconds",
            (Line(largest(of(catalogue.OUTBOX_AGE), "sender"), "{sender}"),),
            threshold=900.0,
            rare=True,
        ),
        Panel(
            "Why models stop",
            "Are answers cut?",
            "per_second",
            (Line(per_second(catalogue.STOP_REASONS, "stop_reason"), "{stop_reason}"),),
        ),
        Panel(
            "Refusals",
            "What do models decline?",
            "per_second",
            (Line(per_second(catalogue.REFUSALS, "workflow", "category"), "{workflow}: {category}"),),
            rare=True,
        ),
        Panel(
            "Structured outputs",
            "Can programs read what they asked for?",
            "per_second",
            (Line(per_second(catalogue.OUTPUT_VALIDATION, "workflow", "result"), "{workflow}: {result}"),),
            rare=True,
        ),
        Panel(
            "Personal data",
            "What was found in text that is kept?",
            "per_second",
            (Line(per_second(catalogue.PII_FINDINGS, "type", "action"), "{type} {action}"),),
            rare=True,
        ),
        Panel(
            "Keys in logs",
            "How many keys had to be taken out of lines before they were written, and of which log?",
            "count",
            (Line(grew(catalogue.SECRETS_IN_LOG, "sink", "known_by"), "{sink}: {known_by}"),),
        ),
        Panel(
            "Wrong keys",
            "Does somebody try keys?",
            "per_second",
            (Line(per_second(catalogue.AUTH_FAILURES, "reason"), "{reason}"),),
            rare=True,
        ),
        Panel(
            "Tries from one address",
            "Does one address try many, in a minute?  And do operators come from where they never did?",
            "count",
            (
                Line(largest(of(catalogue.AUTH_WORST_SOURCE)), "worst address"),
                Line(grew(catalogue.ADMIN_NEW_ADDRESSES), "operators' new addresses"),
            ),
            threshold=20,
            rare=True,
        ),
        Panel(
            "Writes that failed",
            "Can the ledger be written?",
            "count",
            (Line(grew(catalogue.STORE_ERRORS, "op"), "{op}"),),
        ),
        Panel(
            "Time for the disk",
            "How long do ledger, budgets and telemetry wait for it, in their own threads?",
            "seconds",
            (Line(quantile_by(0.99, catalogue.STORE_SECONDS, "store", "op"), "p99 {store} {op}"),),
            threshold=1.0,
            rare=True,
        ),
        Panel(
            "Left by the dead",
            "What did processes that died leave open, and is booked as spent?",
            "count",
            (Line(grew(catalogue.RESERVATIONS_EXPIRED, window_s=HOUR_S), "calls and grants"),),
        ),
        Panel(
            "Not in the database yet",
            "Does the ledger's disk keep up?",
            "bytes",
            (Line(largest(of(catalogue.LEDGER_BACKLOG)), "journal"),),
        ),
        Panel(
            "Telemetry that was lost",
            "Has what is shown here gaps?",
            "count",
            (Line(grew(catalogue.TELEMETRY_DROPPED, "signal"), "{signal}"),),
        ),
        Panel(
            "Lag",
            "Is the process itself slow?",
            "seconds",
            (Line(largest(of(catalogue.LOOP_LAG)), "event loop"),),
            threshold=0.5,
        ),
        Panel(
            "Pressure",
            "How near is the gateway to what it can take itself, where 3 is at a limit?",
            "state",
            (Line(largest(of(catalogue.PRESSURE)), "level"),),
            threshold=2.0,
            rare=True,
        ),
        Panel(
            "Disk",
            "How full is the disk that the ledger is on?",
            "share",
            (Line(largest(of(catalogue.DISK_USED)), "used"),),
            threshold=0.9,
            rare=True,
        ),
        Panel(
            "Settings",
            "Do all processes run the same?",
            "count",
            (Line(total(of(catalogue.CONFIG_INFO), "version_short"), "{version_short}"),),
        ),
    ),
)
