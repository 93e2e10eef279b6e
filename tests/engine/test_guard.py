"""What is refused before anything is sent, and whose price an answer has."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

import headgate
from headgate.config.schema import Config, PricesConfig
from headgate.errors import Refused
from headgate.events import Outcome, Reason
from support.raw_upstream import CLOSE, RawUpstream, json_reply, message, message_events, sse_head
from support.world import MODEL, World, play


def refused(**options) -> tuple[Refused, World]:
    """A call that must be refused, and the world it was refused in."""

    async def scene(world: World) -> tuple[Refused, World]:
        with pytest.raises(Refused) as caught:
            await world.ask(**options)
        return caught.value, world

    return play(scene)


@pytest.mark.parametrize("value", [-1, True, "100", 1.5, 10**19, [], {}], ids=repr)
def test_e05_a_max_tokens_that_is_no_count_is_refused_before_anything_is_sent(value):
    """Type-strict: a bool is no int, and a string is not read as one."""
    refusal, world = refused(max_tokens=value)

    assert (refusal.reason, refusal.status) == (Reason.BAD_FIELD, 400)
    assert (world.sim.world.books.totals.requests, world.ledger.attempts) == (0, [])


@pytest.mark.parametrize("body", [{"max_tokens": 0}, {"max_tokens": 10**12}, {"max_tokens": None}], ids=repr)
def test_e05_a_max_tokens_that_the_api_must_judge_is_judged_by_the_api(body):
    """Its answer comes back as it is, and what was reserved is given back."""

    async def scene(world: World) -> tuple[int, int]:
        answer = await world.ask(body=body)
        return answer.reply.status, world.sim.world.books.entries[-1].status

    ours, theirs = play(scene)

    assert ours == theirs


@pytest.mark.parametrize("model", ["gpt-5", "claude-sonnet-9", f"{MODEL}-preview"])
def test_e06_e07_a_model_without_a_price_is_refused(model):
    """The default: what cannot be priced is not spent; 404 as for a model that does not exist."""
    refusal, world = refused(model=model)

    assert (refusal.reason, refusal.status) == (Reason.NO_PRICE, 404)
    assert world.sim.world.books.totals.requests == 0


@pytest.mark.parametrize("model", [f"{MODEL} ", f" {MODEL}", f"{MODEL}\n", "сlaude-sonnet-5-5", "claude\u200bsonnet"])
def test_e06_a_name_that_only_looks_like_a_models_is_refused(model):
    """Trailing space, look-alike letters, invisible ones."""
    refusal, _ = refused(model=model)

    assert (refusal.reason, refusal.status) == (Reason.BAD_FIELD, 400)


@pytest.mark.parametrize("stream", [True, False])
def test_e07_where_the_operator_wants_it_an_unpriced_model_is_sent_and_never_free(stream):
    """`prices.unknown_model = "record"`: no cost is not zero cost, and the problem is named."""

    async def scene(world: World):
        script = (
            (sse_head(), b"".join(message_events("hi", model="claude-next")), CLOSE)
            if stream
            else (json_reply(200, {**message(), "model": "claude-next"}),)
        )
        base_url = await RawUpstream((script,)).start()
        return await world.ask(model="claude-next", stream=stream, base_url=base_url)

    record = play(scene, config=Config(prices=PricesConfig(unknown_model="record"))).record

    assert (record.outcome, record.cost_pico, record.input_tokens, record.output_tokens) == (Outcome.OK, None, 21, 7)
    assert record.cost_problem


@pytest.mark.parametrize(
    "body",
    [
        {"messages": []},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [], "system": "only this"},
        {"messages": [{"role": "assistant", "content": "I begin"}]},
        {"messages": "hello"},
        {"messages": None},
    ],
    ids=repr,
)
def test_e09_odd_messages_are_judged_by_the_api_and_cost_nothing(body):
    """One attempt, the API's own words, and no permits left behind (the world checks)."""
    answer = play(lambda world: world.ask(body=body))

    assert (answer.reply.status, answer.record.attempts, answer.record.cost_pico) == (400, 1, 0)
    assert answer.document["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "x"}] * 100_000,
        [{"role": "user", "content": "x" * 20_000_000}],
        [{"role": "user", "content": [{"type": "text", "text": "x"}] * 100_000}],
    ],
    ids=["100,000 messages", "20 MB", "100,000 blocks"],
)
def test_e11_a_huge_history_is_estimated_in_bounded_memory_and_passed_on(messages):
    """How much is too much is the API's to say; what we need for the estimate is a small multiple of the body."""

    async def scene(world: World) -> tuple[bool, int, int]:
        base_url = await RawUpstream(((json_reply(200, message()),),)).start()
        call = world.make(body={"messages": messages}, base_url=base_url, lane="bulk")
        tracemalloc.start()
        reply = await world.engine.call(call)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return reply.failure is None, peak, len(call.body)

    answered, peak, size = play(scene)

    assert answered
    assert peak < 64 * size


def test_inv_23_the_price_is_that_of_the_model_that_answered():
    """Asked for one, answered by another: the record names both, and the money is the other's."""

    async def scene(world: World) -> list[tuple[str | None, int | None]]:
        records = []
        for model in (MODEL, "claude-opus-5-5"):
            base_url = await RawUpstream(((json_reply(200, {**message(), "model": model}),),)).start()
            record = (await world.ask(base_url=base_url)).record
            records.append((record.model, record.model_answered, record.cost_pico, record.price_row))
        return records

    [own, other] = play(scene)

    assert (own[:2], other[:2]) == ((MODEL, MODEL), (MODEL, "claude-opus-5-5"))
    assert other[2] > own[2] > 0
    assert other[3].startswith("claude-opus-5-5@")


def test_inv_17_the_body_goes_on_byte_for_byte():
    """Spaces, order, escapes and fields nobody knows: read once, sent as it came."""
    body = (
        b' {"x_new":{"b":1,"a":[1e2,null]}, "model" : "claude-sonnet-5-5","max_tokens":64 ,'
        b'"messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}]}\n'
    )

    async def scene(world: World) -> bytes:
        upstream = RawUpstream(((json_reply(200, message()),),))
        call = world.make(base_url=await upstream.start())
        call.body = body
        await world.engine.call(call)
        return upstream.seen[0].body

    assert play(scene) == body


def test_inv_22_every_reason_has_somebody_who_gives_it():
    """The list is closed, and holds nothing that never happens."""
    source = Path(headgate.__file__).parent
    code = "".join(path.read_text() for path in source.rglob("*.py") if path.parent.name != "events")

    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in code] == []


def test_inv_05_calls_that_wait_and_calls_that_run_end_with_the_engine():
    """Closing leaves nobody waiting for ever: who has no connection yet is told."""

    async def scene(world: World) -> bool:
        call = asyncio.create_task(world.ask("slow=1000"))
        await asyncio.sleep(0.5)
        await world.engine.close()
        return (await call).ok

    assert play(scene)
