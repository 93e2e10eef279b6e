"""What a caller may send as HTTP, how slowly and how much: everything else is refused, and the connection closed."""

from __future__ import annotations

import asyncio

import pytest

from support.edge import CALLER_KEY, MESSAGE, Broken, body_of, envelope_of, play, request_of

MB = 1024 * 1024
CREDENTIAL = f"x-api-key: {CALLER_KEY}\r\n".encode()


def post(*lines: bytes, body: bytes = b"", target: bytes = b"/v1/messages") -> bytes:
    """A POST whose framing headers are the test's own."""
    head = b"POST %s HTTP/1.1\r\nhost: localhost\r\n%s" % (target, CREDENTIAL)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# -- slow senders ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"P", b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-slow: "])
@pytest.mark.parametrize("more", [b"", b"O"])
def test_d01_headers_that_do_not_come_to_an_end_are_cut_off_after_ten_seconds(begun, more):
    """However many bytes trickle in meanwhile: the time runs from the first one."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(begun)
        await asyncio.sleep(9.0)
        await wire.send(more)
        return await wire.reply(), edge.now_s

    reply, at_s = play(scene, virtual=True)

    assert (reply.status, reply.closes) == (408, True)
    assert envelope_of(reply)["type"] == "timeout_error"
    assert at_s == pytest.approx(10, abs=0.1)


def test_d01_a_body_slower_than_the_minimum_rate_is_cut_off():
    """256 bytes a second, measured over ten seconds."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(post(b"content-length: 1000"))

        async def drip():
            for _ in range(1000):
                await asyncio.sleep(1.0)
                await wire.send(b" ")

        dripping = asyncio.create_task(drip())
        reply = await wire.reply()
        dripping.cancel()
        return reply, edge.now_s, edge.raw.lines

    reply, at_s, lines = play(scene, virtual=True)

    assert (reply.status, reply.closes, lines) == (408, True, [])
    assert at_s == pytest.approx(10, abs=0.1)


def test_d01_a_thousand_slow_callers_keep_nobody_waiting():
    """A connection that is being read costs no worker."""

    async def scene(edge):
        for _ in range(1000):
            await (await edge.connect()).send(b"POST /v1/messages HTTP/1.1\r\nhost")
        before_s = edge.now_s
        reply = await edge.ask()
        return reply.status, edge.now_s - before_s

    assert play(scene, virtual=True) == (200, 0.0)


def test_d01_one_address_cannot_take_all_connections():
    """`gateway.max_connections_per_address`: one more is refused, with the time to come back."""

    async def scene(edge):
        for _ in range(4):
            await edge.connect()
        return await edge.ask(), edge.log_lines

    reply, log = play(scene, virtual=True, max_connections_per_address=4)

    assert (reply.status, reply.closes, reply.header("x-headgate-reason")) == (503, True, "overloaded")
    assert (reply.header("x-should-retry"), reply.header("retry-after-ms")) == ("true", "1000")
    assert envelope_of(reply)["type"] == "api_error"
    assert [line["reason"] for line in log] == ["overloaded"]


def test_d10_idle_connections_have_a_cap_and_an_end_and_health_still_answers():
    """At the cap the next is refused; operators have a listener of their own; after 75 s of silence the idle ones are
    closed, and there is room again."""

    async def scene(edge):
        idle = [await edge.connect() for _ in range(50)]
        refused = await edge.ask()
        operators = await edge.connect(admin=True)
        await operators.send(request_of("GET", "/healthz"))
        health = await operators.reply()
        await asyncio.sleep(75.1)
        ends = [await wire.rest() for wire in idle]
        return refused.status, health.status, set(ends), (await edge.ask()).status

    assert play(scene, virtual=True, max_connections=50) == (503, 200, {b""}, 200)


# -- big bodies ------------------------------------------------------------------------------------------------------


def test_d02_a_body_announced_as_too_large_is_refused_before_any_of_it_is_read():
    """33 MB by content-length, of which not one byte was sent."""

    async def scene(edge):
        return await edge.say(post(b"content-length: %d" % (33 * MB))), edge.raw.lines

    reply, lines = play(scene)

    assert (reply.status, reply.closes, lines) == (413, True, [])
    assert envelope_of(reply)["type"] == "request_too_large"
    assert reply.header("x-should-retry") == "false"


def test_d02_an_endless_chunked_body_is_refused_at_the_limit():
    """Counted while it arrives; the caller sees the answer although it goes on sending."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(post(b"transfer-encoding: chunked"))
        piece, sent = chunk(b" " * 65536), 0

        async def pour():
            nonlocal sent
            while True:
                await wire.send(piece)
                sent += 65536

        pouring = asyncio.create_task(pour())
        reply = await wire.reply()
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
        return reply, sent, edge.raw.lines

    reply, sent, lines = play(scene, max_body_mb=1)

    assert (reply.status, reply.closes, lines) == (413, True, [])
    assert sent < 16 * MB, "socket buffers are a few megabytes; more than that was read on purpose"


def test_d02_a_hundred_thousand_one_byte_chunks_are_one_body():
    """Joined in linear time."""
    body = body_of(padding="x" * 100_000)

    async def scene(edge):
        wire = await edge.connect(limit=1 << 20)
        pieces = b"".join(chunk(body[at : at + 1]) for at in range(len(body)))
        await wire.send(post(b"transfer-encoding: chunked", body=pieces + b"0\r\n\r\n"))
        await wire.reply()
        return edge.raw.exchanges[0].body

    assert play(scene) == body


@pytest.mark.parametrize("size", [32 * MB, 32 * MB - 1])
def test_d02_the_largest_body_the_api_takes_passes_whole(size):
    """32 MB, to the byte."""
    frame = body_of("")
    body = body_of("x" * (size - len(frame)))
    assert len(body) == size

    async def scene(edge):
        reply = await edge.ask(body=body)
        return reply.status, edge.raw.exchanges[-1].body == body  # it may have been counted before

    assert play(scene) == (200, True)


def test_d02_bodies_held_at_the_same_time_have_a_bound():
    """`gateway.buffered_mb`: a body that would pass it is refused with a time to come back, and once there is room it
    is taken."""

    async def scene(edge):
        holder = await edge.connect()
        await holder.send(post(b"content-length: %d" % MB, body=b" " * 10))
        await asyncio.sleep(0.05)
        refused = await edge.ask(body=body_of("x" * 1000))
        holder.leave()
        await asyncio.sleep(0.05)
        return refused, await edge.ask(body=body_of("x" * 1000))

    refused, taken = play(scene, buffered_mb=1, max_body_mb=1)

    assert (refused.status, refused.header("x-headgate-reason")) == (503, "overloaded")
    assert refused.header("x-should-retry") == "true"
    assert taken.status == 200


@pytest.mark.parametrize("coding", [[b"gzip"], [b"br"], [b"deflate"], [b"zstd"], [b"GZIP"], [b"gzip", b"identity"]])
def test_d03_a_compressed_body_is_not_taken(coding):
    """415 before the body is read: nothing is ever unpacked here."""
    lines = [b"content-encoding: " + name for name in coding]

    async def scene(edge):
        return await edge.say(post(*lines, b"content-length: 4", body=b"\x1f\x8b\x08\x00")), edge.raw.lines

    reply, lines = play(scene, virtual=True)

    assert (reply.status, lines) == (415, [])
    assert envelope_of(reply)["type"] == "invalid_request_error"
    assert reply.header("x-headgate-reason") == "body_encoding"


# -- framing that two parsers could read in two ways ---------------------------------------------------------------

BODY = body_of()
LENGTH = b"content-length: %d" % len(BODY)
HIDDEN = b"POST /v1/messages/count_tokens HTTP/1.1\r\nhost: localhost\r\n" + CREDENTIAL + b"content-length: 0\r\n\r\n"
SMUGGLING = {
    "length and chunked": post(LENGTH, b"transfer-encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "chunked and length": post(b"transfer-encoding: chunked", LENGTH, body=b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(b"content-length: 0", LENGTH, body=BODY),
    "two equal lengths": post(LENGTH, LENGTH, body=BODY),
    "length list": post(b"content-length: 5, 5", body=b"12345"),
    "negative length": post(b"content-length: -1", body=BODY),
    "signed length": post(b"content-length: +5", body=b"12345"),
    "hex length": post(b"content-length: 0x5", body=b"12345"),
    "length past 64 bits": post(b"content-length: 99999999999999999999", body=BODY),
    "folded header": post(b"x-a: b\r\n c", LENGTH, body=BODY),
    "folded length": post(b"content-length:\r\n 5", body=b"12345"),
    "bare LF": post(LENGTH, body=BODY).replace(b"\r\n", b"\n"),
    "bare LF in one line": post(b"x-a: b\nx-b: c", LENGTH, body=BODY),
    "bare CR": post(b"x-a: b\rtransfer-encoding: chunked", LENGTH, body=BODY),
    "space before colon": post(b"content-length : %d" % len(BODY), body=BODY),
    "tab before colon": post(b"transfer-encoding\t: chunked", body=b"0\r\n\r\n"),
    "header without a name": post(b": x", LENGTH, body=BODY),
    "header without a colon": post(b"nonsense", LENGTH, body=BODY),
    "NUL in a header": post(b"x-a: b\x00c", LENGTH, body=BODY),
    "two chunkeds": post(b"transfer-encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "two codings": post(b"transfer-encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "two coding headers": post(b"transfer-encoding: chunked", b"transfer-encoding: identity", body=b"0\r\n\r\n"),
    "unknown coding": post(b"transfer-encoding: xchunked", body=b"0\r\n\r\n"),
    "chunk size in nonsense": post(b"transfer-encoding: chunked", body=b"z\r\n\r\n"),
    "chunk size past 64 bits": post(b"transfer-encoding: chunked", body=b"ffffffffffffffffff\r\n"),
    "chunk longer than said": post(b"transfer-encoding: chunked", body=b"2\r\nabc\r\n0\r\n\r\n"),
    "chunk with bare LF": post(b"transfer-encoding: chunked", body=b"3\nabc\n0\n\n"),
    "HTTP/0.9": b"GET /v1/models\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": post(LENGTH, body=BODY).replace(b"HTTP/1.1", b"HTTP/3.7", 1),
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no host": post(LENGTH, body=BODY).replace(b"host: localhost\r\n", b""),
    "two hosts": post(b"host: elsewhere", LENGTH, body=BODY),
    "chunked on HTTP/1.0": post(b"transfer-encoding: chunked", body=b"0\r\n\r\n").replace(b"/1.1", b"/1.0", 1),
    "space in the target": post(LENGTH, body=BODY, target=b"/v1/messages /v1/models"),
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_d04_ambiguous_framing_is_refused_and_the_connection_closed(name):
    """Nothing of it reaches the upstream, and what was hidden behind it is not read as a request of its own."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(SMUGGLING[name])
        reply = await wire.reply()
        return reply, await wire.rest(), edge.raw.lines, edge.log_lines

    reply, rest, lines, log = play(scene, virtual=True)

    assert reply.status in (400, 405, 501, 505)
    assert (reply.closes, rest, lines) == (True, b"", [])
    assert envelope_of(reply)["type"] in ("invalid_request_error", "api_error")
    assert reply.header("x-should-retry") == "false"
    assert [line["reason"] for line in log] == [reply.header("x-headgate-reason")]


LONG = [b"x: " + b"y" * 70_000]
OFFER = [b"connection: upgrade", b"upgrade: h2c"]


@pytest.mark.parametrize(
    "lines", [LONG, [b"x-%d: y" % n for n in range(9_000)], [*OFFER, *LONG]], ids=["one", "many", "offer"]
)
@pytest.mark.parametrize("first", [100_000, 40_000], ids=["at-once", "in-two"])
def test_headers_have_a_bound(lines, first):
    """64 kB together, however they arrive."""

    async def scene(edge):
        request = post(*lines, LENGTH, body=BODY)
        wire = await edge.connect()
        await wire.send(request[:first])
        await asyncio.sleep(0.01)
        await wire.send(request[first:])
        return await wire.reply()

    reply = play(scene, virtual=True)

    assert (reply.status, reply.closes) == (431, True)


def test_headers_that_follow_another_request_have_the_same_bound():
    """In one piece with it: how long they are is not how much was read."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(post(LENGTH, body=BODY) + post(*LONG, LENGTH, body=BODY))
        return [(await wire.reply()).status for _ in range(2)]

    assert play(scene, virtual=True) == [200, 431]


@pytest.mark.parametrize(("end", "status"), [(b"\r\n\r\n", 200), (b"y" * 70_000, 431)], ids=["short", "endless"])
def test_trailers_are_not_passed_on_and_have_a_bound(end, status):
    """They are read past; endless ones are refused like endless headers."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(post(b"transfer-encoding: chunked", body=chunk(BODY) + b"0\r\nx-late: "))
        await asyncio.sleep(0.1)
        await wire.send(end)
        return (await wire.reply()).status, [exchange.all("x-late") for exchange in edge.raw.exchanges]

    assert play(scene, virtual=True) == (status, [[]] if status == 200 else [])


def test_requests_sent_ahead_are_answered_in_order():
    """Pipelining, as HTTP/1.1 has it."""

    async def answer(exchange):
        await exchange.answer(b'{"n": %s}' % exchange.body[-2:-1] if exchange.body else b"{}")

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(b"".join(request_of("GET", f"/v1/models/{n}") for n in range(3)))
        return [(await wire.reply()).status for _ in range(3)], [line.split()[1] for line in edge.raw.lines]

    assert play(scene, upstream=answer, virtual=True) == (
        [200, 200, 200],
        ["/v1/models/0", "/v1/models/1", "/v1/models/2"],
    )


@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/messages/batches"])
def test_an_expectation_is_met_before_the_body_is_sent(path):
    """`Expect: 100-continue`, which curl sends with big bodies, also where they are passed on while they arrive; any
    other expectation is a 417."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(post(b"expect: 100-continue", LENGTH, target=path))
        assert await wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(BODY)
        taken = await wire.reply()
        refused = await edge.say(post(b"expect: 200-maybe", LENGTH))
        return taken.status, refused.status, edge.raw.exchanges[0].all("expect")

    assert play(scene, virtual=True) == (200, 417, [])


def test_a_refused_expectation_costs_no_body():
    """A caller that asks first learns of the 401 before it sends."""

    async def scene(edge):
        head = post(b"expect: 100-continue", b"content-length: 1000000").replace(CREDENTIAL, b"")
        return await edge.say(head)

    assert play(scene, virtual=True).status == 401


def test_an_offer_to_switch_protocols_is_ignored_and_the_body_kept():
    """Java's HttpClient offers h2c with every request to a plain port; HTTP/1.1 is the answer, and neither the offer
    nor its settings go on."""
    offer = (
        b"connection: Upgrade, HTTP2-Settings",
        b"upgrade: h2c",
        b"http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
    )

    async def scene(edge):
        wire = await edge.connect()
        replies = []
        for _ in range(2):
            await wire.send(post(*offer, LENGTH, body=BODY))
            replies.append((await wire.reply()).json)
        exchange = edge.raw.exchanges[1]
        return replies, exchange.body, [exchange.all(name) for name in ("upgrade", "http2-settings", "connection")]

    assert play(scene, virtual=True) == ([MESSAGE, MESSAGE], BODY, [[], [], []])


def test_an_old_client_gets_an_answer_that_ends_with_the_connection():
    """HTTP/1.0 knows no chunks: a stream is sent plainly, then the connection closes."""

    async def scene(edge):
        wire = await edge.connect()
        body = body_of(stream=True)
        await wire.send(post(b"content-length: %d" % len(body), body=body).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        return await wire.rest()

    told = play(scene, virtual=True)

    assert b"transfer-encoding" not in told
    assert told.endswith(b'data: {"type":"message_stop"}\n\n')


def test_a_caller_that_leaves_in_the_middle_of_its_body_is_forgotten():
    """Nothing was sent, so nothing is recorded."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(post(LENGTH, body=BODY[:10]))
        await asyncio.sleep(0.1)
        wire.leave()
        await asyncio.sleep(0.1)
        with pytest.raises(Broken):
            await wire.reply()
        return edge.raw.lines, edge.calls

    assert play(scene, virtual=True) == ([], [])
