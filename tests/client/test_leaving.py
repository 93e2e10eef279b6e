"""Whoever leaves, and however: the slot is free at once, the upstream call is closed, what was used is settled."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from contextlib import suppress

import pytest

import headgate
from headgate.client import portal, portal_call, transport
from headgate.testing import Claude
from support.edge import RawUpstream
from support.patience import HANG_S
from support.sdk import asking, async_client, sync_client

LONG = "[[sim: drip=500:20]]"
"""A stream of ten seconds."""


def until_under_way():
    """Wait until a call has its permits."""
    while (running := portal.running()) is None or not any(s.gate.under_way for s in running.engine.gates()):
        time.sleep(0.01)


def at_rest(claude):
    """Wait until nothing is under way, here and there; then what the simulator saw of streams."""
    for _ in range(500):
        stats = claude.stats()
        running = portal.running()
        gates = running.engine.gates() if running is not None else []
        if not stats["streams_open"] and not any(state.gate.under_way for state in gates):
            return stats
        time.sleep(0.01)
    raise AssertionError(f"something is still under way: {stats}")


def test_a_cancelled_call_is_over_upstream_too(kept):
    """Before any answer: the caller sees its own cancellation, the API a closed connection, the ledger what it may have
    cost at most."""

    async def main():
        arrived, left = asyncio.Event(), asyncio.Event()

        async def never_answer(exchange):
            arrived.set()
            with suppress(ConnectionError):
                await exchange.reader.read()
            left.set()

        raw = RawUpstream(never_answer)
        port = await raw.start()
        async with async_client(Claude(f"http://127.0.0.1:{port}")) as client:
            task = asyncio.create_task(client.messages.create(**asking()))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await left.wait()
        await raw.stop()

    asyncio.run(main())

    (call,) = kept.calls()
    (attempt,) = kept.attempts()
    assert call["outcome"] == "cancelled"
    assert attempt["usage_source"] == "unknown"
    assert attempt["unconfirmed_pico"] > 0


@pytest.mark.parametrize("waits", [0, 0.001, 0.003, 0.006, 0.01, 0.02])
def test_a_call_cancelled_at_any_moment_leaves_nothing_behind(claude, waits):
    """Also in the moment at which its answer arrives: a stream that nobody will read is closed."""

    async def main():
        async with async_client(claude) as client:
            await client.messages.create(**asking())
            tasks = [asyncio.create_task(client.messages.create(**asking(LONG), stream=True)) for _ in range(10)]
            await asyncio.sleep(waits)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            del task, tasks
            gc.collect()
            await asyncio.to_thread(at_rest, claude)

    asyncio.run(main())


def take_some(stream):
    for number, _ in enumerate(stream):
        if number == 5:
            break


def close_early(client):
    stream = client.messages.create(**asking(LONG), stream=True)
    take_some(stream)
    stream.close()


def leave_the_block(client):
    with client.messages.stream(**asking(LONG)) as stream:
        take_some(stream)


def raise_in_the_block(client):
    with suppress(ZeroDivisionError), client.messages.stream(**asking(LONG)) as stream:
        for _ in stream.text_stream:
            raise ZeroDivisionError


def drop_it_unread(client):
    client.messages.with_raw_response.create(**asking(LONG), stream=True)
    gc.collect()


def leave_a_streaming_response(client):
    with client.messages.with_streaming_response.create(**asking(LONG), stream=True) as response:
        take_some(response.iter_lines())


@pytest.mark.parametrize(
    "leave", [close_early, leave_the_block, raise_in_the_block, drop_it_unread, leave_a_streaming_response]
)
def test_a_stream_that_is_left_is_settled(claude, kept, leave):
    """What came of it is counted: the input as the API said, the output from what arrived."""
    with sync_client(claude) as client:
        leave(client)
        stats = at_rest(claude)

    (attempt,) = kept.attempts()
    assert stats["streams_aborted"] == 1
    assert attempt["usage_source"] == "observed"
    assert attempt["cost_pico"] > 0


async def cancel_the_task(client):
    async def read():
        async with client.messages.stream(**asking(LONG)) as stream:
            async for _ in stream:
                begun.set()

    begun = asyncio.Event()
    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def time_out(client):
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit, client.messages.stream(**asking(LONG)) as stream:
            async for _ in stream:
                limit.reschedule(0)


async def break_out(client):
    async for _ in await client.messages.create(**asking(LONG), stream=True):
        break


@pytest.mark.parametrize("leave", [cancel_the_task, time_out, break_out])
def test_an_async_stream_that_is_left_is_settled(claude, kept, leave):
    """As above, on a loop."""

    async def main():
        async with async_client(claude) as client:
            await leave(client)
            return await asyncio.to_thread(at_rest, claude)

    stats = asyncio.run(main())

    (attempt,) = kept.attempts()
    assert stats["streams_aborted"] == 1
    assert attempt["usage_source"] == "observed"
    assert attempt["cost_pico"] > 0


def test_a_loop_that_ends_takes_its_streams_with_it(claude, kept):
    """`asyncio.run` may return while a stream is open."""
    left = []

    async def main():
        client = async_client(claude)
        stream = await client.messages.create(**asking(LONG), stream=True)
        await anext(aiter(stream))
        left.append(stream.response)

    asyncio.run(main())
    stats = at_rest(claude)

    assert stats["streams_aborted"] == 1
    assert kept.attempts()[0]["usage_source"] == "observed"


def test_an_interrupted_thread_ends_its_call(claude, kept):
    """Ctrl-C while a sync call waits."""

    def interrupt():
        until_under_way()
        press_ctrl_c()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with sync_client(claude) as client, pytest.raises(KeyboardInterrupt):
        client.messages.create(**asking("[[sim: hang]]"))
    thread.join()
    at_rest(claude)

    assert kept.calls()[0]["outcome"] == "cancelled"


def press_ctrl_c():
    """Python acts on it in the main thread alone."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def test_a_start_that_is_interrupted_leaves_no_engine(claude, kept, monkeypatch):
    """Ctrl-C in the first call: an engine that nobody has, nobody would end."""
    starting = []
    go_on = threading.Event()
    start = portal.Engine.from_config

    def interrupted(*arguments, **options):
        starting.append(threading.current_thread())
        press_ctrl_c()
        go_on.wait()
        return start(*arguments, **options)

    with sync_client(claude) as client:
        with monkeypatch.context() as patch:
            patch.setattr(portal.Engine, "from_config", interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.messages.create(**asking())
        go_on.set()
        starting[0].join(HANG_S)
        assert not starting[0].is_alive()

        assert client.messages.create(**asking()).stop_reason == "end_turn"


@pytest.mark.parametrize("stream", [False, True])
def test_a_shutdown_ends_the_calls_under_way(claude, kept, stream):
    """Their callers get a connection error, and each leaves its record."""
    caught = []

    def call():
        with sync_client(claude) as client:
            try:
                answer = client.messages.create(**asking(LONG if stream else "[[sim: hang]]", stream=stream))
                for _ in answer:
                    begun.set()
            except Exception as error:
                caught.append(type(error).__name__)

    begun = threading.Event()
    thread = threading.Thread(target=call)
    thread.start()
    if stream:
        begun.wait()
    else:
        until_under_way()
    headgate.shutdown()
    thread.join()

    assert caught == ["RemoteProtocolError" if stream else "APIConnectionError"]
    assert kept.calls()[0]["outcome"] == "cancelled"


def test_a_slow_reader_holds_back_the_stream(claude, monkeypatch):
    """A reader that rests does not make the rest of a long answer pile up in memory; it gets all of it in the end."""
    made = []

    class Seen(portal_call.SyncPortalCall):
        def __init__(self, *arguments):
            made.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr(transport, "SyncPortalCall", Seen)
    with (
        sync_client(claude) as client,
        client.messages.create(**asking("[[sim: deltas=20000]]"), stream=True) as stream,
    ):
        next(stream)
        while not made[0]._full:
            time.sleep(0.01)
        ahead = made[0]._put_bytes - made[0]._taken_bytes
        rest = sum(1 for event in stream if event.type == "content_block_delta")

    assert ahead < 4 * portal_call.AHEAD_BYTES  # what was allowed, and a read of the connection on top
    assert rest == 20_000


def test_an_answer_that_comes_while_its_caller_looks_is_not_lost(claude, monkeypatch):
    """The caller's thread may be preempted between its two looks, at the reply and at the end: here it is, and all of
    the call happens meanwhile."""

    class Preempted(portal_call.SyncPortalCall):
        looked = False

        def __getattribute__(self, name):
            value = super().__getattribute__(name)
            if (
                name in ("_reply", "_ended")
                and not self.looked
                and threading.current_thread() is threading.main_thread()
            ):
                self.looked = True
                while not super().__getattribute__("_ended"):
                    time.sleep(0.001)
            return value

    monkeypatch.setattr(transport, "SyncPortalCall", Preempted)
    with sync_client(claude) as client:
        assert client.messages.create(**asking()).stop_reason == "end_turn"


@pytest.mark.parametrize("ahead_bytes", [1, 1000, 20_000])
def test_a_stream_that_waits_for_its_reader_arrives_whole(claude, monkeypatch, ahead_bytes):
    """However often the two sides have to wait for each other, on a thread and on a loop."""
    monkeypatch.setattr(portal_call, "AHEAD_BYTES", ahead_bytes)
    arguments = asking("[[sim: deltas=400]]", stream=True)

    async def main():
        async with async_client(claude) as client, await client.messages.create(**arguments) as stream:
            return [event.type async for event in stream]

    with sync_client(claude) as client, client.messages.create(**arguments) as stream:
        on_a_thread = [event.type for event in stream]

    assert on_a_thread == asyncio.run(main())
    assert on_a_thread.count("content_block_delta") == 400
    assert on_a_thread[-1] == "message_stop"


@pytest.mark.parametrize("how", ["break", "silence", "cut"])
def test_a_stream_of_an_engine_on_ones_own_loop_ends_the_same_way(claude, kept, how):
    """Left by its reader, silent beyond the client's timeout, or broken off by the API."""
    text = {"break": LONG, "silence": "[[sim: drip=5:5000]]", "cut": "[[sim: cut=3]]"}[how]
    ends = {"break": None, "silence": "ReadTimeout", "cut": "APIStatusError"}

    async def main():
        config = headgate.load_config(os.environ).config
        async with (
            headgate.Engine.from_config(config, {}, in_process=True) as engine,
            async_client(claude, engine=engine, timeout=0.3) as client,
        ):
            try:
                async with await client.messages.create(**asking(text), stream=True) as stream:
                    async for event in stream:
                        if how == "break" and event.type == "content_block_delta":
                            break
            except Exception as error:
                return type(error).__name__

    assert asyncio.run(main()) == ends[how]
    (attempt,) = kept.attempts()
    assert attempt["usage_source"] == "observed"
    assert attempt["cost_pico"] > 0
