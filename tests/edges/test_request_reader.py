"""Requests are what was sent, not the pieces in which it came."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.net.app import BodyPlan, Request, Response
from headgate.net.request_reader import BodyMemory, Breach, RequestReader

MOST_HEAD_BYTES, MOST_BODY_BYTES, MOST_MEMORY_BYTES = 400, 1_000, 10_000_000


class Taker:
    """Takes what is read, and answers nothing."""

    busy = False

    def __init__(self) -> None:
        self.memory = BodyMemory(MOST_MEMORY_BYTES)
        self.taken: list[tuple[Request, Response | None]] = []
        self.breach: Breach | None = None
        self._reader = RequestReader(
            self, self._begin, self.memory, "peer", lambda: 0.0, most_head_bytes=MOST_HEAD_BYTES
        )

    def read(self, wire: bytes, cuts: list[int]) -> Any:
        """What comes of `wire` in pieces: requests, and the first breach."""
        ends = [*sorted({cut % len(wire) for cut in cuts} - {0}), len(wire)]
        for begin, end in zip([0, *ends], ends, strict=False):
            self.breach = self.breach or self._reader.feed(wire[begin:end])
        requests = [(r.method, r.path, r.query, r.headers, r.keep_alive, r.body) for r, _ in self.taken]
        return requests, [answer and answer.status for _, answer in self.taken], self.breach

    def stop(self) -> None:
        self._reader.stop()

    def _begin(self, request: Request) -> BodyPlan | Response:
        return Response(403) if request.path == "/refused" else BodyPlan(MOST_BODY_BYTES)

    def take(self, request: Request, answer: Response | None) -> None:
        self.taken.append((request, answer))

    def invite(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def post(*lines: bytes, body: bytes = b"", path: bytes = b"/", host: bytes = b"host: a") -> bytes:
    head = b"".join(line + b"\r\n" for line in (host, *lines))
    return b"POST %s HTTP/1.1\r\n%s\r\n%s" % (path, head, body)


WHOLE = post(b"Content-Length: 5", b"X-A: 1", body=b"hello", path=b"/a?b=c")
CHUNKED = post(b"transfer-encoding: chunked", body=b"3;e=1\r\nhel\r\n2\r\nlo\r\n0\r\ntrailer: 1\r\n\r\n")
OFFER = post(b"connection: upgrade", b"upgrade: h2c", b"content-length: 2", body=b"hi")
REFUSED = post(b"content-length: 3", body=b"abc", path=b"/refused")
LONG_HEAD = post(b"x: " + b"y" * 200, b"z: " + b"y" * 200)
LONG_BODY = post(b"transfer-encoding: chunked", body=b"384\r\n%s\r\n" % (b"x" * 900) * 2)
TWO_HOSTS = post(b"host: b")
ENDLESS_TRAILERS = post(b"transfer-encoding: chunked", body=b"0\r\n" + b"t: 1\r\n" * 200)
GARBAGE = post(b"content-length: 2, 3")

WIRES = (
    WHOLE, CHUNKED, OFFER, REFUSED, WHOLE + CHUNKED + OFFER + WHOLE, LONG_HEAD, WHOLE + LONG_HEAD, LONG_BODY, TWO_HOSTS,
    GARBAGE, WHOLE + GARBAGE, LONG_BODY + b"\0", post(b"content-length: 1001"), post(b"expect: miracles"),
)  # fmt: skip


@pytest.mark.parametrize("wire", WIRES, ids=range(len(WIRES)))
@given(cuts=st.lists(st.integers(1, 5_000), max_size=8))
def test_the_pieces_in_which_requests_come_change_nothing(wire: bytes, cuts: list[int]):
    """Neither what is read nor what is refused."""
    assert Taker().read(wire, cuts) == Taker().read(wire, [])


def test_what_is_read_is_what_was_sent():
    """Names of headers in lower case; without trailers, and without an offer to speak another protocol."""
    requests, answers, breach = Taker().read(WHOLE + CHUNKED + OFFER + REFUSED, [])

    assert [(path, query, dict(headers), body) for _, path, query, headers, _, body in requests] == [
        ("/a", "b=c", {b"host": b"a", b"content-length": b"5", b"x-a": b"1"}, b"hello"),
        ("/", "", {b"host": b"a", b"transfer-encoding": b"chunked"}, b"hello"),
        ("/", "", {b"host": b"a", b"connection": b"upgrade", b"content-length": b"2"}, b"hi"),
        ("/refused", "", {b"host": b"a", b"content-length": b"3"}, b""),
    ]
    assert (answers, breach) == ([None, None, None, 403], None)


@pytest.mark.parametrize(
    ("wire", "status"),
    [(LONG_HEAD, 431), (ENDLESS_TRAILERS, 431), (LONG_BODY, 413), (TWO_HOSTS, 400), (LONG_BODY + b"\0", 413)],
)
def test_the_first_breach_counts(wire: bytes, status: int):
    """What follows it is not read."""
    requests, _, breach = Taker().read(wire, list(range(0, len(wire), 50)))

    assert requests == []
    assert breach is not None
    assert breach[0] == status


@given(cuts=st.lists(st.integers(1, 5_000), max_size=8), wire=st.sampled_from(WIRES), sent=st.floats(0, 1))
def test_memory_for_bodies_is_given_back_to_the_byte(wire: bytes, cuts: list[int], sent: float):
    """At whatever byte a connection ends: what is left is what requests that were handed on hold."""
    taker = Taker()
    taker.read(wire[: max(1, round(sent * len(wire)))], cuts)

    taker.stop()

    assert taker.memory.held_bytes == sum(request.reserved for request, _ in taker.taken)
