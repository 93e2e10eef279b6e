"""Streams between a caller and the API: who leaves, who is slow, who is silent."""

from __future__ import annotations

import asyncio

import pytest

from headgate.config.schema import Config, GatewayConfig
from headgate.sim import SimSettings
from support.edge import Broken, body_of, play, request_of, sse

STREAM = body_of(stream=True)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


async def open_stream(edge, body: bytes = STREAM, headers=None, limit: int = 1 << 16):
    """A caller that has asked for a stream and has its first delta."""
    wire = await edge.connect(limit=limit)
    await wire.send(request_of("POST", "/v1/messages", body, headers))
    await wire.until(b"text_delta")
    return wire


# -- the caller leaves -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("farewell", ["close", "leave"])
def test_c15_a_caller_that_leaves_mid_stream_frees_everything_at_once(farewell):
    """The upstream call is closed within a turn of the loop, its permits are given back, and what came of it is
    settled: input as `message_start` said, output counted from the deltas."""

    async def scene(edge):
        wire = await open_stream(edge, body_of("[[sim: drip=100:1000]]", stream=True))
        await asyncio.sleep(5.5)
        left_s = edge.now_s
        getattr(wire, farewell)()
        await edge.until(lambda: edge.calls)
        took_s = edge.now_s - left_s
        await asyncio.sleep(2)
        return took_s, edge.calls, edge.stats, [state.gate.under_way for state in edge.engine.gates()]

    took_s, [call], stats, under_way = play(scene, virtual=True, sim=SimSettings())

    assert took_s < 1
    assert (stats["streams_started"], stats["streams_finished"], stats["streams_aborted"]) == (1, 0, 1)
    assert (call.outcome, call.usage_source, call.attempts) == ("cancelled", "observed", 1)
    assert call.input_tokens > 0 < call.output_tokens
    assert not any(under_way)


def test_c15_a_caller_that_leaves_before_the_answer_is_not_waited_for():
    """Also while the upstream has said nothing yet: the connection to it is closed."""

    async def upstream(exchange):
        await exchange.reader.read()

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(request_of("POST", "/v1/messages", body_of()))
        await edge.until(lambda: edge.raw.exchanges)
        wire.leave()
        await edge.until(lambda: edge.raw.closed)
        return edge.now_s, [call.outcome for call in edge.calls]

    at_s, outcomes = play(scene, virtual=True, upstream=upstream)

    assert (at_s < 1, outcomes) == (True, ["cancelled"])


@pytest.mark.parametrize("first", ["caller", "upstream"])
def test_c17_both_ends_die_in_the_same_turn_and_the_call_is_settled_once(first):
    """One record, one row an attempt, no permits left behind, whoever was first."""

    async def upstream(exchange):
        await exchange.open_stream()
        await exchange.event(sse(3, end=False))
        await asyncio.Event().wait()

    async def scene(edge):
        wire = await open_stream(edge)
        exchange = edge.raw.exchanges[0]
        ends = [wire.leave, exchange.writer.transport.abort]
        for end in ends if first == "caller" else reversed(ends):
            end()
        await asyncio.sleep(1)
        return edge.calls, edge.ledger.attempts, edge.log_lines

    calls, attempts, log = play(scene, virtual=True, upstream=upstream)

    assert [len(calls), len(attempts), len(log)] == [1, 1, 1]
    assert calls[0].usage_source == "observed"
    assert calls[0].cost_pico == attempts[0].cost_pico


# -- slow readers ------------------------------------------------------------------------------------------------------


async def pour(exchange) -> None:
    """Events without end, as fast as they are taken."""
    await exchange.open_stream()
    await exchange.event(sse(1, end=False))
    exchange.sent = 0
    piece = sse(500, begin=False, end=False)
    while True:
        await exchange.event(piece)
        exchange.sent += len(piece)
        await asyncio.sleep(0)  # memory takes all at once: let the others have their turn


def test_c16_a_slow_reader_stops_the_upstream_and_is_cut_off_after_a_minute():
    """A bounded buffer, then nothing more is read from the API, then `gateway.stall_timeout_s`; the slot is free
    again."""

    async def scene(edge):
        wire = await open_stream(edge)
        wire.writer.transport.pause_reading()
        await asyncio.sleep(30)
        halfway = edge.raw.exchanges[0].sent
        await asyncio.sleep(29)
        later = edge.raw.exchanges[0].sent
        assert not edge.calls
        await asyncio.sleep(2)
        return halfway, later, [(call.outcome, call.usage_source) for call in edge.calls]

    halfway, later, calls = play(scene, virtual=True, upstream=pour)

    assert halfway == later < 2 * 1024 * 1024
    assert calls == [("cancelled", "observed")]


def test_c16_a_reader_that_goes_on_in_time_loses_nothing():
    """Slow is not gone: every byte taken starts the minute again."""
    deltas = 60 * 200

    async def upstream(exchange):
        await exchange.open_stream()
        await exchange.event(sse(0, end=False))
        for _ in range(60):
            await exchange.event(sse(200, begin=False, end=False))
            await asyncio.sleep(0)
        await exchange.event(sse(0, begin=False))
        await exchange.end_stream()

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(request_of("POST", "/v1/messages", STREAM))
        told = b""
        while not told.endswith(b"0\r\n\r\n"):
            told += await wire.reader.read(1 << 20)
            await asyncio.sleep(50)
        return told.count(b"text_delta"), edge.now_s

    count, took_s = play(scene, virtual=True, upstream=upstream)

    assert (count, took_s > 100) == (deltas, True)


# -- silence -----------------------------------------------------------------------------------------------------------


def stream_of(*steps):
    """An upstream that sends events and waits, in turn."""

    async def upstream(exchange):
        await exchange.open_stream()
        for step in steps:
            if isinstance(step, bytes):
                await exchange.event(step)
            else:
                await asyncio.sleep(step)
        await exchange.end_stream()

    return upstream


def chunks_of(upstream, **gateway):
    """What the caller of a stream gets, with the second at which it came."""

    async def scene(edge):
        reply = await edge.ask(body=STREAM)
        return [(round(at_s), data) for at_s, data in reply.chunks]

    return play(scene, virtual=True, upstream=upstream, **gateway)


def test_a_stream_that_is_silent_gets_pings_of_ours_every_fifteen_seconds():
    """Claude Code gives up a stream that is silent for 300 s; a load balancer much earlier."""
    begin, rest = sse(1, end=False), sse(1, begin=False)

    assert chunks_of(stream_of(begin, 50.0, rest)) == [(0, begin), (15, PING), (30, PING), (45, PING), (50, rest)]


def test_the_upstreams_own_pings_are_passed_on_and_ours_are_not_added():
    """Any byte of the API's is a sign of life."""
    begin, rest = sse(1, end=False), sse(1, begin=False)
    theirs = b"event: ping\ndata: {}\n\n"

    told = chunks_of(stream_of(begin, 10.0, theirs, 10.0, theirs, 10.0, rest))

    assert told == [(0, begin), (10, theirs), (20, theirs), (30, rest)]


def test_a_ping_of_ours_never_lands_in_the_middle_of_an_event():
    """Half an event is held until its other half is there."""
    begin, rest = sse(1, end=False), sse(1, begin=False)

    assert chunks_of(stream_of(begin, rest[:40], 20.0, rest[40:])) == [(0, begin), (15, PING), (20, rest)]


def test_pings_come_from_the_first_event_on():
    """A model may think for long before its first delta: the opening events go out after `retry.hold_s`, and pings
    follow them."""
    whole = sse(1)
    split = whole.index(b"event: content_block_delta")

    told = chunks_of(stream_of(whole[:split], 40.0, whole[split:]))

    assert told == [(5, whole[:split]), (20, PING), (35, PING), (40, whole[split:])]


def test_the_interval_of_pings_is_a_setting():
    """`gateway.ping_interval_s`."""
    begin, rest = sse(1, end=False), sse(1, begin=False)

    assert chunks_of(stream_of(begin, 5.0, rest), ping_interval_s=2.0) == [(0, begin), (2, PING), (4, PING), (5, rest)]


# -- streams that break ------------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_ends_with_an_error_event_and_without_a_clean_end():
    """SDKs raise on the event; who does not read events sees that the body is not whole."""

    async def upstream(exchange):
        await exchange.open_stream()
        await exchange.event(sse(3, end=False))
        await asyncio.sleep(0.1)
        exchange.writer.transport.abort()

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(request_of("POST", "/v1/messages", STREAM))
        return await wire.rest()

    told = play(scene, virtual=True, upstream=upstream)

    assert b"event: error\ndata: " in told
    assert b"message_stop" not in told
    assert not told.endswith(b"0\r\n\r\n")


def test_a_body_that_is_passed_on_and_breaks_is_not_ended_like_a_whole_one():
    """A file, a batch's results: there is no event to say it with, so the connection is cut."""

    async def upstream(exchange):
        await exchange.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: 100\r\n\r\nhalf"
        )
        exchange.writer.close()

    async def scene(edge):
        with pytest.raises(Broken):
            await edge.ask("GET", "/v1/files/file_1/content")

    play(scene, virtual=True, upstream=upstream)


# -- draining ----------------------------------------------------------------------------------------------------------


def test_draining_lets_streams_finish_and_takes_nothing_new():
    """The stream under way comes to its end and its connection closes; idle ones close at once, and a probe finds
    nobody; then every record is written."""
    config = Config(gateway=GatewayConfig(drain_s=30.0))

    async def scene(edge):
        streaming = await open_stream(edge, body_of("[[sim: drip=10:1000]]", stream=True))
        idle = await edge.connect()
        await idle.send(request_of("GET", "/readyz"))
        ready = (await idle.reply()).json
        stopping = asyncio.create_task(edge.gateway.stop())
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await edge.connect()
        rest = await streaming.rest()
        await stopping
        return ready, rest, [call.outcome for call in edge.calls]

    ready, rest, outcomes = play(scene, virtual=True, sim=SimSettings(), config=config, stopped=True)

    assert (ready, outcomes) == ({"status": "ready"}, ["ok"])
    assert rest.endswith(b"0\r\n\r\n")
    assert b"message_stop" in rest


def test_draining_cuts_what_is_left_when_its_time_is_over():
    """`gateway.drain_s`; what was cut is recorded."""
    config = Config(gateway=GatewayConfig(drain_s=3.0))

    async def scene(edge):
        streaming = await open_stream(edge, body_of("[[sim: drip=100:1000]]", stream=True))
        await edge.gateway.stop()
        return edge.now_s, (await streaming.rest()).endswith(b"0\r\n\r\n"), [call.outcome for call in edge.calls]

    at_s, whole, outcomes = play(scene, virtual=True, sim=SimSettings(), config=config, stopped=True)

    assert (at_s < 6, whole, outcomes) == (True, False, ["cancelled"])
