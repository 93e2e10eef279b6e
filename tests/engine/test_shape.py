"""A workflow's policy, in force: what is sent, what is refused, what is written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.call import Call, Kind
from headgate.config.schema import (
    BudgetConfig,
    Config,
    EstimatesConfig,
    PromptCacheConfig,
    RetryConfig,
    WorkflowConfig,
)
from headgate.core.catalog import EFFORTS
from headgate.core.shape import ModelRule
from headgate.edge import answers
from headgate.engine.load import load_catalog, load_prices
from headgate.engine.shape import shape_policies
from headgate.errors import BadRequest, ConfigError, Refused
from headgate.events import ErrorClass, Reason
from headgate.net.http import HeaderBlock
from headgate.sim import SimSettings
from headgate.sim.scenario.plan import Cue, Phase, Scenario
from headgate.sim.settings import Thinking
from headgate.sim.virtual_time import EPOCH
from support.raw_upstream import RawUpstream, json_reply, message
from support.world import MODEL, Answer, World, play

HAIKU = "claude-haiku-5-5"
OPUS = "claude-opus-5-5"
KEEPING = "claude-opus-4-8"
"""A model that checks no prefix."""


def policy(**settings: Any) -> Config:
    return Config(workflows={"test": WorkflowConfig(**settings)}, prompt_cache=PromptCacheConfig(mode="off"))


def run(scene: Callable[[World], Awaitable[Any]], config: Config, **more: Any) -> Any:
    return play(scene, config=config, **more)


def ask(config: Config, **options: Any) -> Answer:
    return run(lambda world: world.ask(**options), config)


def noted(answer: Answer) -> Any:
    """What the record says was done."""
    return msgspec.json.decode(answer.record.shaped or "null")


def sent(body: bytes, config: Config) -> bytes:
    """What goes to the API for `body`."""

    async def scene(world: World) -> bytes:
        upstream = RawUpstream([(json_reply(200, message()),)])
        call = world.make(base_url=await upstream.start())
        call.body = body
        await world.send(call)
        return upstream.seen[0].body

    return bytes(run(scene, config))


def refusal(config: Config, **options: Any) -> tuple[Refused, World]:
    async def scene(world: World) -> tuple[Refused, World]:
        with pytest.raises(Refused) as refused:
            await world.ask(**options)
        return refused.value, world

    refused, world = run(scene, config)
    return refused, world


# -- what is sent ------------------------------------------------------------------------------------------------------

BODY = (
    b'{ "model" : "claude-sonnet-5-5","max_tokens":9000, "x_new":[1.0, 2e3],\n"messages":[{"role":"user",'
    b'"content":"x\\u00e9"}],"output_config":{"format":{"type":"json_schema", "schema":{"type":"object"}}} }'
)


def test_inv_17_only_what_the_policy_changes_is_changed():
    """All other bytes are the caller's."""
    body = sent(BODY, policy(model=HAIKU, max_tokens_ceiling=500, effort="low"))

    expected = BODY.replace(MODEL.encode(), HAIKU.encode()).replace(b"9000", b"500")
    assert body == expected.replace(b'{"type":"object"}}}', b'{"type":"object"}},"effort":"low"}')


@pytest.mark.parametrize("config", [policy(), policy(max_tokens=7, models=(MODEL,), memo=True), Config()])
def test_inv_17_a_call_within_the_policy_goes_as_it_came(config):
    config = replace(config, prompt_cache=PromptCacheConfig(mode="off"))

    assert sent(BODY, config) == BODY


def test_what_is_done_stands_in_the_record_and_the_reason_in_a_header():
    answer = ask(policy(rules=(ModelRule(model=HAIKU, tools=False),), max_tokens_ceiling=60))

    record = answer.record
    assert (record.model, record.model_answered, record.max_tokens) == (HAIKU, HAIKU, 60)
    assert noted(answer) == {
        "max_tokens": {"from": 64, "to": 60},
        "model": {"from": MODEL, "to": HAIKU, "by": "rule 1"},
    }
    told = dict(HeaderBlock(answers.answered(answer.call, answer.reply)).items())
    assert (told[b"x-headgate-reason"], told[b"x-headgate-model"]) == (b"model_chosen", HAIKU.encode())


def test_a_lowered_max_tokens_is_told():
    assert ask(policy(max_tokens_ceiling=60)).record.reason == Reason.MAX_TOKENS_LOWERED


def test_a_default_is_no_news():
    """The caller left it to us."""

    async def scene(world: World) -> Answer:
        call = world.make()
        call.body = b'{"model":"claude-sonnet-5-5","messages":[{"role":"user","content":"x"}]}'
        return await world.send(call)

    answer = run(scene, policy(max_tokens=300))

    assert (answer.ok, answer.record.reason, answer.record.max_tokens) == (True, None, 300)


def test_the_ledger_and_the_api_agree_on_what_another_model_cost():
    """INV-23: it is billed as the model that answers."""

    async def scene(world: World) -> tuple[int | None, int]:
        answer = await world.ask(stream=True)
        return answer.record.cost_pico, sum(entry.cost_pico for entry in world.sim.world.books.entries)

    ours, theirs = run(scene, policy(model=HAIKU))

    assert ours == theirs > 0


def test_a_count_of_tokens_is_left_alone():
    """It is asked for the model that it names."""

    async def scene(world: World) -> Call:
        call = world.make_other(Kind.COUNT_TOKENS, "POST", "/v1/messages/count_tokens", body=BODY)
        await world.send(call)
        return call

    assert run(scene, policy(model=HAIKU)).body == BODY


def test_a_model_is_not_changed_in_the_middle_of_a_turn():
    """A rule judges by what was there when the user spoke: what tools return since may be large."""
    rule = ModelRule(model=HAIKU, max_input_tokens=700)
    asked = [{"role": "user", "content": "What is the level?"}]
    use = {"type": "tool_use", "id": "toolu_1", "name": "level", "input": {}}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": TEXT}, picture]}
    looped = [*asked, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    done = [*looped, {"role": "assistant", "content": "7 m."}, {"role": "user", "content": "And now?"}]

    async def scene(world: World) -> list[str | None]:
        calls = [world.make(body={"messages": messages, "tools": [TOOL]}) for messages in (asked, looped, done)]
        for call in calls:
            await world.send(call)
        return [call.record.model for call in calls]

    assert run(scene, policy(rules=(rule,))) == [HAIKU, HAIKU, MODEL]


# -- in the shadow -----------------------------------------------------------------------------------------------------


def test_a_policy_in_the_shadow_changes_nothing_and_says_what_it_would_have_done():
    answer = ask(
        policy(model=HAIKU, max_tokens_ceiling=60, history_max_turns=1, shape_shadow=True),
        body={"messages": conversation(3)},
    )

    record = answer.record
    assert (record.model, record.max_tokens, record.reason, record.dropped_messages) == (MODEL, 64, None, 0)
    assert noted(answer)["shadow"].keys() == {"model", "max_tokens", "history"}


def test_what_the_shadow_would_refuse_is_noted():
    policies = policy(models=(HAIKU,), shape_shadow=True), policy(max_input_tokens=1, shape_shadow=True)

    assert [noted(ask(each))["shadow"]["refused"] for each in policies] == ["model", "max_input_tokens"]


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_model_that_is_not_allowed_is_refused_before_anything_is_sent():
    refused, world = refusal(policy(models=(HAIKU, OPUS)))

    assert (refused.status, refused.reason) == (400, Reason.MODEL_NOT_ALLOWED)
    assert HAIKU in str(refused)
    assert OPUS in str(refused)
    assert not world.ledger.attempts
    assert world.ledger.calls[0].reason == Reason.MODEL_NOT_ALLOWED


def tokens_of(text: str, **options: Any) -> int:
    """As the API counts them."""
    answer = ask(Config(prompt_cache=PromptCacheConfig(mode="off")), text=text, **options)
    return answer.record.input_tokens


TEXT = "The quick brown fox jumps over the lazy dog. " * 40


def test_a_prompt_that_is_too_long_is_refused_to_the_token():
    """Where an estimate leaves a doubt the API counts, which is free; the words are those by which clients shorten."""
    tokens = tokens_of(TEXT)

    answer = ask(policy(max_input_tokens=tokens), text=TEXT)
    refused, world = refusal(policy(max_input_tokens=tokens - 1), text=TEXT)

    assert answer.ok
    assert (refused.status, refused.reason) == (400, Reason.INPUT_TOO_LONG)
    assert str(refused).startswith(f"prompt is too long: {tokens} tokens > {tokens - 1} maximum")
    assert not world.ledger.attempts
    assert not world.sim.world.books.entries


def judged(config: Config) -> tuple[bool, bool]:
    """Whether the text is taken, and whether the API was asked to count it for that."""

    async def scene(world: World) -> tuple[bool, bool]:
        call = world.make(text=TEXT)
        try:
            await world.send(call)
        except BadRequest:
            return False, call.counted is not None
        return True, call.counted is not None

    taken, counted = run(scene, config)
    return taken, counted


@pytest.mark.parametrize(("most", "taken", "counted"), [(2_000, True, False), (1_500, True, True), (50, False, False)])
def test_what_is_certain_is_not_counted(most, taken, counted):
    """A token has a byte at least, and hardly a text more than six for each."""
    assert judged(policy(max_input_tokens=most)) == (taken, counted)


def test_with_counting_switched_off_the_estimate_decides():
    config = replace(policy(max_input_tokens=400), estimates=EstimatesConfig(count_from_tokens=0))

    assert judged(config) == (False, False)


# -- history -----------------------------------------------------------------------------------------------------------


def conversation(turns: int, text: str = "Tell me more about it, please.") -> list[dict[str, Any]]:
    """So many turns that are answered, and the question of the next."""
    said: list[dict[str, Any]] = []
    for number in range(turns):
        said.append({"role": "user", "content": f"{number}: {text}"})
        said.append({"role": "assistant", "content": [{"type": "text", "text": f"{number}. " + text * 3}]})
    return [*said, {"role": "user", "content": f"{turns}: {text}"}]


def test_the_oldest_turns_are_left_out_and_counted():
    answer = ask(policy(history_max_turns=10), body={"messages": conversation(10)})

    record = answer.record
    assert (record.dropped_messages, record.reason, answer.ok) == (12, Reason.HISTORY_CUT, True)
    assert answer.call.document is not None
    assert answer.call.document["messages"] == conversation(10)[12:]
    assert noted(answer)["history"] == {"messages": 12, "tokens": record.dropped_tokens}


def test_the_tokens_that_were_left_out_are_estimated():
    whole = ask(policy(), body={"messages": conversation(10)}).record
    cut = ask(policy(history_max_turns=10), body={"messages": conversation(10)}).record

    assert cut.dropped_tokens == pytest.approx(whole.input_tokens - cut.input_tokens, rel=0.35)


def test_a_history_is_bounded_by_tokens():
    answer = ask(policy(history_max_tokens=1_000), body={"messages": conversation(60)})

    assert answer.ok
    assert 250 < answer.record.input_tokens <= 1_000


def test_inv_17_what_is_kept_of_a_history_goes_as_it_came():
    """The prompt cache compares bytes."""
    turn = b'{"role":"user", "content":"x" },{"content" : "y","role":"assistant"}'
    body = b'{"model":"claude-opus-4-8","max_tokens":9,"messages":[' + b", ".join([turn] * 3) + b"," + turn[:31] + b"]}"

    assert sent(body, policy(history_max_turns=3)) == body.replace(b", ".join([turn] * 3) + b",", turn + b",", 1)


def test_claude_code_is_left_alone():
    """It looks after its own history."""

    async def scene(world: World) -> Answer:
        call = world.make(body={"messages": conversation(9)})
        call.headers.append((b"user-agent", b"claude-cli/2.1.329 (external, cli)"))
        return await world.send(call)

    assert run(scene, policy(history_max_turns=2)).record.dropped_messages == 0


def bill(turns: int, settings: dict[str, Any], *, own_bound: int | None = None, model: str = KEEPING) -> int:
    """What a conversation of so many turns costs in input that grows by a turn every minute, and is marked for the
    cache.  `own_bound`: its caller keeps no more turns than that."""

    async def scene(world: World) -> int:
        for number in range(turns):
            messages = conversation(number, "How the river rose and fell in the year of the great flood. " * 12)
            if own_bound is not None:
                messages = messages[-2 * own_bound + 1 :]
            body = {"messages": messages, "cache_control": {"type": "ephemeral"}, "max_tokens": 1}
            call = world.make(model=model, body=body)
            call.record.started_ms = world.engine.clock.unix_ms()
            assert (await world.send(call)).ok
            await world.engine.clock.sleep(60)
        return sum(call.cost_pico or 0 for call in world.ledger.calls)

    return int(run(scene, policy(**settings)))


def test_a_bounded_history_costs_less_than_one_that_grows_though_it_is_cached():
    """A cut loses what the cache holds; what it saves afterwards is more."""
    whole, bounded = bill(100, {}), bill(100, {"history_max_turns": 20})

    assert bounded < 0.55 * whole


def test_many_turns_at_a_time_cost_less_than_each_turn_one():
    """That is what most callers do by themselves: their prompts have no beginning in common with the last one's."""
    sliding, bounded = bill(60, {}, own_bound=20), bill(60, {"history_max_turns": 20})

    assert bounded < 0.2 * sliding


# -- thinking that is bound to what came before it (claude-api.md §9.10) -----------------------------------------------

CHECKED = SimSettings(thinking=Thinking(prefix_check_enforced_on=frozenset({HAIKU})))
TOOL = {"name": "level", "description": "The level.", "input_schema": {"type": "object"}}


def talk(turns: int, config: Config, *, keeps_thinking: bool) -> list[int]:
    """A conversation with a tool in every turn on a model that checks; how many messages were left out of each call.
    Thinking is sent back within a turn, as the API wants it, and afterwards if the caller `keeps_thinking`."""

    async def scene(world: World) -> list[int]:
        messages: list[dict[str, Any]] = []

        async def go(content: Any) -> Answer:
            messages.append({"role": "user", "content": content})
            body = {
                "messages": messages, "tools": [TOOL], "max_tokens": 2000,
                "thinking": {"type": "adaptive"},
            }  # fmt: skip
            answer = await world.ask(model=HAIKU, body=body)
            assert answer.ok, answer.body
            messages.append({"role": "assistant", "content": answer.document["content"]})
            return answer

        for number in range(turns):
            answer = await go(f"{number} [[sim: tool=level:{{}}]]")
            use = next(block for block in answer.document["content"] if block["type"] == "tool_use")
            await go([{"type": "tool_result", "tool_use_id": use["id"], "content": "7 m"}])
            if not keeps_thinking:
                for each in messages:
                    if each["role"] == "assistant":
                        each["content"] = [block for block in each["content"] if block["type"] != "thinking"]
        return [call.dropped_messages for call in world.ledger.calls]

    return list(run(scene, config, sim=CHECKED))


def test_nothing_is_left_out_before_thinking_that_is_sent_back():
    """The API would refuse every later call."""
    assert set(talk(8, policy(history_max_turns=3), keeps_thinking=True)) == {0}


@pytest.mark.parametrize("bound", [{"history_max_turns": 3}, {"history_max_tokens": 250}])
def test_the_calls_of_one_turn_leave_out_the_same(bound):
    """A caller that drops the thinking of earlier turns itself is bounded, and the check passes within each turn."""
    dropped = talk(8, policy(**bound), keeps_thinking=False)

    assert dropped[0::2] == dropped[1::2]
    assert dropped[-1] > 0


# -- whatever the policy ----------------------------------------------------------------------------------------------

MODELS = (MODEL, HAIKU, KEEPING, "claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5")
CATALOG = load_catalog()


def any_policy(chance: Random) -> WorkflowConfig:
    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.5 else None

    ceiling = chance.randrange(50, 5_000)
    rule = ModelRule(
        model=chance.choice(MODELS),
        tools=maybe(chance.random() < 0.5),
        max_input_tokens=maybe(chance.randrange(1, 3_000)),
    )
    return WorkflowConfig(
        model=maybe(chance.choice(MODELS)),
        max_tokens=maybe(chance.randrange(1, ceiling)),
        max_tokens_ceiling=maybe(ceiling),
        effort=maybe(chance.choice(EFFORTS)),
        rules=(rule,) if chance.random() < 0.5 else (),
        history_max_turns=maybe(chance.randrange(1, 12)),
        history_max_tokens=maybe(chance.randrange(20, 2_000)),
        fallbacks=(f"model:{chance.choice(MODELS)}",),
    )


def any_request(chance: Random) -> dict[str, Any]:
    """One that the API takes."""
    model = chance.choice(MODELS)
    messages: list[dict[str, Any]] = []
    for number in range(chance.randrange(20)):
        messages.append({"role": "user", "content": "What is the level? " * chance.randrange(1, 20)})
        for call in range(chance.randrange(3)):
            use = {"type": "tool_use", "id": f"toolu_{number}_{call}", "name": "level", "input": {}}
            messages.append({"role": "assistant", "content": [use]})
            result = {"type": "tool_result", "tool_use_id": use["id"], "content": "7 m " * chance.randrange(1, 50)}
            messages.append({"role": "user", "content": [result]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": "It is 7 m."}]})
    messages.append({"role": "user", "content": "And now?"})
    efforts = CATALOG.model(model).efforts
    config = {"output_config": {"effort": chance.choice(efforts)}} if efforts and chance.random() < 0.5 else {}
    return {"model": model, "max_tokens": chance.randrange(1, 9_000), "messages": messages, "tools": [TOOL], **config}


@pytest.mark.parametrize("seed", range(40))
def test_what_a_policy_makes_of_a_request_is_one_that_the_api_takes(seed):
    """Also where another model steps in; and the document says what the body says."""
    chance = Random(seed)

    async def scene(world: World) -> None:
        for in_trouble in (False, False, True, True, True):
            if in_trouble:
                await world.engine.clock.sleep(100)
            call = world.make(body=any_request(chance), stream=chance.random() < 0.5)
            answer = await world.send(call)
            assert answer.ok or in_trouble, answer.body
            assert msgspec.json.decode(call.body) == call.document
            assert call.record.max_tokens == msgspec.json.decode(call.body)["max_tokens"]
        assert ErrorClass.INVALID_REQUEST not in [attempt.error for attempt in world.ledger.attempts]

    trouble = Scenario(name="", about="", phases=(Phase(begin=100, cues=(Cue(do=("error=529",), probability=0.5),)),))
    config = Config(workflows={"test": any_policy(chance)}, prompt_cache=PromptCacheConfig(mode="off"))
    play(scene, config=config, retry=RetryConfig(max_attempts=1), scenario=trouble, seed=seed)


# -- budgets that slow -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slow", "lane", "model"), [("lane:bulk", "bulk", MODEL), (f"model:{HAIKU}", "standard", HAIKU)]
)
def test_a_budget_past_its_threshold_slows_calls(slow, lane, model):
    """They run in another lane, or ask another model; also where their workflow has no policy."""

    async def scene(world: World) -> tuple[Answer, Answer]:
        return await world.ask(text=TEXT), await world.ask()

    config = Config(budgets={"day": BudgetConfig(usd="0.01", window="day", warn_at=0.0, slow_at=0.05, slow=slow)})
    before, after = run(scene, config)

    assert (before.record.lane, before.record.model, before.record.reason) == ("standard", MODEL, None)
    assert (after.record.lane, after.record.model, after.record.reason) == (lane, model, Reason.BUDGET_SLOWED)
    assert next(iter(noted(after).values()))["by"] == "budget"


def test_a_budget_that_was_raised_elsewhere_slows_nobody_a_second_later():
    """Nor the first call after it, however long nobody called."""

    async def scene(world: World) -> tuple[Answer, Answer]:
        await world.ask(text=TEXT)
        slowed = await world.ask()
        assert world.engine.budgets is not None
        world.engine.budgets._store.change("day", "usd", "100", "another process", 0)
        await world.engine.clock.sleep(2)
        return slowed, await world.ask()

    config = Config(
        budgets={"day": BudgetConfig(usd="0.01", window="day", warn_at=0.0, slow_at=0.05, slow="lane:bulk")}
    )
    before, after = run(scene, config)

    assert (before.record.lane, after.record.lane) == ("bulk", "standard")


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        policy(model="claude-nobody"),
        policy(rules=(ModelRule(model="claude-nobody"),)),
        policy(models=("claude-sonnet-5-5", "claude-nobody")),
        Config(budgets={"day": BudgetConfig(usd="1", slow="model:claude-nobody")}),
        Config(budgets={"day": BudgetConfig(usd="1", model="claude-nobody")}),
    ],
)
def test_a_model_without_a_price_is_told_at_the_start(config):
    """A budget for a model that is misspelt would hold nothing, and nobody would notice."""
    with pytest.raises(ConfigError, match="claude-nobody"):
        shape_policies(config, load_prices(None), EPOCH.date())


def test_a_workflow_without_a_policy_has_none():
    config = policy(memo=True, shape_shadow=True)

    assert shape_policies(config, load_prices(None), EPOCH.date()) == {}
