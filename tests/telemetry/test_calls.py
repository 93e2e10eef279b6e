"""What is counted of calls."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from headgate.config.schema import Config, RetryConfig, WorkflowConfig
from headgate.engine.load import load_catalog
from headgate.events import Reason
from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.metrics.calls import Calls
from headgate.telemetry.metrics.known_labels import known_labels
from headgate.telemetry.metrics.registry import Registry
from support.exposed import series
from support.world import World, play

CATALOG = load_catalog()
SONNET, HAIKU = "claude-sonnet-5-5", "claude-haiku-5-5"
CONFIG = Config(
    workflows={"chat": WorkflowConfig(fallbacks=(f"model:{HAIKU}", "canned"), canned="x"), "nightly": WorkflowConfig()}
)


def call(**fields) -> CallRecord:
    given = {"kind": "messages", "workflow": "chat", "lane": "bulk", "model": SONNET, "outcome": "ok"} | fields
    return CallRecord(call_id="call_1", started_ms=0, **given)


def attempt(**fields) -> AttemptRecord:
    given = {"pool": "sonnet-5.5", "model_answered": None if "error" in fields else SONNET} | fields
    return AttemptRecord(call_id="call_1", attempt=1, started_ms=0, **given)


def counted(*calls: tuple[CallRecord, list[AttemptRecord]]) -> Registry:
    registry = Registry(known_labels(CONFIG, CATALOG, []))
    tally = Calls(registry, CATALOG, CONFIG.workflows)
    for record, attempts in calls:
        tally.call_over(record, attempts)
    return registry


def test_a_call_is_counted_once_however_many_attempts_it_took():
    attempts = [attempt(error="overloaded", decision="retried"), attempt()]

    registry = counted((call(model_answered=SONNET, reason="retried"), attempts))

    assert series(registry, "headgate_requests_total") == {"workflow=chat,lane=bulk,outcome=ok": 1}
    assert series(registry, "headgate_requests_by_model_total") == {f"model={SONNET},outcome=ok": 1}
    assert series(registry, "headgate_success_by_attempts_total") == {"workflow=chat,attempts=2": 1}
    assert series(registry, "headgate_attempts_total") == {
        f"model={SONNET},class=ok": 1, f"model={SONNET},class=overloaded": 1
    }  # fmt: skip
    assert series(registry, "headgate_retries_total") == {f"model={SONNET},reason=overloaded": 1}


@pytest.mark.parametrize(("attempts", "told"), [(1, "1"), (3, "3"), (4, "4plus"), (7, "4plus")])
def test_successes_tell_how_many_attempts_they_took(attempts, told):
    failed = [attempt(error="overloaded", decision="retried")] * (attempts - 1)

    registry = counted((call(), [*failed, attempt()]))

    assert series(registry, "headgate_success_by_attempts_total") == {f"workflow=chat,attempts={told}": 1}


def test_why_a_failure_was_not_tried_again():
    registry = counted((call(outcome="upstream_error"), [attempt(error="api_error", decision="retry_budget")]))

    assert series(registry, "headgate_retries_denied_total") == {f"model={SONNET},reason=retry_budget": 1}
    assert series(registry, "headgate_success_by_attempts_total") == {}


@pytest.mark.parametrize(
    ("outcome", "reason", "told"),
    [
        ("shed", "lane_full", "shed"),
        ("shed", "budget", "budget"),
        ("shed", "user_limit", "rate"),
        ("shed", "session_limit", "rate"),
        ("client_error", "bad_json", "client_error"),
    ],
)
def test_a_refused_call_is_a_rejection_and_tells_nothing_of_how_long_calls_take(outcome, reason, told):
    """A storm of refusals, a millisecond each, must not make the 95th percentile look good."""
    registry = counted((call(outcome=outcome, reason=reason), []))

    assert series(registry, "headgate_requests_total") == {f"workflow=chat,lane=bulk,outcome={told}": 1}
    assert series(registry, "headgate_rejections_total") == {f"lane=bulk,reason={reason}": 1}
    assert series(registry, "headgate_request_duration_seconds_count") == {}
    assert series(registry, "headgate_cost_usd_total") == {}


def test_an_error_of_the_api_is_no_rejection():
    registry = counted((call(outcome="client_error", reason="queued", queue_ms=3.0), [attempt(error="not_found")]))

    assert series(registry, "headgate_rejections_total") == {}
    assert series(registry, "headgate_request_duration_seconds_count") == {"workflow=chat,lane=bulk": 1}


def test_who_may_not_call_is_counted():
    registry = counted(
        (call(workflow="unset", lane="", model=None, outcome="client_error", reason="caller_unknown"), [])
    )

    assert series(registry, "headgate_auth_failures_total") == {"reason=caller_unknown": 1}
    assert series(registry, "headgate_requests_total") == {"workflow=unset,lane=none,outcome=client_error": 1}
    assert series(registry, "headgate_requests_by_model_total") == {"model=none,outcome=client_error": 1}


def test_times_are_in_seconds():
    """Of a call: from its begin to its end, and what Headgate took of it.  Of an attempt: only what the API took."""
    trip = attempt(total_ms=4_000.0, queue_ms=1_500.0, connect_ms=500.0)

    registry = counted((call(total_ms=18_000.0, queue_ms=1_500.0, first_byte_ms=250.0, overhead_ms=0.4), [trip]))

    assert series(registry, "headgate_request_duration_seconds_sum") == {"workflow=chat,lane=bulk": 18}
    assert series(registry, "headgate_queue_wait_seconds_sum") == {"lane=bulk": 1.5}
    assert series(registry, "headgate_ttft_seconds_sum") == {f"model={SONNET},lane=bulk": 0.25}
    assert series(registry, "headgate_upstream_duration_seconds_sum") == {f"model={SONNET}": 2}
    assert series(registry, "headgate_overhead_seconds_sum") == {"lane=bulk": 0.0004}


def test_an_attempt_that_never_left_tells_nothing_of_how_long_the_api_takes():
    registry = counted((call(outcome="upstream_error"), [attempt(error="connect_timeout", total_ms=5_000.0)]))

    assert series(registry, "headgate_upstream_duration_seconds_count") == {}


def test_tokens_are_disjoint_and_money_is_exact():
    """The same sums by workflow and by model."""
    used = {
        "input_tokens": 10, "output_tokens": 20, "cache_read_tokens": 300, "cache_write_5m_tokens": 40,
        "cache_write_1h_tokens": 5, "cost_pico": 123_456_789_012,
    }  # fmt: skip

    registry = counted((call(**used), [attempt(**used, service_tier="batch")]))

    kinds = {"input": 10, "output": 20, "cache_read": 300, "cache_write_5m": 40, "cache_write_1h": 5}
    assert series(registry, "headgate_tokens_total") == {f"workflow=chat,kind={kind}": n for kind, n in kinds.items()}
    by_model = series(registry, "headgate_tokens_by_model_total")
    assert by_model == {f"model={SONNET},kind={kind}": n for kind, n in kinds.items()}
    assert series(registry, "headgate_cost_usd_total") == {"workflow=chat": 0.123456789012}
    assert series(registry, "headgate_cost_by_model_usd_total") == {f"model={SONNET},tier=batch": 0.123456789012}


def test_j17_rounding_makes_no_time_negative():
    """A sum that falls looks to Prometheus like a process that began anew."""
    trip = attempt(total_ms=1_500.0, queue_ms=1_000.001, connect_ms=500.0)

    registry = counted((call(), [trip]))

    assert series(registry, "headgate_upstream_duration_seconds_sum") == {}


def test_what_headgate_asks_of_its_own_accord_is_in_the_money_and_in_no_figure_of_calls():
    """Its tokens and cost are a workflow of their own, so that every sum is the ledger's; the rest is about calls."""
    used = {"input_tokens": 3, "cache_read_tokens": 4_000, "cost_pico": 5 * 10**11}
    own = call(own="keep_warm", reason="retried", stop_reason="max_tokens", cache_plan="1h", queue_ms=9.0, **used)

    registry = counted((own, [attempt(error="overloaded", decision="retried"), attempt(**used)]))

    told = {name for name, _, value in registry.snapshot() if value}
    assert told == {
        "headgate_own_requests_total", "headgate_attempts_total", "headgate_retries_total", "headgate_tokens_total",
        "headgate_tokens_by_model_total", "headgate_cost_usd_total", "headgate_cost_by_model_usd_total",
    }  # fmt: skip
    assert series(registry, "headgate_own_requests_total") == {"own=keep_warm,outcome=ok": 1}
    assert series(registry, "headgate_cost_usd_total") == {"workflow=(headgate)": 0.5}
    assert series(registry, "headgate_tokens_total")["workflow=(headgate),kind=cache_read"] == 4_000


def test_a_request_of_headgates_own_that_found_no_room_is_no_rejection():
    registry = counted((call(own="keep_alive", outcome="shed", reason="lane_full"), []))

    assert {name for name, _, value in registry.snapshot() if value} == {"headgate_own_requests_total"}
    assert series(registry, "headgate_own_requests_total") == {"own=keep_alive,outcome=shed": 1}


def test_what_is_not_known_to_cost_anything_is_not_free():
    calls = [
        (call(cost_pico=None, cost_problem="geo:eu"), [attempt(cost_pico=None)]),
        (call(unconfirmed_pico=2 * 10**12), [attempt(error="stream_cut", unconfirmed_pico=2 * 10**12)]),
    ]

    registry = counted(*calls)

    assert series(registry, "headgate_unpriced_requests_total") == {"workflow=chat": 1}
    assert series(registry, "headgate_cost_estimated_usd_total") == {"workflow=chat": 2}
    assert series(registry, "headgate_cost_usd_total") == {}


def test_a_request_with_more_than_twice_its_workflows_tokens_is_an_outlier():
    usual = [(call(output_tokens=100, stop_reason="end_turn"), [attempt(output_tokens=100)]) for _ in range(30)]

    registry = counted(*usual, (call(output_tokens=201, stop_reason="end_turn"), [attempt(output_tokens=201)]))

    assert series(registry, "headgate_token_outliers_total") == {"workflow=chat": 1}


def test_how_answers_end():
    calls = [
        (call(stop_reason="end_turn", cache_plan="1h,5m"), [attempt()]),
        (call(stop_reason="refusal", outcome="refused", refusal_category="bio"), [attempt()]),
        (call(stop_reason="refusal", outcome="refused"), [attempt()]),
        (call(stop_reason="made up by somebody"), [attempt()]),
    ]

    registry = counted(*calls)

    assert series(registry, "headgate_stop_reasons_total") == {
        "workflow=chat,stop_reason=end_turn": 1, "workflow=chat,stop_reason=refusal": 2,
        "workflow=chat,stop_reason=other": 1,
    }  # fmt: skip
    assert series(registry, "headgate_refusals_total") == {
        "workflow=chat,category=bio": 1, "workflow=chat,category=none": 1
    }  # fmt: skip
    assert series(registry, "headgate_cache_breakpoints_total") == {"workflow=chat,result=placed": 2}


@pytest.mark.parametrize(
    ("record", "attempts", "told"),
    [
        (call(reason="fallback_model", model_answered=HAIKU),
         [attempt(error="overloaded"), attempt(pool="haiku-5.5", model_answered=HAIKU)],
         f"workflow=chat,from_model={SONNET},to_model={HAIKU},reason=overloaded"),
        (call(reason="fallback_model", model_answered=HAIKU),
         [attempt(stop_reason="refusal"), attempt(pool="haiku-5.5", model_answered=HAIKU)],
         f"workflow=chat,from_model={SONNET},to_model={HAIKU},reason=refusal"),
        (call(reason="fallback_canned"), [],
         f"workflow=chat,from_model={SONNET},to_model=canned,reason=not_sent"),
    ],
)  # fmt: skip
def test_a_fallback_tells_from_what_to_what_and_why(record, attempts, told):
    registry = counted((record, attempts))

    assert series(registry, "headgate_fallbacks_total") == {told: 1}


def test_a_failed_attempt_counts_for_the_model_it_asked():
    """A failure names no model; its limits tell which of the workflow's models it was."""
    attempts = [attempt(error="overloaded"), attempt(error="api_error", pool="haiku-5.5")]

    registry = counted((call(outcome="ok", reason="fallback_canned"), attempts))

    assert series(registry, "headgate_attempts_total") == {
        f"model={SONNET},class=overloaded": 1, f"model={HAIKU},class=api_error": 1
    }  # fmt: skip


def test_an_alias_and_its_model_are_one():
    record = call(model="claude-haiku-4-5", model_answered="claude-haiku-4-5-20251001")

    registry = counted((record, [attempt(pool="haiku-4.5", model_answered="claude-haiku-4-5-20251001")]))

    assert series(registry, "headgate_attempts_total") == {"model=claude-haiku-4-5-20251001,class=ok": 1}


def test_what_is_no_message_counts_as_what_it_is():
    registry = counted((call(kind="files", model=None), [attempt(pool="files", model_answered=None)]))

    assert series(registry, "headgate_attempts_total") == {"model=files,class=ok": 1}
    assert series(registry, "headgate_requests_by_model_total") == {}


def test_inv_19_what_callers_choose_makes_no_series():
    """Models nobody knows are one, and workflows nobody configured are a hundred at most; configured ones are always
    told apart."""
    named = [
        (
            call(workflow=f"w-{n}", model=f"claude-made-up-{n}"),
            [attempt(pool=f"claude-made-up-{n}", model_answered=None)],
        )
        for n in range(5_000)
    ]

    registry = counted(*named, (call(workflow="nightly"), [attempt()]))

    requests = series(registry, "headgate_requests_total")
    assert len(requests) == 102
    assert (requests["workflow=other,lane=bulk,outcome=ok"], requests["workflow=nightly,lane=bulk,outcome=ok"]) == (
        4_900,
        1,
    )
    assert series(registry, "headgate_attempts_total") == {"model=other,class=ok": 5_000, f"model={SONNET},class=ok": 1}
    assert series(registry, "headgate_series_dropped_total")[""] >= 4_900


def test_inv_22_each_reason_is_counted_once_a_call():
    """Whichever came to be the call's own: a delay is not lost behind a retry, nor a retry behind giving up."""
    attempts = [
        attempt(error="overloaded", decision="retried"),
        attempt(error="overloaded", decision="retried"),
        attempt(error="reset", decision="attempts_spent"),
    ]

    registry = counted((call(reason="attempts_spent", queue_ms=5.0, outcome="upstream_error"), attempts))

    assert series(registry, "headgate_decisions_total") == {
        "reason=queued,lane=bulk": 1, "reason=retried,lane=bulk": 1, "reason=attempts_spent,lane=bulk": 1,
    }  # fmt: skip


def test_a_plain_call_is_no_decision():
    assert series(counted((call(), [attempt()])), "headgate_decisions_total") == {}


def test_a_call_that_is_refused_at_once_was_not_queued():
    """Asking how long it would have waited takes some microseconds too."""
    registry = counted((call(reason="lane_closed", queue_ms=0.02, outcome="shed"), []))

    assert series(registry, "headgate_decisions_total") == {"reason=lane_closed,lane=bulk": 1}


def test_the_error_of_an_estimate_is_used_over_expected():
    registry = counted()
    Calls(registry, CATALOG, {}).estimate_error("sonnet-5.5", (100, 0), (120, 5))

    assert series(registry, "headgate_tokens_estimate_error_ratio_sum") == {"pool=sonnet-5.5,kind=input": 1.2}


def test_large_prompts_that_the_api_counted():
    registry = counted()
    Calls(registry, CATALOG, {}).prompt_counted("timeout")

    assert series(registry, "headgate_prompt_counts_total") == {"outcome=timeout": 1}


# -- of a whole engine -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sim", "config", "reason"),
    [
        ("flaky=1:529", Config(), Reason.RETRIED),
        ("error=529", Config(), Reason.ATTEMPTS_SPENT),
        ("error=400", Config(), Reason.NOT_RETRYABLE),
        ("error=529", Config(workflows={"test": WorkflowConfig(fallbacks=("canned",), canned="x")}),
         Reason.FALLBACK_CANNED),
        ("error=529", Config(workflows={"test": WorkflowConfig(fallbacks=(f"model:{HAIKU}", "canned"), canned="x")}),
         Reason.FALLBACK_CANNED),
    ],
)  # fmt: skip
def test_inv_22_what_was_decided_is_in_the_metric(sim, config, reason):
    """The same code as in the header, the record and the log."""

    async def scene(world: World) -> dict[str, float]:
        await world.ask(sim)
        return series(world.engine.metrics, "headgate_decisions_total")

    decisions = play(scene, config=config, retry=RetryConfig(max_attempts=2))

    assert decisions[f"reason={reason},lane=standard"] == 1


def test_the_sums_are_those_of_the_ledger():
    """Money, tokens and attempts: of streams and whole answers, of failures and of what was tried again."""

    async def scene(world: World) -> tuple[dict[str, float], dict[str, float], float, float]:
        for sim in ("", "flaky=1:529", "error=400", "tokens=50"):
            for stream in (False, True):
                await world.ask(sim, stream=stream)
        registry, rows = world.engine.metrics, world.ledger.attempts
        return (
            series(registry, "headgate_cost_usd_total"),
            series(registry, "headgate_tokens_total"),
            sum(row.cost_pico or 0 for row in rows) / 1e12,
            sum(row.output_tokens for row in rows),
        )

    cost, tokens, cost_usd, output = play(scene)

    assert cost == {"workflow=test": pytest.approx(cost_usd)}
    assert tokens["workflow=test,kind=output"] == output > 0


@pytest.mark.parametrize("jump_ms", [-3_600_000, 8 * 3_600_000])
def test_j17_nothing_that_is_added_up_falls_when_the_clock_is_set(jump_ms):
    """A laptop that slept, a clock that was set back: in the middle of a call and between calls."""

    async def scene(world: World) -> list[dict[tuple, float]]:
        looks = []
        for _ in range(3):
            asked = asyncio.create_task(world.ask("slow=4000", stream=True))
            await asyncio.sleep(2)
            world.engine.clock._epoch_ms += jump_ms
            await asked
            looks.append(
                {(name, labels): value for name, labels, value in world.engine.metrics.snapshot() if adds_up(name)}
            )
        return looks

    looks = play(scene)

    for before, after in pairwise(looks):
        assert [each for each in before if after[each] < before[each]] == []
    assert all(value >= 0 for value in looks[-1].values())


def adds_up(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_sum", "_count"))


@pytest.mark.parametrize(
    ("item", "result"),
    [
        ({"model_answered": SONNET}, "succeeded"),
        ({"error": "cancelled", "error_type": "expired"}, "expired"),
        ({"error": "cancelled", "error_type": "canceled"}, "canceled"),
        ({"error": "overloaded", "error_type": "overloaded_error"}, "errored"),
        ({"error": "cancelled"}, "given_up"),
    ],
)
def test_what_became_of_a_call_in_a_batch(item, result):
    """Whatever became of it afterwards, alone."""
    registry = counted((call(batch_id="batch_1"), [attempt(pool="batches", **item), attempt()]))

    assert series(registry, "headgate_batch_items_total") == {f"result={result}": 1}
