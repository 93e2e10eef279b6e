"""Whether a failed attempt is repeated, and when.  One layer retries, so this is asked in one place (engine/retry.py).

Exponential with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015); the server's own wish
comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from headgate.events import ErrorClass, Reason
from headgate.failure import Failure

__all__ = ["HOLDS_UP_ALL", "PUSHBACK", "RETRYABLE", "Again", "GiveUp", "RetryPolicy", "decide"]

RETRYABLE = frozenset(
    (
        ErrorClass.REQUEST_TIMEOUT, ErrorClass.CONFLICT, ErrorClass.RATE_LIMIT, ErrorClass.RAMP_LIMIT,
        ErrorClass.API_ERROR, ErrorClass.TIMEOUT_ERROR, ErrorClass.OVERLOADED, ErrorClass.HELD_BACK,
        ErrorClass.DNS, ErrorClass.CONNECT, ErrorClass.CONNECT_TIMEOUT, ErrorClass.RESET, ErrorClass.PROTOCOL,
        ErrorClass.INTERMEDIARY, ErrorClass.FIRST_BYTE_TIMEOUT, ErrorClass.IDLE_TIMEOUT, ErrorClass.PROGRESS_TIMEOUT,
        ErrorClass.STREAM_CUT, ErrorClass.MALFORMED,
    )
)  # fmt: skip

_NOT_ACTED_ON = frozenset(
    (ErrorClass.RATE_LIMIT, ErrorClass.RAMP_LIMIT, ErrorClass.OVERLOADED, ErrorClass.HELD_BACK, ErrorClass.DNS,
     ErrorClass.CONNECT, ErrorClass.CONNECT_TIMEOUT)
)  # fmt: skip
"""After these the API has done nothing, so even a request that must not run twice can be sent again."""

PUSHBACK = frozenset((ErrorClass.RATE_LIMIT, ErrorClass.RAMP_LIMIT))
"""A limit of the account is used up."""
HOLDS_UP_ALL = PUSHBACK | {ErrorClass.OVERLOADED}
"""Where the API asks for time after these it means everybody, and admission holds all back; after others it means this
call, which waits by itself."""
_PUSHBACK_FLOOR_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How hard to try.  All attempts share the call's one deadline as well."""

    max_attempts: int = 4
    """Trips to the API per call, the first included.  1 never retries."""
    base_s: float = 0.5
    """The first wait is drawn between 0 and this; it doubles with each attempt."""
    cap_s: float = 20.0
    """No drawn wait is longer."""
    max_elapsed_s: float = 150.0
    """No attempt starts later than this after the first began; waiting in a lane does not count.  Longer than a lane's
    `first_byte_timeout_s`, or a stream that never begins is not tried again."""
    retry_after_cap_s: float = 3600.0
    """If the API asks for a longer wait than this, the call ends with the API's answer.  No other call is held back for
    longer either."""


@dataclass(frozen=True, slots=True)
class Again:
    wait_s: float
    elsewhere: bool = False
    """With another API key: a new start, and no load more on the one that refused."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    reason: Reason


def decide(
    policy: RetryPolicy,
    failure: Failure,
    *,
    attempts: int,
    caller_attempts: int,
    replayable: bool,
    elapsed_s: float,
    left_s: float,
    rng: Random,
) -> Again | GiveUp:
    """What to do after an attempt failed.

    Args:
        attempts: made for this call so far, the failed one included.
        caller_attempts: the times our caller already retried on its own (`x-stainless-retry-count`); they count as
            ours, so that layers add up and never multiply.
        replayable: whether the request may run twice.  If not, only what was certainly not acted on is sent again.
        elapsed_s: since the call's first attempt began, without what it waited in its lane.
        left_s: until the call's deadline.
    """
    if failure.error not in RETRYABLE or failure.should_retry is False:
        return GiveUp(Reason.NOT_RETRYABLE)
    if not replayable and failure.sent and failure.error not in _NOT_ACTED_ON:
        return GiveUp(Reason.NOT_REPLAYABLE)
    if attempts + caller_attempts >= policy.max_attempts:
        return GiveUp(Reason.ATTEMPTS_SPENT)
    floor_s = _PUSHBACK_FLOOR_S if failure.error in PUSHBACK else 0.0
    if not failure.retry_after_s:  # 0, or a date that has passed, says no more than nothing
        doublings = min(attempts - 1, 64)  # a float ends at 1024 of them
        wait_s = floor_s + rng.uniform(0.0, min(policy.cap_s, policy.base_s * 2.0**doublings))
    elif failure.retry_after_s > policy.retry_after_cap_s:
        return GiveUp(Reason.RETRY_AFTER_TOO_LONG)
    else:
        wait_s = max(floor_s, failure.retry_after_s)
    if wait_s >= left_s:
        return GiveUp(Reason.DEADLINE)
    # Where the API asks everybody for time, the call waits in its lane, whose patience bounds that.
    in_lane = failure.retry_after_s and failure.error in HOLDS_UP_ALL
    if elapsed_s + (0.0 if in_lane else wait_s) > policy.max_elapsed_s:
        return GiveUp(Reason.RETRY_TIME_SPENT)
    return Again(wait_s)
