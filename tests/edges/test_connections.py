"""Connections that are used again: nothing of one exchange reaches the next."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from headgate.net.app import BodyPlan, Response
from headgate.net.server import Server
from headgate.net.server_limits import ServerLimits
from headgate.sim.virtual_time import run
from support.edge import MESSAGE, body_of, play, request_of

ANSWER = msgspec.json.encode(MESSAGE)


def head_of(length: int, status: int = 200, request_id: str = "req_up") -> bytes:
    return (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
        f"request-id: {request_id}\r\n\r\n"
    ).encode()


# -- towards the API ---------------------------------------------------------------------------------------------------


def test_a_connection_that_carried_much_still_waits_for_a_body_that_comes_after_its_head():
    """What was read before does not count against what may be read ahead."""
    large = msgspec.json.encode(MESSAGE | {"content": [{"type": "text", "text": "x" * 60_000}]})

    async def upstream(exchange):
        if len(exchange.body) > 200:
            await exchange.answer(large)
        else:
            await exchange.send(head_of(len(ANSWER)))
            await asyncio.sleep(0.01)
            await exchange.send(ANSWER)

    async def scene(edge):
        for _ in range(6):
            await edge.ask(body=body_of("x" * 200))
        reply = await edge.ask()
        return reply, {exchange.connection for exchange in edge.raw.exchanges}

    reply, connections = play(scene, upstream=upstream)

    assert (reply.status, reply.body) == (200, ANSWER)
    assert connections == {1}


def test_c20_a_second_response_to_one_request_is_a_protocol_error():
    """Whose it is nobody knows: neither is believed, and the connection is not used again."""

    async def upstream(exchange):
        await exchange.send(head_of(0, 429, "req_one") + head_of(len(ANSWER), 200, "req_two") + ANSWER)

    async def scene(edge):
        replies = [await edge.ask() for _ in range(2)]
        return replies, [exchange.connection for exchange in edge.raw.exchanges]

    replies, connections = play(scene, upstream=upstream, virtual=True)

    assert [reply.status for reply in replies] == [502, 502]
    assert {reply.header("request-id") for reply in replies}.isdisjoint({"req_one", "req_two"})
    assert len(set(connections)) == len(connections)


def test_an_answer_before_the_end_of_a_large_request_ends_the_connection():
    """The rest of the request would stand in front of the next one."""
    refusal = b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}'

    async def early(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            if length > 1_000_000:
                writer.write(head_of(len(refusal), 400) + refusal)
                await asyncio.Event().wait()  # and reads nothing more
            await reader.readexactly(length)
            writer.write(head_of(len(ANSWER)) + ANSWER)

    async def scene(edge):
        edge.raw.take_over = early
        return [await edge.ask(body=body_of("x" * 20_000_000)), await edge.ask()]

    large, small = play(scene)

    assert (large.status, small.status) == (400, 200)


# -- towards the caller ------------------------------------------------------------------------------------------------


def test_a_204_has_no_body_and_the_connection_goes_on():
    """Not even the end of a chunked one, which the caller would read as its next answer."""

    async def upstream(exchange):
        if exchange.line.startswith("DELETE"):
            await exchange.send(b"HTTP/1.1 204 No Content\r\nrequest-id: req_up\r\n\r\n")
        else:
            await exchange.answer_plainly()

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(request_of("DELETE", "/v1/files/file_1"))
        deleted = await wire.reply()
        await wire.send(request_of("POST", "/v1/messages", body_of()))
        return deleted, await wire.reply(), edge.log_lines[0]

    deleted, next_one, line = play(scene, upstream=upstream)

    assert (deleted.status, deleted.all("transfer-encoding"), deleted.all("content-length")) == (204, [], [])
    assert (next_one.status, next_one.body) == (200, ANSWER)
    assert (line["status"], line["outcome"]) == (204, "ok")


def test_100_continue_comes_after_the_answer_to_the_request_before():
    """In the order of the requests, as everything on a connection."""
    head, _, body = request_of("POST", "/v1/messages", body_of(), {"expect": "100-continue"}).partition(b"\r\n\r\n")

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(request_of("POST", "/v1/messages", body_of()) + head + b"\r\n\r\n")
        before = await wire.until(b"100 Continue\r\n\r\n")
        await wire.send(body)
        return before, await wire.reply()

    before, second = play(scene)

    assert before.startswith(b"HTTP/1.1 200 ")
    assert before.endswith(ANSWER + b"HTTP/1.1 100 Continue\r\n\r\n")
    assert (second.status, second.body) == (200, ANSWER)


class Sends:
    """Answers everything with so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def begin(self, request):
        return BodyPlan(0)

    async def handle(self, request):
        return Response(200, body=b"x" * self.size)

    def refuse(self, status, problem, request):
        return Response(status)


@pytest.mark.parametrize("size", [20_000, 2_000_000])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_c16_a_caller_that_takes_nothing_of_a_whole_answer_is_cut_off(size, connection):
    """However the answer was written, and whether the connection was to be kept."""

    async def main():
        server = Server(Sends(size), ServerLimits(write_stall_s=60, keepalive_s=75))
        port = await server.start("127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
        transport.pause_reading()
        transport.write(f"GET / HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\n\r\n".encode())
        await asyncio.sleep(1)
        under_way = server.requests_under_way
        await asyncio.sleep(200)
        left = len(server.connections)
        transport.abort()
        await server.drain(0)
        return under_way, left

    under_way, left = run(main())

    assert under_way == (size > 1_000_000)
    assert left == 0


def test_many_refusals_in_one_segment_come_back_in_order_and_whole():
    """They are written together; a caller sees one after the other."""

    async def scene(edge):
        wire = await edge.connect(limit=1 << 22)
        await wire.send(b"".join(b"GET /nothing%d HTTP/1.1\r\nhost: localhost\r\n\r\n" % n for n in range(1000)))
        return [(await wire.reply()).status for _ in range(1000)]

    assert set(play(scene)) == {404}
