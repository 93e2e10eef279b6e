"""What was spent when, out of the ledger."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import astuple

from headgate.core.budget import PastCall, Who
from headgate.records import BatchItemRecord
from headgate.stores.sqlite.ledger_file import open_writer
from headgate.stores.sqlite.rows import insert
from headgate.stores.sqlite.spending import Hour, hours, known_since_ms, past_calls, spent_between
from support.records import FIRST_DAY_MS, call, spent

HOUR = FIRST_DAY_MS // 3_600_000
MODEL = "claude-haiku-5-5"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Two hours: ann's call and bob's in the first, ann's of unknown usage in the next, and an item of a batch."""
    item = BatchItemRecord(
        batch_id="b", custom_id="i", seen_ms=FIRST_DAY_MS, workflow="nightly", result="succeeded", cost_pico=100
    )
    return spent(
        tmp_path / "ledger.db",
        {"user": "ann", "cost_pico": 1, "tags": "a,b"},
        {"user": "bob", "cost_pico": 2},
        {"user": "ann", "cost_pico": None, "unconfirmed_pico": 4, "started_ms": FIRST_DAY_MS + 3_600_000},
        {"user": "ann", "attempts": 0, "outcome": "shed", "started_ms": FIRST_DAY_MS + 7_200_000},
        items=(item,),
    )


def test_hours_are_summed_and_batches_told_apart(ledger: Path):
    """A call without a known cost counts with the expected."""
    told = hours(ledger, 0, ())

    assert sorted(told) == [
        Hour(HOUR, 3, False, Who()), Hour(HOUR, 100, True, Who()), Hour(HOUR + 1, 4, False, Who()),
        Hour(HOUR + 2, 0, False, Who()),
    ]  # fmt: skip


def test_hours_tell_apart_what_is_asked_for(ledger: Path):
    told = hours(ledger, FIRST_DAY_MS, ("user", "tag"))

    first = [(hour.who.user, hour.who.tag, hour.pico) for hour in told if hour.hour == HOUR and not hour.of_batch]
    assert sorted(first) == [("ann", ("a", "b"), 1), ("bob", (), 2)]


def test_past_calls_are_those_that_were_sent_in_the_order_of_time(ledger: Path):
    """As budgets ask for them; what was refused would have cost something nobody knows."""
    told = list(past_calls(ledger, FIRST_DAY_MS, str.upper))

    assert [(call.who.user, call.cost_pico) for call in told] == [("ann", 1), ("bob", 2), ("ann", 4)]
    assert told[0] == PastCall(FIRST_DAY_MS, Who(None, None, "ann", None, "triage", MODEL.upper(), ("a", "b")), 1)


def test_of_very_many_calls_the_newest_are_told(tmp_path: Path):
    """A start must not read for minutes."""
    at_ms = [FIRST_DAY_MS + n for n in range(4)]
    path = spent(tmp_path / "ledger.db")
    with closing(open_writer(path)) as db:
        insert(
            db, [("calls", astuple(call(f"call_{ms:011x}", started_ms=ms, user="ann", cost_pico=1))) for ms in at_ms]
        )

    assert [pico for *_, pico in spent_between(path, 0, 1 << 43, most_calls=3)] == [3]


def test_the_first_call_says_since_when_the_ledger_knows(ledger: Path, tmp_path: Path):
    assert known_since_ms(ledger) == FIRST_DAY_MS
    assert known_since_ms(spent(tmp_path / "empty.db")) is None


def test_a_call_that_fell_back_is_spending_of_the_model_that_answered(tmp_path: Path):
    """As its budgets have it: the one of the model that was asked first was charged nothing."""
    fell_back = {"reason": "fallback_model", "model": "claude-opus-5-5", "model_answered": MODEL, "cost_pico": 5}
    path = spent(tmp_path / "ledger.db", fell_back)

    (past,) = past_calls(path, 0, str)
    (hour,) = hours(path, 0, ("model",))

    assert (past.who.model, hour.who.model) == (MODEL, MODEL)


def test_what_headgate_asked_of_its_own_accord_is_told_apart(tmp_path: Path):
    """Of the workflow whose budgets it is charged to."""
    path = spent(tmp_path / "ledger.db", {"cost_pico": 5}, {"cost_pico": 3, "own": "keep_warm"})

    assert [(past.cost_pico, past.own) for past in past_calls(path, 0, str)] == [(5, False), (3, True)]
    told = [(hour.pico, hour.own, hour.who.workflow) for hour in hours(path, 0, ("workflow",))]
    assert sorted(told) == [(3, True, "triage"), (5, False, "triage")]
