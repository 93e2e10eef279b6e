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
