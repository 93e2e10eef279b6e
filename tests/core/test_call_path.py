"""The path of a past call: what its record tells of each filter."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from msgspec import structs

from headgate.core.call_path import FILTERS, Step, path_of, spans_of
from headgate.engine.pipeline import path
from headgate.events import Reason
from headgate.records import AttemptRecord
from support.records import attempts_of, call


def step(name: str, attempts: int = 1, **fields: Any) -> Step:
    """What filter `name` did with a call; with the first attempt of it, if it stands below."""
    record = call(attempts=attempts, **fields)
    return next(step for step in path_of(record, attempts_of(record)) if step.filter == name)


def refused(reason: Reason) -> dict[str, Any]:
    return {"attempts": 0, "status": 429, "outcome": "shed", "reason": reason}


def test_the_filters_stand_in_the_order_of_the_pipeline():
    """One that is added there must be told of here."""
    assert list(FILTERS) == list(inspect.signature(path).parameters)


def test_a_plain_call_passes_everything_once():
    record = call()

    assert [step.filter for step in path_of(record, attempts_of(record))] == list(FILTERS)
    assert {step.did for step in path_of(record, attempts_of(record))} == {"passed", "answered"}


@pytest.mark.parametrize(
    ("reason", "filter_"),
    [(Reason.BAD_JSON, "guard"), (Reason.USER_LIMIT, "quota"), (Reason.INPUT_TOO_LONG, "shape"),
     (Reason.BUDGET, "budget"), (Reason.LANE_FULL, "admit"), (Reason.LEDGER_UNAVAILABLE, "meter")],
)  # fmt: skip
def test_a_call_ends_at_the_filter_that_refused_it(reason: Reason, filter_: str):
    """Those above have let it pass, those below never saw it."""
    steps = path_of(call(**refused(reason)), [])
    names = [step.filter for step in steps]
    at = names.index(filter_)

    assert names == list(FILTERS)
    assert (steps[at].did, steps[at].note) == ("refused", reason)
    assert {step.did for step in steps[:at]} <= {"passed"}
    assert {step.did for step in steps[at + 1 :]} <= {"not_reached"}


def test_each_attempt_passes_what_stands_below_the_retry():
    record = call(attempts=2)

    steps = path_of(record, attempts_of(record, error="overloaded", decision="retried"))

    assert [step.attempt for step in steps if step.filter == "admit"] == [1, 2]
    failed = next(step for step in steps if step.did == "failed")
    assert (failed.filter, failed.attempt, failed.note) == ("meter", 1, "overloaded (529), then retried")


@pytest.mark.parametrize(
    ("name", "fields", "did"),
    [
        ("shape", {"shaped": '{"model": {"from": "a", "to": "b"}}'}, "changed"),
        ("shape", {"dropped_messages": 3}, "changed"),
        ("prompt_cache", {"cache_plan": "1h,5m"}, "changed"),
        ("budget", {"reason": Reason.MAX_TOKENS_LOWERED}, "changed"),
        ("budget", {"queue_ms": 900.0}, "waited"),
        ("defer", {"batch_id": "msgbatch_1"}, "answered"),
        ("fallback", {"reason": Reason.FALLBACK_MODEL}, "answered"),
        ("join", {"joined": 4}, "changed"),
    ],
)
def test_what_a_filter_leaves_in_the_record_is_told(name: str, fields: dict[str, Any], did: str):
    assert step(name, **fields).did == did


def test_what_a_policy_would_have_changed_is_no_change():
    """It was only watched (`shadow`)."""
    assert step("shape", shaped='{"shadow": {"model": {"from": "a", "to": "b"}}}').did == "passed"


def test_a_caller_that_left_while_its_call_waited():
    """Nothing was sent, and nobody refused it."""
    steps = path_of(call(attempts=0, status=None, outcome="cancelled", queue_ms=700.0), [])

    assert [(step.filter, step.did) for step in steps[-2:]] == [("admit", "waited"), ("meter", "not_reached")]


def test_a_call_that_failed_at_last_has_waited_for_another_turn_and_not_for_money():
    """A fallback answers it then, or nobody."""
    record = call(attempts=2, queue_ms=7_000.0, outcome="upstream_error", status=529)
    tries = [structs.replace(each, error="overloaded", queue_ms=10.0) for each in attempts_of(record)]

    steps = path_of(record, tries)

    assert [(step.filter, step.for_ms) for step in steps if step.did == "waited" and step.attempt is None] == [
        ("retry", 6_980.0)
    ]
    assert steps[-1].filter == "retry"


def test_an_answer_that_was_there_already_ends_the_path():
    steps = path_of(call(attempts=0, reason=Reason.MEMO), [])

    assert [step.filter for step in steps if step.did == "answered"] == ["keep_answers"]
    assert steps[-1].did == "not_reached"


def test_the_time_of_an_attempt_is_told_part_by_part():
    """Begin, turn, connection, first byte, end: each part follows on the one before."""
    attempt = AttemptRecord(
        call_id="call_1", attempt=1, started_ms=1_790_000_000_100, queue_ms=50, connect_ms=10, first_byte_ms=400,
        total_ms=1000,
    )  # fmt: skip

    spans = spans_of(call(), [attempt])

    assert [(span.what, span.from_ms, span.to_ms) for span in spans] == [
        ("queue", 100, 150), ("connect", 150, 160), ("first byte", 160, 500), ("answer", 500, 1100),
    ]  # fmt: skip
