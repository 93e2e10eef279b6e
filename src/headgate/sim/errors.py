"""The simulator's refusals: Anthropic's error envelope and the headers that go with it (claude-api.md §6).

No text here repeats anything a request said: clients log error messages, and logs must stay clean.
"""

from __future__ import annotations

from typing import Any

from msgspec.json import encode

from headgate.net.http import Headers

__all__ = ["ApiError", "envelope", "envelope_bytes", "error_type", "invalid"]

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_type(status: int) -> str:
    """The `error.type` that goes with `status`; 4xx without a name of their own are invalid requests (§6)."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        status: the HTTP status.
        type: the `error.type`.
        message: prose; informative only (§6).
        details: `error.details`, with `error_code` where the API has one, else None.
        headers: what the status needs beside the usual ones (`retry-after`, rate limits).
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        headers: Headers | None = None,
        **more_details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type or error_type(status)
        self.message = message
        self.details = {"error_code": code, **more_details} if code else None
        self.headers: Headers = headers if headers is not None else []


def invalid(message: str, *, code: str | None = None, **more_details: Any) -> ApiError:
    """A 400 `invalid_request_error`."""
    return ApiError(400, message, code=code, **more_details)


def envelope(error: ApiError, request_id: str) -> dict[str, Any]:
    """The body of an error; `details` only where there are any."""
    body: dict[str, Any] = {"type": error.type, "message": error.message}
    if error.details is not None:
        body["details"] = error.details
    return {"type": "error", "error": body, "request_id": request_id}


def envelope_bytes(error: ApiError, request_id: str) -> bytes:
    return encode(envelope(error, request_id))
