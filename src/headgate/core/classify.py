"""What a failed attempt means: the error table of claude-api.md §6, as a function.

Branches on status, `error.type` and `error.details.error_code`, never on the message, except where the API itself gives
nothing else: the spend limit that an account sets for itself is a 400 told apart by its first words.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import msgspec

from headgate.events import ErrorClass, Reason
from headgate.failure import Failure

__all__ = ["CALLERS_OWN", "ResponseHeaders", "classify_event", "classify_response", "of_api_type", "parse_retry_after"]

CALLERS_OWN = frozenset(
    (ErrorClass.INVALID_REQUEST, ErrorClass.NOT_FOUND, ErrorClass.CONFLICT, ErrorClass.TOO_LARGE,
     ErrorClass.CLIENT_ERROR, ErrorClass.UNSENDABLE)
)  # fmt: skip
"""About the request itself: it is wrong wherever it is sent, and the API's words tell its author what to mend.  All
others are about the service or the account."""

RETRY_AFTER_CAP_S = 10 * 365 * 86_400.0


class ResponseHeaders(Protocol):
    """Response headers: a mapping, or anything else that can be asked for one by its lower-case name."""

    def get(self, name: bytes, /) -> bytes | None: ...


_BY_STATUS = {
    400: ErrorClass.INVALID_REQUEST,
    401: ErrorClass.AUTHENTICATION,
    402: ErrorClass.BILLING,
    403: ErrorClass.PERMISSION,
    404: ErrorClass.NOT_FOUND,
    408: ErrorClass.REQUEST_TIMEOUT,
    409: ErrorClass.CONFLICT,
    413: ErrorClass.TOO_LARGE,
    429: ErrorClass.RATE_LIMIT,
    504: ErrorClass.TIMEOUT_ERROR,
    529: ErrorClass.OVERLOADED,
}
_SERVER_ERRORS = frozenset((500, 501, 502, 503, *range(520, 528)))
"""5xx that are worth another try; 520 to 527 are the edge's own.  Others are unknown, and unknown is not retried."""
_BY_TYPE = {
    "invalid_request_error": ErrorClass.INVALID_REQUEST,
    "authentication_error": ErrorClass.AUTHENTICATION,
    "billing_error": ErrorClass.BILLING,
    "permission_error": ErrorClass.PERMISSION,
    "not_found_error": ErrorClass.NOT_FOUND,
    "conflict_error": ErrorClass.CONFLICT,
    "request_too_large": ErrorClass.TOO_LARGE,
    "rate_limit_error": ErrorClass.RATE_LIMIT,
    "timeout_error": ErrorClass.TIMEOUT_ERROR,
    "api_error": ErrorClass.API_ERROR,
    "overloaded_error": ErrorClass.OVERLOADED,
}
_BY_CODE = {
    "ramp_limit_exceeded": ErrorClass.RAMP_LIMIT,
    "enforced_spend_limit_reached": ErrorClass.SPEND_LIMIT,
    "contract_spend_limit_reached": ErrorClass.SPEND_LIMIT,
    "linked_organization_spend_limit_reached": ErrorClass.LINKED_BILLING,
    "linked_organization_billing_unavailable": ErrorClass.LINKED_BILLING,
}


def of_api_type(type_: str) -> ErrorClass | None:
    """The class of what the API calls `type_`, if it calls anything so."""
    return _BY_TYPE.get(type_) or _BY_CODE.get(type_)


def classify_response(status: int, headers: ResponseHeaders, body: bytes, now_ms: int) -> Failure | None:
    """The failure that a whole response is, or None if it is an answer.

    Args:
        headers: names in lower case.
        now_ms: wall clock, for a `retry-after` that is a date.
    """
    if 200 <= status < 300:
        if body.find(b'"error"', 0, _OPENING) < 0:
            return Failure(ErrorClass.INTERMEDIARY, status, should_retry=False) if is_html(headers) else None
        kind, _, _ = _read_error(body)
        return None if kind is None else _of_envelope(body, None, headers, now_ms)
    if 300 <= status < 400:
        return Failure(ErrorClass.REDIRECT, status)
    if is_html(headers):
        again = status >= 500 and headers.get(b"x-should-retry") != b"false"
        return Failure(
            ErrorClass.INTERMEDIARY, status, retry_after_s=parse_retry_after(headers, now_ms), should_retry=again
        )
    return _of_envelope(body, status, headers, now_ms)


_OPENING = 1024
"""Bytes in which an error body calls itself one.  Answers, which may be long, are not searched to their end."""


def is_html(headers: ResponseHeaders) -> bool:
    """Whether the answer is a web page: then it is not the API that speaks but something on the way to it."""
    return (headers.get(b"content-type") or b"")[:9].lower() == b"text/html"


_NO_HEADERS: dict[bytes, bytes] = {}


def classify_event(data: bytes) -> Failure:
    """The failure that an `error` event in a stream is."""
    return _of_envelope(data, None, _NO_HEADERS, 0)


def _of_envelope(body: bytes, status: int | None, headers: ResponseHeaders, now_ms: int) -> Failure:
    type_, code, message = _read_error(body)
    error = _BY_STATUS.get(status) if status is not None else _BY_TYPE.get(type_ or "", ErrorClass.API_ERROR)
    if error is None and status is not None:
        if status in _SERVER_ERRORS:
            error = ErrorClass.API_ERROR
        elif 400 <= status < 500 and type_ is not None:
            error = ErrorClass.CLIENT_ERROR
        else:
            error = ErrorClass.UNKNOWN_STATUS
    if error is ErrorClass.INVALID_REQUEST and message.startswith(_OWN_SPEND_LIMIT):
        error = ErrorClass.SPEND_LIMIT
    elif code in _BY_CODE:
        error = _BY_CODE[code]
    assert error is not None
    wish = headers.get(b"x-should-retry")
    if headers.get(b"x-headgate-reason") in _NOT_NOW:
        error = ErrorClass.HELD_BACK  # it has sent nothing, and may mean this call's lane or user alone
    return Failure(
        error,
        status,
        type_,
        code,
        parse_retry_after(headers, now_ms),
        {b"true": True, b"false": False}.get(wish) if wish is not None else None,
    )


_NOT_NOW = frozenset(
    reason.encode()
    for reason in (
        Reason.WAIT_TOO_LONG, Reason.LANE_FULL, Reason.LANE_CLOSED, Reason.BREAKER_OPEN, Reason.USER_LIMIT,
        Reason.SESSION_LIMIT, Reason.OVERLOADED, Reason.LEDGER_UNAVAILABLE,
    )
)  # fmt: skip
"""What another Headgate says when it does not send a call now."""
_OWN_SPEND_LIMIT = (
    "you have reached your specified api usage limits",
    "you have reached your specified workspace api usage limits",
    "your workspace has reached its specified api usage limits",
    "this workspace has reached its specified api usage limits",
)


def _read_error(body: bytes) -> tuple[str | None, str | None, str]:
    """`error.type`, `error.details.error_code` and the message in lower case, out of an error body of any shape."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None, None, ""
    if not isinstance(document, dict) or document.get("type") != "error":
        return None, None, ""
    error = document.get("error")
    if not isinstance(error, dict):
        return None, None, ""
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    message = error.get("message")
    return _identifier(error.get("type")), _identifier(code), message.lower() if isinstance(message, str) else ""


def _identifier(value: Any) -> str | None:
    """`value` if it can safely be a log field: an identifier, not free text."""
    if isinstance(value, str) and len(value) <= 64 and value.replace("_", "").replace("-", "").isalnum():
        return value
    return None


def parse_retry_after(headers: ResponseHeaders, now_ms: int) -> float | None:
    """Seconds to wait, strictly read: `retry-after-ms` first, then `retry-after` as whole seconds or an HTTP date.

    Nonsense (a sign, a fraction, an exponent, `nan`, two values, digits of another script) counts as absent.  A date in
    the past is 0.
    """
    milliseconds = headers.get(b"retry-after-ms")
    if milliseconds is not None and milliseconds.isdigit() and len(milliseconds) <= 15:
        return min(int(milliseconds) / 1000, RETRY_AFTER_CAP_S)
    value = headers.get(b"retry-after")
    if value is None:
        return None
    if value.isdigit():  # on bytes: ASCII digits only
        return float(min(int(value), int(RETRY_AFTER_CAP_S))) if len(value) <= 12 else RETRY_AFTER_CAP_S
    if not value[:3].isalpha():
        return None
    try:
        when = parsedate_to_datetime(value.decode("ascii"))
    except (ValueError, OverflowError):  # the second from a time zone of many digits
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, when.timestamp() - now_ms / 1000), RETRY_AFTER_CAP_S)
