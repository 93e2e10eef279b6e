"""The simulator as a service: on a socket in process, and as a command."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from headgate.cli.sim import sim as command
from headgate.sim import SimSettings, serve
from support.patience import HANG_S

MAIN = "import typer; from headgate.cli.sim import sim; typer.run(sim)"


async def fetch(port, request):
    """One request by hand; the answer as it came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_it_serves_on_a_free_port_and_stops():
    """In process; the port is free again afterwards."""

    async def main():
        sim = await serve(port=0)
        url = sim.base_url
        answer = await fetch(sim.port, b"GET /sim/stats HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await sim.stop()
        with pytest.raises(OSError):  # noqa: PT011  # refused, on every platform by another name
            await asyncio.open_connection("127.0.0.1", sim.port)
        return url, answer

    url, answer = asyncio.run(main())
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_leaves_a_socket_ends_its_stream_at_once():
    """So a gateway can be watched closing what nobody reads."""
    body = (
        b'{"model":"claude-haiku-5-5","max_tokens":9,"stream":true,'
        b'"messages":[{"role":"user","content":"[[sim: drip=100000:20]]"}]}'
    )
    request = (
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )

    async def main():
        sim = await serve(port=0)
        stats = sim.app.world.stats
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(request)
        await reader.readuntil(b"content_block_delta")
        under_way = stats.told()["streams_open"]
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(HANG_S):
            while stats.streams_aborted == 0:  # noqa: ASYNC110  # there is no event to wait for
                await asyncio.sleep(0.001)
        await sim.stop()
        return under_way, stats.told()["streams_open"]

    assert asyncio.run(main()) == (1, 0)


def test_a_reset_on_a_socket_sends_no_byte():
    """The connection closes where an answer should begin: faults.md A06."""

    async def main():
        sim = await serve(SimSettings(), port=0)
        head = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n"
        answer = await fetch(sim.port, head + b"x-sim: reset\r\n\r\n")
        await sim.stop()
        return answer

    assert asyncio.run(main()) == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_runs_until_it_is_told_to_stop(number):
    """It says on stderr where it listens and what to run next, and exits 0."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", MAIN, "--port", "0", "--rpm", "7"]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stderr is not None
        said = [run.stderr.readline() for _ in range(3)]
        run.send_signal(number)
        out, rest = run.communicate(timeout=HANG_S)

    assert re.search(r"listens on http://127\.0\.0\.1:\d+", said[0])
    assert said[-1].startswith("Next, ")
    assert (run.returncode, out, rest) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [(["--tier", "gold"], 2, "no usage tier"), (["--tier", "custom"], 2, "set rpm, itpm and otpm"),
     (["--depth-s", "99"], 2, "depth-s"), (["--host", "203.0.113.1"], 1, "cannot listen")],
)  # fmt: skip
def test_misuse_exits_with_what_is_wrong(arguments, code, says):
    """2 for a wrong option, 1 for a port that cannot be had."""
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == code
    assert says in result.output
