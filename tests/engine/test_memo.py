"""A request that was answered before gets that answer again, where its workflow allows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from headgate.config.schema import BudgetConfig, Config, WorkflowConfig
from headgate.core.message import StreamFacts
from headgate.edge import answers
from headgate.errors import BudgetSpent
from headgate.events import Outcome, Reason
from headgate.net.http import HeaderBlock
from headgate.sim.scenario.plan import Cue, Phase, Scenario
from support.world import KEY, MODEL, Answer, World, play

WHO = ("caller_key", "team", "user", "workflow", "session")


def memo(**settings: Any) -> Config:
    return Config(workflows={name: WorkflowConfig(**{"memo": True} | settings) for name in ("test", "other")})


def run(scene: Callable[[World], Awaitable[Any]], config: Config | None = None, **more: Any) -> Any:
    return play(scene, config=config or memo(), **more)


async def ask(world: World, sim: str = "", **options: Any) -> Answer:
    """A call of whoever `options` say it is."""
    who = {name: options.pop(name) for name in WHO if name in options}
    call = world.make(sim, **{"max_tokens": 2_000} | options)
    for name, value in who.items():
        setattr(call.record, name, value)
    return await world.send(call)


def again(
    first: dict[str, Any], then: dict[str, Any], config: Config | None = None, **more: Any
) -> tuple[Answer, bool]:
    """The second of two answers, and whether it is the first one again."""

    async def scene(world: World) -> tuple[Answer, bool]:
        await ask(world, **first)
        await asyncio.sleep(90)
        answer = await ask(world, **then)
        return answer, answer.record.reason == Reason.MEMO

    answer, given = run(scene, config, **more)
    return answer, given


def text_of(answer: Answer) -> str:
    if answer.reply.stream is None:
        return "".join(block["text"] for block in answer.document["content"])
    events = [msgspec.json.decode(line[6:]) for line in answer.body.splitlines() if line.startswith(b"data: ")]
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


@pytest.mark.parametrize("first_stream", [True, False])
@pytest.mark.parametrize("then_stream", [True, False])
def test_an_equal_request_gets_the_answer_again_at_no_cost(first_stream, then_stream):
    """Whether it is streamed or not, then or now."""

    async def scene(world: World) -> tuple[Answer, Answer, int]:
        first = await ask(world, stream=first_stream)
        await asyncio.sleep(90)
        return first, await ask(world, stream=then_stream), len(world.sim.world.books.entries)

    first, then, billed = run(scene)

    assert text_of(then) == text_of(first)
    assert (then.record.outcome, then.record.cost_pico, then.record.attempts, billed) == (Outcome.OK, 0, 0, 1)


def test_it_says_so_and_how_old_it_is():
    answer, _ = again({}, {})

    told = dict(HeaderBlock(answers.answered(answer.call, answer.reply)).items())
    assert (told[b"x-headgate-reason"], told[b"age"], told[b"x-headgate-model"]) == (b"memo", b"90", MODEL.encode())


def test_a_stream_that_is_given_again_is_a_whole_stream():
    answer, _ = again({}, {"stream": True})
    facts = StreamFacts()
    facts.feed(answer.body)

    # nothing to be added up twice
    assert (facts.finished, facts.malformed, facts.facts.usage.total.output) == (True, False, 0)


def test_without_the_setting_nothing_is_given_again():
    assert not again({}, {}, Config())[1]


def test_an_answer_is_given_until_it_is_too_old():
    assert [again({}, {}, memo(memo_max_age_s=most))[1] for most in (89, 91)] == [False, True]


def test_an_answer_that_was_given_again_does_not_get_younger():
    async def scene(world: World) -> list[str | None]:
        reasons = []
        for _ in range(4):
            reasons.append((await ask(world)).record.reason)
            await asyncio.sleep(60)
        return reasons

    assert run(scene, memo(memo_max_age_s=150)) == [None, Reason.MEMO, Reason.MEMO, None]


@pytest.mark.parametrize(
    "then", [{"text": "hallo"}, {"max_tokens": 65}, {"model": "claude-haiku-5-5"}, {"body": {"system": "Be kind."}}]
)
def test_j12_another_request_is_asked(then):
    assert not again({}, then)[1]


# -- whose it is -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["caller_key", "team", "user", "workflow"])
@pytest.mark.parametrize("first", ["other", None])
def test_j12_inv_24_nobody_gets_the_answer_of_another(whose, first):
    """Nor does one who is nobody in particular."""
    first = first or ("test" if whose == "workflow" else None)
    second = "other" if first != "other" else "test"

    assert not again({whose: first}, {whose: second})[1]
    assert again({whose: first}, {whose: first})[1]


def test_j12_inv_24_each_api_key_has_answers_of_its_own():
    """Callers in one process may bring their own; that they begin alike does not make them one."""
    assert not again({"own_key": KEY}, {"own_key": KEY + "2"}, credentials=(KEY, KEY + "2"))[1]


@pytest.mark.parametrize("name", [b"anthropic-version", b"anthropic-beta"])
def test_j12_an_answer_is_of_the_version_it_was_asked_of(name):
    """What a version or a beta changes in an answer is not known here."""

    async def scene(world: World) -> list[str | None]:
        reasons = []
        for value in (b"2023-06-01", b"2023-06-02", b"2023-06-01"):
            call = world.make(max_tokens=2_000)
            call.headers.append((name, value))
            reasons.append((await world.send(call)).record.reason)
        return reasons

    assert run(scene) == [None, None, Reason.MEMO]


@pytest.mark.parametrize(("whose", "given"), [("user", True), ("caller_key", False), ("team", False)])
def test_users_share_answers_only_where_that_is_said(whose, given):
    """Caller keys and teams never do."""
    assert again({whose: "anna"}, {whose: "bert"}, memo(memo_users=True))[1] is given


def test_a_session_is_no_scope():
    """The same question in the next conversation is the same question."""
    assert again({"session": "one"}, {"session": "two"})[1]


# -- what is kept ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        {"max_tokens": 3},
        {"text": "[[sim: tool=look:{}]]", "body": {"tools": [{"name": "look", "input_schema": {"type": "object"}}]}},
        {"text": "[[sim: refusal]]"},
        {"text": "[[sim: error=400]]"},
        {"text": "[[sim: cut=3]]", "stream": True},
    ],
)
def test_only_good_answers_are_kept(first):
    """Not one that is cut short, asks for a tool, or is none."""
    assert not again(first, first)[1]


@pytest.mark.parametrize("field", ["container", "mcp_servers", "thread"])
def test_what_does_something_is_done_again(field):
    """The same words in a container, or to another server, are another request."""

    async def scene(world: World) -> bool:
        first = await ask(world)
        assert first.ok
        call = world.make(body={field: "x"})
        await world.send(call)
        return call.memo_key is not None

    assert run(scene) is False


def test_what_a_budget_or_the_prompt_cache_changes_makes_no_other_request():
    """The answer is to what was asked."""
    system = "You know everything about rivers. " * 400

    async def scene(world: World) -> list[str | None]:
        for number in range(30):  # until the prompt is marked
            answer = await ask(world, text=f"{number}?", body={"system": system})
            await asyncio.sleep(1)
        assert answer.record.cache_plan is not None
        return [(await ask(world, text=f"{number}?", body={"system": system})).record.reason for number in range(30)]

    assert set(run(scene)) == {Reason.MEMO}


def test_an_answer_that_is_there_needs_no_money():
    """Also when the budget is spent."""
    config = replace(memo(), budgets={"all": BudgetConfig(usd="0.02", window="day")})

    async def scene(world: World) -> tuple[Answer, int]:
        await ask(world)
        with suppress(BudgetSpent):
            for number in range(100):
                await ask(world, text=f"other {number}")
        with pytest.raises(BudgetSpent):
            await ask(world, text="one more")
        return await ask(world), len(world.ledger.calls)

    answer, calls = run(scene, config)

    assert (answer.record.reason, answer.record.cost_pico) == (Reason.MEMO, 0)
    assert calls > 2


def test_an_old_answer_serves_a_fallback_when_it_is_too_old_for_the_memo():
    """One store, two ages."""
    down = Scenario(name="", about="", phases=(Phase(begin=30, cues=(Cue(do=("error=529",)),)),))

    answer, given = again({}, {}, memo(memo_max_age_s=60, fallbacks=("stale",)), scenario=down)

    assert (given, answer.record.reason) == (False, Reason.FALLBACK_STALE)
