"""How long anything may take: a timeout for every step, one deadline over all of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from headgate.config.schema import Config, LimitsConfig, PoolCeiling, RetryConfig, WorkflowConfig
from headgate.errors import Unavailable
from headgate.events import ErrorClass, Reason, UsageSource
from headgate.net.client import WireError
from headgate.sim.virtual_time import EPOCH
from support.raw_upstream import HANG, Pause, RawUpstream, Script, json_reply, message, message_events, sse_head
from support.world import Answer, World, lanes, play

EVENTS = message_events("one", "two", "three")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
ONCE = RetryConfig(max_attempts=1)


def timed(*scripts: Script, stream: bool = True, retry: RetryConfig = ONCE, **limits: float):
    """What came of a call to an upstream that answers so, when it was over, and when the upstream lost each of its
    connections."""

    async def scene(world: World) -> tuple[Answer, float, list[float]]:
        upstream = RawUpstream(scripts)
        answer = await world.ask(stream=stream, base_url=await upstream.start())
        over_s = world.now_s
        await asyncio.sleep(1)
        return answer, over_s, upstream.lost_s

    return play(scene, retry=retry, config=Config(lanes=lanes(**limits)))


# -- a timeout for every step ------------------------------------------------------------------------------------------


async def dial_into_nothing(origin, factory, within_s):
    """An address that swallows packets, or a handshake that hangs: A03, A05."""
    await asyncio.sleep(within_s)
    raise WireError("connect_timeout", "nobody there", sent=False)


def test_a05_a_connection_that_is_not_there_in_time_costs_nothing():
    """Within `connect_timeout_s`, and as nothing was sent, nothing is charged."""

    async def scene(world: World) -> tuple[Answer, float]:
        return await world.ask(), world.now_s

    answer, over_s = play(scene, dial=dial_into_nothing, retry=ONCE, config=Config(lanes=lanes(connect_timeout_s=3)))

    assert (answer.record.error, over_s) == (ErrorClass.CONNECT_TIMEOUT, 3)
    assert (answer.record.usage_source, answer.record.unconfirmed_pico) == (UsageSource.NONE, 0)


@pytest.mark.parametrize(("stream", "limit"), [(True, "first_byte_timeout_s"), (False, "answer_timeout_s")])
def test_a07_an_upstream_that_never_answers_is_given_up_in_time(stream, limit):
    """A stream must begin soon; an answer that comes whole has the time of a whole generation."""
    answer, over_s, lost_s = timed((HANG,), stream=stream, **{limit: 7})

    assert (answer.record.error, over_s, lost_s) == (ErrorClass.FIRST_BYTE_TIMEOUT, 7, [7])


def test_a07_what_was_sent_and_not_answered_may_have_cost():
    """Nobody knows what it used: the estimate is held beside it, unconfirmed (A06 too)."""
    answer, _, _ = timed((HANG,), first_byte_timeout_s=7)

    assert (answer.record.usage_source, answer.record.cost_pico) == (UsageSource.UNKNOWN, 0)
    assert answer.record.unconfirmed_pico > 0


@pytest.mark.parametrize("asked", [{"speed": "fast"}, {"inference_geo": "us"}])
def test_a07_the_expected_cost_is_of_what_was_asked_for(asked):
    """Fast mode and a place have their price though no answer came to repeat them."""

    async def scene(world: World) -> tuple[int, int | None]:
        base_url = await RawUpstream(((HANG,),)).start()
        await world.ask(base_url=base_url, model="claude-opus-5-5", body=asked)
        [row] = world.ledger.attempts
        terms = {"fast": "speed" in asked, "us": "inference_geo" in asked}
        tokens = (row.estimated_input_tokens, row.estimated_output_tokens)
        expected = world.engine.prices.expected("claude-opus-5-5", EPOCH.date(), *tokens, **terms)
        return row.unconfirmed_pico, expected.pico

    noted, expected = play(scene, retry=ONCE)

    assert noted == expected


def test_a07_a_hang_is_tried_again_while_there_is_time():
    """The first upstream connection says nothing; the second answers."""
    answer, over_s, _ = timed((HANG,), (sse_head(), b"".join(EVENTS)), retry=RetryConfig(), first_byte_timeout_s=7)

    assert (answer.ok, answer.record.attempts, 7 <= over_s < 9) == (True, 2, True)


@pytest.mark.parametrize("begun", [(), EVENTS[:1], EVENTS[:3]], ids=["headers", "message_start", "content"])
def test_a08_a_stream_that_falls_silent_is_cut(begun):
    """Not a byte for `idle_timeout_s`, a half-open connection (A10) included."""
    answer, over_s, lost_s = timed((sse_head(), b"".join(begun), HANG), idle_timeout_s=20)

    assert (answer.ok, answer.record.error, over_s, lost_s) == (False, ErrorClass.IDLE_TIMEOUT, 20, [20])


def test_a08_an_answer_that_falls_silent_in_its_body_is_cut():
    """Also where it comes whole."""
    half = json_reply(200, message())[:-20]

    answer, over_s, _ = timed((half, HANG), stream=False, idle_timeout_s=20)

    assert (answer.ok, answer.record.error, over_s) == (False, ErrorClass.IDLE_TIMEOUT, 20)


@pytest.mark.parametrize("begun", [EVENTS[:1], EVENTS[:3]], ids=["message_start", "content"])
def test_a09_pings_are_life_and_not_progress(begun):
    """They keep the connection; without anything else the stream is given up after `progress_timeout_s`."""
    pings = [PING, Pause(5)] * 100

    answer, over_s, _ = timed((sse_head(), b"".join(begun), *pings), idle_timeout_s=20, progress_timeout_s=60)

    assert (answer.ok, answer.record.error, over_s) == (False, ErrorClass.PROGRESS_TIMEOUT, 60)


def test_a11_an_answer_of_a_byte_a_second_ends_with_the_deadline():
    """Bytes that make no event are no progress either, and the deadline holds over everything."""
    drops = [step for byte in b"".join(EVENTS) for step in (bytes([byte]), Pause(1))]

    answer, over_s, _ = timed((sse_head(), *drops), total_timeout_s=50)

    assert (answer.record.error, over_s) == (ErrorClass.DEADLINE, 50)


def test_a_stream_of_an_hour_with_steady_progress_lives():
    """With the settings that ship, in every lane."""

    async def scene(world: World) -> list[bool]:
        names = list(world.engine.config.lanes)
        return [a.ok for a in await asyncio.gather(*(world.ask("drip=120:30000", stream=True, lane=n) for n in names))]

    assert play(scene) == [True, True, True]


def test_a_silent_upstream_keeps_a_chatbot_no_longer_than_its_lane_says():
    """The lane `interactive`, as it ships: a minute until the first byte."""

    async def scene(world: World) -> float:
        await world.ask("hang", stream=True, lane="interactive")
        return world.now_s

    assert play(scene, retry=ONCE) == 60


# -- one deadline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sim", ["hang", "error=529", "error=429; retry-after=4", "slow=3000; error=500", "pings=1000",
                                 "drip=1000:1000", "silence=100000"])  # fmt: skip
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("deadline_s", [0.5, 10, 33])
def test_inv_05_no_call_outlives_its_deadline(sim, stream, deadline_s):
    """Waits, attempts and the stream itself share it."""

    async def scene(world: World) -> float:
        with suppress(Unavailable):
            await world.ask(sim, stream=stream, requested_deadline_s=deadline_s)
        return world.now_s

    retry = RetryConfig(max_attempts=100, max_elapsed_s=1e6)

    assert play(scene, retry=retry) <= deadline_s + 0.01


def test_inv_05_no_attempt_starts_that_would_begin_after_the_deadline():
    """The API asks for more time than there is: the call ends at once with the API's answer, and says why."""

    async def scene(world: World) -> tuple[Answer, float]:
        return await world.ask("error=429; retry-after=30", requested_deadline_s=20), world.now_s

    answer, over_s = play(scene)

    assert (answer.reply.status, answer.record.reason, answer.record.attempts) == (429, Reason.DEADLINE, 1)
    assert over_s == 0


def test_a_caller_cannot_ask_for_more_time_than_its_lane_has():
    """A requested deadline only shortens."""

    async def scene(world: World) -> float:
        await world.ask("pings=1000", stream=True, requested_deadline_s=1e9)
        return world.now_s

    config = Config(lanes=lanes(total_timeout_s=40))

    assert play(scene, config=config, retry=ONCE) == 40


@pytest.mark.parametrize(("stream", "over_s"), [(False, 9.0), (True, 120.0)])
def test_the_patience_of_a_caller_ends_a_whole_answer_and_not_a_stream_that_flows(stream, over_s):
    """The SDK's timeout is for the next byte: of a whole answer that is all of it, a stream only has to begin."""

    async def scene(world: World) -> float:
        await world.ask("drip=121:1000", stream=stream, patience_s=9.0)
        return world.now_s

    assert play(scene, retry=ONCE) == over_s


def test_the_deadline_counts_the_wait_for_a_turn():
    """A call that waited for its permits has less time left to be answered."""

    async def scene(world: World) -> tuple[Answer, float]:
        await world.ask()
        answer = await world.ask("hang", requested_deadline_s=60)
        return answer, world.now_s

    two_a_minute = LimitsConfig(pools={"sonnet-5.5": PoolCeiling(rpm=2)}, burst_s=1.0)
    answer, over_s = play(scene, config=Config(limits=two_a_minute))

    assert (answer.record.queue_ms > 0, answer.record.error, over_s) == (True, ErrorClass.DEADLINE, 60)


@pytest.mark.parametrize(
    ("own_s", "asked_s", "over_s"), [(60.0, None, 60), (60.0, 20.0, 20), (60.0, 90.0, 60), (9_000.0, None, 7_200)]
)
def test_a_workflow_may_have_less_time_than_its_lane(own_s, asked_s, over_s):
    """Its calls may ask for less still."""

    async def scene(world: World) -> float:
        await world.ask("hang", requested_deadline_s=asked_s)
        return world.now_s

    patient = lanes(answer_timeout_s=10_000)
    config = Config(lanes=patient, workflows={"test": WorkflowConfig(deadline_s=own_s)})

    assert play(scene, config=config, retry=ONCE) == over_s


# -- callers that leave ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sim", ["hang", "slow=60000", "drip=100:1000", "error=529"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("after_s", [0.0, 0.4, 7.0])
def test_inv_02_inv_03_a_caller_that_leaves_leaves_one_record(sim, stream, after_s):
    """Wherever it is: one record, a row for each attempt that was sent, and everything given back."""

    async def scene(world: World) -> World:
        task = asyncio.create_task(world.ask(sim, stream=stream))
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(1)
        return world

    world = play(scene)

    seen = [attempt for attempt in world.ledger.attempts if attempt.usage_source != UsageSource.NONE or attempt.status]
    assert (len(world.ledger.calls), len(world.log.lines)) == (1, 1)
    assert len(seen) == world.sim.world.books.totals.requests


def test_a_caller_that_leaves_before_anything_was_sent_costs_nothing():
    """It was on its way, and never reached the API."""

    async def scene(world: World) -> World:
        call = world.make()
        task = asyncio.create_task(world.engine.call(call))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return world

    world = play(scene)

    [attempt] = world.ledger.attempts
    assert (attempt.usage_source, attempt.cost_pico, attempt.unconfirmed_pico) == (UsageSource.NONE, 0, 0)
