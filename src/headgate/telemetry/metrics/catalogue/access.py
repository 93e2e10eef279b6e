"""Who comes to Headgate's own doors."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import Metric

__all__ = ["ADMIN_NEW_ADDRESSES", "AUTH_WORST_SOURCE"]

AUTH_WORST_SOURCE = Metric(
    name="headgate_auth_failures_worst_source",
    kind="gauge",
    help="Requests without a credential that is known here, or beyond what it may, in the last minute: of the address "
    "that has most.  Alerts name it.",
)
ADMIN_NEW_ADDRESSES = Metric(
    name="headgate_admin_new_addresses_total",
    kind="counter",
    help="Addresses from which the operators' port was used with its token, and never before in ninety days.  Alerts "
    "name them.",
)
