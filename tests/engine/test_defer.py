"""Calls that have time are answered through Message Batches, and none is late or lost because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.config.schema import BatchesConfig, Config, WorkflowConfig
from headgate.core.defer import Result, read_result
from headgate.core.message_stream import message_of
from headgate.engine.batch_desk import Account
from headgate.errors import Unavailable
from headgate.events import ErrorClass, Outcome, Reason
from headgate.sim import SimSettings
from headgate.sim.settings import Batches, Limits
from support import world as worlds
from support.world import Answer, World, lanes

HOUR_S = 3_600.0
HALF_AN_HOUR = Batches(processing_s=1_800.0)
PATIENT_S = 4 * HOUR_S


def play(
    scene: Callable[[World], Awaitable[None]],
    *,
    batches: Batches = HALF_AN_HOUR,
    seed: int = 1,
    workflow: WorkflowConfig | None = None,
    **config: Any,
) -> World:
    """With a workflow `nightly` that may go into batches."""
    kept: list[World] = []

    async def seen(world: World) -> None:
        kept.append(world)
        await scene(world)

    worlds.play(
        seen,
        config=Config(
            workflows={"nightly": workflow or WorkflowConfig(batch=True)},
            batches=BatchesConfig(**config),
            lanes=lanes(total_timeout_s=24 * HOUR_S),
        ),
        sim=SimSettings(batches=batches, limits=Limits(tier="scale")),
        seed=seed,
    )
    return kept[0]


async def ask(world: World, deadline_s: float = PATIENT_S, **options: Any) -> Answer:
    return await world.ask(workflow="nightly", lane="bulk", requested_deadline_s=deadline_s, **options)


async def ask_all(world: World, count: int, **options: Any) -> list[Answer]:
    return list(await asyncio.gather(*(ask(world, text=f"question {number}", **options) for number in range(count))))


def invoice(world: World) -> int:
    return world.sim.world.books.totals.cost_pico


def written(world: World) -> int:
    return sum(call.cost_pico or 0 for call in world.ledger.calls)


def test_a_call_that_has_time_is_answered_at_half_the_price():
    """To its caller it is an answer like any other, later."""

    async def scene(world: World) -> None:
        later = await ask(world)
        now = await ask(world, 60)
        assert later.ok
        assert later.document["type"] == "message"
        assert later.record.cost_pico == (now.record.cost_pico or 0) / 2 > 0
        assert (later.record.reason, later.record.outcome) == (Reason.BATCHED, Outcome.OK)
        assert later.record.batch_id is not None
        assert now.record.batch_id is None
        attempt = world.ledger.attempts[0]
        assert (attempt.service_tier, attempt.usage_source, attempt.status) == ("batch", "vendor", 200)

    play(scene)


def test_the_ledger_says_what_the_invoice_says():
    """To the pico-dollar; an item is an attempt of its call, and nothing else writes it down."""

    async def scene(world: World) -> None:
        await ask_all(world, 20)
        assert written(world) == invoice(world) > 0
        assert len(world.ledger.calls) == len(world.ledger.attempts) == 20
        assert world.ledger.batch_items == {}

    play(scene)


def test_calls_of_a_workflow_that_come_together_share_a_batch():
    """It goes when the first of them has waited as long as it may."""

    async def scene(world: World) -> None:
        answers = await ask_all(world, 5)
        assert len({answer.record.batch_id for answer in answers}) == 1
        assert [attempt.queue_ms for attempt in world.ledger.attempts] == [300_000.0] * 5

    play(scene, collect_s=300)


def test_each_caller_gets_its_own_answer_in_whatever_order_results_come():
    """They are told apart by their ids alone."""

    async def scene(world: World) -> None:
        texts = [f'[[sim: say="answer {number}"]]' for number in range(12)]
        answers = await asyncio.gather(*(ask(world, text=text) for text in texts))
        said = [answer.document["content"][0]["text"] for answer in answers]
        assert said == [f"answer {number}" for number in range(12)]

    play(scene)


def test_a_caller_that_asked_for_a_stream_gets_one():
    """A batch has none, so all of it comes at once, when it is there."""

    async def scene(world: World) -> None:
        answer = await ask(world, stream=True, text='[[sim: say="at last"]]')
        message = message_of(answer.body)
        assert message is not None
        assert message["content"][0]["text"] == "at last"
        assert answer.record.batch_id is not None

    play(scene)


def test_a_batch_goes_when_it_is_full():
    """By requests or by bytes."""

    async def scene(world: World) -> None:
        answers = await ask_all(world, 6)
        assert len({answer.record.batch_id for answer in answers}) == 3
        assert {attempt.queue_ms for attempt in world.ledger.attempts} == {0.0}

    play(scene, max_requests=2)


@pytest.mark.parametrize(
    "options",
    [{"requested_deadline_s": 1_800}, {"body": {"speed": "fast"}, "model": "claude-opus-4-8"}, {"workflow": "other"}],
    ids=["no time", "not in batches", "not this workflow"],
)
def test_what_has_no_place_in_a_batch_is_asked_at_once(options):
    """Nothing waits for what will not come."""

    async def scene(world: World) -> None:
        given = {"workflow": "nightly", "lane": "bulk", "requested_deadline_s": PATIENT_S, **options}
        answer = await world.ask(**given)
        assert answer.record.batch_id is None
        assert world.now_s < 60

    play(scene)


def test_a_batch_that_takes_too_long_makes_no_call_late():
    """When the reserve of a call begins it is cancelled, and the call is asked alone.  The API bills nothing for it."""

    async def scene(world: World) -> None:
        answer = await ask(world, 2 * HOUR_S)
        assert answer.ok
        assert 2 * HOUR_S - 600 <= world.now_s < 2 * HOUR_S
        assert answer.record.reason == Reason.ASKED_ALONE
        assert [attempt.cost_pico for attempt in world.ledger.attempts] == [0, answer.record.cost_pico]
        assert written(world) == invoice(world)

    play(scene, batches=Batches(processing_s=20 * HOUR_S))


def test_a_batch_that_is_slow_to_cancel_makes_no_call_late():
    """Half of the reserve at most is spent on what the batch still does."""

    async def scene(world: World) -> None:
        answer = await ask(world, 300)
        assert answer.ok
        assert world.now_s < 300
        assert answer.record.reason == Reason.ASKED_ALONE

    play(scene, batches=Batches(processing_s=HOUR_S, cancelling_s=100.0), min_patience_s=60, collect_s=2, reserve_s=30)


def test_who_has_left_before_a_batch_goes_does_not_end_it_early():
    """Its patience was shorter than that of the others."""

    async def scene(world: World) -> None:
        hurried = asyncio.create_task(ask(world, HOUR_S))
        patient = asyncio.create_task(ask(world, 10 * HOUR_S))
        await asyncio.sleep(10)
        hurried.cancel()
        assert (await patient).record.reason == Reason.BATCHED

    play(scene, batches=Batches(processing_s=2 * HOUR_S))


@pytest.mark.parametrize("name", [b"anthropic-workspace-id", b"anthropic-user-profile-id", b"anthropic-beta"])
def test_what_calls_say_to_the_api_in_headers_is_said_by_their_batch(name):
    """Whose workspace it is answered in, and for whom: calls that differ in it share no batch."""
    told: list[list[bytes]] = []

    async def scene(world: World) -> None:
        desk = world.engine._defer._desk
        create = desk.create

        async def watch(account: Account, body: bytes, within_s: float) -> Any:
            told.append([value for header, value in account.access.headers if header == name])
            return await create(account, body, within_s)

        desk.create = watch  # type: ignore[method-assign]
        calls = [
            world.make(text=text, workflow="nightly", lane="bulk", requested_deadline_s=PATIENT_S) for text in "abc"
        ]
        for call, value in zip(calls, (b"one", b"one", b"two"), strict=True):
            call.headers.append((name, value))
        await asyncio.gather(*map(world.send, calls))

    play(scene)

    assert sorted(told) == [[b"one"], [b"two"]]


@pytest.mark.parametrize("odd", [{"content": None}, {"content": [{"type": "thinking"}]}])
def test_an_answer_of_which_no_stream_can_be_made_hurts_nobody_else(monkeypatch, odd):
    """Its call is asked by itself, and bears both; the others have theirs."""
    spoilt: list[str] = []

    def read(line: bytes) -> Any:
        told = read_result(line)
        if told is None or (spoilt and told[0] != spoilt[0]):
            return told
        spoilt.append(told[0])
        message = msgspec.json.encode(msgspec.json.decode(told[1].message) | odd)
        return told[0], Result("succeeded", msgspec.Raw(message))

    monkeypatch.setattr("headgate.engine.defer.read_result", read)

    async def scene(world: World) -> None:
        answers = await ask_all(world, 3, stream=True)
        assert all(answer.ok for answer in answers)
        reasons = [answer.record.reason for answer in answers]
        assert sorted(map(str, reasons)) == [Reason.ASKED_ALONE, Reason.BATCHED, Reason.BATCHED]
        assert written(world) == invoice(world)

    play(scene)


def test_what_a_cancelled_batch_has_done_by_then_counts():
    """Only the rest is asked alone."""

    async def scene(world: World) -> None:
        answers = await ask_all(world, 10, deadline_s=2 * HOUR_S)
        reasons = [answer.record.reason for answer in answers]
        assert 0 < reasons.count(Reason.BATCHED) < 10
        assert all(answer.ok for answer in answers)
        assert written(world) == invoice(world)

    play(scene, batches=Batches(processing_s=3 * HOUR_S))


def test_an_item_that_failed_is_asked_alone():
    """Each by itself: the others keep their answers."""

    async def scene(world: World) -> None:
        answers = await ask_all(world, 20)
        reasons = {answer.record.reason for answer in answers}
        assert reasons == {Reason.BATCHED, Reason.ASKED_ALONE}
        assert all(answer.ok for answer in answers)
        assert ("api_error", Reason.ASKED_ALONE) in world.attempts()
        assert written(world) == invoice(world)

    play(scene, batches=Batches(processing_s=1_800, failed_share=0.5))


@pytest.mark.parametrize(("on", "reason"), [("refusal", Reason.FALLBACK_CANNED), ("overloaded", Reason.BATCHED)])
def test_a_fallback_for_declined_answers_is_taken_also_after_a_batch(on, reason):
    """Its call is asked alone, where fallbacks are; without such a fallback the answer is the batch's."""

    async def scene(world: World) -> None:
        declined, other = await asyncio.gather(ask(world, text="[[sim: refusal]]"), ask(world))
        assert (declined.record.reason, other.record.reason) == (reason, Reason.BATCHED)
        assert written(world) == invoice(world)

    play(scene, workflow=WorkflowConfig(batch=True, fallbacks_on={on: ("canned",)}, canned="No."))


def test_a_batch_that_is_not_taken_leaves_every_call_to_itself():
    """Here the API has no room for it."""

    async def scene(world: World) -> None:
        answers = await ask_all(world, 3)
        assert all(answer.ok for answer in answers)
        assert [answer.record.batch_id for answer in answers] == [None] * 3
        assert written(world) == invoice(world)

    play(scene, batches=Batches(kept_bytes=1))


def test_a_caller_that_leaves_before_its_batch_goes_costs_nothing():
    """And nobody else notices."""

    async def scene(world: World) -> None:
        leaving = asyncio.create_task(ask(world, text="never mind"))
        staying = asyncio.create_task(ask(world))
        await asyncio.sleep(60)
        leaving.cancel()
        assert (await staying).ok
        assert sorted(call.outcome for call in world.ledger.calls) == [Outcome.CANCELLED, Outcome.OK]
        assert written(world) == invoice(world)

    play(scene)


def test_what_is_done_for_a_caller_that_has_left_is_written_down():
    """The API bills it: its record is made when its batch has ended."""

    async def scene(world: World) -> None:
        leaving = asyncio.create_task(ask(world, text="never mind"))
        staying = asyncio.create_task(ask(world))
        await asyncio.sleep(1_200)
        leaving.cancel()
        await asyncio.sleep(60)
        assert world.ledger.calls == []
        assert (await staying).ok
        left = next(call for call in world.ledger.calls if call.outcome == Outcome.CANCELLED)
        assert left.cost_pico
        assert written(world) == invoice(world)

    play(scene)


def test_a_batch_that_nobody_waits_for_is_cancelled():
    """What it has not done by then costs nothing."""

    async def scene(world: World) -> None:
        calls = [asyncio.create_task(ask(world, text=f"question {number}")) for number in range(10)]
        await asyncio.sleep(1_500)
        for call in calls:
            call.cancel()
        await asyncio.sleep(HOUR_S)
        done = [call.cost_pico for call in world.ledger.calls if call.cost_pico]
        assert 0 < len(done) < 10
        assert written(world) == invoice(world)

    play(scene)


def test_when_headgate_stops_what_is_under_way_is_written_down_as_unconfirmed():
    """Nothing tells what it used; callers are told as if the connection was lost: they did not cancel it."""

    async def scene(world: World) -> None:
        waiting.append(asyncio.create_task(ask(world)))
        await asyncio.sleep(1_200)

    waiting: list[asyncio.Task[Answer]] = []
    world = play(scene)

    failure = waiting[0].result().reply.failure
    assert failure is not None
    assert failure.error == ErrorClass.RESET
    (call,) = world.ledger.calls
    assert (call.outcome, call.reason, call.cost_pico) == (Outcome.UPSTREAM_ERROR, None, 0)
    assert call.unconfirmed_pico > 0


def test_a_call_that_the_ledger_cannot_take_is_not_sent():
    """What cannot be written down is not spent, in a batch as anywhere."""

    async def scene(world: World) -> None:
        begun = world.ledger.begin

        def refuse(attempt: Any) -> None:
            if attempt.pool == "batches":
                raise Unavailable("too far behind", reason=Reason.LEDGER_UNAVAILABLE, status=503, retry_after_s=None)
            begun(attempt)

        world.ledger.begin = refuse  # type: ignore[method-assign]
        answer = await ask(world)
        assert answer.ok
        assert answer.record.batch_id is None

    play(scene)


def test_batches_are_looked_after_in_one_request_for_all():
    """However many there are: what is asked of the API besides costs no room of others."""

    async def scene(world: World) -> None:
        await ask_all(world, 30)
        told = world.sim.world.stats.by_status
        assert sum(told.values()) <= 10 + 10 + 40  # made, read, and looked for once a minute

    play(scene, max_requests=3)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_every_call_has_one_answer_and_the_ledger_agrees_with_the_invoice(seed):
    """Slow and failing batches, callers of all kinds of patience, some of whom leave."""
    rng = Random(seed)
    batches = Batches(
        processing_s=rng.choice([10.0, 1_800.0, 10_000.0, 90_000.0]),
        spread=rng.choice([0.0, 0.8]),
        failed_share=rng.choice([0.0, 0.2]),
        cancelling_s=rng.choice([0.0, 60.0]),
    )

    async def scene(world: World) -> None:
        async def one(number: int) -> Answer | None:
            await asyncio.sleep(rng.uniform(0, HOUR_S))
            deadline_s = rng.choice([60.0, HOUR_S, 2 * HOUR_S, 10 * HOUR_S])
            call = asyncio.create_task(ask(world, deadline_s, text=f"question {number}", stream=rng.random() < 0.3))
            if rng.random() < 0.2:
                await asyncio.wait({call}, timeout=rng.uniform(0, HOUR_S))
                call.cancel()
            begun_s = world.now_s
            try:
                answer = await call
            except asyncio.CancelledError:
                return None
            assert world.now_s - begun_s <= deadline_s
            return answer

        answers = await asyncio.gather(*(one(number) for number in range(40)))
        await asyncio.sleep(24 * HOUR_S)
        assert all(answer is None or answer.ok for answer in answers)
        assert len({call.call_id for call in world.ledger.calls}) == len(world.ledger.calls) == 40
        unconfirmed = sum(call.unconfirmed_pico for call in world.ledger.calls)
        await world.sim.settle()
        assert written(world) <= invoice(world) <= written(world) + unconfirmed

    play(scene, batches=batches, seed=seed)


def test_the_request_of_an_item_is_its_callers_own():
    """Byte for byte, so that its prompt is the one the cache knows."""
    seen: list[Any] = []

    async def scene(world: World) -> None:
        batches = world.sim._fixed["POST", "/v1/messages/batches"]

        async def watch(visit: Any) -> Any:
            seen.append(msgspec.json.decode(visit.request.body))
            return await batches(visit)

        world.sim._fixed["POST", "/v1/messages/batches"] = watch
        await ask(world, stream=True, body={"temperature": 0.5, "system": "Be brief."})
        (item,) = seen[0]["requests"]
        assert item["custom_id"] == world.ledger.calls[0].call_id
        assert item["params"]["system"] == "Be brief."
        assert "stream" not in item["params"]

    play(scene)
