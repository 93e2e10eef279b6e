"""Whether an attempt is repeated, and when: one policy, asked in one place."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.retry import HOLDS_UP_ALL, Again, GiveUp, RetryPolicy, decide
from headgate.events import ErrorClass, Reason
from headgate.failure import Failure

POLICY = RetryPolicy()

RETRIED = {
    # what the API said
    ErrorClass.REQUEST_TIMEOUT, ErrorClass.CONFLICT, ErrorClass.RATE_LIMIT, ErrorClass.RAMP_LIMIT,
    ErrorClass.API_ERROR, ErrorClass.TIMEOUT_ERROR, ErrorClass.OVERLOADED, ErrorClass.HELD_BACK,
    # what the wire did
    ErrorClass.DNS, ErrorClass.CONNECT, ErrorClass.CONNECT_TIMEOUT, ErrorClass.RESET, ErrorClass.PROTOCOL,
    ErrorClass.FIRST_BYTE_TIMEOUT, ErrorClass.IDLE_TIMEOUT, ErrorClass.PROGRESS_TIMEOUT, ErrorClass.STREAM_CUT,
    # what came was no answer
    ErrorClass.INTERMEDIARY, ErrorClass.MALFORMED,
}  # fmt: skip
NOT_RETRIED = {
    ErrorClass.INVALID_REQUEST, ErrorClass.AUTHENTICATION, ErrorClass.BILLING, ErrorClass.PERMISSION,
    ErrorClass.NOT_FOUND, ErrorClass.TOO_LARGE, ErrorClass.CLIENT_ERROR, ErrorClass.SPEND_LIMIT,
    ErrorClass.UNKNOWN_STATUS, ErrorClass.TLS, ErrorClass.EGRESS_DENIED, ErrorClass.POOL_TIMEOUT, ErrorClass.REDIRECT,
    ErrorClass.DEADLINE, ErrorClass.CANCELLED, ErrorClass.UNSENDABLE, ErrorClass.LINKED_BILLING,
}  # fmt: skip


def ask(failure: Failure | ErrorClass, policy: RetryPolicy = POLICY, *, seed: int = 1, **facts: object) -> object:
    if isinstance(failure, ErrorClass):
        failure = Failure(failure)
    usual = {"attempts": 1, "caller_attempts": 0, "replayable": True, "elapsed_s": 0.0, "left_s": 600.0}
    return decide(policy, failure, rng=Random(seed), **(usual | facts))  # type: ignore[arg-type]


def test_every_class_of_error_is_decided_on():
    """A new class must be put on one of the two sides."""
    assert set(ErrorClass) == RETRIED | NOT_RETRIED
    assert not RETRIED & NOT_RETRIED


@pytest.mark.parametrize("error", sorted(RETRIED))
def test_b17_what_may_pass_is_tried_again(error):
    """5xx, 429, 529, timeouts, lost connections, answers that are none."""
    assert isinstance(ask(error), Again)


@pytest.mark.parametrize("error", sorted(NOT_RETRIED))
def test_inv_07_what_would_fail_again_is_not(error):
    """INV-07, B05, B06, B07, B10, B20: the same request has the same fate; a spend cap lasts to the end of the
    month."""
    assert ask(error) == GiveUp(Reason.NOT_RETRYABLE)


@pytest.mark.parametrize("error", sorted(RETRIED))
def test_b18_a_no_of_the_api_is_obeyed(error):
    """`x-should-retry: false` on whatever would else be retried."""
    assert ask(Failure(error, should_retry=False)) == GiveUp(Reason.NOT_RETRYABLE)


@pytest.mark.parametrize("error", sorted(NOT_RETRIED))
def test_b18_a_yes_of_the_api_is_obeyed_only_where_it_is_safe(error):
    """`x-should-retry: true` on a 400 or on a spend limit changes nothing."""
    assert ask(Failure(error, should_retry=True)) == GiveUp(Reason.NOT_RETRYABLE)


@pytest.mark.parametrize("error", sorted(RETRIED))
def test_what_must_not_run_twice_is_repeated_only_if_it_certainly_did_not_run(error):
    """Making a batch or uploading a file: after a 429, a 529 or a refused connection nothing has happened."""
    untouched = {
        ErrorClass.RATE_LIMIT, ErrorClass.RAMP_LIMIT, ErrorClass.OVERLOADED, ErrorClass.HELD_BACK, ErrorClass.DNS,
        ErrorClass.CONNECT, ErrorClass.CONNECT_TIMEOUT,
    }  # fmt: skip

    told = ask(error, replayable=False)

    assert isinstance(told, Again) if error in untouched else told == GiveUp(Reason.NOT_REPLAYABLE)


@pytest.mark.parametrize("error", [ErrorClass.RESET, ErrorClass.PROTOCOL])
def test_what_was_never_sent_can_always_be_sent(error):
    """A connection that was lost before the request went out."""
    assert isinstance(ask(Failure(error, sent=False), replayable=False), Again)


# -- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "callers"), [(4, 0), (3, 1), (1, 3), (5, 0), (1, 99)])
def test_attempts_are_capped_and_those_of_the_caller_count(attempts, callers):
    """Layers add up and never multiply: what our caller already tried is not tried again by us."""
    told = ask(ErrorClass.OVERLOADED, attempts=attempts, caller_attempts=callers)

    assert told == GiveUp(Reason.ATTEMPTS_SPENT)


@pytest.mark.parametrize(("attempts", "callers"), [(1, 0), (3, 0), (2, 1), (1, 2)])
def test_below_the_cap_there_is_another_attempt(attempts, callers):
    """Four trips in all, by default."""
    assert isinstance(ask(ErrorClass.OVERLOADED, attempts=attempts, caller_attempts=callers), Again)


def test_a_policy_of_one_attempt_never_retries():
    """`retry.max_attempts = 1` switches it off."""
    assert ask(ErrorClass.OVERLOADED, replace(POLICY, max_attempts=1)) == GiveUp(Reason.ATTEMPTS_SPENT)


@pytest.mark.parametrize(
    ("wish_s", "told"), [(3_600.0, Again(3_600.0)), (3_600.1, GiveUp(Reason.RETRY_AFTER_TOO_LONG))]
)
def test_b11_a_longer_wait_than_the_cap_ends_the_call(wish_s, told):
    """The caller is told instead of kept."""
    policy = replace(POLICY, max_elapsed_s=10_000.0)

    assert ask(Failure(ErrorClass.RATE_LIMIT, retry_after_s=wish_s), policy, left_s=10_000.0) == told


def test_b03_retry_after_is_obeyed_to_the_second():
    """No jitter on it and nothing shorter: an earlier try would fail (INV-09)."""
    for seed in range(20):
        assert ask(Failure(ErrorClass.RATE_LIMIT, retry_after_s=7.0), seed=seed) == Again(7.0)


def test_b04_without_retry_after_a_rate_limit_waits_a_second_at_least():
    """There is no use in asking a limit again within the second."""
    waits = [ask(ErrorClass.RATE_LIMIT, seed=seed).wait_s for seed in range(500)]

    assert min(waits) >= 1.0
    assert max(waits) <= 1.0 + POLICY.base_s


@pytest.mark.parametrize("error", [ErrorClass.RATE_LIMIT, ErrorClass.OVERLOADED])
def test_b11_a_wish_for_no_time_is_none(error):
    """A `retry-after` of 0, or a date that has passed, is decided on like its absence."""
    assert ask(Failure(error, retry_after_s=0.0)) == ask(error)


@pytest.mark.parametrize(
    ("elapsed_s", "told"), [(143.0, Again(7.0)), (143.1, GiveUp(Reason.RETRY_TIME_SPENT))], ids=["at", "beyond"]
)
def test_no_attempt_starts_after_the_time_for_trying(elapsed_s, told):
    """`max_elapsed_s`, 150 s by default, from the first attempt to the start of the last."""
    assert ask(Failure(ErrorClass.API_ERROR, retry_after_s=7.0), elapsed_s=elapsed_s) == told


@pytest.mark.parametrize("error", [ErrorClass.RATE_LIMIT, ErrorClass.OVERLOADED])
def test_time_that_the_api_asks_everybody_for_is_waited_in_the_lane_and_no_trying(error):
    """A hold of five minutes ends a call only where its lane has less patience than that."""
    assert ask(Failure(error, retry_after_s=300.0), elapsed_s=10.0) == Again(300.0)


@pytest.mark.parametrize(("left_s", "told"), [(7.1, Again(7.0)), (7.0, GiveUp(Reason.DEADLINE))], ids=["in", "out"])
def test_inv_05_no_attempt_starts_at_or_after_the_deadline(left_s, told):
    """INV-05: it could not finish; better said now than then."""
    assert ask(Failure(ErrorClass.OVERLOADED, retry_after_s=7.0), left_s=left_s) == told


FACTS = {
    "failure": st.builds(
        Failure,
        st.sampled_from(sorted(ErrorClass)),
        retry_after_s=st.none() | st.floats(0, 10_000),
        should_retry=st.sampled_from([None, True, False]),
        sent=st.booleans(),
    ),
    "policy": st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 20),
        base_s=st.floats(0.001, 10),
        cap_s=st.floats(0.001, 100),
        max_elapsed_s=st.floats(0.1, 1_000),
        retry_after_cap_s=st.floats(0.1, 10_000),
    ),
    "attempts": st.integers(1, 5_000),
    "caller_attempts": st.integers(0, 10),
    "replayable": st.booleans(),
    "elapsed_s": st.floats(0, 2_000),
    "left_s": st.floats(-10, 10_000),
    "seed": st.integers(0, 2**32),
}


@given(**FACTS)
def test_inv_06_every_bound_holds_whatever_comes(failure, policy, attempts, caller_attempts, **facts):
    """INV-06: no draw, no header and no policy gets past attempts, elapsed time, deadline or the cap on a wait."""
    told = ask(failure, policy, attempts=attempts, caller_attempts=caller_attempts, **facts)

    if isinstance(told, GiveUp):
        assert told.reason in set(Reason)
        return
    assert failure.error in RETRIED
    assert failure.should_retry is not False
    assert attempts + caller_attempts < policy.max_attempts
    assert told.wait_s < facts["left_s"]
    everybodys = failure.retry_after_s and failure.error in HOLDS_UP_ALL
    assert facts["elapsed_s"] + (0.0 if everybodys else told.wait_s) <= policy.max_elapsed_s
    floor_s = 1.0 if failure.error in (ErrorClass.RATE_LIMIT, ErrorClass.RAMP_LIMIT) else 0.0
    if failure.retry_after_s:
        assert failure.retry_after_s <= policy.retry_after_cap_s
        assert told.wait_s == max(floor_s, failure.retry_after_s)
    else:
        drawn_from_s = min(policy.cap_s, policy.base_s * 2.0 ** min(attempts - 1, 64))
        assert floor_s <= told.wait_s <= floor_s + drawn_from_s + 1e-9


@pytest.mark.parametrize(("attempts", "most_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 20.0), (900, 20.0)])
def test_the_wait_is_drawn_from_all_of_the_interval(attempts, most_s):
    """Full jitter: anything from nothing to the bound, which doubles up to the cap.  Callers that failed together do
    not come back together."""
    policy = replace(POLICY, max_attempts=1_000)

    waits = sorted(ask(ErrorClass.OVERLOADED, policy, attempts=attempts, seed=seed).wait_s for seed in range(1_000))

    assert waits[0] < 0.02 * most_s
    assert 0.98 * most_s < waits[-1] <= most_s
    assert 0.45 * most_s < sum(waits) / len(waits) < 0.55 * most_s


def test_inv_21_the_same_seed_draws_the_same_wait():
    """INV-21: chance comes in as an argument."""
    assert ask(ErrorClass.OVERLOADED, seed=9) == ask(ErrorClass.OVERLOADED, seed=9)
