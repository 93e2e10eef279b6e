"""POST to an address: whole, once, bounded, and nothing in it that could begin another request."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest

from headgate.net.client import WireError
from headgate.net.post import MOST_ANSWER_BYTES, Posted, Poster, post
from headgate.upstream.dial import TcpDial
from support.http_receiver import http_receiver

DIAL = TcpDial()


def posted(url: str, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"{}", within_s: float = 5.0) -> Posted:
    return asyncio.run(post(url, headers, body, DIAL, within_s=within_s))


def test_a_body_arrives_whole_with_path_query_and_headers():
    """However large."""
    body = b"x" * 300_000
    with http_receiver() as listener:
        answer = posted(f"{listener.url}/a/b?c=d", (("x-one", "1"),), body)

    (got,) = listener.got
    assert (answer.status, answer.body) == (200, b"ok")
    assert (got.path, got.headers["x-one"], got.body == body) == ("/a/b?c=d", "1", True)


def all_posted(url: str, bodies: Sequence[bytes]) -> list[Posted]:
    """One after the other."""

    async def scene() -> list[Posted]:
        poster = Poster(url, DIAL, keepalive_s=5.0)
        answers = [await poster.post((), body, within_s=5.0) for body in bodies]
        poster.close()
        return answers

    return asyncio.run(scene())


def test_what_is_posted_to_one_address_goes_over_one_connection():
    """Shaking hands anew for each would cost more than the rest; a single post keeps none."""
    with http_receiver() as listener:
        all_posted(listener.url, [b"1", b"2"])
        posted(listener.url)

    first, second, single = listener.got
    assert first.port == second.port != single.port
    assert "connection" not in first.headers
    assert single.headers["connection"] == "close"


def test_a_connection_whose_answer_was_cut_off_is_not_used_again():
    """What is left of the answer would be taken for the next."""
    with http_receiver() as listener:
        listener.body = b"x" * 4 * 1024 * 1024
        answers = all_posted(listener.url, [b"1", b"2"])

    first, second = listener.got
    assert [len(answer.body) for answer in answers] == [MOST_ANSWER_BYTES] * 2
    assert first.port != second.port


@pytest.mark.parametrize(
    "header",
    [("x a", "1"), ("x-a:", "1"), ("x-a", "1\r\nx-b: 2"), ("x-a\r\nx-b", "1"), ("x-a", "\u2028"), ("x-a", "\x00")],
)
def test_a_header_that_would_not_end_where_it_should_is_not_sent(header: tuple[str, str]):
    """Nor anything with it."""
    with http_receiver() as listener:
        with pytest.raises(ValueError, match="cannot be sent"):
            posted(listener.url, (header,))

        assert listener.got == []


def test_an_answer_without_an_end_is_read_no_further_than_anybody_wants():
    """And the connection is closed, which ends whoever sends it."""

    def send_without_end(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65_536)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=send_without_end, args=(server,))
        thread.start()
        answer = posted(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join(timeout=20)

    assert (answer.status, len(answer.body), thread.is_alive()) == (200, MOST_ANSWER_BYTES, False)


def test_a_silent_peer_is_left_in_time():
    """However long it would take."""
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(WireError) as caught:
        posted(f"http://127.0.0.1:{silent.getsockname()[1]}/", within_s=0.05)

    assert caught.value.kind == "deadline"
