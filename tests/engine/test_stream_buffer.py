"""`stream = "buffered"`: a stream goes out when it is complete, so that a break anywhere in it is never seen."""

from __future__ import annotations

import asyncio

import pytest

from headgate.config.schema import Config, RetryConfig, WorkflowConfig
from headgate.events import ErrorClass, Outcome, Reason
from support.raw_upstream import CLOSE, HANG, RESET, Pause, RawUpstream, Script, event, message_events, sse_head
from support.world import Answer, World, play

EVENTS = message_events("Wasser – 水", ' {"depth":', " 7}")
STREAM = b"".join(EVENTS)
WHOLE: Script = (sse_head(), STREAM, CLOSE)
BUFFERED = Config(workflows={"test": WorkflowConfig(stream="buffered")})


def answered(*scripts: Script, config: Config = BUFFERED, **options: object) -> tuple[Answer, RawUpstream, World]:
    """One streamed call to an upstream that answers with these scripts, one after the other."""

    async def scene(world: World) -> tuple[Answer, RawUpstream, World]:
        upstream = RawUpstream(scripts)
        answer = await world.ask(stream=True, base_url=await upstream.start(), **options)
        return answer, upstream, world

    return play(scene, config=config)


def test_c01_a_buffered_stream_that_breaks_anywhere_is_repeated_in_full_and_unseen():
    """Within a character, between events, just before the end: the caller gets one whole stream."""

    async def scene(world: World) -> list[int]:
        wrong = []
        for n in range(0, len(STREAM) - 1, 7):
            upstream = RawUpstream(((sse_head(), STREAM[:n], RESET), WHOLE))
            answer = await world.ask(stream=True, base_url=await upstream.start())
            if not answer.ok or answer.body != STREAM or len(upstream.seen) != 2:
                wrong.append(n)
            await asyncio.sleep(20)  # the retry budget is not what is asked here
        return wrong

    assert play(scene, config=BUFFERED) == []


def test_c03_an_error_event_after_content_is_repeated_too():
    """Nothing of the stream was seen."""
    broken = b"".join(EVENTS[:3]) + event("error", error={"type": "overloaded_error", "message": "later"})

    answer, upstream, world = answered((sse_head(), broken, CLOSE), WHOLE)

    assert (answer.ok, answer.body, len(upstream.seen)) == (True, STREAM, 2)
    assert world.attempts() == [(ErrorClass.OVERLOADED, Reason.RETRIED), (None, None)]


def test_c01_both_attempts_are_charged():
    """What was thrown away has cost its input, and what it had written."""
    answer, _, world = answered((sse_head(), b"".join(EVENTS[:4]), RESET), WHOLE)

    assert [row.input_tokens for row in world.ledger.attempts] == [21, 21]
    assert answer.record.bytes_out == len(STREAM)


def test_a_buffered_stream_that_breaks_every_time_becomes_an_ordinary_error():
    """With the status of its failure, as if it had never begun."""
    answer, upstream, _ = answered((sse_head(), STREAM[:-30], RESET))

    assert (answer.reply.stream, answer.reply.status, answer.ok) == (None, 0, False)
    assert (answer.record.reason, len(upstream.seen)) == (Reason.ATTEMPTS_SPENT, 4)


@pytest.mark.parametrize("sim", ["refusal-mid=cyber", "max-tokens"])
def test_c11_c12_a_refusal_and_a_full_answer_are_answers(sim):
    """They have their stop reason and go out once, as they are."""
    answer = play(lambda world: world.ask(sim, stream=True, max_tokens=200), config=BUFFERED)

    assert (answer.ok, answer.record.attempts) == (True, 1)
    assert b"event: message_stop" in answer.body


def test_nothing_goes_out_before_it_is_complete():
    """Not even headers: until then it can still become an error."""

    async def scene(world: World) -> float:
        slow: Script = (sse_head(), b"".join(EVENTS[:4]), Pause(40), b"".join(EVENTS[4:]), CLOSE)
        call = world.make(stream=True, base_url=await RawUpstream((slow,)).start())
        reply = await world.engine.call(call)
        at_s = world.now_s
        assert await reply.stream.read() == STREAM
        assert await reply.stream.read() == b""
        return at_s

    assert play(scene, config=BUFFERED) == 40


def test_only_the_workflows_that_ask_for_it_are_buffered():
    """All others get what comes as it comes."""

    async def scene(world: World) -> float:
        slow: Script = (sse_head(), b"".join(EVENTS[:4]), Pause(40), b"".join(EVENTS[4:]), CLOSE)
        call = world.make(stream=True, workflow="other", base_url=await RawUpstream((slow,)).start())
        reply = await world.engine.call(call)
        reply.stream.close()
        return world.now_s

    assert play(scene, config=BUFFERED) == 0


SMALL = Config(workflows=BUFFERED.workflows, retry=RetryConfig(buffer_mb=1))
LONG = message_events("x" * 300_000, *["y" * 300_000] * 5)


def test_inv_19_a_stream_for_which_there_is_no_room_goes_out_as_it_comes():
    """INV-19: `retry.buffer_mb` bounds them all together; the answer is whole all the same."""
    answer, _, _ = answered((sse_head(), *LONG, CLOSE), config=SMALL)

    assert (answer.ok, answer.body) == (True, b"".join(LONG))


def test_inv_19_beyond_the_room_a_break_ends_in_an_error_event():
    """As of any stream that was seen: never a clean end."""
    answer, upstream, _ = answered((sse_head(), *LONG[:-3], RESET), WHOLE, config=SMALL)

    assert (answer.ok, len(upstream.seen), answer.record.outcome) == (False, 1, Outcome.TRUNCATED)
    assert b"event: error" in answer.body[-400:]


@pytest.mark.parametrize("how", ["read", "left", "broken", "cancelled", "overflowed"])
def test_inv_19_the_room_is_free_again_whatever_becomes_of_a_stream(how):
    """Read, left unread, broken, or its caller gone in the middle: the next one has all of it, and its break is not
    seen."""

    async def scene(world: World) -> bool:
        scripts: dict[str, tuple[Script, ...]] = {
            "broken": ((sse_head(), *LONG[:3], RESET),),
            "cancelled": ((sse_head(), *LONG[:3], HANG),),
            "overflowed": ((sse_head(), *LONG, CLOSE),),
        }
        base_url = await RawUpstream(scripts.get(how, ((sse_head(), *LONG[:3], *LONG[-3:], CLOSE),))).start()
        call = asyncio.create_task(world.engine.call(world.make(stream=True, base_url=base_url)))
        if how == "cancelled":
            await asyncio.sleep(1)
            call.cancel()
            await asyncio.wait([call])
        else:
            reply = await call
            if how in ("read", "overflowed"):
                while await reply.stream.read():
                    pass
            if reply.stream is not None:
                reply.stream.close()
        nearly_all: Script = (sse_head(), *LONG[:5], RESET)
        upstream = RawUpstream((nearly_all, WHOLE))
        return (await world.ask(stream=True, base_url=await upstream.start())).ok

    assert len(b"".join(LONG[:5])) > 0.8 * 1024 * 1024
    assert play(scene, config=SMALL)


def test_a_caller_that_leaves_a_complete_stream_unread_is_recorded_as_gone():
    """The attempt is charged in full; the call says how it ended for its caller."""

    async def scene(world: World) -> World:
        base_url = await RawUpstream((WHOLE,)).start()
        reply = await world.engine.call(world.make(stream=True, base_url=base_url))
        reply.stream.close()
        return world

    world = play(scene, config=BUFFERED)

    assert [call.outcome for call in world.ledger.calls] == [Outcome.CANCELLED]
    assert [row.output_tokens for row in world.ledger.attempts] == [7]
