"""How callers' batches stand, by what the API's answers tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from headgate.core.batches_seen import MOST_KEPT, Batch, BatchesSeen, batches_in

BEGAN = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
BEGAN_MS = round(BEGAN.timestamp() * 1000)
HOUR_MS = 3_600_000


def body(batch_id: str = "msgbatch_1", *, hours: float | None = None, **counts: int) -> dict[str, Any]:
    """As the API tells of a batch that was made at the beginning and has ended after so many hours, or has not."""
    return {
        "id": batch_id,
        "type": "message_batch",
        "processing_status": "in_progress" if hours is None else "ended",
        "created_at": BEGAN.isoformat().replace("+00:00", "Z"),
        "ended_at": None if hours is None else (BEGAN + timedelta(hours=hours)).isoformat(),
        "request_counts": {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0} | counts,
    }


def batch(batch_id: str = "msgbatch_1", *, hours: float | None = None, **counts: int) -> Batch:
    (told,) = batches_in(msgspec.json.encode(body(batch_id, hours=hours, **counts)))
    return told


def seen(*batches: Batch, at_h: float = 0) -> BatchesSeen:
    known = BatchesSeen(BEGAN_MS)
    for each in batches:
        known.look(each, at(at_h))
    return known


def at(hours: float) -> int:
    return BEGAN_MS + round(hours * HOUR_MS)


def test_an_answer_tells_of_one_batch_or_of_a_page_of_them():
    """And the answer to anything else of none."""
    page = {"data": [body("msgbatch_1"), body("msgbatch_2")], "has_more": False}

    assert [each.id for each in batches_in(msgspec.json.encode(body()))] == ["msgbatch_1"]
    assert [each.id for each in batches_in(msgspec.json.encode(page))] == ["msgbatch_1", "msgbatch_2"]
    for other in (
        b"",
        b"{}",
        b"[1]",
        b'{"data": [1]}',
        b'{"id": "msgbatch_1", "type": "message_batch_deleted"}',
        b"\xff",
        msgspec.json.encode(body(succeeded=-5)),
        msgspec.json.encode(body() | {"created_at": "0001-01-01T00:00:00"}),
    ):
        assert batches_in(other) == []


def test_what_became_of_its_items_is_told_once():
    """Whoever polls goes on asking."""
    known = seen(batch(processing=3))

    first = known.look(batch(hours=1, succeeded=2, errored=1), at(1))
    again = known.look(batch(hours=1, succeeded=2, errored=1), at(2))

    assert dict(first) == {"succeeded": 2, "errored": 1, "canceled": 0, "expired": 0}
    assert dict(again) == {}


def test_what_ended_before_this_process_began_is_not_told_of_again():
    """It may have been told of by the one before it."""
    assert dict(seen().look(batch(hours=-1, succeeded=2), at(1))) == {}
    assert dict(seen().look(batch(hours=0.5, succeeded=2), at(1)))["succeeded"] == 2


def test_what_is_missing_among_the_results_and_what_is_there_twice():
    """H06, H07: by how many items the batch had."""
    known = seen(batch(hours=1, succeeded=10))

    assert known.read("msgbatch_1", lines=9, items=8) == (2, 1)


def test_results_that_are_read_again_are_not_told_of_again():
    """Neither is anything of a batch that nobody has looked at: how many items it had is not known."""
    known = seen(batch(hours=1, succeeded=10))
    known.read("msgbatch_1", lines=9, items=9)

    assert known.read("msgbatch_1", lines=9, items=9) == (0, 0)
    assert known.read("msgbatch_2", lines=9, items=9) == (0, 0)


def test_states_are_as_they_were_last_told():
    """What has ended stays until its results were read, as long as they are kept."""
    known = seen(batch("msgbatch_1", processing=1), batch("msgbatch_2", hours=1, succeeded=5))

    assert known.states(at(1)) == {"in_progress": 1, "canceling": 0, "ended": 1}
    known.read("msgbatch_2", lines=5, items=5)
    assert known.states(at(1)) == {"in_progress": 1, "canceling": 0, "ended": 0}
    assert known.states(at(24)) == {"in_progress": 0, "canceling": 0, "ended": 1}
    assert known.states(at(29 * 24 + 1)) == {"in_progress": 0, "canceling": 0, "ended": 0}


@pytest.mark.parametrize(
    ("counts", "hours"),
    [({"processing": 100}, 23), ({"processing": 11, "succeeded": 89}, 23), ({"processing": 10, "succeeded": 90}, 0)],
)
def test_a_batch_is_late_that_is_old_and_not_nearly_done(counts, hours):
    """By nine tenths; while it goes on the API mostly tells of none that is done."""
    assert seen(batch(**counts), at_h=23).oldest_late_s(at(23)) == hours * 3600


def test_the_age_is_that_of_the_last_look():
    """Nobody asks about a batch that is fetched tomorrow, and nothing is claimed of it."""
    known = seen(batch(processing=5), at_h=2)

    assert known.oldest_late_s(at(23)) == 2 * 3600


def test_nothing_is_late_after_a_day():
    """Then it has ended, whether somebody has looked or not."""
    known = seen(batch(processing=5), at_h=23)

    assert known.oldest_late_s(at(24)) == 0


def test_a_batch_that_ended_is_not_late():
    assert seen(batch(hours=23, expired=5), at_h=23).oldest_late_s(at(23)) == 0


def test_a_batch_that_was_deleted_is_gone():
    known = seen(batch(hours=1, succeeded=5))

    known.forget("msgbatch_1")

    assert known.states(at(1))["ended"] == 0


def test_memory_is_bounded():
    """The one that nobody has looked at for longest goes first."""
    known = seen(*(batch(f"msgbatch_{number}", processing=1) for number in range(MOST_KEPT + 1)))

    assert "msgbatch_0" not in known
    assert f"msgbatch_{MOST_KEPT}" in known
