"""W3C Trace Context, read and written."""

from __future__ import annotations

import pytest

from headgate.core.trace_context import read_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [(f"00-{TRACE}-{PARENT}-01", True), (f"00-{TRACE}-{PARENT}-00", False), (f"00-{TRACE}-{PARENT}-03", True),
     (f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", True)],
)  # fmt: skip
def test_a_caller_says_its_trace_its_span_and_whether_it_is_kept(header, sampled):
    """Of a later version what is known of it."""
    found = read_traceparent(header.encode(), None)

    assert found is not None
    assert (found.trace_id, found.parent_id, found.sampled) == (TRACE, PARENT, sampled)


@pytest.mark.parametrize(
    "header",
    ["", "x", f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
     f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more",
     f"00-{TRACE}-{PARENT}-01\r\nx: y"],
)  # fmt: skip
def test_what_is_no_traceparent_is_none(header):
    assert read_traceparent(header.encode(), None) is None


@pytest.mark.parametrize(
    ("state", "kept"),
    [(b"a=1,b=2", "a=1,b=2"), (None, ""), (b"x" * 513, ""), (b"a=\xff", ""), (b"a=\x1b[2J", ""), (b"a=1\r\nx: y", "")],
)
def test_what_vendors_say_is_passed_on_if_it_can_be(state, kept):
    found = read_traceparent(f"00-{TRACE}-{PARENT}-01".encode(), state)

    assert found is not None
    assert found.state == kept


def test_each_attempt_has_a_span_of_its_own():
    """Also where the numbers come to their end; 0 is no span."""
    found = read_traceparent(f"00-{TRACE}-{PARENT}-01".encode(), None)
    assert found is not None
    for own in (1, 2**64 - 1, 2**64 - 2):
        found.span_id = own
        spans = [found.span_of(number) for number in (1, 2, 3)]

        assert len({own, *spans}) == 4
        assert 0 not in spans


def test_whoever_is_told_becomes_a_child():
    found = read_traceparent(f"00-{TRACE}-{PARENT}-01".encode(), None)
    assert found is not None

    assert found.traceparent(0) == f"00-{TRACE}-{PARENT}-01"
    assert found.traceparent(255) == f"00-{TRACE}-00000000000000ff-01"
