"""The closed lists: what can go wrong, why we did what we did, and how a call ended.

Logs, ledger rows, metrics and the `x-headgate-reason` header use these values and no others.
"""

from __future__ import annotations

from enum import StrEnum

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


class ErrorClass(StrEnum):
    """Why an attempt failed.  The first group is what the API said (claude-api.md §6), the second what the wire did.
    A docstring's second paragraph says what to do; docs/reference/errors.md prints both."""

    INVALID_REQUEST = "invalid_request"
    """The API refuses the request itself (400).

    Read `error.message`: it names the field.  The same request fails again."""
    AUTHENTICATION = "authentication"
    """The API does not take the key (401).

    Check the key that Headgate was given.  Another configured key is tried first; the refused one rests for a
    minute."""
    BILLING = "billing"
    """The account has a payment problem (402).

    Mend the payment in the Claude Console.  Another configured key is tried first; this one rests until the 1st of the
    month (UTC), or until a restart."""
    LINKED_BILLING = "linked_billing"
    """The other organisation that the call is to be billed to cannot pay, or has reached its limit (402 with a
    `linked_organization_…` code).

    That organisation must mend it, or the call must not name it in `billing_policy`.  Our own keys stay in service."""
    PERMISSION = "permission"
    """The key may not do this (403).

    Check what the key's workspace may use."""
    NOT_FOUND = "not_found"
    """There is no such model or object (404).

    Check the name of the model, or the id in the path."""
    REQUEST_TIMEOUT = "request_timeout"
    """The API did not receive the request in time (408).

    If it stays, look at the network between Headgate and the API."""
    CONFLICT = "conflict"
    """The object is in another state than the request needs (409).

    If it stays, read the object's state before the next request."""
    TOO_LARGE = "too_large"
    """The request is larger than the API takes (413).

    Send less, or upload large content through the Files API."""
    CLIENT_ERROR = "client_error"
    """Another 4xx that the API put into words.

    Read `error.message`."""
    RATE_LIMIT = "rate_limit"
    """A rate limit of the account is used up (429).

    If it happens often, look at `headgate limits`: `upstream.tier` may be set too high, or others use the
    same account."""
    RAMP_LIMIT = "ramp_limit"
    """Traffic grew faster than the API allows (429 with `ramp_limit_exceeded`).

    Nothing: for an hour Headgate lets traffic grow more slowly.  If it should from the start, set
    `limits.ramp_growth`."""
    SPEND_LIMIT = "spend_limit"
    """A spend limit of the account is reached: a 429 that says so, or the 400 of a limit the account set itself.

    Raise the limit in the Claude Console, or wait for the 1st of the month (UTC).  Another configured key is tried
    first."""
    API_ERROR = "api_error"
    """The API failed (500, 502, 503, 520 to 527, or an error event that says so).

    If it stays, look at the API's status page; give Anthropic the `request-id`."""
    TIMEOUT_ERROR = "timeout_error"
    """The API took too long and said so (504).

    Stream long answers."""
    OVERLOADED = "overloaded"
    """The API is overloaded (529).

    Nothing is wrong on this side.  Wait, or use another model."""
    HELD_BACK = "held_back"
    """Another Headgate, at `upstream.base_url`, did not send the call and says when to come back.

    Look at its log for why: a full or closed lane, a user's limit.  Other calls are not held back for it."""
    UNKNOWN_STATUS = "unknown_status"
    """A status that has no meaning here.

    Look at `upstream.base_url` and at what stands between Headgate and the API."""

    DNS = "dns"
    """The API's name cannot be resolved, or not within the lane's `connect_timeout_s`.

    Check `upstream.base_url` and this machine's resolver."""
    CONNECT = "connect"
    """No connection to the API.

    Check `upstream.base_url`, the firewall and the API's status page."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection within the lane's `connect_timeout_s`.

    Check the firewall; a slow network needs a larger `connect_timeout_s`."""
    TLS = "tls"
    """The TLS handshake failed, or the certificate is not trusted.

    Behind a proxy that opens TLS, name its certificate in `upstream.ca_file`."""
    EGRESS_DENIED = "egress_denied"
    """The API's name leads to a private address (`upstream.allow_private_addresses`).

    If the address is meant, set `upstream.allow_private_addresses`.  If not, somebody answers for the API's name."""
    UNSENDABLE = "unsendable"
    """A header, the path or the API key holds a line break or a NUL, which would end it or begin another request.

    Look for where the value is made; text that users write does not belong into a header as it is."""
    POOL_TIMEOUT = "pool_timeout"
    """No connection became free before the deadline (`upstream.max_connections`).

    Raise `upstream.max_connections`, or send less at the same time."""
    RESET = "reset"
    """The connection was closed before the answer began.

    If it stays, look at the network and at the API's status page."""
    PROTOCOL = "protocol"
    """What came is not HTTP, or passes a bound.

    Look at what stands between Headgate and the API."""
    REDIRECT = "redirect"
    """A redirect (3xx), which is not followed.

    Set `upstream.base_url` to the address that answers."""
    INTERMEDIARY = "intermediary"
    """A web page: something between here and the API answered in its place.

    Look for a proxy, a login page or a block page on the way to the API."""
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    """No answer within the lane's `first_byte_timeout_s`, or `answer_timeout_s` if not streamed.

    Stream long answers, or raise the timeout of the lane."""
    IDLE_TIMEOUT = "idle_timeout"
    """Nothing came for the lane's `idle_timeout_s` in the middle of an answer.

    If it stays, look at the network: the API sends pings meanwhile."""
    PROGRESS_TIMEOUT = "progress_timeout"
    """Nothing but pings came for the lane's `progress_timeout_s`.

    If it stays, look at the API's status page."""
    DEADLINE = "deadline"
    """The call's deadline passed.

    Give the call more time (`x-headgate-deadline-s`, the lane's `total_timeout_s`) or ask for less."""
    STREAM_CUT = "stream_cut"
    """The answer ended before it was complete.

    A caller that has seen a part of a stream must start it again itself; before that Headgate does."""
    MALFORMED = "malformed"
    """Status 200, but the body is no message.

    Look at what stands between Headgate and the API."""
    CANCELLED = "cancelled"
    """The caller left before the answer was complete.

    Nothing.  If callers leave often, their own timeout is too short."""


class Outcome(StrEnum):
    """How a call ended for its caller."""

    OK = "ok"
    """Answered."""
    CLIENT_ERROR = "client_error"
    """The request was refused as wrong or not allowed, by the API or by Headgate."""
    UPSTREAM_ERROR = "upstream_error"
    """The API failed, or could not be reached, after all that we tried."""
    TIMEOUT = "timeout"
    """Too slow, after all that we tried, or the deadline passed."""
    REFUSED = "refused"
    """The model declined (`stop_reason: refusal`)."""
    TRUNCATED = "truncated"
    """A stream ended without its closing events."""
    INVALID_OUTPUT = "invalid_output"
    """Answered, but not with JSON that fits the schema of a request for structured output."""
    RATE = "rate"
    """The upstream's rate or spend limit, after all that we tried."""
    SHED = "shed"
    """Headgate refused before anything was sent: a full lane, a wait that cannot be met."""
    CANCELLED = "cancelled"
    """The caller left."""
    INTERNAL = "internal"
    """A defect of ours."""
    CRASHED = "crashed"
    """The process died with the call under way; found in the journal afterwards."""


class Reason(StrEnum):
    """Why Headgate refused, delayed or repeated a call, or answered it otherwise: the values of `x-headgate-reason`.
    A docstring's second paragraph says what to do."""

    QUEUED = "queued"
    """It waited for the account's limits.

    Nothing.  If waits are too long, see `headgate limits`."""
    JOINED = "joined"
    """It was asked in one request with other small calls of its workflow (`join_max`).

    Nothing.  Where each answer must come from a call of its own, set `traceable`."""
    ASKED_ALONE = "asked_alone"
    """It was asked together with others, joined or in a Message Batch, and its answer did not come back right or in
    time, so it was asked again by itself.

    Nothing.  If it happens often, take `join_max` or `batch` out of the workflow."""
    BATCHED = "batched"
    """It was answered in a Message Batch, at half the price (`batch`).

    Nothing.  An answer that is wanted sooner says so by its deadline."""
    RETRIED = "retried"
    """An attempt failed and was repeated.

    Nothing.  The table `attempts` of the ledger tells what failed."""
    BAD_JSON = "bad_json"
    """The body is not one JSON object that reads the same to everybody.

    Mend the body: the message says where it goes wrong."""
    BAD_FIELD = "bad_field"
    """`model`, `max_tokens` or `stream` has the wrong type.

    Mend the field: the message names it."""
    BODY_TOO_LARGE = "body_too_large"
    """The body passes `gateway.max_body_mb`, `gateway.max_batch_mb` or `gateway.max_file_mb`.

    Send less, or raise the setting; the API's own limits are 32, 256 and 500 MB."""
    BODY_ENCODING = "body_encoding"
    """The body is compressed.

    Send the body as it is, without `content-encoding`."""
    BAD_REQUEST = "bad_request"
    """The request breaks HTTP, or a header, the path or the query of it cannot be understood.

    Mend what the message names."""
    NO_SUCH_PATH = "no_such_path"
    """The path is not passed on (see api-paths.md).

    Check the base URL: it is the gateway's root, without `/v1`."""
    METHOD_NOT_ALLOWED = "method_not_allowed"
    """The path does not take this method.

    Use a method that the message names."""
    CALLER_UNKNOWN = "caller_unknown"
    """No credential, or none of `gateway.keys`.

    Send a caller key as `x-api-key` or `Authorization: Bearer`; `headgate keys new` makes one."""
    NOT_ALLOWED = "not_allowed"
    """The caller's key may not use the lane it asked for.

    Ask for a lane that the message names, or none."""
    NO_PRICE = "no_price"
    """The model has no price row, and `prices.unknown_model` is `refuse`.

    Check the name of the model.  If it is new, add a price row (`prices.file`), or set `prices.unknown_model` to
    `record`."""
    LANE_FULL = "lane_full"
    """As many calls wait as the lane's `max_queue`.

    Come back after `retry-after`, send less, or raise the lane's `max_queue`."""
    USER_LIMIT = "user_limit"
    """The user has made as many calls a minute as `per_user_rpm` allows.

    Come back after `retry-after`, send less, or raise the limit."""
    SESSION_LIMIT = "session_limit"
    """The session has made as many calls a minute as `per_session_rpm` allows.

    Come back after `retry-after`, send less, or raise the limit."""
    BUDGET = "budget"
    """A budget that covers it has less left than it needs, or cannot bound what it costs.

    Wait until the budget begins anew, lower `max_tokens`, or raise the budget (`budgets`)."""
    BUDGET_SLOWED = "budget_slowed"
    """A budget that covers it has passed `slow_at`, so it ran in another lane or was answered by another model.

    Nothing; or raise the budget."""
    MAX_TOKENS_LOWERED = "max_tokens_lowered"
    """Its `max_tokens` were lowered: to the workflow's `max_tokens_ceiling`, or, not below what answers of its workflow
    need, to what a strict budget has left.

    Nothing.  If answers end with `max_tokens`, raise the ceiling or the budget."""
    MODEL_CHOSEN = "model_chosen"
    """Another model was asked than it named, as its workflow's `model` or one of its `rules` says; `x-headgate-model`
    names it.

    Nothing.  `calls.shaped` in the ledger tells which rule."""
    MODEL_NOT_ALLOWED = "model_not_allowed"
    """It names a model that its workflow may not use (`models`), itself or for a tool or a fallback of the API's.

    Ask a model that the message names, or have the list changed."""
    HISTORY_CUT = "history_cut"
    """The oldest turns of its conversation were left out, since it is longer than `history_max_turns` or
    `history_max_tokens`.

    Nothing; or raise the bound.  `calls.dropped_messages` in the ledger tells how many."""
    INPUT_TOO_LONG = "input_too_long"
    """Its prompt has more tokens than its workflow allows (`max_input_tokens`).

    Send less, or have the bound raised."""
    MEMO = "memo"
    """The same request was answered before, and got that answer again (`memo`).

    Nothing; the header `age` says how old it is."""
    LANE_CLOSED = "lane_closed"
    """The lane is closed (`open`) for longer than the call may wait.

    Come back after `retry-after`, use another lane, or raise the lane's `max_wait_s`."""
    WAIT_TOO_LONG = "wait_too_long"
    """The limits, or the workflow's `max_concurrency`, leave no room within the lane's `max_wait_s`, or within the
    call's deadline.

    Come back after `retry-after`, use another lane, or raise `max_wait_s` or the deadline."""
    NEVER_FITS = "never_fits"
    """The prompt alone has more tokens than the limits allow in a whole minute.

    Send less, mark what stays the same for the prompt cache, or have the limit raised; if it is your own, raise
    `limits.pools`."""
    DEADLINE = "deadline"
    """The wait before the next attempt would pass the call's deadline.

    Give the call more time (`x-headgate-deadline-s`)."""
    ATTEMPTS_SPENT = "attempts_spent"
    """It failed as often as `retry.max_attempts`, the caller's own tries counted.

    Come back later; `attempts` in the ledger tells what failed each time."""
    RETRY_BUDGET = "retry_budget"
    """It failed, and as many calls are being retried already as the upstream is asked to bear: a fifth of those in
    flight, and at least three.

    Come back later; where many calls fail at once, trying all of them again would make it worse."""
    BREAKER_OPEN = "breaker_open"
    """The API keeps failing, so nothing is sent for the moment but now and then a call to see whether it is back.

    Come back after `retry-after`, or give the workflow fallbacks.  `headgate limits` shows what is open."""
    RETRY_TIME_SPENT = "retry_time_spent"
    """It failed, and the next attempt would start later than `retry.max_elapsed_s`.

    Come back later, or raise `retry.max_elapsed_s`."""
    RETRY_AFTER_TOO_LONG = "retry_after_too_long"
    """The API asked for a longer wait than `retry.retry_after_cap_s`.

    Come back after the time in `retry-after`."""
    NOT_RETRYABLE = "not_retryable"
    """The same attempt would fail again, or the API asked not to repeat it.  Only in the ledger's `attempts` and in
    `/metrics`: the answer is the API's own.

    Look at the error class of the attempt."""
    NOT_REPLAYABLE = "not_replayable"
    """It may have run already and must not run twice: making a batch, uploading a file.

    Look whether the batch or file was made before sending it again."""
    NO_CREDENTIAL = "no_credential"
    """There is no API key to send it with.

    Set `ANTHROPIC_API_KEY`, or a key under `[upstream]`, and start again."""
    NOT_STARTED = "not_started"
    """The library could not start its engine: a setting, the price book or the ledger is wrong.

    Read `error.message`: it says what, where, and what to write instead."""
    LEDGER_UNAVAILABLE = "ledger_unavailable"
    """It could not be recorded, so it was not sent.

    Look at `/readyz` and at Headgate's standard error: mostly the disk is full."""
    OVERLOADED = "overloaded"
    """Too many connections, or too many bytes of bodies (`gateway.buffered_mb`).

    Come back after `retry-after`, send less at the same time, or raise the bound."""
    FALLBACK_STALE = "fallback_stale"
    """It could not be answered anew, so the last good answer to the same request was given again.

    Nothing; the header `age` says how old it is.  The error class in the ledger tells why."""
    FALLBACK_MODEL = "fallback_model"
    """The model that was asked for could not answer, so another one did: `x-headgate-model` names it.

    Nothing.  The attempts in the ledger tell why."""
    FALLBACK_CANNED = "fallback_canned"
    """It could not be answered, so the workflow's own words were given; no model wrote them.

    Ask again later.  The error class in the ledger tells why."""
    FALLBACK_QUEUED = "fallback_queued"
    """It could not be answered now, so it was queued as a job; `x-headgate-ticket` names it.

    Ask for the answer by the ticket."""
    INTERNAL = "internal"
    """A defect of Headgate.

    Look at Headgate's standard error, and report it."""


FALLBACKS = frozenset((Reason.FALLBACK_STALE, Reason.FALLBACK_MODEL, Reason.FALLBACK_CANNED, Reason.FALLBACK_QUEUED))
"""The answer is not the one that was asked for."""


class UsageSource(StrEnum):
    """How far a row's token counts can be trusted."""

    VENDOR = "vendor"
    """The API's final usage."""
    OBSERVED = "observed"
    """A stream that broke: input as `message_start` said, output counted from the deltas that arrived."""
    UNKNOWN = "unknown"
    """Sent, and nothing came back that says what it cost: only `unconfirmed` money until reconciled."""
    NONE = "none"
    """Never sent, or answered by an error, which is not billed."""


class Validation(StrEnum):
    """Whether an answer was the structured output that was asked for (`output_config.format`, `strict` tools)."""

    VALID = "valid"
    """JSON that fits the schema."""
    INVALID = "invalid"
    """No JSON, or JSON that does not fit the schema."""
    TRUNCATED = "truncated"
    """Cut at `max_tokens`, or at the end of the model's context window: half a document."""
    SKIPPED = "skipped"
    """The model declined, paused, or called a tool that is not `strict`; or it was too much to be looked at."""


UNFIT = frozenset((Validation.INVALID, Validation.TRUNCATED))
"""A program that expects the structured output can do nothing with the answer."""


class OwnRequest(StrEnum):
    """What Headgate asks the API for of its own accord, and why.  Such a request belongs to the workflow that it is
    made for and is charged to its budgets, but it is nobody's call: figures of how calls go leave it out, and its money
    is in a line of its own."""

    KEEP_ALIVE = "keep_alive"
    """It has the API read a prompt that would be dropped from the cache, and answer nothing.
    `prompt_cache.keep_alive = false` turns it off."""
    KEEP_WARM = "keep_warm"
    """It has the API keep the instructions of a workflow in the cache, and answer nothing: only in the hours of
    `keep_warm` of that workflow."""


OWN_REQUESTS = "(headgate)"
"""As which sums and metrics have them, where they are told by workflow.  No caller's workflow can be called that."""
