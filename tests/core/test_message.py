"""What is read from an answer, whole or streamed, without trusting it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.message import StreamFacts, read_message
from headgate.core.sse import Splitter
from headgate.usage import MessageFacts

MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "stop_reason": "end_turn",
    "stop_sequence": None, "stop_details": None, "content": [{"type": "text", "text": "hi"}],
    "usage": {"input_tokens": 3, "output_tokens": 5},
}  # fmt: skip


def read(**changes: Any) -> MessageFacts | None:
    return read_message(json.dumps(MESSAGE | changes).encode())


# -- a whole message -------------------------------------------------------------------------------------------------


def test_a_message_is_read():
    """Id, model, stop reason, usage, and whether it says anything."""
    facts = read()

    assert (facts.id, facts.model, facts.stop_reason, facts.has_content) == (
        "msg_1",
        "claude-sonnet-5",
        "end_turn",
        True,
    )
    assert (facts.usage.input, facts.usage.output) == (3, 5)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"7", b'"message"', b"{", b"{}", b"\xff\xfe", b'{"type":"message"', b"<html></html>",
        b'{"type":"error","error":{"type":"api_error"}}', b'{"type":"completion"}', b'{"type":7,"usage":{}}',
        b'{"type":"message","usage":{"input_tokens":1e400,"output_tokens":1}}', b"[" * 100_000,
        b'{"type":"message","content":' + b"[" * 100_000, b'{"type":"message"} trailing',
    ],
)  # fmt: skip
def test_garbage_is_no_message(body):
    """None, and no exception: B19, C18, E01 as they come from the other side."""
    assert read_message(body) is None


@pytest.mark.parametrize("name", ["id", "model", "stop_reason", "stop_details", "content", "role"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "x", [[]]], ids=repr)
def test_a_field_of_another_shape_does_not_hide_the_usage(name, value):
    """What it cost is known all the same."""
    facts = read(**{name: value})

    assert (facts.usage.input, facts.usage.output) == (3, 5)


@pytest.mark.parametrize("usage", [None, 7, "x", []])
def test_a_message_without_usage_is_a_message_without_usage(usage):
    """Not zero tokens: none told."""
    assert read(usage=usage).usage is None


def test_inv_17_unknown_fields_do_not_matter():
    """New fields may appear at any time (§4)."""
    facts = read(sky="clear", usage=MESSAGE["usage"] | {"moons": 2, "service_tier": "standard"})

    assert (facts.usage.input, facts.usage.service_tier, facts.usage.anomalies) == (3, "standard", [])


@pytest.mark.parametrize("content", [[], None])
def test_a_refusal_before_output_has_no_content(content):
    """§5.2: that decides whether it is billed."""
    facts = read(stop_reason="refusal", content=content, stop_details={"type": "refusal", "category": "cyber"})

    assert (facts.has_content, facts.refusal_category) == (False, "cyber")


@pytest.mark.parametrize("padding", ["", " ", "\n" * 20, " " * 200])
def test_an_empty_list_is_empty_however_it_is_written(padding):
    """White space is no content."""
    body = json.dumps(MESSAGE).replace(json.dumps(MESSAGE["content"]), f"[{padding}]").encode()

    assert not read_message(body).has_content


def test_fallback_blocks_tell_who_declined():
    """§4: the hop before is billed at its own model's price, or not at all."""
    block = {"type": "fallback", "from": {"model": "claude-fable-5-2"}, "to": {"model": "claude-opus-5-5"},
             "trigger": {"type": "refusal", "category": "cyber"}}  # fmt: skip

    facts = read(content=[block, {"type": "text", "text": "hi"}])

    assert facts.fallback_triggers == [("claude-fable-5-2", "cyber")]


@pytest.mark.parametrize("block", [None, 7, {}, {"type": "fallback"}, {"type": "fallback", "from": 1, "trigger": 2}])
def test_a_fallback_block_of_another_shape_breaks_nothing(block):
    """It tells nothing then."""
    facts = read(
        content=[block, {"type": "text", "text": '"fallback"'}, {"type": "tool_use", "input": {"fallback": 1}}]
    )

    assert facts.fallback_triggers in ([], [(None, None)])


@given(st.binary(max_size=200))
def test_no_body_breaks_the_reader(body):
    """Whatever the wire brings."""
    facts = read_message(body)

    assert facts is None or isinstance(facts, MessageFacts)


# -- a stream --------------------------------------------------------------------------------------------------------


def event(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n".encode()


START = event("message_start", message=MESSAGE | {"content": [], "stop_reason": None,
                                                  "usage": {"input_tokens": 9, "output_tokens": 1}})  # fmt: skip
TEXT = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
WORD = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi"})
STOP = event("content_block_stop", index=0)
DELTA = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5})
END = event("message_stop")
PING = event("ping")
WHOLE = START + TEXT + PING + WORD + WORD + STOP + DELTA + END


def seen(*parts: bytes) -> StreamFacts:
    facts = StreamFacts()
    for part in parts:
        facts.feed(part)
    return facts


def state(facts: StreamFacts) -> dict[str, Any]:
    told = {name: getattr(facts, name) for name in StreamFacts.__slots__}
    message = told.pop("facts")
    usage = message.usage
    return (
        told
        | {name: getattr(message, name) for name in MessageFacts.__struct_fields__ if name != "usage"}
        | {"usage": None if usage is None else {name: getattr(usage, name) for name in usage.__struct_fields__}}
    )


def test_a_stream_is_gathered():
    """The same facts as of the whole message, and the count of its deltas."""
    facts = seen(WHOLE)

    assert (facts.started, facts.progressed, facts.final, facts.finished) == (True, True, True, True)
    assert (facts.deltas, facts.malformed, facts.unknown_events, facts.error) == (2, False, 0, None)
    assert (facts.facts.id, facts.facts.stop_reason, facts.facts.has_content) == ("msg_1", "end_turn", True)
    assert (facts.facts.usage.input, facts.facts.usage.output) == (9, 5)


@pytest.mark.parametrize("size", [*range(1, 8), 64, 1_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_c10_slices_of_a_stream_give_the_facts_of_the_whole(size, end):
    """C10: however the bytes arrive, and whatever ends their lines."""
    stream = WHOLE.replace(b"\n", end)
    splitter = Splitter()

    facts = seen(*(splitter.feed(stream[at : at + size]) for at in range(0, len(stream), size)))

    assert state(facts) == state(seen(WHOLE))


@pytest.mark.parametrize(
    ("parts", "committed"),
    [
        ((START,), False),
        ((START, PING, PING), False),
        ((START, TEXT), False),
        ((START, TEXT, PING), False),
        ((START, TEXT, WORD), True),
        ((START, event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})), False),
        ((START, event("content_block_start", index=0, content_block={"type": "tool_use", "input": {}})), False),
        ((START, event("content_block_start", index=0, content_block={"type": "web_search_tool_result"})), True),
        ((START, event("content_block_start", index=0, content_block={"type": "text", "text": "hi"})), True),
        ((START, DELTA), True),
        ((START, event("content_block_delta_of_next_year")), True),
        ((event("error", error={"type": "overloaded_error"}),), False),
        ((START, event("error", error={"type": "overloaded_error"})), False),
        ((START, TEXT, event("error", error={"type": "overloaded_error"})), False),
    ],
)
def test_c01_a_stream_is_committed_by_the_first_thing_a_reader_would_notice(parts, committed):
    """C01, C02: before that a failure can be repeated unseen; an empty block promises content and holds none."""
    assert seen(*parts).progressed is committed


def test_c02_an_error_event_is_kept_as_it_came():
    """Whose words they are decides what the caller is told."""
    data = b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}'

    assert seen(START, b"event: error\ndata: " + data + b"\n\n").error == data


def test_c04_a_stream_without_message_stop_has_not_finished():
    """C04: the end of the body is not the end of the message."""
    facts = seen(START, TEXT, WORD, STOP, DELTA)

    assert (facts.final, facts.finished) == (True, False)


@pytest.mark.parametrize(
    "delta",
    [
        b"",
        event("message_delta", delta={"stop_reason": "end_turn"}),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=None),
        event("message_delta", delta={}, usage={"output_tokens": 2}),
    ],
    ids=["none", "no-usage", "null-usage", "no-stop-reason"],
)
def test_c05_without_stop_reason_and_usage_the_counts_are_not_final(delta):
    """C05: then the output is what was counted, and is flagged as such."""
    facts = seen(START, TEXT, WORD, STOP, delta, END)

    assert (facts.final, facts.finished) == (False, True)


@pytest.mark.parametrize(
    "blocks",
    [
        (TEXT, STOP, TEXT),
        (event("content_block_start", index=1, content_block={"type": "text", "text": ""}),),
        (event("content_block_start", index=-1, content_block={"type": "text", "text": ""}),),
        (event("content_block_start", index="0", content_block={"type": "text", "text": ""}),),
        (event("content_block_start", content_block=None),),
    ],
    ids=["twice", "gap", "negative", "text", "none"],
)
def test_c06_blocks_out_of_order_are_malformed_and_break_nothing(blocks):
    """C06: noted; the rest is read as ever."""
    facts = seen(START, *blocks, WORD, STOP, DELTA, END)

    assert facts.malformed
    assert (facts.finished, facts.facts.usage.output) == (True, 5)


def test_c07_unknown_events_are_counted_and_ignored():
    """C07, INV-17: new kinds of events may come at any time, also before `message_start`."""
    facts = seen(event("hello", a=1), START, event("weather", sky="clear"), TEXT, WORD, STOP, DELTA, END)

    assert facts.unknown_events == 2
    assert (facts.malformed, facts.final, facts.facts.usage.input) == (False, True, 9)


def test_c07_unknown_deltas_are_content():
    """C07: whatever kind of delta it is, a reader was given something."""
    unknown = event("content_block_delta", index=0, delta={"type": "scent_delta", "scent": "rose"})

    facts = seen(START, TEXT, unknown, unknown, STOP, DELTA, END)

    assert (facts.deltas, facts.malformed) == (2, False)


@pytest.mark.parametrize("name", ["message_start", "content_block_start", "message_delta"])
@pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"7", b"\xff", b"[" * 50_000])
def test_an_event_that_cannot_be_read_breaks_nothing(name, data):
    """It is passed on; what it would have said is not known."""
    broken = b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"

    facts = seen(broken, TEXT, WORD, END)

    assert facts.finished
    assert facts.facts.usage is None or facts.facts.usage.anomalies


def test_the_last_of_several_deltas_counts():
    """§7.1: cumulative, so a sum over them would be wrong."""
    more = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 3})

    facts = seen(START, TEXT, WORD, more, STOP, DELTA, END)

    assert (facts.facts.usage.output, facts.facts.stop_reason) == (5, "end_turn")


@pytest.mark.parametrize("reason", [None, "end_turn"])
def test_c18_a_second_delta_that_counts_less_is_an_anomaly(reason):
    """C18: the placeholder of `message_start` may be undercut, a total never."""
    first = event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 6})

    usage = seen(START, TEXT, WORD, first, STOP, DELTA, END).facts.usage

    assert (usage.output, usage.anomalies) == (6, ["output_tokens:fell"])


def test_c11_a_refusal_in_the_middle_keeps_its_category():
    """C11: partial text came before; the category is for the log."""
    delta = event(
        "message_delta",
        delta={"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber"}},
        usage={"output_tokens": 5},
    )

    facts = seen(START, TEXT, WORD, STOP, delta, END).facts

    assert (facts.stop_reason, facts.refusal_category, facts.has_content) == ("refusal", "cyber", True)


def test_a_fallback_in_the_middle_changes_who_answers():
    """§5.2: the serving model is read from the block that marks the hand-over."""
    block = {"type": "fallback", "from": {"model": "claude-sonnet-5"}, "to": {"model": "claude-opus-5-5"},
             "trigger": {"category": "cyber"}}  # fmt: skip

    facts = seen(START, TEXT, WORD, STOP, event("content_block_start", index=1, content_block=block), DELTA, END).facts

    assert (facts.model, facts.fallback_triggers) == ("claude-opus-5-5", [("claude-sonnet-5", "cyber")])


@pytest.mark.parametrize(("part", "progress"), [(PING, False), (b": keep\n\n", False), (WORD, True), (START, True)])
def test_a_ping_is_no_progress(part, progress):
    """A stream that sends nothing but pings is given up some day."""
    assert StreamFacts().feed(part) is progress


@given(st.lists(st.sampled_from([START, TEXT, WORD, STOP, DELTA, END, PING]) | st.binary(max_size=40), max_size=12))
def test_no_stream_breaks_the_feeder(parts):
    """Whatever order, whatever bytes."""
    splitter = Splitter()

    facts = seen(*(splitter.feed(part) for part in parts))

    assert facts.deltas >= 0
