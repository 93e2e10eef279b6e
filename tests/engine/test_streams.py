"""Streams that break, lie or hold what nobody expects: what the caller gets, and what is written down."""

from __future__ import annotations

import asyncio
import gc

import msgspec
import pytest

from headgate.call import Attempt, Call
from headgate.config.schema import Config, WorkflowConfig
from headgate.events import ErrorClass, Outcome, UsageSource
from support.raw_upstream import (
    CLOSE,
    HANG,
    RESET,
    Pause,
    RawUpstream,
    Script,
    event,
    json_reply,
    message,
    message_events,
    sse_head,
    whole,
)
from support.world import KEY, Answer, World, play

EVENTS = message_events("Wasser – 水", ' {"depth":', " 7}")
STREAM = b"".join(EVENTS)
WHOLE: Script = (sse_head(), STREAM, CLOSE)
BEFORE_CONTENT = len(EVENTS[0] + EVENTS[1])
DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "more"})


async def ask_of(world: World, *scripts: Script, stream: bool = True) -> tuple[Answer, RawUpstream]:
    """One call to an upstream that answers with these scripts, one after the other."""
    upstream = RawUpstream(scripts)
    answer = await world.ask(stream=stream, base_url=await upstream.start())
    return answer, upstream


def answered(*scripts: Script, stream: bool = True, config: Config | None = None) -> tuple[Answer, RawUpstream, World]:
    async def scene(world: World) -> tuple[Answer, RawUpstream, World]:
        return *await ask_of(world, *scripts, stream=stream), world

    return play(scene, config=config)


def error_of(body: bytes) -> str:
    """The type of the error in the last event of a stream."""
    name, _, data = body.rstrip().rpartition(b"\n\n")[2].partition(b"\ndata: ")
    assert name == b"event: error"
    return msgspec.json.decode(data)["error"]["type"]


# -- C01 to C04: streams that break ------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [RESET, CLOSE])
def test_c01_a_stream_that_breaks_at_any_byte_before_its_content_is_repeated_unseen(end):
    """Between events, in the middle of one, of a number or of a character: the caller sees one whole stream."""
    first_delta = BEFORE_CONTENT + len(EVENTS[2])

    async def scene(world: World) -> list[int]:
        return [
            n
            for n in range(first_delta)
            if (await ask_of(world, (sse_head(), STREAM[:n], end), WHOLE))[0].body != STREAM
        ]

    assert play(scene) == []


@pytest.mark.parametrize("end", [RESET, CLOSE])
def test_c01_a_stream_that_breaks_at_any_byte_of_its_content_ends_with_an_error_event(end):
    """INV-07, INV-08: after content nothing is repeated and there is no clean end; the caller gets whole events, then
    an `error` event, and only what was really sent."""
    stop = len(STREAM) - len(b"\n")

    async def scene(world: World) -> list[int]:
        wrong = []
        for n in range(BEFORE_CONTENT + len(EVENTS[2]), stop):
            answer, upstream = await ask_of(world, (sse_head(), STREAM[:n], end), WHOLE)
            kept = STREAM[: STREAM.rindex(b"\n\n", 0, n) + 2]
            right = answer.body.startswith(kept) and error_of(answer.body) == "api_error"
            if not right or answer.body.count(b"event: ") != kept.count(b"event: ") + 1 or len(upstream.seen) != 1:
                wrong.append(n)
            assert (answer.ok, answer.record.outcome) == (False, Outcome.TRUNCATED)
        return wrong

    assert play(scene) == []


def test_c01_a_break_after_the_last_event_is_none():
    """`message_stop` is the end of a stream, however its connection goes."""
    answer, _, _ = answered((sse_head(), STREAM, RESET))

    assert (answer.ok, answer.body, answer.record.outcome) == (True, STREAM, Outcome.OK)


def test_c01_what_broke_is_charged_in_full_and_again():
    """The API bills what it sent: an attempt that broke unseen has its own row with its own input."""
    answer, _, world = answered((sse_head(), STREAM[:BEFORE_CONTENT], RESET), WHOLE)

    sources = [(attempt.usage_source, attempt.input_tokens) for attempt in world.ledger.attempts]

    assert sources == [(UsageSource.OBSERVED, 21), (UsageSource.VENDOR, 21)]
    assert answer.record.input_tokens == 42


@pytest.mark.parametrize("type_", ["overloaded_error", "api_error", "timeout_error", "rate_limit_error"])
def test_c02_an_error_as_the_first_event_is_repeated_like_the_status_it_stands_for(type_):
    """A 200 that turns out to be none: nothing has been seen, so it is tried again."""
    error = event("error", error={"type": type_, "message": "no"})

    answer, upstream, _ = answered((sse_head(), error, CLOSE), WHOLE)

    assert (answer.body, len(upstream.seen)) == (STREAM, 2)


def test_c02_an_error_as_the_first_event_that_would_come_again_is_the_answer():
    """Not tried again; the API's own words become an ordinary error reply."""
    error = event("error", error={"type": "invalid_request_error", "message": "no"})

    answer, upstream, _ = answered((sse_head(), error, CLOSE), WHOLE)

    assert (answer.reply.stream, answer.document["error"]["type"], len(upstream.seen)) == (
        None,
        "invalid_request_error",
        1,
    )


def test_c03_an_error_after_content_goes_to_the_caller():
    """Committed: no second try, and not a success.  What came before is untouched; the error is told in our words."""
    error = event("error", error={"type": "overloaded_error", "message": "Org acme: later"})

    answer, upstream, world = answered((sse_head(), b"".join(EVENTS[:3]) + error, CLOSE), WHOLE)

    told = answer.body.removeprefix(b"".join(EVENTS[:3]))
    assert (answer.ok, error_of(told), b"acme" in told, len(upstream.seen)) == (False, "overloaded_error", False, 1)
    assert world.attempts() == [(ErrorClass.OVERLOADED, None)]


@pytest.mark.parametrize("end", [CLOSE, HANG])
def test_c03_an_error_after_the_hold_ends_the_stream_although_no_content_came(end):
    """What was held is with the caller, so the error is its answer: at once, and without our key where its workflow
    has the API's own words."""
    error = event("error", error={"type": "overloaded_error", "message": f"Overloaded {KEY}"})
    config = Config(workflows={"test": WorkflowConfig(api_error_text=True)})
    answer, upstream, _ = answered((sse_head(), EVENTS[0], Pause(10), error, end), config=config)

    assert answer.body == EVENTS[0] + error.replace(KEY.encode(), b"***")
    assert (answer.record.error, answer.record.input_tokens) == (ErrorClass.OVERLOADED, 21)
    assert (answer.record.total_ms, len(upstream.seen)) == (10_000, 1)


@pytest.mark.parametrize("length", [b"", b"content-length: %d"])
def test_c04_a_stream_without_message_stop_is_a_failure(length):
    """However cleanly the connection or the body ends."""
    short = b"".join(EVENTS[:-1])
    head = sse_head(length % len(short)) if length else sse_head()

    answer, _, _ = answered((head, short, CLOSE))

    assert (answer.ok, answer.record.outcome, error_of(answer.body)) == (False, Outcome.TRUNCATED, "api_error")


def test_c04_an_empty_stream_is_a_failure():
    """Status 200, no event at all: tried again, and in the end an error."""
    answer, upstream, world = answered((sse_head(), CLOSE))

    assert (answer.ok, answer.reply.status, len(upstream.seen)) == (False, 0, 4)
    assert {error for error, _ in world.attempts()} == {ErrorClass.STREAM_CUT}


# -- C05 to C10: streams that hold odd things --------------------------------------------------------------------------


def test_c05_a_stream_without_its_final_usage_is_a_success_and_marked():
    """The text is whole; output is counted from the deltas."""
    bare = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None})

    answer, _, _ = answered((sse_head(), b"".join([*EVENTS[:-2], bare, EVENTS[-1]]), CLOSE))

    record = answer.record
    assert (answer.ok, record.usage_source, record.input_tokens, record.output_tokens) == (
        True,
        UsageSource.OBSERVED,
        21,
        3,
    )


ODD = {
    "c06 the same block twice": [*EVENTS[:2], EVENTS[1], *EVENTS[2:]],
    "c06 a delta before its block": [EVENTS[0], EVENTS[2], EVENTS[1], *EVENTS[3:]],
    "c06 an index nobody opened": [*EVENTS[:3], DELTA.replace(b'"index":0', b'"index":41'), *EVENTS[3:]],
    "c06 two starts": [EVENTS[0], *EVENTS],
    "c07 an unknown event": [*EVENTS[:3], event("weather", sky="clear"), *EVENTS[3:]],
    "c07 an unknown delta": [*EVENTS[:3], DELTA.replace(b"text_delta", b"smell_delta"), *EVENTS[3:]],
    "c07 an unknown block": [*EVENTS[:1], EVENTS[1].replace(b'"text"', b'"hologram"', 1), *EVENTS[2:]],
    "c10 bytes that are not UTF-8": [*EVENTS[:3], b'event: x\ndata: "\xff\xfe\xc0"\n\n', *EVENTS[3:]],
    "c10 CRLF line ends": [part.replace(b"\n", b"\r\n") for part in EVENTS],
    "c10 comments": [EVENTS[0], b": a comment\n\n", *EVENTS[1:]],
    "c22 control characters": [*EVENTS[:3], DELTA.replace(b"more", b"\\u001b[31m\\u0000"), *EVENTS[3:]],
}


@pytest.mark.parametrize("events", ODD.values(), ids=ODD)
def test_inv_17_odd_events_go_to_the_caller_byte_for_byte(events):
    """INV-17: what we do not understand is not ours to change or to refuse, and the usage is read all the same."""
    odd = b"".join(events)

    answer, _, _ = answered((sse_head(), odd, CLOSE))

    assert (answer.ok, answer.body, answer.record.output_tokens) == (True, odd, 7)


@pytest.mark.parametrize("size", range(1, 8))
def test_c10_events_in_slices_of_any_size_are_whole_events_again(size):
    """However the network cuts them, within characters too."""
    slices = [step for n in range(0, len(STREAM), size) for step in (STREAM[n : n + size], Pause(0.001))]

    answer, _, _ = answered((sse_head(), *slices, CLOSE))

    assert (answer.ok, answer.body, answer.record.output_tokens) == (True, STREAM, 7)


def test_c08_an_event_that_never_ends_is_cut_at_eight_megabytes():
    """Memory stays bounded: the connection is closed, and the caller told."""
    megabyte = b"x" * 1024 * 1024
    endless: Script = (sse_head(), b"".join(EVENTS[:3]), *[megabyte, Pause(1)] * 64)

    answer, upstream, world = answered(endless)

    assert world.attempts() == [(ErrorClass.PROTOCOL, None)]
    assert (upstream.lost_s[0] < 10, error_of(answer.body)) == (True, "api_error")


def test_c09_a_hundred_thousand_tiny_events_hold_up_nobody():
    """Other calls are answered while a flood is read, and nothing of the flood is lost."""
    flood = b"".join([*EVENTS[:3], DELTA * 100_000, *EVENTS[3:]])

    async def scene(world: World) -> tuple[bool, bool, bool]:
        flooded = asyncio.create_task(ask_of(world, (sse_head(), flood, CLOSE)))
        other = await world.ask("slow=1")
        return other.ok, (await flooded)[0].body == flood, (await flooded)[0].ok

    assert play(scene) == (True, True, True)


def test_c22_control_characters_of_an_answer_never_reach_the_log():
    """What the API says of itself (here its model's name) is escaped in log lines."""
    events = message_events("hi", model="claude-sonnet-5-5\x1b[31m")

    _, _, world = answered((sse_head(), b"".join(events), CLOSE))

    assert b"\x1b" not in b"".join(world.log.lines)


# -- C11 to C14: why the model stopped ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_c11_a_refusal_midway_is_no_success_and_is_not_repeated(stream):
    """INV-08: the partial text goes to the caller; the category is logged; the same model is not asked again."""
    answer = play(lambda world: world.ask("refusal-mid=cyber", stream=stream))

    record = answer.record
    assert (record.outcome, record.refusal_category, record.attempts) == (Outcome.REFUSED, "cyber", 1)


@pytest.mark.parametrize(
    ("sim", "stop_reason"),
    [
        ("max-tokens", "max_tokens"),
        ("pause-turn", "pause_turn"),
        ("context-exceeded", "model_context_window_exceeded"),
        ('tool=look:{"id":7}', "tool_use"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_c12_c13_c14_why_the_model_stopped_is_written_down(sim, stop_reason, stream):
    """Nothing is repaired by guessing: the answer goes on as it is, and the record tells its kind of end."""
    answer = play(lambda world: world.ask(sim, stream=stream, max_tokens=200))

    assert (answer.record.stop_reason, answer.record.attempts) == (stop_reason, 1)


def test_c14_a_stop_reason_of_the_future_is_passed_on_and_written_down():
    """INV-17: a new value is not ours to judge yet."""
    events = b"".join(message_events("hi", stop_reason="enlightenment"))

    answer, _, _ = answered((sse_head(), events, CLOSE))

    assert (answer.body, answer.record.stop_reason) == (events, "enlightenment")


# -- C18, C20, C21: figures and frames that lie ------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, None, "7", 2**63, 1.5, True, [], {}], ids=repr)
@pytest.mark.parametrize("stream", [True, False])
def test_c18_an_output_count_that_is_none_is_not_taken(value, stream):
    """Marked, without a price of its own, and with an estimate beside it: never zero."""
    if stream:
        end = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": value})
        script: Script = (sse_head(), b"".join([*EVENTS[:-2], end, EVENTS[-1]]), CLOSE)
    else:
        script = (json_reply(200, {**message(), "usage": {"input_tokens": 21, "output_tokens": value}}),)

    answer, _, world = answered(script, stream=stream)

    [attempt] = world.ledger.attempts
    assert (answer.ok, attempt.usage_anomaly, attempt.cost_pico) == (True, "output_tokens", None)
    assert attempt.unconfirmed_pico > 0


BODY = msgspec.json.encode(message())


def framed(*lines: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-type: application/json", *lines, b"", b""])


LIES = {
    "c20 the body is shorter than it said": (framed(b"content-length: 9999") + BODY, CLOSE),
    "c20 the body is longer than it said": (framed(b"content-length: %d" % len(BODY)) + BODY + b"surplus",),
    "c20 chunks that are none": (framed(b"transfer-encoding: chunked") + b"zz\r\n" + BODY,),
    "c20 two lengths": (framed(b"content-length: 5", b"content-length: 6") + BODY,),
    "c20 no HTTP at all": (b"SSH-2.0-OpenSSH_9.9\r\n\r\n",),
    "c21 huge headers": (framed(b"x-a: " + b"a" * 100_000, b"content-length: %d" % len(BODY)) + BODY,),
    "c21 endless headers": (b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 20_000,),
    "c19 a compressed body": (framed(b"content-encoding: gzip", b"content-length: 4") + b"\x1f\x8b\x08\x00",),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_c19_c20_c21_an_answer_that_breaks_http_costs_its_connection(lie):
    """It is repeated on another connection; the one that lied is never used again."""
    answer, upstream, world = answered(lie, (json_reply(200, message()),), stream=False)

    assert (answer.ok, [seen.connection for seen in upstream.seen]) == (True, [1, 2])
    assert world.ledger.attempts[0].unconfirmed_pico > 0


def test_c20_an_answer_that_breaks_http_takes_nothing_from_the_one_before():
    """On a connection that is used again: its status and its ids are not those of the last good answer."""

    async def scene(world: World) -> World:
        good = json_reply(200, message(), b"request-id: req_good")
        base_url = await RawUpstream(((good,), LIES["c20 the body is longer than it said"], (good,))).start()
        for _ in range(2):
            await world.ask(base_url=base_url)
        return world

    rows = play(scene).ledger.attempts

    assert [(row.error, row.status, row.upstream_request_id) for row in rows] == [
        (None, 200, "req_good"),
        (ErrorClass.PROTOCOL, None, None),
        (None, 200, "req_good"),
    ]


# -- before the content ------------------------------------------------------------------------------------------------


def test_c01_output_that_the_api_has_told_of_counts_though_the_stream_broke():
    """A delta of usage in the middle knows more than the few deltas of content that were seen."""
    told = event("message_delta", delta={}, usage={"output_tokens": 5_000})
    answer, _, _ = answered((sse_head(), *EVENTS[:3], told, CLOSE))

    assert (answer.record.output_tokens, answer.record.usage_source) == (5_000, UsageSource.OBSERVED)


@pytest.mark.parametrize("head", [b"content-type: Application/JSON", b"content-type: text/plain", b"x: y"])
def test_a_whole_message_is_one_whatever_it_is_called(head):
    """Only events are passed on while they come; all else is read, and charged, by what it is."""
    answer, _, _ = answered((whole(200, msgspec.json.encode(message()), head),), stream=False)

    assert (answer.ok, answer.record.input_tokens, answer.record.usage_source) == (True, 21, UsageSource.VENDOR)


def test_a_stream_that_breaks_before_its_first_event_may_have_cost():
    """Status 200 and nothing more: nobody knows what it used."""
    _, _, world = answered((sse_head(), CLOSE), WHOLE)

    first = world.ledger.attempts[0]
    assert (first.usage_source, first.unconfirmed_pico > 0) == (UsageSource.UNKNOWN, True)


def test_the_opening_of_a_stream_is_held_no_longer_than_hold_s():
    """Held so that a failure can be repeated unseen; after five seconds the caller is served all the same."""

    async def scene(world: World) -> tuple[float, bytes]:
        late: Script = (sse_head(), EVENTS[0], Pause(30), b"".join(EVENTS[1:]), CLOSE)
        reply = await world.engine.call(world.make(stream=True, base_url=await RawUpstream((late,)).start()))
        first = await reply.stream.read()
        at_s = world.now_s
        reply.stream.close()
        return at_s, first

    assert play(scene) == (5, EVENTS[0])


@pytest.mark.parametrize(
    "scripts",
    [(WHOLE,), ((sse_head(), STREAM[:BEFORE_CONTENT], RESET), WHOLE), ((sse_head(), *EVENTS[:3], RESET),)],
    ids=["whole", "asked again", "broken"],
)
def test_what_was_streamed_is_let_go_at_once(scripts: tuple[Script, ...]):
    """Prompts may be large: they do not wait for the garbage collector."""

    def kept() -> int:
        return sum(isinstance(each, Call | Attempt) for each in gc.get_objects())

    async def scene(world: World) -> int:
        gc.collect()
        before = kept()
        await ask_of(world, *scripts)
        await asyncio.sleep(0)
        return kept() - before

    gc.disable()
    try:
        assert play(scene) == 0
    finally:
        gc.enable()
