"""What metrics were, across restarts and processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.alerts.expr import metric
from headgate.alerts.functions import increase, total
from headgate.alerts.history import COARSE_KEPT_MS, COARSE_MS, FINE_KEPT_MS, FINE_MS, MEMORY_MS, MOST_SERIES, History
from headgate.stores.sqlite.telemetry import Telemetry

CALLS = total(increase(metric("calls"), 300))
HOUR_MS = 3_600_000
START_MS = 1_800_000_000_000


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    store = Telemetry(None)
    yield store
    store.close()


def history(telemetry: Telemetry, instance: str = "one") -> History:
    return History(telemetry, instance, {"calls"})


def run(history: History, from_ms: int, for_ms: int, *, step_ms: int = FINE_MS, value: float = 0) -> float:
    """A call every second.  Returns the counter's last value."""
    for at_ms in range(from_ms, from_ms + for_ms, step_ms):
        history.take(at_ms, [("calls", (("lane", "bulk"),), value), ("other", (), 1.0)])
        value += step_ms / 1000
    return value


def test_only_what_is_asked_for_is_kept(telemetry):
    """A gateway has thousands of series, and rules look at some."""
    kept = history(telemetry)
    run(kept, START_MS, HOUR_MS)

    assert list(kept.samples.of("other")) == []
    assert len(list(kept.samples.of("calls"))) == 1


def test_a_restart_goes_on_where_it_was(telemetry):
    """The counter begins anew, and the window over the restart holds what both processes counted."""
    run(history(telemetry), START_MS, HOUR_MS)
    again = history(telemetry)
    now_ms = START_MS + HOUR_MS + 30_000
    asyncio.run(again.load(now_ms))
    run(again, now_ms, 120_000)

    found = CALLS.at(again.samples, now_ms + 105_000)

    assert found[()] == pytest.approx(270, abs=20)


def test_what_a_restart_does_not_have_any_more_has_ended(telemetry):
    """A lane that was full before must not stay full for five minutes."""
    run(history(telemetry), START_MS, HOUR_MS)
    again = history(telemetry)
    now_ms = START_MS + HOUR_MS
    asyncio.run(again.load(now_ms))
    again.take(now_ms, [])

    assert metric("calls").at(again.samples, now_ms) == {}


def test_processes_that_share_the_file_see_each_other(telemetry):
    """Each by the label `instance`, so that nothing is added up by mistake and all can be."""
    one, two = history(telemetry, "one"), history(telemetry, "two")
    run(two, START_MS, 600_000)
    run(one, START_MS + 1, 600_000)
    now_ms = START_MS + 600_000
    asyncio.run(one.follow(now_ms))

    assert CALLS.at(one.samples, now_ms)[()] == pytest.approx(600, abs=40)
    assert {series.by_name["instance"] for series in one.samples.of("calls")} == {"one", "two"}


def test_a_process_that_is_gone_counts_no_longer(telemetry):
    """Its last value stands for five minutes, and its window runs out."""
    one, two = history(telemetry, "one"), history(telemetry, "two")
    run(two, START_MS, 600_000)
    run(one, START_MS, 1_200_000)
    asyncio.run(one.follow(START_MS + 1_200_000))

    assert CALLS.at(one.samples, START_MS + 1_200_000)[()] == pytest.approx(300, abs=20)


def test_memory_holds_the_last_hour_only(telemetry):
    """However long a process runs."""
    kept = history(telemetry)
    run(kept, START_MS, 5 * HOUR_MS)
    (series,) = kept.samples.of("calls")

    assert len(series) <= (MEMORY_MS + COARSE_MS) / FINE_MS + 1


def test_the_file_answers_what_looks_back_for_days(telemetry):
    """Every five minutes, also what was before a restart."""
    run(history(telemetry), START_MS, 3 * 24 * HOUR_MS, step_ms=COARSE_MS)
    now_ms = START_MS + 3 * 24 * HOUR_MS
    day = total(increase(metric("calls"), 86_400))
    ago = total(increase(metric("calls").back(86_400), 3_600))
    again = history(telemetry)

    reaches = {*day.reaches(), *ago.reaches()}
    found = asyncio.run(again.over(reaches, now_ms, lambda samples: (day.at(samples, now_ms), ago.at(samples, now_ms))))

    assert [each[()] for each in found] == [pytest.approx(86_400, rel=0.01), pytest.approx(3_600, rel=0.1)]


def test_only_the_time_that_is_asked_for_is_read(telemetry):
    """An hour of a week ago is an hour, not a week."""
    run(history(telemetry), START_MS, 8 * 24 * HOUR_MS, step_ms=COARSE_MS)
    now_ms = START_MS + 8 * 24 * HOUR_MS
    ago = increase(metric("calls").back(7 * 86_400), 3_600)

    reaches = set(ago.reaches())
    counted = asyncio.run(history(telemetry).over(reaches, now_ms, lambda samples: list(map(len, samples.of("calls")))))

    assert counted == [13]


def test_old_samples_are_deleted(telemetry):
    """Six hours of fine ones, 35 days of coarse ones."""
    kept = history(telemetry)
    run(kept, START_MS, 12 * HOUR_MS, step_ms=60_000)
    run(kept, START_MS + 12 * HOUR_MS, 40 * 24 * HOUR_MS, step_ms=COARSE_MS * 6)

    def spans(db):
        return {
            step: (low, high)
            for step, low, high in db.execute("SELECT step_ms, min(at_ms), max(at_ms) FROM samples GROUP BY step_ms")
        }

    found = asyncio.run(telemetry.ask("test", spans))

    assert {step: high - low for step, (low, high) in found.items()} == {
        FINE_MS: FINE_KEPT_MS,
        COARSE_MS: COARSE_KEPT_MS,
    }


def test_a_clock_that_is_put_back_changes_no_past(telemetry):
    """J17: no sample before another, so no negative rate."""
    kept = history(telemetry)
    run(kept, START_MS, 600_000)
    kept.take(START_MS + 60_000, [("calls", (("lane", "bulk"),), 5.0)])
    (series,) = kept.samples.of("calls")

    assert len(series) == 40


def test_series_beyond_the_bound_are_left_out_and_counted(telemetry):
    """A million labels cost no more memory than six thousand."""
    kept = history(telemetry)
    kept.take(START_MS, [("calls", (("n", str(n)),), 1.0) for n in range(MOST_SERIES + 10)])

    assert len(list(kept.samples.of("calls"))) == MOST_SERIES
    assert telemetry.dropped["series"] == 10


def test_a_file_that_cannot_be_used_leaves_the_last_hour(tmp_path):
    """A full disk loses the past, and rules go on."""
    path: Path = tmp_path / "telemetry.db"
    path.mkdir()
    store = Telemetry(path)
    kept = history(store)
    asyncio.run(kept.load(START_MS))
    run(kept, START_MS, 600_000)
    asyncio.run(kept.follow(START_MS + 600_000))

    assert CALLS.at(kept.samples, START_MS + 600_000)[()] == pytest.approx(300, abs=20)
    store.close()
    assert store.dropped["history"] > 0
