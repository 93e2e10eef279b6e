"""The ledger and what else is written to, and the disk under it."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "DISK_USED",
    "LEDGER_BACKLOG",
    "LEDGER_DRIFT",
    "OPERATION",
    "RESERVATIONS",
    "RESERVATIONS_EXPIRED",
    "RESERVATION_AGE",
    "STORE",
    "STORE_ERRORS",
    "STORE_SECONDS",
]

STORE = Label(
    name="store",
    meaning="What is written to: the ledger, the accounts of budgets, what is observed, the text of calls.",
    values=("ledger", "budgets", "telemetry", "content"),
)
OPERATION = Label(
    name="op",
    meaning="`journal`: the file that is written before anything is sent; of seconds: beginning a new one, every few "
    "megabytes. `commit`: a transaction that waits for the disk, or rows of the ledger. `write`, `read`, `delete`: any "
    "other.",
    values=("journal", "commit", "write", "read", "delete"),
)
_DISK_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""The last ones are for locks of other programs."""

RESERVATIONS = Metric(
    name="headgate_reservations_open",
    kind="gauge",
    help="Attempts that were written down before they were sent and are not over.",
)
RESERVATION_AGE = Metric(
    name="headgate_reservation_oldest_age_seconds",
    kind="gauge",
    help="How long ago the oldest of them began; 0 if there is none.",
)
RESERVATIONS_EXPIRED = Metric(
    name="headgate_reservations_expired_total",
    kind="counter",
    help="What processes that died had begun, or been granted of budgets, and is booked as spent: calls that this "
    "process found at its start, and grants whose lease ran out.",
)
LEDGER_BACKLOG = Metric(
    name="headgate_ledger_backlog_bytes",
    kind="gauge",
    help="Rows in the ledger's journal that are not in its database yet.",
)
DISK_USED = Metric(
    name="headgate_disk_used_ratio",
    kind="gauge",
    help="Of the file system that the ledger is on; asked by the gateway only.",
)
LEDGER_DRIFT = Metric(
    name="headgate_ledger_reconcile_drift_ratio",
    kind="gauge",
    help="By how much the API's own report of a day differed from the ledger: of the newest day of the last week that "
    "headgate cost reconcile has corrected; 0 if there is none.",
)
STORE_ERRORS = Metric(
    name="headgate_store_errors_total",
    kind="counter",
    help="What could not be written or read; the ledger tries again until it can, or refuses the call.",
    labels=(STORE, OPERATION),
)
STORE_SECONDS = Metric(
    name="headgate_store_op_seconds",
    kind="histogram",
    help="How long what stores do takes; all but the journal's on threads of their own.",
    labels=(STORE, OPERATION),
    bounds=_DISK_SECONDS,
)
