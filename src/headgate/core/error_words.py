"""What callers are told when a call fails: the API's own words, or Headgate's.

Errors about the request itself keep the API's words: they name the field to mend, and SDKs and Claude Code act on them.
Errors of the service and of the account may name the organisation, its limits and its payments, which are nothing for
an end user: callers get Headgate's words, with the API's status, type and code.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headgate.core.classify import CALLERS_OWN
from headgate.events import ErrorClass
from headgate.failure import Failure

__all__ = ["ApiErrorText", "error_body", "error_event", "own_request_id", "words_for"]

_encode = msgspec.json.Encoder().encode


class ApiErrorText:
    """Whether callers of a workflow get the API's own words."""

    def __init__(self, by_workflow: Mapping[str, bool]) -> None:
        self._by_workflow = by_workflow

    def passes(self, workflow: str, error: ErrorClass) -> bool:
        """Whether they do of an error of this class: as the workflow says, or else only of wrong requests."""
        asked = self._by_workflow.get(workflow)
        return asked if asked is not None else error in CALLERS_OWN


def own_request_id(call_id: str) -> str:
    """Ours, where the API gave none: the call id with the prefix that such ids have."""
    return "req_" + call_id.removeprefix("call_")


def error_body(type: str, message: str, request_id: str, code: str | None = None) -> bytes:
    """An error in Anthropic's envelope."""
    details = {"error_code": code} if code is not None else None
    body = {"type": "error", "error": {"type": type, "message": message, "details": details}, "request_id": request_id}
    return _encode(body)


def error_event(failure: Failure, request_id: str) -> bytes:
    """What the API's own error event says, in Headgate's words."""
    body = error_body(failure.type or "api_error", words_for(failure.error), request_id, failure.code)
    return b"event: error\ndata: " + body + b"\n\n"


def words_for(error: ErrorClass) -> str:
    """A sentence about the failure that names nobody."""
    return _WORDS[error]


_WORDS: dict[ErrorClass, str] = {
    **dict.fromkeys(ErrorClass, "The Claude API answered with an error that it did not explain."),
    ErrorClass.AUTHENTICATION: "The Claude API does not take the API key that this call was sent with.",
    ErrorClass.BILLING: "The Claude API does not serve this account at the moment.",
    ErrorClass.LINKED_BILLING: "The Claude API cannot bill this call to the organisation that it names.",
    ErrorClass.PERMISSION: "The API key that this call was sent with may not do this.",
    ErrorClass.REQUEST_TIMEOUT: "The Claude API did not receive the request in time.",
    ErrorClass.RATE_LIMIT: "A rate limit of the Claude API is used up.",
    ErrorClass.RAMP_LIMIT: "Traffic to the Claude API grew faster than it allows.",
    ErrorClass.SPEND_LIMIT: "A spend limit at the Claude API is reached.",
    ErrorClass.API_ERROR: "The Claude API failed.",
    ErrorClass.TIMEOUT_ERROR: "The Claude API took too long.",
    ErrorClass.OVERLOADED: "The Claude API is overloaded.",
    ErrorClass.HELD_BACK: "Another Headgate on the way to the Claude API did not send this call now.",
    ErrorClass.DNS: "Headgate cannot reach the Claude API: its name cannot be resolved.",
    ErrorClass.CONNECT: "Headgate cannot reach the Claude API: no connection.",
    ErrorClass.CONNECT_TIMEOUT: "Headgate cannot reach the Claude API: connecting took too long.",
    ErrorClass.TLS: "Headgate does not trust what answers at the Claude API's address: TLS failed.",
    ErrorClass.EGRESS_DENIED: "Headgate does not connect: the Claude API's name leads to a private address.",
    ErrorClass.UNSENDABLE: "A header, the path or the API key holds a line break or a NUL; nothing was sent.",
    ErrorClass.POOL_TIMEOUT: "Headgate had no free connection to the Claude API in time.",
    ErrorClass.RESET: "The Claude API closed the connection before it answered.",
    ErrorClass.PROTOCOL: "The Claude API's answer could not be understood.",
    ErrorClass.REDIRECT: "The Claude API's address answered with a redirect, which Headgate does not follow.",
    ErrorClass.INTERMEDIARY: "Something between Headgate and the Claude API answered in its place, with a web page.",
    ErrorClass.FIRST_BYTE_TIMEOUT: "The Claude API did not begin to answer in time.",
    ErrorClass.IDLE_TIMEOUT: "The Claude API stopped in the middle of its answer.",
    ErrorClass.PROGRESS_TIMEOUT: "The Claude API's stream stopped making progress.",
    ErrorClass.DEADLINE: "The call's deadline passed before the Claude API had answered.",
    ErrorClass.STREAM_CUT: "The Claude API broke off its answer.",
    ErrorClass.MALFORMED: "The Claude API's answer is not a message.",
}
