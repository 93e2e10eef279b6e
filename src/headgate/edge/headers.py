"""Every header of our own, and every one that we give a meaning to: docs/reference/headers.md prints this.

What is read stands in intake.py, what is written in answers.py; a test compares the names.
"""

from __future__ import annotations

__all__ = ["REQUEST", "RESPONSE"]

REQUEST = {
    "x-headgate-workflow": (
        "The tool or feature the call is made for: what cost, lane and log policy hang on.  64 characters of "
        "letters, digits and `._:/@+=-`; others become `_`."
    ),
    "x-headgate-user": "On whose behalf.  A mail address is kept as a digest only.",
    "x-headgate-session": "One conversation or job.",
    "x-headgate-team": "Who pays for it.",
    "x-headgate-tags": (
        "What else it belongs to, such as a project, with commas between; 16 at most.  Those of the key come on top."
    ),
    "x-headgate-lane": (
        "The class of traffic: `interactive`, `standard`, `bulk`, or a lane of your own.  An unknown one is a 400."
    ),
    "x-headgate-deadline-s": (
        "Seconds this call may take, over waiting, all attempts and the whole stream; `30` or `2.5`.  The lane's "
        "`total_timeout_s` still holds."
    ),
    "x-correlation-id": (
        "Your own id, up to 128 plain characters.  It is recorded and comes back in the answer; without it the "
        "call id stands in."
    ),
    "traceparent": (
        "W3C trace context.  The trace id is recorded, and with [OpenTelemetry](../howto/opentelemetry.md) the call "
        "is a span of that trace."
    ),
    "tracestate": "What belongs to it; passed on as it came.",
    "x-api-key": "The caller's credential: one of `gateway.keys`, or anything where none are configured.",
    "authorization": (
        "`Bearer` and the credential, for callers that send it this way; the API then gets Headgate's key the same way."
    ),
    "x-stainless-retry-count": (
        "Sent by the SDKs: how often the caller has retried already.  It counts as attempts of ours.  Passed on."
    ),
    "x-claude-code-session-id": (
        "Sent by Claude Code: the session, and `claude-code` as workflow, unless our own headers say otherwise.  "
        "Passed on."
    ),
}
"""Read from a request.  Where a caller key fixes a value, the header does not change it."""

RESPONSE = {
    "request-id": "The API's own; where it sent none, the call id with `req_` in place of `call_`.",
    "x-headgate-call-id": "The call in the ledger and in the log.",
    "x-headgate-attempts": "Trips to the API so far.",
    "x-headgate-wait-ms": "Milliseconds of waiting for the account's limits.",
    "x-headgate-model": "The model that answered, where it is known when the headers are sent.",
    "x-headgate-ticket": "Of a call that was queued as a job: by which to ask for its answer.",
    "age": "Of an old answer that was given again: how many seconds old it is.",
    "x-headgate-cost-usd": (
        "Exact cost in US dollars, so not where a part of it is unconfirmed.  Not on streams: their headers go out "
        "before the cost is known."
    ),
    "x-headgate-budget": (
        "Of the budgets that cover the call the one of which the most is spent or held, and its share: `support=85%`."
    ),
    "x-headgate-user-cost-usd": (
        "What the call's user has spent today (UTC), this call included if its cost is known: through this process, "
        "and before it began through all that share its ledger."
    ),
    "x-headgate-session-cost-usd": (
        "The same for the call's session, since it began; after a restart, since the day before it at the earliest."
    ),
    "x-headgate-reason": (
        "Why Headgate refused, delayed or repeated the call, or answered it otherwise: one of the "
        "[reasons](errors.md#reasons)."
    ),
    "x-correlation-id": "The caller's, or the call id.",
    "traceresponse": (
        "With [OpenTelemetry](../howto/opentelemetry.md): the trace, and the call's span in it, as `traceparent` has "
        "them."
    ),
    "x-should-retry": "On errors: whether the caller's SDK should try again on top of Headgate.",
    "retry-after": "On errors that pass: whole seconds, rounded up.",
    "retry-after-ms": "The same in milliseconds; SDKs read it first.",
}
"""Written to a response.  The API's own headers are passed back beside them."""
