"""The ledger and the disk under it."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "DISK_USED",
    "LEDGER_BACKLOG",
    "LEDGER_DRIFT",
    "OPERATION",
    "RESERVATIONS",
    "RESERVATION_AGE",
    "STORE",
    "STORE_ERRORS",
]

STORE = Label(name="store", meaning="What is written to.", values=("ledger",))
OPERATION = Label(
    name="op",
    meaning="`journal`: the file that is written before anything is sent; `commit`: the database behind it.",
    values=("journal", "commit"),
)
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
    help="Writes that failed; of the ledger each is tried again until it works, or refuses the call.",
    labels=(STORE, OPERATION),
)
