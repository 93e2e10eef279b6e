"""Headgate's own exceptions, and the one place where they get words for a caller.

    HeadgateError
    ├── ConfigError          a setting is wrong; raised while loading, never later
    ├── PriceError           the price book is wrong, or lacks a row
    ├── LedgerError          the ledger cannot be opened or trusted
    └── Refused              a call is not sent, or not sent again
        ├── BadRequest       the request itself is wrong (400, 413, 415)
        ├── NotAllowed       the caller is unknown or may not (401, 403, 404, 405)
        └── Unavailable      not now (429, 503): carries `retry_after_s`
            └── BudgetSpent  there is no money for it (429, `billing_error`), which no SDK tries again

Failures of the upstream are not exceptions; they travel as `Failure` values inside a `Reply`.
"""

from __future__ import annotations

from headgate.events import Reason

__all__ = [
    "BadRequest",
    "BudgetSpent",
    "ConfigError",
    "HeadgateError",
    "LedgerError",
    "NotAllowed",
    "PriceError",
    "Refused",
    "Unavailable",
]


class HeadgateError(Exception):
    """The base of all of them."""


class ConfigError(HeadgateError):
    """A setting is wrong.  The message names the place it was set and what to write instead."""


class PriceError(HeadgateError):
    """A price file is wrong, or a model or billing dimension has no price row."""


class LedgerError(HeadgateError):
    """The ledger cannot be opened or trusted.  The message says how to recover; nothing was deleted."""


class Refused(HeadgateError):
    """A call that Headgate does not send.  The message is written for the caller and holds nothing of the request.

    Attributes:
        status: the HTTP status at the edge.
        type: the `error.type` of Anthropic's envelope, so that SDKs raise their usual class.
        reason: a code out of the closed list.
        retry_after_s: when trying again makes sense, or None if it never does.
        allow: with status 405, the methods that the path takes.
    """

    allow: tuple[str, ...] = ()

    def __init__(
        self, message: str, *, status: int, type: str, reason: Reason, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.reason = reason
        self.retry_after_s = retry_after_s


class BadRequest(Refused):
    """The request itself is wrong; the same request will be refused again."""

    def __init__(self, message: str, *, reason: Reason, status: int = 400) -> None:
        type_ = "request_too_large" if status == 413 else "invalid_request_error"
        super().__init__(message, status=status, type=type_, reason=reason)


class NotAllowed(Refused):
    """The caller is unknown, or asks for something that is not passed on."""

    def __init__(self, message: str, *, reason: Reason, status: int, allow: tuple[str, ...] = ()) -> None:
        super().__init__(message, status=status, type=_TYPES.get(status, "invalid_request_error"), reason=reason)
        self.allow = allow


_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


class Unavailable(Refused):
    """Not now.  429 where the account's limits are the cause, 503 where it is Headgate."""

    def __init__(self, message: str, *, reason: Reason, status: int, retry_after_s: float | None) -> None:
        type_ = "rate_limit_error" if status == 429 else "api_error"
        super().__init__(message, status=status, type=type_, reason=reason, retry_after_s=retry_after_s)


class BudgetSpent(Unavailable):
    """What is left of a budget is less than the call needs.  Takes the form that makes clients stop at once and show
    the message (claude-api.md §16): `retry_after_s` is when the budget begins anew, None if it does not."""

    def __init__(self, message: str, *, retry_after_s: float | None) -> None:
        super().__init__(message, reason=Reason.BUDGET, status=429, retry_after_s=retry_after_s)
        self.type = "billing_error"
