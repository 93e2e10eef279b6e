"""What Headgate decides about a call, and why."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["FALLBACKS", "Reason"]


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
