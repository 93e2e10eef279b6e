"""What the dashboard asks of the ledger beside its totals."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headgate.records import BatchItemRecord
from headgate.stores.sqlite import call_search, open_reader, panels
from headgate.stores.sqlite.call_search import Search, find_calls, one_call
from headgate.stores.sqlite.panels import lane_waits, paces, timeline, timelines
from support.records import FIRST_DAY_MS, spent

DAY = {"since_ms": FIRST_DAY_MS, "until_ms": FIRST_DAY_MS + 86_400_000}


def ledger(tmp_path: Path, *calls: dict[str, Any]) -> Path:
    return spent(tmp_path / "ledger.db", *calls)


def ids(path: Path, **search: Any) -> list[str]:
    return [call.call_id for call in find_calls(path, Search(**search)).calls]


# -- how workflows do ------------------------------------------------------------------------------------------------


def test_percentiles_are_those_of_the_answers_themselves(tmp_path: Path):
    """By nearest rank: of a hundred answers the 95th, and no value between two."""
    path = ledger(tmp_path, *({"total_ms": float(number)} for number in range(100, 0, -1)))

    (pace,) = paces(path, **DAY)

    assert (pace.p50_ms, pace.p95_ms, pace.p99_ms) == (50, 95, 99)


def test_calls_that_failed_are_in_no_percentile_and_in_the_error_rate(tmp_path: Path):
    """A timeout would make a workflow look slow that is broken."""
    path = ledger(tmp_path, {"total_ms": 10.0}, {"outcome": "timeout", "total_ms": 9000.0})

    (pace,) = paces(path, **DAY)

    assert (pace.p99_ms, pace.counted, pace.failed) == (10, 2, 1)


@pytest.mark.parametrize("outcome", ["client_error", "rate", "shed", "cancelled"])
def test_what_the_service_is_not_to_blame_for_is_in_no_error_rate(tmp_path: Path, outcome: str):
    path = ledger(tmp_path, {}, {"outcome": outcome})

    (pace,) = paces(path, **DAY)

    assert (pace.calls, pace.counted, pace.failed) == (2, 1, 0)


def test_structured_outputs_that_are_not_what_was_asked_for_are_counted(tmp_path: Path):
    """One that is invalid is an error; one that is cut was answered; of others nothing was promised or told."""
    path = ledger(
        tmp_path,
        {},
        {"validation": "valid"},
        {"validation": "skipped"},
        {"validation": "truncated"},
        {"validation": "invalid", "outcome": "invalid_output"},
    )

    (pace,) = paces(path, **DAY)

    assert (pace.judged, pace.unfit, pace.counted, pace.failed) == (3, 2, 5, 1)


def test_retries_and_fallbacks_are_counted_by_workflow(tmp_path: Path):
    path = ledger(tmp_path, {"workflow": "a", "attempts": 1}, {"workflow": "b", "reason": "fallback_model"})

    assert [(pace.workflow, pace.retries, pace.fallbacks) for pace in paces(path, **DAY)] == [("a", 0, 0), ("b", 0, 1)]


def test_an_answer_that_took_several_attempts_is_a_retried_one(tmp_path: Path):
    """What AL-09 counts: the errors that retries hide."""
    path = ledger(tmp_path, {"attempts": 2}, {"attempts": 1}, {"attempts": 3, "outcome": "upstream_error"})

    (pace,) = paces(path, **DAY)

    assert pace.retried_answers == 1


OWN = {"own": "keep_alive", "total_ms": 9000.0, "queue_ms": 9000.0, "first_byte_ms": 9000.0, "attempts": 2}


def test_what_headgate_asks_of_its_own_accord_tells_nothing_of_how_calls_go(tmp_path: Path):
    """It waits behind all others, answers nothing, and nobody waits for it."""
    a_call = {"total_ms": 10.0, "queue_ms": 5.0, "first_byte_ms": 7.0}
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    for folder, calls in ((alone, [a_call]), (beside, [a_call, OWN, OWN | {"outcome": "timeout"}])):
        folder.mkdir()
        ledger(folder, *calls)

    for asked in (paces, panels.durations, lane_waits, partial(timeline, buckets=2)):
        assert asked(beside / "ledger.db", **DAY) == asked(alone / "ledger.db", **DAY)


def test_its_money_is_in_the_line_of_all_and_in_a_line_of_its_own(tmp_path: Path):
    path = ledger(tmp_path, {"workflow": "a", "cost_pico": 5}, OWN | {"workflow": "a", "cost_pico": 3})

    lines = timelines(path, ["a", "(headgate)"], **DAY, buckets=1)

    assert {name: (line[0].calls, line[0].cost_pico) for name, line in lines.items()} == {
        "a": (1, 5), "(headgate)": (0, 3)
    }  # fmt: skip
    assert timeline(path, **DAY, buckets=1)[0].cost_pico == 8


def test_its_requests_are_found_by_what_their_line_is_called(tmp_path: Path):
    """And not among the calls of the workflow that they are made for."""
    path = ledger(tmp_path, {"workflow": "a"}, OWN | {"workflow": "a"})

    assert ids(path, workflow="a") == ["call_0000"]
    assert [(call.call_id, call.own) for call in find_calls(path, Search(workflow="(headgate)")).calls] == [
        ("call_0001", "keep_alive")
    ]


def test_only_calls_of_the_span_count(tmp_path: Path):
    """Its end is not in it."""
    path = ledger(tmp_path, {"started_ms": DAY["since_ms"]}, {"started_ms": DAY["until_ms"]})

    assert [pace.calls for pace in paces(path, **DAY)] == [1]


def test_waits_are_told_by_lane(tmp_path: Path):
    """Of calls that were sent; one that was refused has not waited its turn out."""
    path = ledger(
        tmp_path,
        {"lane": "bulk", "queue_ms": 5000.0},
        {"lane": "bulk"},
        {"lane": "bulk", "queue_ms": 9e9, "attempts": 0, "outcome": "shed"},
    )

    (waits,) = lane_waits(path, **DAY)

    assert (waits.calls, waits.waited, waits.p50_ms, waits.p95_ms, waits.max_ms) == (2, 1, 0, 5000, 5000)


# -- over time -------------------------------------------------------------------------------------------------------


def test_a_time_line_has_every_stretch_also_an_empty_one(tmp_path: Path):
    hour_ms = 3_600_000
    path = ledger(tmp_path, {"cost_pico": 5}, {"started_ms": FIRST_DAY_MS + 23 * hour_ms, "outcome": "timeout"})

    line = timelines(path, ["triage"], **DAY, buckets=24)["triage"]

    assert [bucket.calls for bucket in line] == [1, *[0] * 22, 1]
    assert (line[0].cost_pico, line[23].failed) == (5, 1)


def test_the_time_line_of_all_is_one_however_many_workflows_there_are(tmp_path: Path):
    """The dashboard asks for it every two seconds."""
    path = ledger(tmp_path, *[{"workflow": f"job-{number}", "cost_pico": 1} for number in range(100)])

    line = timeline(path, **DAY, buckets=24)

    assert [bucket.calls for bucket in line] == [100, *[0] * 23]
    assert sum(bucket.cost_pico for bucket in line) == 100


def test_money_of_batches_is_in_the_line_where_their_results_were_seen(tmp_path: Path):
    """Or the hours of a day would come to less than the day."""
    item = BatchItemRecord(batch_id="b", custom_id="i", seen_ms=FIRST_DAY_MS + 3_600_000, workflow="nightly",
                           result="succeeded", cost_pico=100)  # fmt: skip
    path = spent(tmp_path / "ledger.db", {"workflow": "nightly", "cost_pico": 5}, items=(item,))

    of_all = timeline(path, **DAY, buckets=24)
    of_each = timelines(path, ["nightly", "(headgate)"], **DAY, buckets=24)

    assert [(bucket.calls, bucket.cost_pico) for bucket in of_all[:3]] == [(1, 5), (0, 100), (0, 0)]
    assert of_each["nightly"] == of_all
    assert sum(bucket.cost_pico for bucket in of_each["(headgate)"]) == 0


def test_money_that_passes_64_bits_is_summed_all_the_same(tmp_path: Path):
    """Nine million dollars are 2^63 pico-dollars."""
    path = ledger(tmp_path, *[{"cost_pico": (1 << 62) + 1}] * 4)

    (bucket,) = timelines(path, ["triage"], **DAY, buckets=1)["triage"]

    assert bucket.cost_pico == (1 << 64) + 4


# -- single calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [("correlation_id", "corr-9"), ("user", "u-17"), ("session", "s-4"), ("trace_id", "t" * 32),
     ("upstream_request_id", "req_011")],
)  # fmt: skip
def test_a_call_is_found_by_whatever_a_person_has_of_it(tmp_path: Path, field: str, value: str):
    path = ledger(tmp_path, {}, {field: value}, {})

    assert ids(path, text=value) == ["call_0001"]


def test_a_call_is_found_by_the_beginning_of_its_id(tmp_path: Path):
    path = ledger(tmp_path, {}, {})

    assert ids(path, text="call_0001") == ids(path, text="call_000")[:1] == ["call_0001"]


def test_the_newest_come_first_and_the_next_page_goes_on_where_the_last_ended(tmp_path: Path):
    """Also among calls of one millisecond."""
    path = ledger(tmp_path, *[{}] * 5)

    first = find_calls(path, Search(limit=2))
    rest = find_calls(path, Search(limit=3, before=first.calls[-1].call_id))

    assert [call.call_id for call in (*first.calls, *rest.calls)] == [
        f"call_{number:04}" for number in range(4, -1, -1)
    ]
    assert (first.more, rest.more) == (True, False)


def test_conditions_are_all_met(tmp_path: Path):
    path = ledger(tmp_path, {"workflow": "a"}, {"workflow": "a", "outcome": "timeout"}, {"outcome": "timeout"})

    assert ids(path, workflow="a", outcome="failed") == ["call_0001"]


@pytest.mark.parametrize("text", ["' OR 1=1 --", "call_' OR '1'='1", "%", "*", '"', "\x00", "call_"])
def test_j10_what_is_looked_for_is_never_read_as_sql(tmp_path: Path, text: str):
    path = ledger(tmp_path, {})

    assert ids(path, text=text) == (["call_0000"] if text == "call_" else [])


def test_a_search_that_takes_too_long_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It must not keep a reader busy for whoever asks."""
    path = ledger(tmp_path, *[{}] * 5_000)
    monkeypatch.setattr(call_search, "SEARCH_FOR_S", -1.0)

    assert find_calls(path, Search(text="nobody")).cut_short


def test_one_call_has_its_attempts_in_their_order(tmp_path: Path):
    path = ledger(tmp_path, {"attempts": 3})

    found = one_call(path, "call_0000")

    assert found is not None
    assert (found[0].call_id, [attempt.attempt for attempt in found[1]]) == ("call_0000", [1, 2, 3])
    assert one_call(path, "call_9999") is None


def test_a_span_is_found_by_an_index_and_newest_first(tmp_path: Path):
    """A ledger of years answers a question of an hour as fast as one of a day."""
    path = ledger(tmp_path, {})
    query = call_search._FOUND.format(conditions="started_ms >= :since_ms AND started_ms < :until_ms")

    with closing(open_reader(path)) as db:
        told = dict.fromkeys(Search.__dataclass_fields__)
        plan = " ".join(str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {query}", told))

    assert "USING INDEX calls_by_time" in plan
    assert "TEMP B-TREE" not in plan
