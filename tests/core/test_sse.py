"""Server-sent events, cut anywhere: the bytes come out as they came, and the events are those of the whole."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.sse import EventTooLarge, Splitter, events

PIECES = [
    b"event: ping\ndata: {}\n\n",
    b"event:ping\r\ndata:{}\r\n\r\n",
    b"event: ping\rdata: {}\r\r",
    b": a comment\n\n",
    b": a comment\r\nevent: x\r\ndata: 1\r\n\r\n",
    b"data: one\ndata: two\n\n",
    b"data\n\n",
    b"id: 7\nretry: 10\nevent: x\ndata: 2\n\n",
    b"event: caf\xc3\xa9\ndata: \xe2\x82\xac \xf0\x9f\x98\x80\n\n",
    b"data: \xff\xfe\x80 \xc3\n\n",
    b"data: \x00\x1b[31m\n\n",
    b"data:  two spaces\n\n",
    b"\n\n\n",
    b"\r\n",
    b"event: x\ndata: mixed\r\n\n",
    b"event: x\ndata: mixed\n\r\n",
    b"event: x\ndata: mixed\r\r\n",
]
BOM = b"\xef\xbb\xbf"


def reference(stream: bytes) -> list[tuple[bytes, bytes]]:
    """The events of a whole stream, by the standard's words (html.spec.whatwg.org, 9.2.6): line by line.

    Like the vendor's SDK, and unlike a browser, an event that has a name and no data counts.
    """
    found = []
    name, data = b"", []
    *lines, _unfinished = re.split(rb"\r\n|\n|\r", stream.removeprefix(BOM))
    for line in lines:
        if not line:
            if name or data:
                found.append((name, b"\n".join(data)))
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return found


def fed(chunks: list[bytes]) -> list[bytes]:
    splitter = Splitter()
    return [splitter.feed(chunk) for chunk in chunks]


def sliced(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


STREAMS = st.builds(
    lambda bom, pieces: bom + b"".join(pieces),
    st.sampled_from([b"", BOM]),
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=12) | st.text("\r\n:ab ", max_size=8).map(str.encode)),
)


@given(STREAMS, st.integers(1, 7))
def test_c10_slices_of_any_size_give_the_events_of_the_whole(stream, size):
    """C10: LF, CRLF and CR in any mix, a byte order mark, comments, several data lines, invalid UTF-8, cut every 1 to
    7 bytes."""
    told = [event for whole in fed(sliced(stream, size)) for event in events(whole)]

    assert told == reference(stream)


@given(STREAMS, st.lists(st.integers(0, 400)))
def test_c10_cuts_at_any_places_give_the_events_of_the_whole(stream, cuts):
    """C10: also where a CRLF or a character is cut in two."""
    places = [0, *sorted({min(cut, len(stream)) for cut in cuts}), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(places)]

    told = [event for whole in fed(chunks) for event in events(whole)]

    assert told == reference(stream)


@given(STREAMS, st.integers(1, 7))
def test_inv_17_what_comes_out_is_what_went_in(stream, size):
    """INV-17: no byte is changed, added or lost; what is held back is only the unfinished event at the end."""
    told = b"".join(fed(sliced(stream, size)))

    assert stream.startswith(told)
    assert reference(stream[len(told) :]) == []


@given(STREAMS, st.integers(1, 7))
def test_what_is_passed_on_always_ends_at_a_border(stream, size):
    """A caller whose stream breaks has whole events only; an error event can be put behind them."""
    for whole in fed(sliced(stream, size)):
        assert not whole or re.search(rb"(\r\n|\n|\r){2}\Z", whole)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_c10_each_line_end_alone(end):
    """The three that the standard has."""
    stream = end.join([b"event: a", b"data: 1", b"", b"event: b", b"data: 2", b"data: 3", b"", b""])

    assert list(events(Splitter().feed(stream))) == [(b"a", b"1"), (b"b", b"2\n3")]


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b"event: a\ndata: 1", (b"a", b"1")),
        (b"event:a\ndata:1", (b"a", b"1")),
        (b"data: 1\nevent: a", (b"a", b"1")),
        (b"event:  a\ndata:  1", (b" a", b" 1")),
        (b"event: a\ndata: 1\ndata:\ndata: 3", (b"a", b"1\n\n3")),
        (b"event: a", (b"a", b"")),
        (b"data: 1", (b"", b"1")),
        (b"data", (b"", b"")),
        (b"event: a\nevent: b\ndata: 1", (b"b", b"1")),
        (b": c\nevent: a\n:\ndata: 1", (b"a", b"1")),
        (b"event: a\ndata: 1\nid: 9\nretry: 3\nfoo: bar", (b"a", b"1")),
        (b"event: a\ndata: x: y", (b"a", b"x: y")),
        (BOM + b"event: a\ndata: 1", (b"a", b"1")),
    ],
)
def test_c10_fields_are_read_by_the_standard(block, event):
    """C10: one space after the colon is taken away, the last name counts, data lines are joined."""
    assert list(events(block + b"\n\n")) == [event]


@pytest.mark.parametrize("block", [b"", b": ping", b"id: 1", b"foo", b"Event: a\nData: 1", b" data: 1"])
def test_c10_what_is_no_event_is_skipped(block):
    """Comments and fields that nobody knows are passed on and mean nothing."""
    assert list(events(block + b"\n\n")) == []


def test_a_whole_event_is_passed_on_at_once():
    """Held back is only what is not finished: a stream is not slower for being looked at."""
    splitter = Splitter()

    assert splitter.feed(b"event: a\ndata: 1\n\nevent: b\nda") == b"event: a\ndata: 1\n\n"
    assert splitter.feed(b"ta: 2\n") == b""
    assert splitter.feed(b"\n") == b"event: b\ndata: 2\n\n"


def test_c08_an_event_without_end_is_given_up():
    """C08: 64 MB without a blank line are not gathered; the bound is 8 MB."""
    with pytest.raises(EventTooLarge, match="8388608 bytes"):
        fed([b"x" * (1024 * 1024)] * 64)


def test_c08_events_up_to_the_bound_pass():
    """An event of 8 MB is large, and whole."""
    splitter = Splitter(max_event_bytes=1_000)

    assert splitter.feed(b"data: " + b"x" * 994) == b""
    assert len(splitter.feed(b"\n\n")) == 1_002
