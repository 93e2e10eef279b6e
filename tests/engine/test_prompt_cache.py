"""Prompts are marked for Claude's cache where that pays, and nothing else is done to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from headgate.config.schema import BudgetConfig, Config, PromptCacheConfig, WorkflowConfig
from headgate.core.prefix import Border, prefixes_of
from headgate.engine import prompt_cache
from headgate.engine.cache_request import request_for
from headgate.errors import Unavailable
from support.exposed import series
from support.world import lanes, play

MODEL = "claude-sonnet-5"
CHECKING = "claude-sonnet-5-5"
RULES = "Answer by the rules of the house, in one word. " * 250
CALLS = 60


def body(number=0, **fields: Any) -> dict[str, Any]:
    return {"system": RULES, "messages": [{"role": "user", "content": f"question {number}"}]} | fields


async def ask_many(world, *, calls=CALLS, every_s=5.0, make=body, **options):
    """Calls with the same rules, one after the other; all answers."""
    answers = []
    for number in range(calls):
        answers.append(
            await world.ask(
                body=make(number),
                **({"model": MODEL, "workflow": "w"} | options),
            )
        )
        await world.engine.clock.sleep(every_s)
    return answers


def test_rules_that_come_again_and_again_are_read_from_the_cache():
    """Nobody asked for it: what all calls of a workflow begin with is marked once it has shown to come again."""
    last = play(ask_many)[-1]

    assert last.record.cache_plan == "5m"
    assert last.record.cache_read_tokens > 2_000
    assert last.record.input_tokens < 30


def test_it_costs_less_than_without():
    """By the simulator's own invoice."""

    async def invoice(world):
        await ask_many(world)
        return world.sim.world.books.totals.cost_pico

    assert play(invoice) < 0.75 * play(invoice, config=Config(prompt_cache=PromptCacheConfig(mode="off")))


def test_inv_17_a_marked_request_is_the_callers_but_for_its_markers():
    """A system prompt that is a string becomes one block, and that block has the marker; no other byte is touched."""

    async def scene(world):
        await ask_many(world)
        call = world.make(model=MODEL, workflow="w", body=body())
        before = call.body
        return before, (await world.send(call)).call.body

    before, sent = play(scene)

    rules = msgspec.json.encode(RULES)
    marked = b'[{"type":"text","text":' + rules + b',"cache_control":{"type":"ephemeral"}}]'
    assert sent == before.replace(b'"system":' + rules, b'"system":' + marked)
    assert sent != before


def test_what_was_looked_up_for_one_prompt_marks_another_as_if_it_had_been_looked_at():
    """Bodies that begin alike are rewritten alike; what follows, in the same field even, is each one's own."""

    def with_a_block_of_its_own(number):
        blocks = [{"type": "text", "text": RULES}, {"type": "text", "text": f"It is day {number}."}]
        return body(number, system=blocks)

    async def scene(world):
        answers = await ask_many(world, make=with_a_block_of_its_own)
        return [answer.call for answer in answers if answer.record.cache_plan]

    control = b',"cache_control":{"type":"ephemeral"}'
    calls = play(scene)
    assert len({call.document["system"][1]["text"] for call in calls}) == len(calls) > 10
    assert all(call.document == msgspec.json.decode(call.body) for call in calls)
    assert all(call.body.count(control) == call.record.cache_plan.count("5m") for call in calls)


def test_a_callers_own_marker_is_seen_behind_a_beginning_that_had_none():
    """What a body begins with is not looked through twice; the rest is, also where both meet."""
    own = [{"type": "text", "text": "question", "cache_control": {"type": "ephemeral"}}]

    async def scene(world):
        await ask_many(world)
        call = world.make(model=MODEL, workflow="w", body=body(messages=[{"role": "user", "content": own}]))
        before = call.body
        return before, (await world.send(call)).call

    before, call = play(scene)
    assert (call.body, call.placement) == (before, None)


def test_a_prompt_that_no_cache_would_take_is_not_read(monkeypatch):
    """Its length tells, so it costs no more than to be counted."""

    def read(*_: object) -> None:
        raise AssertionError("its borders were looked for")

    monkeypatch.setattr(prompt_cache, "borders_of", read)

    answers = play(lambda world: ask_many(world, make=lambda number: body(number, system="Be brief. " * 200), calls=3))

    assert [len(answer.call.body) > prompt_cache.LEAST_BODY_BYTES for answer in answers] == [True] * 3
    assert [answer.record.cache_plan for answer in answers] == [None] * 3


def test_calls_that_are_not_marked_go_out_as_they_came():
    """Byte for byte, however they are written."""

    async def scene(world):
        call = world.make(model=MODEL, body=body())
        before = call.body
        return before == (await world.send(call)).call.body

    assert play(scene)


def told_what_to_say(number):
    return body(messages=[{"role": "user", "content": f'[[sim: say="It is {number}."]]'}], max_tokens=2_000)


def test_answers_are_the_same_with_and_without():
    """To the model a marker says nothing, nor does a string that became a block."""
    answers = play(lambda world: ask_many(world, make=told_what_to_say))

    assert answers[-1].record.cache_plan
    assert [each.document["content"] for each in answers] == [
        [{"type": "text", "text": f"It is {number}."}] for number in range(CALLS)
    ]


@pytest.mark.parametrize(
    ("model", "fields", "headers"),
    [
        (MODEL, {"system": [{"type": "text", "text": RULES},
                            {"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}}]}, []),
        (MODEL, {"cache_control": {"type": "ephemeral"}}, []),
        (MODEL, {}, [(b"User-Agent", b"claude-cli/2.1.329 (external, cli)")]),
        (MODEL, {"system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2"},
                            {"type": "text", "text": RULES}]}, []),
    ],
)  # fmt: skip
def test_whoever_places_markers_himself_is_left_alone(model, fields, headers):
    """Claude Code does, whatever one of its requests has."""

    async def scene(world):
        for number in range(CALLS):
            call = world.make(model=model, workflow="w", body=body(number, **fields))
            call.headers += headers
            before = call.body
            await world.send(call)
            assert call.body == before
            await world.engine.clock.sleep(5.0)

    play(scene)


def thoughtful(number, **fields):
    """A conversation that sends thinking back, of which each turn begins as the one before."""
    said = [{"type": "thinking", "thinking": "", "signature": "c2ln"}, {"type": "text", "text": "Yes."}]
    return body(number, messages=[
        {"role": "user", "content": "first"}, {"role": "assistant", "content": said},
        {"role": "user", "content": f"question {number}"},
    ], **fields)  # fmt: skip


def test_a_conversation_whose_thinking_is_bound_to_its_prompt_is_left_alone():
    """§9.10: whether a marker is a change of the prompt is not known, so there is none, in any turn."""

    async def scene(world):
        answers = await ask_many(world, model=CHECKING, make=thoughtful)
        return [answer.record.cache_plan for answer in answers]

    assert set(play(scene)) == {None}


@pytest.mark.parametrize(
    "config",
    [
        Config(prompt_cache=PromptCacheConfig(mode="off")),
        Config(workflows={"w": WorkflowConfig(prompt_cache="off")}),
    ],
)
def test_it_can_be_turned_off(config):
    """For all, or for a workflow."""
    answers = play(ask_many, config=config)

    assert {answer.record.cache_plan for answer in answers} == {None}


def test_one_workflow_can_have_it_alone():
    """The rest is off."""
    config = Config(prompt_cache=PromptCacheConfig(mode="off"), workflows={"w": WorkflowConfig(prompt_cache="auto")})

    assert play(ask_many, config=config)[-1].record.cache_plan == "5m"


def test_admission_reserves_only_what_the_cache_will_not_serve():
    """The input limit does not count what is read: markers are there before permits are asked for."""
    answers = play(ask_many)

    first, last = answers[0].call.attempt.record, answers[-1].call.attempt.record
    assert last.estimated_input_tokens < 0.1 * first.estimated_input_tokens


def test_admission_and_planner_see_the_same_beginnings():
    """One pass over the prompt serves both."""
    last = play(ask_many)[-1].call

    assert last.placement is not None
    assert last.placement.prefixes(0.3, 512) == prefixes_of(last.document, last.body, least_tokens=512)


def test_a_request_that_fails_before_its_answer_has_written_nothing():
    """The next one is asked to write again."""

    async def scene(world):
        answers = await ask_many(world, calls=CALLS)
        await world.engine.clock.sleep(1_000.0)
        await ask_many(world, calls=1)
        failed = await world.ask("overloaded; times=9", model=MODEL, workflow="w", body=body(1))
        after = await world.ask(model=MODEL, workflow="w", body=body(2))
        return answers[-1], failed, after

    warm, failed, after = play(scene)

    assert warm.record.cache_read_tokens
    assert not failed.ok
    assert failed.record.cache_plan == "5m"
    assert after.record.cache_read_tokens == 0
    assert after.call.placement.plan.written


@pytest.mark.parametrize("workflow", ["w", "joined"])
def test_a_request_that_is_not_sent_has_written_nothing(workflow):
    """Refused because its lane is closed: what it staked may be staked again, and the next one is asked to write."""
    closed = replace(Config().lanes["bulk"], open=("Mon 00:00-00:01",))
    config = Config(lanes={**lanes(), "bulk": closed}, workflows={"joined": WorkflowConfig(join_max=2)})

    async def scene(world):
        await ask_many(world, workflow=workflow)
        await world.engine.clock.sleep(1_000.0)
        await ask_many(world, calls=1, workflow=workflow)
        refused = world.make(model=MODEL, workflow=workflow, lane="bulk", body=body("refused"))
        with pytest.raises(Unavailable):
            await world.send(refused)
        staked = refused.placement.plan.staked
        after = await world.ask(model=MODEL, workflow=workflow, body=body("answered"))
        return staked, after.call.placement.plan.written

    staked, written = play(scene, config=config)

    assert staked == 0.0
    assert written


# -- keeping alive -----------------------------------------------------------------------------------------------------


async def talks(world, *, talks=40, pause_s=420.0, user=None):
    """Talks of two turns, the second some minutes after the first, and many at a time."""

    async def one(number):
        await world.engine.clock.sleep(number * 40.0)
        told = [{"role": "user", "content": f"talk {number}: " + RULES}]
        for turn in range(3):
            call = world.make(model=MODEL, workflow="w", body={"messages": told})
            call.record.user, call.record.session = user, user and f"{user}'s"
            assert (await world.send(call)).ok
            told = [*told, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": f"and {turn}?"}]
            await world.engine.clock.sleep(30.0 if turn == 0 else pause_s)

    await asyncio.gather(*(one(number) for number in range(talks)))
    return world.ledger.calls


def test_a_prompt_that_comes_again_after_seven_minutes_is_kept_alive_for_it():
    """One request that reads it, before the five minutes are over, is cheaper than to write it again."""
    calls = play(talks)

    kept = [call for call in calls if call.own == "keep_alive"]
    assert kept
    assert {(call.lane, call.workflow, call.output_tokens, call.max_tokens) for call in kept} == {("bulk", "w", 0, 0)}
    assert all(call.cache_read_tokens and not call.cache_write_5m_tokens for call in kept)


def test_what_is_kept_alive_is_read_by_whom_it_was_kept_for():
    """After more than the cache's own lifetime."""
    calls = play(talks)

    late = [call for call in calls if call.own is None and call.started_ms > calls[0].started_ms + 1_400_000]
    assert sum(call.cache_read_tokens > 0 for call in late) > 0.4 * len(late)


def test_who_used_a_prompt_last_bears_what_keeping_it_alive_costs():
    """And not the account that all share who name no user: it would be spent by none of them."""

    async def scene(world):
        calls = await talks(world, user="ada")
        return calls, [account.key.who for account in world.engine.budgets.desk.accounts()]

    calls, accounts = play(scene, config=Config(budgets={"person": BudgetConfig(usd="100.00", per=("user",))}))

    assert {(call.user, call.session) for call in calls if call.own == "keep_alive"} == {("ada", "ada's")}
    assert accounts == ["ada"]


def test_headgate_asks_nothing_of_its_own_if_it_is_told_not_to():
    """There are those who count requests."""
    calls = play(talks, config=Config(prompt_cache=PromptCacheConfig(keep_alive=False)))

    assert len(calls) == 120


@pytest.mark.parametrize(
    "fields",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
        {"tool_choice": {"type": "any"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
    ],
)
def test_what_the_api_would_refuse_without_an_answer_is_not_kept_alive(fields):
    """§9.7; to leave it out would ask for another prompt."""
    asked = msgspec.json.encode({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]} | fields)

    assert request_for(asked, Border(1, 1, "messages", 0, 0)) is None


@pytest.mark.parametrize(
    ("border", "messages"),
    [
        (Border(1, 1, "system", 0, 0), [{"role": "user", "content": "."}]),
        (Border(1, 1, "messages", 0, 0), [{"role": "user", "content": [{"type": "text", "text": "a"}]}]),
        (Border(1, 1, "messages", 1, 0), None),
        (Border(1, 1, "messages", 2, 0), None),
    ],
)
def test_the_request_ends_where_the_marker_is(border, messages):
    """Nor is a prompt asked that ends with the assistant, or with some of a turn's results."""
    asked = {
        "max_tokens": 9, "stream": True, "system": "s",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
            {"role": "user", "content": [{"type": "tool_result"}, {"type": "tool_result"}]},
        ],
    }  # fmt: skip

    made = request_for(msgspec.json.encode(asked), border)

    expected = None if messages is None else {"max_tokens": 0, "system": "s", "messages": messages}
    assert (None if made is None else msgspec.json.decode(made)) == expected


# -- why not -----------------------------------------------------------------------------------------------------------


MARKED = [{"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}}]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({}, "below_minimum"),
        ({"body": {"system": RULES[:2_000]}}, "below_minimum"),
        ({"body": {"system": RULES}}, "volatile"),
        ({"body": {"system": MARKED}}, "caller_owned"),
    ],
)
def test_a_prompt_that_is_not_marked_is_counted_with_the_reason(asked, why):
    """Too short for the model, not seen before, or marked by its caller."""

    async def scene(world):
        await world.ask(model=MODEL, workflow="w", **asked)
        return series(world.engine.metrics, "headgate_cache_breakpoints_total")

    assert play(scene) == {f"workflow=w,result={why}": 1}


def test_where_prompts_are_not_to_be_marked_nothing_is_counted():
    """There is nothing to find out."""

    async def scene(world):
        await world.ask(model=MODEL, workflow="w", body=body())
        return series(world.engine.metrics, "headgate_cache_breakpoints_total")

    assert play(scene, config=Config(prompt_cache=PromptCacheConfig(mode="off"))) == {}
