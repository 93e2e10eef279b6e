"""What is written down: one record a call, one an attempt, one a batch item.

The field names are the ledger's columns and the log line's keys (stores/sqlite/schema.sql, docs/reference/records.md).
Token counts are Anthropic's own disjoint kinds.  Money is integer pico-dollars.  Times are milliseconds.  They hold
plain values only, so the garbage collector need not look at them.
"""

from __future__ import annotations

import msgspec

__all__ = ["AttemptRecord", "BatchItemRecord", "CallRecord", "CorrectionRecord", "OpenAttempt", "Resource"]


class CallRecord(msgspec.Struct, kw_only=True, gc=False):
    """What a caller asked for, and what came of it."""

    call_id: str
    """`call_`, eleven hex digits of Unix milliseconds and sixteen of chance: sorting by it is sorting by time."""
    started_ms: int
    """When the call began, in Unix milliseconds."""
    kind: str
    """`messages`, `count_tokens`, `batches`, `files`, `models`, `other` (skills, user profiles), or `unmetered`: a path
    that does not tell what it costs."""
    workflow: str
    """The tool or feature it was made for; `unset` if nobody said."""
    user: str | None = None
    """On whose behalf; a mail address and the request's `metadata.user_id` are kept as a digest, `user-…`."""
    session: str | None = None
    """One conversation or job."""
    lane: str
    """The class of traffic it ran in."""
    caller_key: str | None = None
    """Name of the caller key it came with, where `gateway.keys` are configured."""
    correlation_id: str = ""
    """The caller's `x-correlation-id`, or the call id."""
    trace_id: str | None = None
    """Trace id of the caller's `traceparent`; with OpenTelemetry and without one, of the trace that begins here."""
    model: str | None = None
    """The model that was asked for; if its workflow's policy or a budget chose another one (`shaped`), that one."""
    model_answered: str | None = None
    """The model that answered the last attempt, as the API named it."""
    stream: bool = False
    """Whether a stream was asked for."""
    max_tokens: int | None = None
    """As the request said, or as its workflow's policy changed it (`shaped`)."""
    system_hash: str | None = None
    """Digest of the system prompt: equal prompts have equal digests."""
    status: int | None = None
    """HTTP status of the API's last answer, or of Headgate's refusal; NULL if there was neither."""
    outcome: str = ""
    """How the call ended: see outcomes in errors.md."""
    reason: str | None = None
    """Why Headgate refused, delayed or repeated it, or answered it otherwise: see reasons in errors.md; NULL if it did
    none of these."""
    error: str | None = None
    """Why the last attempt failed: see error classes in errors.md; NULL if it did not."""
    stop_reason: str | None = None
    """Why the model stopped, as the API said; null also where no answer was asked for (`max_tokens: 0`)."""
    refusal_category: str | None = None
    """Of an answer with the stop reason `refusal`: the category the API gave."""
    attempts: int = 0
    """Attempts made for it, each with a row of its own; one that was given up while it waited for its turn is none."""
    caller_attempts: int = 0
    """Times the caller's SDK had already tried on its own (`x-stainless-retry-count`)."""
    upstream_request_id: str | None = None
    """The API's `request-id` of the last attempt."""
    input_tokens: int = 0
    """Input tokens that are neither read from nor written to the prompt cache."""
    output_tokens: int = 0
    """Output tokens, thinking included."""
    cache_read_tokens: int = 0
    """Input tokens read from the prompt cache."""
    cache_write_5m_tokens: int = 0
    """Input tokens written to the prompt cache for five minutes."""
    cache_write_1h_tokens: int = 0
    """Input tokens written to the prompt cache for an hour."""
    thinking_tokens: int = 0
    """The part of `output_tokens` that was thinking."""
    usage_source: str = "none"
    """How far the token counts can be trusted: see usage sources in errors.md; of several the weakest."""
    cost_pico: int | None = 0
    """Cost of all attempts in pico-dollars (10^-12 USD); NULL if a part of it has no known price."""
    cost_problem: str | None = None
    """What the price book does not know, for example `geo:eu`; `unmetered` if nobody tells what was used;
    `other_payer`, beside a cost of 0, if `billing_policy` has another organisation billed."""
    unconfirmed_pico: int = 0
    """Expected cost, in pico-dollars, of attempts that nothing tells the usage of; not in `cost_pico`, and no bound."""
    price_row: str | None = None
    """The price row of the last attempt: model and the row's first day."""
    queue_ms: float = 0.0
    """Milliseconds of waiting for the account's limits, over all attempts."""
    connect_ms: float = 0.0
    """Milliseconds of waiting for a connection to the API, over all attempts."""
    first_byte_ms: float | None = None
    """Of a stream: milliseconds from the call's begin to the first content; else NULL."""
    upstream_ms: float = 0.0
    """Milliseconds between sending an attempt and the end of its answer, over all attempts."""
    overhead_ms: float = 0.0
    """Milliseconds that are left of `total_ms`: Headgate's own time."""
    total_ms: float = 0.0
    """Milliseconds from the call's begin to its end, waits between attempts included."""
    bytes_in: int = 0
    """Bytes of the request's body; 0 for a body that was passed on while it arrived."""
    bytes_out: int = 0
    """Bytes of the answer's body."""
    team: str | None = None
    """The team it was made for: the caller key's, or what the call says."""
    tags: str | None = None
    """What else its caller says it belongs to, in alphabetical order with commas between."""
    shaped: str | None = None
    """What the workflow's policy changed in the request: a JSON object of `model`, `max_tokens`, `effort`, `lane`, each
    with `from` and `to`, and `history`; in its member `shadow` what would have been changed by what is only watched.
    NULL if nothing."""
    dropped_messages: int = 0
    """Messages at the begin of the history that were left out, so that it keeps the workflow's bounds."""
    dropped_tokens: int = 0
    """Their tokens, as estimated."""
    cache_plan: str | None = None
    """The lifetimes of the cache markers that Headgate placed, such as `5m` or `1h,5m`; NULL if it placed none."""
    joined: int = 0
    """How many calls, this one among them, shared its request; 0 if it had one of its own."""
    batch_id: str | None = None
    """The Message Batch in which it was answered; NULL if it was not."""
    own: str | None = None
    """What Headgate made it for, of its own accord: see own requests in errors.md; NULL if it is a caller's."""
    validation: str | None = None
    """Whether its answer was the structured output that was asked for: see validation in errors.md; NULL if none was
    asked for, or there was no whole answer."""
    fell_back_on: str | None = None
    """What went wrong, where a fallback answered: `refusal`, `budget`, an error class or a reason of errors.md; NULL if
    none did."""


class AttemptRecord(msgspec.Struct, kw_only=True, gc=False):
    """One trip to the API."""

    call_id: str
    """The call it was made for."""
    attempt: int
    """1 for the first."""
    started_ms: int
    """When it began, in Unix milliseconds: before it waited for its turn."""
    credential: str = ""
    """Name of the API key: `default`, one of `upstream.credentials`, or `caller-…` for a caller's own."""
    pool: str = ""
    """The limits it drew on: models that share them are one pool."""
    status: int | None = None
    """HTTP status of the API's answer; NULL if there was none."""
    error: str | None = None
    """Why it failed: see error classes in errors.md, or `crashed`; NULL if it did not."""
    error_type: str | None = None
    """`error.type` as the API gave it."""
    error_code: str | None = None
    """`error.details.error_code` as the API gave it."""
    upstream_request_id: str | None = None
    """The API's `request-id`."""
    decision: str | None = None
    """After a failure: `retried`, or the reason why not (see reasons in errors.md)."""
    retry_after_ms: int | None = None
    """How long the API asked to wait, in milliseconds."""
    model_answered: str | None = None
    """The model that answered, as the API named it."""
    stop_reason: str | None = None
    """Why the model stopped, as the API said."""
    estimated_input_tokens: int = 0
    """Input tokens it was admitted for."""
    estimated_output_tokens: int = 0
    """Output tokens it was admitted for."""
    input_tokens: int = 0
    """Input tokens that are neither read from nor written to the prompt cache."""
    output_tokens: int = 0
    """Output tokens, thinking included."""
    cache_read_tokens: int = 0
    """Input tokens read from the prompt cache."""
    cache_write_5m_tokens: int = 0
    """Input tokens written to the prompt cache for five minutes."""
    cache_write_1h_tokens: int = 0
    """Input tokens written to the prompt cache for an hour."""
    thinking_tokens: int = 0
    """The part of `output_tokens` that was thinking."""
    web_searches: int = 0
    """Web searches the API did for it."""
    service_tier: str | None = None
    """As the API said: `standard`, `priority` or `batch`."""
    speed: str | None = None
    """As the API said: `standard` or `fast`."""
    inference_geo: str | None = None
    """Where it ran, as the API said."""
    usage_source: str = "none"
    """How far the token counts can be trusted: see usage sources in errors.md."""
    usage_anomaly: str | None = None
    """Names of usage fields whose value was no count and was not taken, with commas between."""
    cost_pico: int | None = 0
    """Cost in pico-dollars (10^-12 USD); NULL if it has no known price."""
    cost_problem: str | None = None
    """What the price book does not know, for example `geo:eu`; `unmetered` if nobody tells what was used;
    `other_payer`, beside a cost of 0, if `billing_policy` has another organisation billed."""
    unconfirmed_pico: int = 0
    """Expected cost, in pico-dollars, if nothing tells what it used; not in `cost_pico`, and no bound."""
    price_row: str | None = None
    """The price row used: model and the row's first day."""
    queue_ms: float = 0.0
    """Milliseconds of waiting for the account's limits."""
    connect_ms: float = 0.0
    """Milliseconds of waiting for a connection to the API; 0 if one was open."""
    first_byte_ms: float | None = None
    """Milliseconds from its begin to the headers of the answer; NULL if none came."""
    total_ms: float = 0.0
    """Milliseconds from its begin to its end."""
    hops: str | None = None
    """Where several models took part in one answer: a JSON list with `model`, the five token counts and `cost_pico` of
    each, in the order they ran, which add up to those of the attempt; else NULL."""
    shared_by: int = 1
    """Calls that were answered by the same request to the API.  Token counts and cost are this call's share; together
    the shares are what the request used."""


class BatchItemRecord(msgspec.Struct, kw_only=True, gc=False):
    """One unit of a Message Batch, priced when its result passed through.  Unique by batch and `custom_id`."""

    batch_id: str
    """The Message Batch."""
    custom_id: str
    """The item, as its maker named it."""
    seen_ms: int
    """When its result first passed through, in Unix milliseconds."""
    workflow: str
    """As of the call that made the batch; of the one that fetched it if Headgate did not see that call."""
    user: str | None = None
    """Likewise."""
    session: str | None = None
    """Likewise."""
    result: str
    """`succeeded`, `errored`, `canceled` or `expired`."""
    model_answered: str | None = None
    """The model that answered, as the API named it."""
    stop_reason: str | None = None
    """Why the model stopped, as the API said."""
    input_tokens: int = 0
    """Input tokens that are neither read from nor written to the prompt cache."""
    output_tokens: int = 0
    """Output tokens, thinking included."""
    cache_read_tokens: int = 0
    """Input tokens read from the prompt cache."""
    cache_write_5m_tokens: int = 0
    """Input tokens written to the prompt cache for five minutes."""
    cache_write_1h_tokens: int = 0
    """Input tokens written to the prompt cache for an hour."""
    cost_pico: int | None = 0
    """Cost in pico-dollars (10^-12 USD), at the batch rate; NULL if it has no known price."""
    cost_problem: str | None = None
    """What the price book does not know."""
    price_row: str | None = None
    """The price row used: model and the row's first day."""


class CorrectionRecord(msgspec.Struct, kw_only=True, gc=False):
    """What the API's own report of a day says beyond the ledger, so that their sum is right.  The rows that it
    corrects stay as they are."""

    day: str
    """The day that is corrected, YYYY-MM-DD, UTC."""
    model: str
    """The model, as the report names it; of what is not billed by the model its type, such as `code_execution`."""
    credential: str
    """Name of the API key; empty where keys are not told apart (`upstream.api_key_id`)."""
    made_ms: int
    """When the report was read, in Unix milliseconds."""
    input_tokens: int = 0
    """To add: input tokens that are neither read from nor written to the prompt cache.  Negative where the ledger has
    more than the report, as all that follows."""
    output_tokens: int = 0
    """To add: output tokens."""
    cache_read_tokens: int = 0
    """To add: input tokens read from the prompt cache."""
    cache_write_5m_tokens: int = 0
    """To add: input tokens written to the prompt cache for five minutes."""
    cache_write_1h_tokens: int = 0
    """To add: input tokens written to the prompt cache for an hour."""
    cost_pico: int | None = 0
    """To add to the cost, in pico-dollars; NULL if there is no known price."""
    cost_problem: str | None = None
    """What the price book does not know."""
    unconfirmed_pico: int = 0
    """Expected cost of attempts of unknown usage that this correction replaces, in pico-dollars."""
    unpriced: int = 0
    """Calls and batch items without a known cost whose cost is in this correction."""
    web_searches: int = 0
    """To add: web searches."""


class OpenAttempt(msgspec.Struct, gc=False, array_like=True):
    """Written down before an attempt is sent, so that a crash cannot make it vanish."""

    call_id: str
    attempt: int
    started_ms: int
    kind: str
    workflow: str
    user: str | None
    session: str | None
    lane: str
    caller_key: str | None
    correlation_id: str
    model: str | None
    stream: bool
    credential: str
    pool: str
    estimated_input_tokens: int
    estimated_output_tokens: int
    fast: bool = False
    us: bool = False
    team: str | None = None
    tags: str | None = None
    own: str | None = None


class Resource(msgspec.Struct, kw_only=True, gc=False):
    """Something the API keeps for one account: a file, a batch, a message that a thread continues from.  Later
    calls that name it must go to the same credential."""

    id: str
    """As the API named it."""
    kind: str
    """`messages`, `batches` or `files`."""
    credential: str
    """Name of the API key it was made with."""
    created_ms: int
    """When Headgate saw it made, in Unix milliseconds."""
    workflow: str
    """Of the call that made it."""
    user: str | None = None
    """Of the call that made it."""
    session: str | None = None
    """Of the call that made it."""
