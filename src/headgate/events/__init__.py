"""The closed lists: what can go wrong, why we did what we did, and how a call ended.

Logs, ledger rows, metrics and the `x-headgate-reason` header use these values and no others.
"""

from headgate.events.error_class import ErrorClass
from headgate.events.outcome import UNFIT, Outcome, UsageSource, Validation
from headgate.events.own_request import OWN_REQUESTS, OwnRequest
from headgate.events.reason import FALLBACKS, Reason

__all__ = [
    "FALLBACKS",
    "OWN_REQUESTS",
    "UNFIT",
    "ErrorClass",
    "Outcome",
    "OwnRequest",
    "Reason",
    "UsageSource",
    "Validation",
]
