"""A Message as a stream, and back."""

from __future__ import annotations

import msgspec
import pytest

from headgate.core.canned import canned_message, without_usage
from headgate.core.message import StreamFacts, read_message
from headgate.core.message_stream import events_of, message_of
from headgate.core.sse import events

CITATION = {"type": "char_location", "cited_text": "x", "document_index": 0}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [
        {"type": "thinking", "thinking": "let me see", "signature": "c2ln"},
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "text", "text": "Grüße,\n\nevent: error", "citations": [CITATION]},
        {"type": "text", "text": ""},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 5},
}


def test_a_message_comes_back_out_of_its_stream():
    """Nothing is lost on the way, thinking and citations included."""
    assert message_of(events_of(MESSAGE)) == MESSAGE


def test_its_stream_is_one_that_a_reader_takes_for_whole():
    """Blocks in order, a final count, and the closing event."""
    facts = StreamFacts()

    facts.feed(events_of(MESSAGE))

    assert (facts.finished, facts.final, facts.malformed, facts.facts.stop_reason) == (True, True, False, "end_turn")


def test_the_first_event_promises_nothing():
    """No content and no stop reason before there are any."""
    name, data = next(events(events_of(MESSAGE)))

    shell = msgspec.json.decode(data)["message"]
    assert (name, shell["content"], shell["stop_reason"]) == (b"message_start", [], None)


def test_the_input_of_a_tool_comes_in_deltas():
    """§7.1: its block begins with none, and many readers look for it nowhere else."""
    told = [msgspec.json.decode(data) for name, data in events(events_of(MESSAGE)) if name.startswith(b"content_block")]

    tools = [event["content_block"] for event in told if event.get("content_block", {}).get("type") == "tool_use"]
    pieces = [event["delta"]["partial_json"] for event in told if "partial_json" in event.get("delta", {})]
    assert [tool["input"] for tool in tools] == [{}, {}]
    assert pieces == ["", '{"city":"Paris"}', "", "{}"]


def test_why_an_answer_was_declined_comes_with_its_end():
    """§7.1: in the delta, where SDKs take it from."""
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    declined = MESSAGE | {"content": [], "stop_reason": "refusal", "stop_details": details}

    told = {name: msgspec.json.decode(data) for name, data in events(events_of(declined))}

    assert told[b"message_start"]["message"]["stop_details"] is None
    assert told[b"message_delta"]["delta"]["stop_details"] == details
    assert message_of(events_of(declined)) == declined


@pytest.mark.parametrize(
    "change",
    [
        lambda stream: stream[: stream.index(b"event: message_stop")],
        lambda stream: stream[stream.index(b"event: content_block_start") :],
        lambda stream: stream.replace(b"text_delta", b"strange_delta"),
        lambda stream: stream.replace(b"event: message_stop", b"event: news"),
        lambda stream: stream.replace(b'"index":2', b'"index":7'),
        lambda stream: stream.replace(b'{"type":"message_delta"', b'{"type"'),
    ],
)
def test_a_stream_that_is_not_whole_or_not_understood_makes_no_message(change):
    """Better none than a wrong one."""
    stream = change(events_of(MESSAGE))

    assert message_of(stream) is None


def test_a_stream_that_began_anew_makes_the_message_of_its_second_half():
    """What was read of the first is void."""
    whole = events_of(MESSAGE)
    broken = whole[: whole.index(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":2}')]

    assert message_of(broken + whole) == MESSAGE


def test_pings_and_several_counts_are_taken_as_they_are():
    """§7.1: counts are totals, the last one counts; a null changes nothing."""
    usage = b'{"output_tokens":9,"input_tokens":null}'
    more = b'event: message_delta\ndata: {"type":"message_delta","delta":{},"usage":%s}\n\n' % usage
    ping = b'event: ping\ndata: {"type":"ping"}\n\n'
    stop = b"event: message_stop"
    stream = events_of(MESSAGE).replace(stop, ping + more + stop)

    assert message_of(stream)["usage"] == {"input_tokens": 3, "output_tokens": 9}  # type: ignore[index]


def test_a_canned_message_is_a_message_and_shows_in_its_id():
    """So that a program that keeps ids can tell."""
    message = canned_message("Sorry.", model="claude-sonnet-5-5", call_id="call_0123")

    facts = read_message(msgspec.json.encode(message))
    assert facts is not None
    assert (facts.id, facts.stop_reason, facts.has_content) == ("msg_headgate_0123", "end_turn", True)
    assert facts.usage is not None
    assert (facts.usage.counted_input, facts.usage.output, facts.usage.anomalies) == (0, 0, [])


def test_an_answer_that_is_given_again_has_used_nothing():
    """It was paid for once; a caller that adds up must not count it twice."""
    assert set(without_usage(MESSAGE)["usage"].values()) == {0}
    assert MESSAGE["usage"] == {"input_tokens": 3, "output_tokens": 5}
