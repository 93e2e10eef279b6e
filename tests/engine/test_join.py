"""Micro-batches: small calls of one workflow in one request."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.call import Call
from headgate.config.schema import BudgetConfig, Config, LimitsConfig, PoolCeiling, RetryConfig, WorkflowConfig
from headgate.core.message_stream import message_of
from headgate.engine.join_group import Group, Member
from headgate.errors import Refused
from headgate.events import ErrorClass, Outcome, Reason, UsageSource
from headgate.sim import SimSettings
from headgate.sim.settings import Latency
from support.raw_upstream import RawUpstream, json_reply, message
from support.world import Answer, World, lanes, play

SLOW = SimSettings(latency=Latency(ttft_s=2.0, spread=0.0))
LABEL: dict[str, Any] = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["spam", "ham"]}},
    "required": ["label"],
    "additionalProperties": False,
}


def joining(**more: Any) -> Config:
    return Config(workflows={"test": WorkflowConfig(**{"join_max": 8} | more)})


def saying(word: str) -> str:
    """An input that is answered with `word`."""
    return f'What is said? [[sim: say="{word}"]]'


def said(answer: Answer) -> str:
    [block] = answer.document["content"]
    return str(block["text"])


def run(scene: Callable[[World], Awaitable[Any]], config: Config | None = None, **more: Any) -> Any:
    return play(scene, config=config or joining(), **more)


async def together(world: World, *words: str, sim: str = "", **options: Any) -> list[Answer]:
    """Calls that come at the same time."""
    return await asyncio.gather(*(world.ask(sim, text=saying(word), **options) for word in words))


def requests(world: World) -> int:
    """Requests that the API has got."""
    return len(world.sim.world.books.entries)


def spent(world: World) -> tuple[int, int]:
    """What the ledger says all cost, and what the API's own books say."""
    return (
        sum(call.cost_pico or 0 for call in world.ledger.calls),
        sum(entry.cost_pico for entry in world.sim.world.books.entries),
    )


# -- together ----------------------------------------------------------------------------------------------------------


def test_calls_that_come_together_are_asked_in_one_request():
    """And each gets its own answer, a Message with an id of its own."""

    async def scene(world: World) -> tuple[list[Answer], int]:
        return await together(world, "one", "two", "three"), requests(world)

    answers, made = run(scene)

    assert made == 1
    assert [said(answer) for answer in answers] == ["one", "two", "three"]
    assert len({answer.document["id"] for answer in answers}) == 3
    assert {answer.record.reason for answer in answers} == {Reason.JOINED}


def test_each_bears_its_share_and_the_shares_are_the_invoice():
    """To the token and to the pico-dollar."""

    async def scene(world: World) -> tuple[list[Answer], tuple[int, int], list[Any]]:
        long = saying("a much longer answer than the others get " * 5)
        answers = await asyncio.gather(*(world.ask(text=text) for text in (saying("a"), saying("b" * 9), long)))
        return answers, spent(world), world.ledger.attempts

    answers, (ours, theirs), attempts = run(scene)

    assert ours == theirs > 0
    assert [attempt.shared_by for attempt in attempts] == [3, 3, 3]
    assert len({attempt.upstream_request_id for attempt in attempts}) == 1
    assert [answer.record.joined for answer in answers] == [3, 3, 3]
    told = [answer.document["usage"] for answer in answers]
    assert [usage["output_tokens"] for usage in told] == [answer.record.output_tokens for answer in answers]
    assert [usage["input_tokens"] for usage in told] == [answer.record.input_tokens for answer in answers]
    assert told[2]["output_tokens"] > 5 * told[0]["output_tokens"]


def test_a_caller_that_asked_for_a_stream_gets_one():
    """Whole, with its usage; the others get what they asked for."""

    async def scene(world: World) -> list[Answer]:
        streamed = world.ask(text=saying("streamed"), stream=True)
        return await asyncio.gather(streamed, world.ask(text=saying("whole")))

    streamed, whole = run(scene)

    read = message_of(streamed.body)
    assert read is not None
    assert read["content"] == [{"type": "text", "text": "streamed"}]
    assert read["usage"]["output_tokens"] == streamed.record.output_tokens
    assert streamed.reply.headers.get(b"content-type").startswith(b"text/event-stream")
    assert streamed.record.first_byte_ms is not None
    assert said(whole) == "whole"


def test_an_answer_by_a_schema_is_what_the_schema_asks_for():
    """Each call's own, as if it had been alone."""
    body = {"output_config": {"format": {"type": "json_schema", "schema": LABEL}}}

    async def scene(world: World) -> tuple[list[Any], int]:
        answers = await asyncio.gather(*(world.ask(text=f"mail {number}", body=body) for number in range(4)))
        return [msgspec.json.decode(said(answer)) for answer in answers], requests(world)

    labels, made = run(scene)

    assert made == 1
    assert all(label["label"] in ("spam", "ham") for label in labels)


def test_no_more_than_join_max_go_together():
    """Ten calls by four are three requests."""

    async def scene(world: World) -> int:
        await together(world, *map(str, range(10)))
        return requests(world)

    assert run(scene, joining(join_max=4)) == 3


def test_one_request_is_one_trip_to_the_api_in_the_metrics():
    """However many calls it was made for."""

    async def scene(world: World) -> bytes:
        await together(world, "one", "two", "three")
        return world.engine.metrics.exposition()

    assert b'headgate_attempts_total{model="claude-sonnet-5-5",class="ok"} 1\n' in run(scene)


# -- how long it waits ------------------------------------------------------------------------------------------------


def test_a_full_group_does_not_wait():
    """Nobody else could join it."""

    async def scene(world: World) -> float:
        await together(world, "one", "two")
        return world.now_s

    assert run(scene, joining(join_max=2, join_window_s=5.0)) == 0


def test_a_call_never_waits_longer_than_the_window_nor_than_half_of_its_time():
    """What it has left is for the answer."""

    async def scene(world: World, deadline_s: float | None) -> float:
        await world.ask(requested_deadline_s=deadline_s)
        return world.now_s

    assert 0 < run(lambda world: scene(world, None), joining(join_window_s=2.0)) <= 2.0
    assert 0 < run(lambda world: scene(world, 10.0), joining(join_window_s=9.0)) <= 5.0


def test_no_more_are_joined_than_there_is_time_for():
    """Each answer takes a second and a half."""
    latency = Latency(tokens_per_s=20.0, spread=0.0)
    text = "What is said? [[sim: tokens=20]]"

    async def scene(world: World) -> list[int]:
        for _ in range(20):
            answers = await asyncio.gather(*(world.ask(text=text, max_tokens=100) for _ in range(8)))
            await asyncio.sleep(10)
        return sorted(answer.record.joined for answer in answers)

    in_time = run(scene, joining(join_within_s=9.0), sim=SimSettings(latency=latency))
    patient = run(scene, joining(), sim=SimSettings(latency=latency))

    assert patient == [8] * 8
    assert 2 <= in_time[-1] <= 5


def test_calls_that_come_one_by_one_soon_wait_for_nobody():
    """A call alone must not pay for nothing."""

    async def scene(world: World) -> float:
        for _ in range(10):
            await world.ask()
            await asyncio.sleep(60)
        answer = await world.ask()
        return float(answer.record.total_ms)

    assert run(scene) == 0


def test_waiting_for_others_is_no_work_of_headgates():
    """`overhead_ms` is Headgate's own time."""

    async def scene(world: World) -> list[float]:
        answers = await together(world, "one", "two")
        return [answer.record.overhead_ms for answer in answers]

    assert run(scene) == [0, 0]


# -- who is joined with whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"own_key": "sk-ant-test-0002"},
        {"credential": "other"},
        {"lane": "bulk"},
        {"caller_key": "team-b"},
        {"team": "team-b"},
        {"user": "somebody"},
        {"workflow": "other"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_j12_inv_24_only_calls_of_one_caller_and_user_are_joined(other):
    """No text crosses a tenant; and what goes with a request goes with all of it."""
    config = Config(workflows=dict.fromkeys(("test", "other"), WorkflowConfig(join_max=8)))

    async def scene(world: World) -> int:
        one, two = world.make(text="one"), world.make(text="two")
        for name, value in other.items():
            setattr(two if hasattr(two, name) else two.record, name, value)
        await asyncio.gather(world.send(one), world.send(two))
        return requests(world)

    assert run(scene, config) == 2


def test_j12_what_goes_with_a_request_must_be_the_same():
    """It goes with all of it; what an SDK says of itself may differ."""

    async def scene(world: World) -> int:
        calls = [world.make(text=saying(word)) for word in ("one", "two", "three")]
        calls[1].headers.append((b"anthropic-beta", b"some-beta-2026-01-01"))
        calls[2].headers.append((b"x-stainless-lang", b"python"))
        await asyncio.gather(*map(world.send, calls))
        return requests(world)

    assert run(scene) == 2


def test_users_of_one_caller_are_joined_where_the_workflow_says_so():
    """`join_users`."""

    async def scene(world: World) -> int:
        calls = [world.make(text=saying(name)) for name in ("ada", "bob")]
        for call, name in zip(calls, ("ada", "bob"), strict=True):
            call.record.user = name
        await asyncio.gather(*map(world.send, calls))
        return requests(world)

    assert run(scene, joining(join_users=True)) == 1


def test_a_call_that_its_caller_has_tried_before_is_asked_alone():
    """It has had trouble, which the others need not share."""

    async def scene(world: World) -> int:
        await asyncio.gather(world.ask(text="one"), world.ask(text="two", caller_attempts=1))
        return requests(world)

    assert run(scene) == 2


# -- answers that do not come back right ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["missing", "duplicate", "unknown", "bad"])
def test_an_answer_that_does_not_come_back_right_is_asked_alone(how):
    """Of that call; the others have theirs.  Nobody gets another one's answer."""

    async def scene(world: World) -> tuple[list[Answer], int, tuple[int, int]]:
        return await together(world, "one", "two", "three", sim=f"answers={how}"), requests(world), spent(world)

    answers, made, (ours, theirs) = run(scene)

    assert [said(answer) for answer in answers] == ["one", "two", "three"]
    assert [answer.record.reason for answer in answers] == [Reason.ASKED_ALONE, Reason.JOINED, Reason.JOINED]
    assert [answer.record.attempts for answer in answers] == [2, 1, 1]
    assert made == 2
    assert ours == theirs


@pytest.mark.parametrize("sim", ["max-tokens", "refusal", "refusal-mid", "answers=prose", "stop-reason=pause_turn"])
def test_of_an_answer_that_is_not_whole_nothing_is_taken(sim):
    """Each is asked alone, and gets what it then gets."""

    async def scene(world: World) -> tuple[list[Answer], int, tuple[int, int]]:
        return await together(world, "one", "two", sim=sim), requests(world), spent(world)

    answers, made, (ours, theirs) = run(scene)

    assert made == 3
    assert all(answer.ok and answer.record.attempts == 2 for answer in answers)
    assert ours == theirs


def test_an_answer_that_is_longer_than_its_caller_wanted_is_asked_alone():
    """Where it is cut short, as its caller knows it."""

    async def scene(world: World) -> list[Answer]:
        return await together(world, "short", "much too long " * 20, max_tokens=30)

    short, long = run(scene)

    assert short.record.reason == Reason.JOINED
    assert (long.record.reason, long.document["stop_reason"]) == (Reason.ASKED_ALONE, "max_tokens")


def test_a_request_that_the_api_refuses_for_its_form_is_taken_apart_and_not_joined_again():
    """What is wrong with it need not be wrong with its items; and the next would be refused as well."""
    refused = json_reply(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "schema"}})

    async def scene(world: World) -> tuple[list[bool], int]:
        upstream = RawUpstream(((refused,), (json_reply(200, message()),)))
        base_url = await upstream.start()
        first = await together(world, "one", "two", base_url=base_url)
        seen = len(upstream.seen)
        await together(world, "three", "four", base_url=base_url)
        return [answer.ok for answer in first], len(upstream.seen) - seen

    assert run(scene) == ([True, True], 2)


def test_where_most_answers_come_back_wrong_joining_stops():
    """Each of them is paid twice."""

    async def scene(world: World) -> int:
        for _ in range(10):
            await together(world, "one", "two", sim="answers=prose")
            await asyncio.sleep(10)
        before = requests(world)
        await together(world, "one", "two")
        return requests(world) - before

    assert run(scene) == 2


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_failure_of_the_service_is_tried_again_as_one_and_then_told_to_all():
    """INV-06: eight calls are no eight times as many attempts."""

    async def scene(world: World) -> tuple[list[Answer], int]:
        answers = await together(world, *map(str, range(8)), sim="error=529")
        return answers, requests(world)

    answers, made = run(scene, retry=RetryConfig(max_attempts=3))

    assert made == 3
    assert {answer.reply.failure.error for answer in answers if answer.reply.failure} == {ErrorClass.OVERLOADED}
    assert [answer.record.attempts for answer in answers] == [3] * 8


def test_a_retry_that_helps_helps_all():
    """The request is the same one."""

    async def scene(world: World) -> tuple[list[str], int]:
        answers = await together(world, "one", "two", sim="flaky=1:529")
        return [said(answer) for answer in answers], requests(world)

    assert run(scene) == (["one", "two"], 2)


def test_a_refusal_of_headgates_own_is_told_to_each():
    """In an exception of its own, since an exception belongs to one task."""

    limits = LimitsConfig(pools={"sonnet-5.5": PoolCeiling(rpm=6)}, first_burst_s=10.0, burst_s=10.0)

    async def scene(world: World) -> list[Any]:
        await world.ask(workflow="other")
        calls = [world.ask(text=text) for text in ("one", "two")]
        return await asyncio.gather(*calls, return_exceptions=True)

    one, two = run(scene, replace(joining(), limits=limits, lanes=lanes(max_wait_s=3.0)))

    assert isinstance(one, Refused)
    assert isinstance(two, Refused)
    assert (one.reason, one.status) == (two.reason, two.status) == (Reason.WAIT_TOO_LONG, 429)
    assert one is not two


def test_each_call_falls_back_by_itself():
    """Join stands below Fallback: there is nothing to be taken apart in words of our own."""
    config = joining(fallbacks=("canned",), canned="Not now.")

    async def scene(world: World) -> list[Answer]:
        return await together(world, "one", "two", sim="error=529")

    answers = run(scene, config, retry=RetryConfig(max_attempts=1))

    assert [said(answer) for answer in answers] == ["Not now.", "Not now."]
    assert {answer.record.reason for answer in answers} == {Reason.FALLBACK_CANNED}


def test_one_that_has_no_more_time_does_not_take_the_others_with_it():
    """The request ends with the shortest deadline; those with more time are asked alone."""

    async def scene(world: World) -> list[Answer]:
        calls = [world.ask(text=saying("one"), requested_deadline_s=8.0), world.ask(text=saying("two"))]
        return await asyncio.gather(*calls)

    hurried, patient = run(scene, sim=SimSettings(latency=Latency(ttft_s=9.0, spread=0.0)))

    assert hurried.reply.failure is not None
    assert hurried.reply.failure.error == ErrorClass.DEADLINE
    assert said(patient) == "two"


def test_a_wait_that_is_too_long_for_one_is_not_so_for_the_others():
    """Here the limits have no room within the shortest deadline: those with more time wait for it."""
    limits = LimitsConfig(pools={"sonnet-5.5": PoolCeiling(rpm=2)}, first_burst_s=10.0, burst_s=10.0)

    async def scene(world: World) -> list[Any]:
        await world.ask(workflow="other")
        calls = [world.ask(text=saying("one"), requested_deadline_s=20.0), world.ask(text=saying("two"))]
        return await asyncio.gather(*calls, return_exceptions=True)

    hurried, patient = run(scene, replace(joining(), limits=limits))

    assert isinstance(hurried, Refused)
    assert "its deadline is 20 s" in str(hurried)
    assert said(patient) == "two"


# -- callers that leave -----------------------------------------------------------------------------------------------


async def leaving(
    world: World, words: Sequence[str], leave: Sequence[int], after_s: float, *, stream: bool = False
) -> list[Any]:
    """Calls that come together, of which some are given up."""
    tasks = [asyncio.create_task(world.ask(text=saying(word), stream=stream)) for word in words]
    await asyncio.sleep(after_s)
    for index in leave:
        tasks[index].cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("leaver", [0, 1])
@pytest.mark.parametrize("after_s", [0.5, 2.0])
def test_who_leaves_does_not_hurt_the_others(leaver, after_s):
    """Not even the first one, whether it still waits for others or the request is under way; and all is paid for."""

    async def scene(world: World) -> tuple[list[Any], list[Any], tuple[int, int]]:
        outcomes = await leaving(world, ["one", "two", "three"], [leaver], after_s)
        return outcomes, list(world.ledger.calls), spent(world)

    outcomes, calls, (ours, theirs) = run(scene, sim=SLOW)

    kept = [said(outcome) for outcome in outcomes if isinstance(outcome, Answer)]
    assert kept == [word for index, word in enumerate(["one", "two", "three"]) if index != leaver]
    assert sorted(call.outcome for call in calls) == [Outcome.CANCELLED, Outcome.OK, Outcome.OK]
    assert ours == theirs
    left = next(call for call in calls if call.outcome == Outcome.CANCELLED)
    assert bool(left.cost_pico) == (after_s > 1)


def test_who_leaves_goes_at_once():
    """The request that goes on for others is nothing it has to wait for."""

    async def scene(world: World) -> float:
        task = asyncio.create_task(world.ask(text=saying("one")))
        other = asyncio.create_task(world.ask(text=saying("two")))
        await asyncio.sleep(2.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left_s = world.now_s
        await other
        return left_s

    assert run(scene, sim=SLOW) == 2.0


def test_when_all_have_left_the_request_is_given_up():
    """Nobody reads the answer."""

    async def scene(world: World) -> tuple[list[str], list[str]]:
        await leaving(world, ["one", "two"], [0, 1], 2.0)
        await asyncio.sleep(0)
        return [entry.outcome for entry in world.sim.world.books.entries], [c.outcome for c in world.ledger.calls]

    books, calls = run(scene, sim=SLOW)

    assert calls == [Outcome.CANCELLED] * 2
    assert "complete" not in books


def test_what_is_under_way_when_the_engine_ends_fails_like_a_lost_connection():
    """Nobody is told that it was cancelled who did not cancel it; and it is written down."""

    async def scene(world: World) -> tuple[list[Answer], int]:
        tasks = [asyncio.create_task(world.ask(text=saying(word))) for word in ("one", "two")]
        await asyncio.sleep(2.0)
        await world.engine._join.close()
        return await asyncio.gather(*tasks), len(world.ledger.calls)

    answers, records = run(scene, sim=SLOW)

    assert [answer.reply.failure.error for answer in answers if answer.reply.failure] == [ErrorClass.RESET] * 2
    assert records == 2


def test_a_request_that_is_given_up_before_it_began_is_written_down():
    """In the very moment in which it would have been asked."""

    async def scene(world: World) -> list[str]:
        tasks = [asyncio.create_task(world.ask(text=saying(word))) for word in ("one", "two")]
        await asyncio.sleep(0)
        await world.engine._join.close()
        await asyncio.gather(*tasks)
        return [call.outcome for call in world.ledger.calls]

    assert run(scene, joining(join_max=2)) == [Outcome.UPSTREAM_ERROR] * 2


def test_a_defect_of_ours_leaves_nobody_waiting(monkeypatch):
    """Each caller hears of it, and each call has its record."""

    def broken(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("headgate.engine.join.joined_request", broken)

    async def scene(world: World) -> tuple[list[Any], list[str]]:
        calls = [world.ask(text=text) for text in ("one", "two")]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        return outcomes, [call.outcome for call in world.ledger.calls]

    outcomes, records = run(scene)

    assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError]
    assert records == [Outcome.INTERNAL] * 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("leave", [(), (0,)])
def test_what_was_asked_together_is_let_go_at_once(leave, stream):
    """Prompts may be large: they do not wait for the garbage collector."""

    def kept() -> int:
        return sum(isinstance(each, Group | Member | Call) for each in gc.get_objects())

    async def scene(world: World) -> int:
        gc.collect()
        before = kept()
        await leaving(world, ["one", "two", "three"], leave, 2.0, stream=stream)
        await asyncio.sleep(5.0)
        return kept() - before

    gc.disable()
    try:
        assert run(scene, sim=SLOW) == 0
    finally:
        gc.enable()


# -- money ------------------------------------------------------------------------------------------------------------


def charged(world: World, budget: str) -> int:
    """What a budget takes for spent, in all its accounts."""
    assert world.engine.budgets is not None
    accounts = world.engine.budgets.desk.accounts()
    return sum(account.really_spent for account in accounts if account.key.budget == budget)


def test_joined_requests_are_marked_for_the_prompt_cache_and_share_what_it_gives():
    """A call alone begins as they do, and reads the same."""
    body = {"system": "You sort tickets. " * 600}

    async def scene(world: World) -> tuple[list[Answer], Answer, tuple[int, int]]:
        for _ in range(40):
            answers = await together(world, "one", "two", "three", body=body)
            await asyncio.sleep(20)
        return answers, await world.ask(text=saying("alone"), body=body), spent(world)

    answers, alone, (ours, theirs) = run(scene)

    assert [answer.record.cache_plan for answer in (*answers, alone)] == ["5m"] * 4
    reads = [answer.record.cache_read_tokens for answer in answers]
    assert sum(reads) == alone.record.cache_read_tokens > 0
    assert max(reads) - min(reads) <= 1
    assert ours == theirs


def test_budgets_are_charged_the_shares_also_of_those_who_left():
    """Each user has an account of their own; together they are charged what the request cost."""
    config = replace(joining(join_users=True), budgets={"mine": BudgetConfig(usd="5.00", per=("user",))})

    async def scene(world: World) -> tuple[list[int], int, tuple[int, int]]:
        calls = [world.make(text=saying(name)) for name in ("ada", "bob", "eve")]
        for call, name in zip(calls, ("ada", "bob", "eve"), strict=True):
            call.record.user = name
        tasks = [asyncio.create_task(world.send(call)) for call in calls]
        await asyncio.sleep(2.0)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [call.record.joined for call in calls], charged(world, "mine"), spent(world)

    joined, mine, (ours, theirs) = run(scene, config, sim=SLOW)

    assert joined == [3, 3, 3]
    assert mine == ours == theirs > 0


def test_calls_under_a_strict_budget_are_asked_alone():
    """INV-01: what a share of a request will be is known only afterwards."""
    config = replace(joining(), budgets={"all": BudgetConfig(usd="5.00", mode="strict")})

    async def scene(world: World) -> int:
        await together(world, "one", "two")
        return requests(world)

    assert run(scene, config) == 2


@pytest.mark.parametrize("mode", ["strict", "smooth"])
def test_a_call_that_falls_back_to_a_model_with_a_budget_of_its_own_is_charged_to_it(mode):
    """INV-01: as one alone, since the hold of a call is not for that model."""
    haiku = BudgetConfig(model="claude-haiku-5-5", usd="5.00", mode=mode)
    config = replace(
        joining(fallbacks=("model:claude-haiku-5-5",)),
        budgets={"all": BudgetConfig(usd="50.00"), "haiku": haiku},
        limits=LimitsConfig(pools={"sonnet-5.5": PoolCeiling(rpm=2)}, first_burst_s=10.0, burst_s=10.0),
        lanes=lanes(max_wait_s=3.0),
    )

    async def scene(world: World) -> tuple[int, int, int]:
        await world.ask(workflow="other")
        before = charged(world, "all")
        answers = await together(world, "one", "two")
        assert {answer.record.reason for answer in answers} == {Reason.FALLBACK_MODEL}
        return charged(world, "haiku"), charged(world, "all") - before, sum(a.record.cost_pico or 0 for a in answers)

    of_haiku, of_all, cost = run(scene, config)

    assert of_haiku == of_all == cost > 0


# -- whatever happens -------------------------------------------------------------------------------------------------

FAULTS = (
    "error=529", "error=500", "error=400", "error=413", "flaky=1:529", "flaky=2:500", "flaky=1:429; retry-after=1",
    "error-200", "html", "reset", "slow=900", "cut", "refusal", "refusal-mid", "max-tokens", "garbage", "no-usage",
    "bad-usage=huge", "answers=missing", "answers=duplicate", "answers=unknown", "answers=bad", "answers=prose",
    "stop-reason=other", "context-exceeded",
)  # fmt: skip


async def one_caller(world: World, number: int, rng: Random) -> tuple[str, Answer | None]:
    """Some call at some time, perhaps given up; its word, and what it got."""
    await asyncio.sleep(rng.randrange(10) * 5 + rng.random())
    word = f"word {number}"
    faults = Random(int(world.now_s / 5) * 7919 + 1)  # of calls that come at about the same time the same, so they join
    sim = faults.choice(FAULTS) if faults.random() < 0.7 else ""
    with suppress(TimeoutError, Refused):
        async with asyncio.timeout(rng.uniform(0, 4) if rng.random() < 0.2 else None):
            call: Call = world.make(sim, text=saying(word), stream=rng.random() < 0.4, max_tokens=300)
            call.record.user = rng.choice(("ada", "bob"))
            return word, await world.send(call)
    return word, None


SEEDS = [int(os.environ["HEADGATE_JOIN_SEED"])] if "HEADGATE_JOIN_SEED" in os.environ else range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_inv_03_every_call_gets_its_own_answer_or_none_and_the_shares_are_the_invoice(seed):
    """Whatever the API does and whoever leaves; another seed: HEADGATE_JOIN_SEED=N."""
    callers = 60

    async def scene(world: World) -> tuple[list[tuple[str, Answer | None]], World]:
        rng = Random(seed)
        tasks = [one_caller(world, number, Random(rng.getrandbits(64))) for number in range(callers)]
        outcomes = await asyncio.gather(*tasks)
        await asyncio.sleep(10)
        return outcomes, world

    settings = SimSettings(latency=Latency(ttft_s=1.0))
    outcomes, world = run(scene, joining(join_users=seed % 2 == 1), sim=settings, seed=seed)

    for word, answer in outcomes:
        if answer is None or answer.reply.failure is not None:
            continue
        told = message_of(answer.body) if answer.record.stream else answer.document
        texts = [block["text"] for block in told["content"]] if told is not None else []
        assert answer.record.joined == 0 or answer.record.reason != Reason.JOINED or texts == [word]
    assert len(world.ledger.calls) == callers
    assert any(call.joined > 1 for call in world.ledger.calls)
    booked = {entry.request_id: entry for entry in world.sim.world.books.entries}
    by_request: dict[str, list[Any]] = {}
    for attempt in world.ledger.attempts:
        if attempt.upstream_request_id is not None:
            by_request.setdefault(attempt.upstream_request_id, []).append(attempt)
    exact = 0
    for request_id, shares in by_request.items():
        assert len(shares) == shares[0].shared_by
        if {share.usage_source for share in shares} <= {UsageSource.VENDOR, UsageSource.NONE}:  # else it is flagged
            costs = [share.cost_pico for share in shares]
            assert None in costs or sum(costs) == booked[request_id].cost_pico
            exact += len(shares) > 1 and None not in costs
    assert exact
