"""A run: every call asked at its time, by one policy, against the simulated API; and what is said of it."""

from __future__ import annotations

import msgspec
import pytest

from headgate.load.problems import LoadError
from headgate.replay.figures import figures_of
from headgate.replay.policies import POLICIES
from headgate.replay.run import Run, Setup, play
from headgate.replay.timeline import timeline_of
from headgate.replay.workload import Changes, Workload, from_trace
from support.traces import row, workload_of

KEYS = {
    "calls", "answered", "attempts", "upstream_429", "makespan_s", "bound_s", "cached_share", "jain", "lanes",
}  # fmt: skip


def played(workload: Workload, **setup: object) -> Run:
    return play(workload, Setup(**setup))  # type: ignore[arg-type]


def test_headgate_gets_every_call_answered_without_breaking_a_limit(tmp_path):
    """Three minutes' worth at once: it paces what others retry."""
    calls = workload_of(tmp_path, *[row(0, 1_000, 10) for _ in range(180)])
    told = figures_of(played(calls, rpm=1_000, itpm=60_000, otpm=90_000))

    assert told["answered"] == told["calls"] == 180
    assert told["makespan_s"] >= told["bound_s"] == 120


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_bytes(tmp_path, policy):
    """Whatever else the machine does; and every policy tells the same facts."""
    rows = [row(number / 10, 2_000, 20, tenant=f"t{number % 3}", lane="bulk") for number in range(60)]
    calls = workload_of(tmp_path, *rows)
    first, again = (figures_of(played(calls, policy=policy, itpm=60_000, seed=3)) for _ in range(2))

    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    assert set(first) == KEYS
    assert set(first["lanes"]) == {"bulk"}
    assert set(first["lanes"]["bulk"]) == {"calls", "wait_p50_s", "wait_p95_s", "wait_p99_s"}


def test_the_api_charges_exactly_what_the_trace_says():
    """The bound is computed from the one, the run measured by the other."""
    run = played(
        from_trace("azure-code", Changes(traffic=0.1)), policy="fifo", rpm=10**6, itpm=10**9, otpm=10**9, marked=False
    )

    for outcome in run.outcomes:
        assert outcome.answer is not None
        assert outcome.answer.input_tokens == outcome.ask.input_tokens
        assert outcome.answer.output_tokens == outcome.ask.output_tokens


def test_what_the_engine_asks_besides_is_no_attempt(tmp_path):
    """It has large prompts counted by the API first, which is free and has a limit of its own."""
    run = played(workload_of(tmp_path, row(0, 300_000)))

    assert [attempt.status for attempt in run.attempts] == [200]


def test_follow_ups_come_as_recorded_or_wait_for_their_answer(tmp_path):
    """The bound and the references assume the one; users do the other."""
    rows = [row(0, session="a"), *[row(0, 59_000, session="b")], row(1, session="a"), row(2, 40_000, session="b")]
    calls = workload_of(tmp_path, *rows)
    recorded = played(calls, policy="fifo", itpm=60_000)
    waiting = played(calls, policy="fifo", itpm=60_000, latency="typical", follow_ups="wait")

    assert [outcome.asked_s for outcome in recorded.outcomes] == [0, 0, 1, 2]
    before = waiting.outcomes[1]
    assert before.answer is not None
    assert waiting.outcomes[3].asked_s == max(2, before.ended_s)


def test_a_call_may_wait_as_long_as_it_takes_unless_it_is_told(tmp_path):
    """With a bound it is refused at once when the wait cannot be met."""
    calls = workload_of(tmp_path, *[row(0, 1_000, 10) for _ in range(300)])

    assert figures_of(played(calls, itpm=60_000))["answered"] == 300
    assert figures_of(played(calls, itpm=60_000, max_wait_s=30))["answered"] < 150


def test_a_run_in_which_nothing_happens_any_more_is_ended(tmp_path):
    """A prompt above the limit of a whole minute is refused for ever, and this rival never gives up."""
    calls = workload_of(tmp_path, row(0, 70_000), row(0, 1_000))
    told = figures_of(played(calls, policy="fixed-retry", itpm=60_000))

    assert told["answered"] == 1
    assert told["makespan_s"] < 3_600


def test_a_policy_that_breaks_breaks_the_run(tmp_path, monkeypatch):
    """A call that was lost in silence would look like one that was refused."""
    calls = workload_of(tmp_path, row(0), row(1))

    async def break_down(self, ask):
        raise RuntimeError("out of order")

    monkeypatch.setattr("headgate.replay.rivals.Sdk.ask", break_down)

    with pytest.raises(RuntimeError, match="out of order"):
        played(calls, policy="sdk")


def test_a_lane_of_the_trace_is_a_lane_of_the_run(tmp_path):
    """Headgate's own or not."""
    calls = workload_of(tmp_path, row(0, lane="interactive"), row(0, lane="nightly"))

    assert list(figures_of(played(calls))["lanes"]) == ["interactive", "nightly"]


def test_waits_are_told_of_those_that_were_answered(tmp_path):
    """One a second from an empty bucket of one second: the ninth waits nine seconds, the median half of that."""
    calls = workload_of(tmp_path, *[row(0, 10, 1) for _ in range(10)])
    told = figures_of(played(calls, policy="fifo", rpm=60, depth_s=1))["lanes"]["standard"]

    assert (told["wait_p50_s"], told["wait_p95_s"]) == (5, 9)


def test_first_come_first_served_is_unfair_to_those_who_ask_little():
    """24 tenants, saturated: the loudest gets what it asks for, the others wait behind it."""
    calls = from_trace("servegen-tenants", Changes(traffic=0.05))
    run = played(calls, policy="fifo", rpm=50, itpm=22_500, otpm=4_500)

    assert figures_of(run)["jain"] < 0.5


# -- what if -----------------------------------------------------------------------------------------------------------


def test_twice_the_traffic_is_every_session_twice(tmp_path):
    """Up to a minute later, with texts of its own, but for what sessions share anyhow."""
    rows = [
        row(0, 1_024, session="a", blocks=[1, 2], block_tokens=512),
        row(5, 1_024, session="b", blocks=[1, 3], block_tokens=512),
        row(9, 1_536, session="a", blocks=[1, 2, 4], block_tokens=512),
    ]
    calls = workload_of(tmp_path, *rows, traffic=2)
    copy = next(ask for ask in calls.asks if str(ask.turn.session).startswith("copy") and ask.before is not None)

    assert len(calls.asks) == 6
    assert copy.before is not None
    assert copy.at_s - copy.before.at_s == pytest.approx(9)
    assert copy.turn.messages[0][0].name == "block 1"
    assert copy.turn.messages[0][1].name != "block 2"


def test_half_the_traffic_is_about_half_of_the_sessions(tmp_path):
    """By the seed's choice."""
    calls = workload_of(tmp_path, *[row(number) for number in range(400)], traffic=0.5)

    assert 150 < len(calls.asks) < 250


def test_fewer_tools_are_those_that_call_most(tmp_path):
    """Of a trace; of a plan, its first."""
    rows = [row(0, tenant="a"), row(1, tenant="b"), row(2, tenant="b")]

    assert {ask.tenant for ask in workload_of(tmp_path, *rows, tools=1).asks} == {"b"}
    with pytest.raises(LoadError, match="there are 2 workflows"):
        workload_of(tmp_path, *rows, tools=3)


# -- over time ---------------------------------------------------------------------------------------------------------


def test_the_timeline_tells_load_queue_waits_and_refusals(tmp_path):
    """Two minutes' worth at once: all of it offered at first, half of it admitted, the rest a second each."""
    calls = workload_of(tmp_path, *[row(0, 10, 1) for _ in range(120)])
    line = timeline_of(played(calls, policy="fifo", rpm=60))

    assert (line.limiter, line.step_s) == ("requests", 10)
    assert line.offered[:2] == [12, 0]
    assert line.admitted[:2] == pytest.approx([6.9, 1], abs=0.11)
    assert line.waiting[0] == pytest.approx(50, abs=1)
    assert line.oldest_wait_s[0] == 10
    assert line.waits_s["standard"][5] == pytest.approx(59, abs=1.1)
    assert sum(line.limited) == 0
    assert sum(timeline_of(played(calls, policy="sdk", rpm=60)).limited) > 100
