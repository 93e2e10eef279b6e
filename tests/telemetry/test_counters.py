"""What a monitor reads."""

from __future__ import annotations

import re

import pytest

from headgate.config.schema import Config, RetryConfig, WorkflowConfig
from headgate.events import Reason
from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.counters import Counters
from support.world import World, play

LANES = ("interactive", "bulk")


def call(lane: str = "bulk", **fields) -> CallRecord:
    return CallRecord(call_id="call_1", started_ms=0, kind="messages", workflow="w", lane=lane, **fields)


def attempt(pool: str = "sonnet-5.5", **fields) -> AttemptRecord:
    return AttemptRecord(call_id="call_1", attempt=1, started_ms=0, pool=pool, **fields)


def counted(*calls: tuple[CallRecord, list[AttemptRecord]]) -> Counters:
    counters = Counters(LANES, ["sonnet-5.5"])
    for record, attempts in calls:
        counters.call_over(record, attempts)
    return counters


def series(counters: Counters, name: str) -> dict[str, float]:
    """The labels and values of one metric."""
    lines = counters.exposition().decode().splitlines()
    found = (re.fullmatch(rf"{name}\{{(.*)\}} (\S+)", line) for line in lines)
    return {match[1]: float(match[2]) for match in found if match}


def test_a_plain_call_is_an_attempt_and_no_decision():
    counters = counted((call(), [attempt()]))

    assert series(counters, "headgate_attempts_total") == {'pool="sonnet-5.5",outcome="ok"': 1}
    assert series(counters, "headgate_decisions_total") == {}


def test_inv_22_each_reason_is_counted_once_a_call():
    """Whichever came to be the call's own: a delay is not lost behind a retry, nor a retry behind giving up."""
    attempts = [
        attempt(error="overloaded", decision="retried"),
        attempt(error="overloaded", decision="retried"),
        attempt(error="reset", decision="attempts_spent"),
    ]

    counters = counted((call(reason="attempts_spent", queue_ms=5.0), attempts))

    assert series(counters, "headgate_decisions_total") == {
        'reason="queued",lane="bulk"': 1, 'reason="retried",lane="bulk"': 1, 'reason="attempts_spent",lane="bulk"': 1,
    }  # fmt: skip
    assert series(counters, "headgate_attempts_total") == {
        'pool="sonnet-5.5",outcome="overloaded"': 2, 'pool="sonnet-5.5",outcome="reset"': 1,
    }  # fmt: skip


def test_a_call_that_is_refused_at_once_was_not_queued():
    """Asking how long it would have waited takes some microseconds too."""
    counters = counted((call(reason="lane_closed", queue_ms=0.02), []))

    assert series(counters, "headgate_decisions_total") == {'reason="lane_closed",lane="bulk"': 1}


def test_what_callers_choose_makes_no_series():
    """INV-19: models nobody knows are one pool, and a call that was refused at the door has no lane."""
    named = [(call(), [attempt(pool=f"claude-made-up-{number}")]) for number in range(50)]

    counters = counted(*named, (call(lane="", reason="caller_unknown"), []))

    assert series(counters, "headgate_attempts_total") == {'pool="other",outcome="ok"': 50}
    assert series(counters, "headgate_decisions_total") == {'reason="caller_unknown",lane="none"': 1}


def test_waits_are_those_of_calls_that_were_sent():
    """Buckets hold all that is below them; a refusal tells its wait by its reason."""
    calls = [(call(queue_ms=ms), [attempt()]) for ms in (0.0, 100.0, 101.0, 700_000.0)]

    counters = counted(*calls, (call(reason="wait_too_long"), []))

    buckets = series(counters, "headgate_queue_wait_seconds_bucket")
    assert [buckets[f'lane="bulk",le="{le}"'] for le in ("0.1", "0.25", "600", "+Inf")] == [2, 3, 3, 4]
    assert series(counters, "headgate_queue_wait_seconds_count") == {'lane="bulk"': 4, 'lane="interactive"': 0}
    assert series(counters, "headgate_queue_wait_seconds_sum")['lane="bulk"'] == pytest.approx(700.201)


def test_the_error_of_an_estimate_is_used_over_expected():
    counters = counted()
    counters.estimate_error("sonnet-5.5", (100, 0), (120, 5))

    buckets = series(counters, "headgate_tokens_estimate_error_ratio_bucket")
    labels = 'pool="sonnet-5.5",kind="input"'
    assert (buckets[f'{labels},le="1.1"'], buckets[f'{labels},le="1.25"']) == (0, 1)
    assert list(series(counters, "headgate_tokens_estimate_error_ratio_sum").values()) == [1.2]


def test_a_lane_may_have_any_name():
    """The format has its own quotes."""
    counters = Counters(['a"b\\c'], [])
    counters.call_over(call(lane='a"b\\c', reason="queued"), [])

    assert 'headgate_decisions_total{reason="queued",lane="a\\"b\\\\c"} 1' in counters.exposition().decode()


def test_every_line_is_one_that_prometheus_reads():
    """HELP and TYPE before the series of each metric, and nothing else."""
    counters = counted((call(reason="retried", queue_ms=3.0), [attempt(decision="retried", error="reset"), attempt()]))
    counters.estimate_error("sonnet-5.5", (100, 0), (120, 5))
    counters.prompt_counted("counted")

    text = counters.exposition().decode()

    metric = r'headgate_\w+\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\} [0-9.e+]+'
    assert text.endswith("\n")
    for line in text.splitlines():
        assert re.fullmatch(rf"# HELP headgate_\w+ .+|# TYPE headgate_\w+ (counter|histogram)|{metric}", line), line


# -- of a whole engine -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sim", "config", "reason"),
    [
        ("flaky=1:529", Config(), Reason.RETRIED),
        ("error=529", Config(), Reason.ATTEMPTS_SPENT),
        ("error=400", Config(), Reason.NOT_RETRYABLE),
        ("error=529", Config(workflows={"test": WorkflowConfig(fallbacks=("canned",), canned="x")}),
         Reason.FALLBACK_CANNED),
        ("error=529", Config(workflows={"test": WorkflowConfig(fallbacks=("model:claude-haiku-5-5", "canned"),
                                                               canned="x")}), Reason.FALLBACK_CANNED),
    ],
)  # fmt: skip
def test_inv_22_what_was_decided_is_in_the_metric(sim, config, reason):
    """The same code as in the header, the record and the log."""

    async def scene(world: World) -> dict[str, float]:
        await world.ask(sim)
        return series(world.engine.counters, "headgate_decisions_total")

    decisions = play(scene, config=config, retry=RetryConfig(max_attempts=2))

    assert decisions[f'reason="{reason}",lane="standard"'] == 1
