"""The line that goes bad, on real sockets; latency and pace in virtual time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anthropic
import pytest

from headgate.clock import LoopClock
from headgate.sim import SimSettings, serve
from headgate.sim.shim import Faults, start_shim
from headgate.sim.virtual_time import EPOCH, run
from support.patience import HANG_S

TLS = Path(__file__).parents[1] / "engine" / "tls"
TEXT = bytes(range(256)) * 40


@asynccontextmanager
async def echo(**faults):
    """A shim before a server that sends back what it gets and then closes; and the port of the server."""
    closed = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        closed.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        line = await start_shim(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", **faults)
        line.far_end_closed = closed
        try:
            yield line
        finally:
            await line.stop()
    finally:
        server.close()


@asynccontextmanager
async def talking(line) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(line.host, line.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def sent_back(line, data=TEXT):
    """What comes back of `data` before the connection ends, and how it ended."""
    async with talking(line) as (reader, writer):
        writer.write(data)
        writer.write_eof()
        back = b""
        try:
            while piece := await reader.read(65536):
                back += piece
        except ConnectionResetError:
            return back, "reset"
        return back, "closed"


def through(data=TEXT, **faults):
    async def main():
        async with echo(**faults) as line:
            return await asyncio.wait_for(sent_back(line, data), HANG_S)

    return asyncio.run(main())


def test_a_line_without_faults_changes_nothing():
    """Every byte, and the end."""
    assert through() == (TEXT, "closed")


@pytest.mark.parametrize("seed", range(5))
def test_slices_keep_every_byte_in_its_place(seed):
    """1 to 7 bytes at a time: faults.md C10."""
    assert through(TEXT[:2000], slice_bytes=7, seed=seed) == (TEXT[:2000], "closed")


@pytest.mark.parametrize("count", [0, 1, 100, 5000])
def test_a_cut_closes_after_so_many_bytes(count):
    """In good order: faults.md C01."""
    assert through(cut_after=count) == (TEXT[:count], "closed")


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_reset_comes_after_so_many_bytes(count):
    """Without a good-bye: faults.md A06."""
    assert through(reset_after=count) == (TEXT[:count], "reset")


def test_a_half_open_line_swallows_bytes_and_the_end():
    """Nothing comes, not even that the other end has closed: faults.md A10."""

    async def main():
        async with echo(silent=True) as line, talking(line) as (reader, writer):
            writer.write(TEXT)
            writer.write_eof()
            await line.far_end_closed.wait()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.05)

    asyncio.run(main())


def test_faults_change_while_a_connection_is_open():
    """From the next byte on."""

    async def main():
        async with echo() as line, talking(line) as (reader, writer):
            writer.write(b"first")
            before = await reader.readexactly(5)
            line.change(silent=True)
            writer.write(b"lost")
            await asyncio.sleep(0.02)
            line.change(silent=False)
            writer.write(b"last")
            return before, await reader.readexactly(4)

    assert asyncio.run(main()) == (b"first", b"last")


def test_new_connections_are_refused_and_taken_again():
    """On the same port; one that is open stays: faults.md A03."""

    async def main():
        async with echo() as line, talking(line) as (reader, writer):
            writer.write(b"one")
            await reader.readexactly(3)
            await line.refuse()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(line.host, line.port)
            writer.write(b"two")
            still = await reader.readexactly(3)
            await line.refuse(False)
            return still, await sent_back(line), line.connections

    assert asyncio.run(main()) == (b"two", (TEXT, "closed"), 2)


def test_every_open_connection_can_be_dropped_at_once():
    """As when a machine in between restarts."""

    async def main():
        async with echo() as line, talking(line) as (reader, writer):
            writer.write(b"one")
            await reader.readexactly(3)
            await line.drop()
            with pytest.raises(ConnectionResetError):
                await reader.read(1)

    asyncio.run(main())


def test_a_target_that_is_not_there_resets_the_client():
    """The shim itself listens."""

    async def main():
        line = await start_shim("127.0.0.1:1")
        try:
            return await sent_back(line)
        finally:
            await line.stop()

    assert asyncio.run(main()) == (b"", "reset")


def test_faults_on_the_way_up_reach_the_target():
    """A request that arrives in part."""
    assert through(up=Faults(cut_after=10)) == (TEXT[:10], "closed")


# -- time ------------------------------------------------------------------------------------------------------------


def seconds(data=TEXT, **faults):
    """How many virtual seconds it takes to get everything back."""

    async def main():
        async with echo(clock=LoopClock(EPOCH), **faults) as line, talking(line) as (reader, writer):
            writer.write(data)
            await reader.readexactly(len(data))
            return asyncio.get_running_loop().time()

    return run(main())


def test_latency_comes_before_the_first_byte():
    """faults.md F09."""
    assert seconds(latency_s=2) == pytest.approx(2)


def test_latency_of_both_ways_adds_up():
    """There and back."""
    assert seconds(latency_s=2, up=Faults(latency_s=3)) == pytest.approx(5)


def test_bandwidth_is_bytes_a_second():
    """faults.md A11."""
    assert seconds(TEXT[:3000], bytes_per_s=100) == pytest.approx(30)


def test_jitter_stays_within_its_bounds_and_comes_from_the_seed():
    """The same seed, the same lateness."""
    took = [seconds(latency_s=2, jitter_s=1, seed=seed) for seed in (1, 1, 2, 3, 4)]

    assert took[0] == took[1]
    assert len({round(one, 6) for one in took}) == 4
    assert all(1 <= one <= 3 for one in took)


def test_a_slow_close_comes_after_the_last_byte():
    """All bytes first, then nothing, then the end."""

    async def main():
        async with echo(clock=LoopClock(EPOCH), slow_close_s=9) as line:
            back = await sent_back(line)
            return back, asyncio.get_running_loop().time()

    back, took_s = run(main())
    assert back == (TEXT, "closed")
    assert took_s == pytest.approx(9)


# -- what clients make of it -------------------------------------------------------------------------------------------


async def asked(line, **options):
    async with anthropic.AsyncAnthropic(base_url=line.base_url, api_key="k", max_retries=0, **options) as client:
        arguments = {"model": "claude-haiku-5-5", "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]}
        async with client.messages.stream(**arguments) as stream:
            return await stream.get_final_message()


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [({}, "end_turn"), ({"slice_bytes": 7}, "end_turn"), ({"reset_after": 0}, "APIConnectionError"),
     ({"silent": True}, "APITimeoutError"), ({"cut_after": 900}, "RemoteProtocolError")],
)  # fmt: skip
def test_the_official_sdk_meets_a_bad_line(faults, outcome):
    """In the words of the SDK and its HTTP library."""

    async def main():
        sim = await serve(SimSettings(), port=0)
        line = await start_shim(sim.base_url, **faults)
        try:
            message = await asked(line, timeout=0.5 if "silent" in faults else 30)
            return message.stop_reason
        except Exception as problem:
            return type(problem).__name__
        finally:
            await line.stop()
            await sim.stop()

    assert asyncio.run(main()) == outcome


@pytest.mark.parametrize(
    ("name", "words"), [("expired", "expired"), ("wrong-name", "mismatch"), ("self-signed", "self")]
)
def test_a_bad_certificate_is_shown(name, words):
    """faults.md A04; with a good one the simulator is spoken to over TLS."""

    async def main(certificate):
        sim = await serve(SimSettings(), port=0)
        line = await start_shim(sim.base_url, certificate=TLS / certificate, key=TLS / "key.pem")
        context = ssl.create_default_context(cafile=str(TLS / "ca.pem"))
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", line.port, ssl=context, server_hostname="localhost")
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        except ssl.SSLError as problem:
            return str(problem)
        finally:
            await line.stop()
            await sim.stop()
        return line.base_url.partition(":")[0]

    assert words in asyncio.run(main(f"{name}.pem"))
    assert asyncio.run(main("good.pem")) == "https"


@pytest.mark.parametrize(
    "wrong",
    [{"latency_s": -1}, {"bytes_per_s": 0}, {"slice_bytes": 0}, {"jitter_s": float("nan")}, {"cut_after": "5"}],
)
def test_a_fault_that_cannot_be_is_refused(wrong):
    """With its name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        through(**wrong)


@pytest.mark.parametrize("target", ["", "nowhere", "http://", "host:port", "host:99999"])
def test_a_target_that_cannot_be_is_refused(target):
    """With how one is written."""
    with pytest.raises(ValueError, match="host:port"):
        asyncio.run(start_shim(target))
