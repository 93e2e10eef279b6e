"""Replies in Anthropic's own form, so that every SDK raises the class it would raise without us in between."""

from __future__ import annotations

from collections.abc import Collection
from math import ceil

from headgate.call import Call, Kind, OwnAnswer, Reply
from headgate.core.error_words import ApiErrorText, error_body, own_request_id, words_for
from headgate.core.price import usd_text
from headgate.errors import Refused
from headgate.events import ErrorClass
from headgate.failure import Failure
from headgate.net.http import HOP_BY_HOP, HeaderBlock, Headers, header_lines

__all__ = ["answered", "envelope", "failed", "refused", "type_of"]

LONGEST_SLEEP_S = 300.0
"""SDKs sleep as long as `retry-after` says, whatever their own timeout is (claude-api.md §15): of a longer wait the
caller is told at once, and decides itself."""

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def envelope(status: int, message: str, request_id: str, *, type: str | None = None) -> bytes:
    """An error body.  `request_id` is the same as the `request-id` header's."""
    return error_body(type or type_of(status), message, request_id)


def type_of(status: int) -> str:
    """The `error.type` that goes with a status."""
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def refused(refusal: Refused, call_id: str, correlation_id: str | None = None) -> tuple[int, Headers, bytes]:
    """The answer to a call that Headgate does not send.  `correlation_id` is plain ASCII; without it the call id stands
    in."""
    request_id = own_request_id(call_id)
    headers = [
        (b"content-type", b"application/json"),
        (b"request-id", request_id.encode()),
        (b"x-headgate-call-id", call_id.encode()),
        (b"x-correlation-id", (correlation_id or call_id).encode("ascii")),
        (b"x-headgate-reason", refusal.reason.encode()),
        *_retry_headers(
            refusal.retry_after_s is not None
            and refusal.retry_after_s <= LONGEST_SLEEP_S
            and refusal.type != "billing_error",
            refusal.retry_after_s,
        ),
    ]
    if refusal.allow:
        headers.append((b"allow", ", ".join(refusal.allow).encode()))
    return refusal.status, headers, envelope(refusal.status, str(refusal), request_id, type=refusal.type)


def failed(call: Call, reply: Reply, api_error_text: ApiErrorText) -> tuple[int, bytes, bytes]:
    """The answer to a call that failed after all we tried: the API's own words where it gave any and callers may have
    them, and always its status and type."""
    failure = reply.failure
    assert failure is not None
    record = call.record
    told = reply.headers.get(b"request-id")
    apis_own = call.attempts[-1].record.upstream_request_id if call.attempts and not told else None
    request_id = told.decode("latin-1")[:128] if told else apis_own or own_request_id(record.call_id)
    steer = _retry_headers(False, failure.retry_after_s)
    ours = lines_of(call) + header_lines([(b"request-id", request_id.encode("latin-1")), *steer])
    in_words = failure.type is not None or (failure.status is not None and failure.error not in _NOT_THE_API)
    status = _status_of(failure)
    if not (in_words and reply.body):
        return status, ours + _JSON, envelope(status, words_for(failure.error), request_id)
    passes = api_error_text.passes(record.workflow, failure.error)
    if failure.status is not None and failure.status >= 400:
        status = failure.status
        if passes:
            return status, _passed_back(reply.headers, _REPLACED) + ours, _scrubbed(reply.body)
    # Words can also come with status 200: as the first event of a stream, or in place of a message.
    own = error_body(failure.type or type_of(status), words_for(failure.error), request_id, failure.code)
    body = _scrubbed(reply.body) if passes else own
    return status, _passed_back(reply.headers, _REPLACED_WITH_TYPE) + ours + _JSON, body


def _scrubbed(body: bytes) -> bytes:
    """The API's words without what they repeat of secrets and of people: an error goes where the request did not."""
    from headgate.safety.content.error_words import scrubbed_error  # its rules take a tenth of a second to load

    return scrubbed_error(body)


_NOT_PASSED_BACK = HOP_BY_HOP | {b"content-length", b"content-encoding", b"set-cookie", b"x-correlation-id"}
_REPLACED = _NOT_PASSED_BACK | {b"request-id", b"x-should-retry", b"retry-after", b"retry-after-ms"}
_REPLACED_WITH_TYPE = _REPLACED | {b"content-type"}
_JSON = b"content-type: application/json\r\n"


def answered(call: Call, reply: Reply) -> bytes:
    """The headers of an answer: the API's, and what we have to say of the way it took."""
    lines = _passed_back(reply.headers, _NOT_PASSED_BACK) + lines_of(call, reply.own)
    if not reply.headers.get(b"request-id"):
        lines += f"request-id: {own_request_id(call.record.call_id)}\r\n".encode()
    return lines


def _passed_back(headers: HeaderBlock, dropped: Collection[bytes]) -> bytes:
    """The lines of `headers` that go back: not those in `dropped`, not those of another Headgate, which would stand
    beside ours, and not those that `Connection:` names."""
    lines = headers.without(dropped)
    named = headers.nominated()
    if not named:
        return lines
    return header_lines([header for header in HeaderBlock(lines).items() if header[0] not in named])


def lines_of(call: Call, own: OwnAnswer | None = None) -> bytes:
    """What a reply says of the way it took: for a stream, as far as it has come."""
    record = call.record
    attempts = call.attempts
    waited_ms = 0.0
    model = None
    for attempt in attempts:
        waited_ms += attempt.record.queue_ms
        model = attempt.facts.model if attempt.facts is not None else None
    text = (
        f"x-headgate-call-id: {record.call_id}\r\nx-headgate-attempts: {len(attempts)}\r\n"
        f"x-headgate-wait-ms: {waited_ms:.0f}\r\nx-correlation-id: {record.correlation_id}\r\n"
    )
    if own is not None:
        model = own.model
        if own.ticket is not None:
            text += f"x-headgate-ticket: {own.ticket}\r\n"
    if model is not None and model.isascii() and model.isprintable():
        text += f"x-headgate-model: {model[:128]}\r\n"
    cost_pico = record.cost_pico if not record.unconfirmed_pico else None
    if record.outcome and cost_pico is not None and call.kind is Kind.MESSAGES:
        text += f"x-headgate-cost-usd: {usd_text(cost_pico)}\r\n"
    if record.reason is not None:
        text += f"x-headgate-reason: {record.reason}\r\n"
    trace = call.trace
    if trace is not None and trace.span_id:
        text += f"traceresponse: {trace.traceparent(trace.span_id)}\r\n"
    standing = call.standing
    if standing is not None:
        if standing.budget is not None:
            text += f"x-headgate-budget: {standing.budget}\r\n"
        if standing.user_pico is not None:
            text += f"x-headgate-user-cost-usd: {usd_text(standing.user_pico)}\r\n"
        if standing.session_pico is not None:
            text += f"x-headgate-session-cost-usd: {usd_text(standing.session_pico)}\r\n"
    return text.encode("ascii")


def _retry_headers(again: bool, after_s: float | None) -> Headers:
    """Steer the caller's own retries: what we have tried already is not tried again on top."""
    headers: Headers = [(b"x-should-retry", b"true" if again else b"false")]
    if after_s is not None:
        headers.append((b"retry-after", b"%d" % ceil(after_s)))
        headers.append((b"retry-after-ms", b"%d" % ceil(after_s * 1000)))
    return headers


_NOT_THE_API = frozenset((ErrorClass.REDIRECT, ErrorClass.INTERMEDIARY))

_STATUS = {
    ErrorClass.INVALID_REQUEST: 400,
    ErrorClass.AUTHENTICATION: 401,
    ErrorClass.BILLING: 402,
    ErrorClass.LINKED_BILLING: 402,
    ErrorClass.PERMISSION: 403,
    ErrorClass.NOT_FOUND: 404,
    ErrorClass.CONFLICT: 409,
    ErrorClass.TOO_LARGE: 413,
    ErrorClass.UNSENDABLE: 400,
    ErrorClass.RATE_LIMIT: 429,
    ErrorClass.RAMP_LIMIT: 429,
    ErrorClass.SPEND_LIMIT: 429,
    ErrorClass.OVERLOADED: 529,
    ErrorClass.HELD_BACK: 429,
    ErrorClass.TIMEOUT_ERROR: 504,
    ErrorClass.API_ERROR: 500,
    ErrorClass.DNS: 503,
    ErrorClass.CONNECT: 503,
    ErrorClass.TLS: 503,
    ErrorClass.EGRESS_DENIED: 503,
    ErrorClass.POOL_TIMEOUT: 503,
    ErrorClass.CONNECT_TIMEOUT: 504,
    ErrorClass.FIRST_BYTE_TIMEOUT: 504,
    ErrorClass.IDLE_TIMEOUT: 504,
    ErrorClass.PROGRESS_TIMEOUT: 504,
    ErrorClass.DEADLINE: 504,
}


def _status_of(failure: Failure) -> int:
    return _STATUS.get(failure.error, 502)
