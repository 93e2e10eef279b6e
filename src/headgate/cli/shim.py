"""`headgate shim`: a TCP line that goes bad, on a port, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.output import print_line, say

if TYPE_CHECKING:
    from headgate.sim.shim import Shim

__all__ = ["shim"]

DEFAULT_PORT = 8790


def shim(
    target: Annotated[str, typer.Option(help="What is behind it: http://host:port or host:port.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = DEFAULT_PORT,
    latency_ms: Annotated[float, typer.Option(min=0, help="Every byte comes so much later.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(min=0, help="And up to so much more or less.")] = 0.0,
    bytes_per_s: Annotated[float | None, typer.Option(min=1, help="Bandwidth.")] = None,
    slice_bytes: Annotated[int | None, typer.Option(min=1, help="In pieces of 1 up to so many bytes.")] = None,
    cut_after: Annotated[int | None, typer.Option(min=0, help="Close a connection after so many bytes.")] = None,
    reset_after: Annotated[int | None, typer.Option(min=0, help="Reset it after so many bytes.")] = None,
    silent: Annotated[bool, typer.Option("--silent", help="Half open: bytes vanish, the connection stays.")] = False,
    slow_close_ms: Annotated[float, typer.Option(min=0, help="The end comes so much after the last byte.")] = 0.0,
    up: Annotated[bool, typer.Option("--up", help="The faults are on the way to the target instead.")] = False,
    refuse: Annotated[bool, typer.Option("--refuse", help="Refuse connections, on a port that was free.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="A PEM file, however bad: clients speak TLS to the shim.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key, if that is in a file of its own.")] = None,
    seed: Annotated[int, typer.Option(help="Decides jitter and slices.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print where it listens as one JSON line.")] = False,
) -> None:
    """Pass TCP connections on to a target, with faults.

    While it runs, lines on its standard input change it: `latency_s=0.5`, `up silent=true`, `cut_after=none`, `refuse`,
    `accept`, `drop`.
    """
    from headgate.event_loop import run
    from headgate.sim.shim import Faults, start_shim

    async def live() -> None:
        faults: dict[str, Any] = {
            "latency_s": latency_ms / 1000,
            "jitter_s": jitter_ms / 1000,
            "bytes_per_s": bytes_per_s,
            "slice_bytes": slice_bytes,
            "cut_after": cut_after,
            "reset_after": reset_after,
            "silent": silent,
            "slow_close_s": slow_close_ms / 1000,
        }
        options: dict[str, Any] = {"up": Faults(**faults)} if up else faults
        line = await start_shim(target, host=host, port=port, seed=seed, certificate=certificate, key=key, **options)
        if refuse:
            await line.refuse()
        if json:
            print_line({"event": "listening", "url": line.base_url, "target": target, "seed": seed})
        say(f"The line to {target} begins at {line.base_url}")
        if line.base_url.startswith("http"):
            say(f"Point a client at it: ANTHROPIC_BASE_URL={line.base_url}")
        await _until_told(line)
        await line.stop()

    try:
        run(live())
    except ValueError as problem:
        say(f"headgate shim: {problem}")
        raise typer.Exit(2) from None
    except OSError as problem:
        why = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror or str(problem)
        say(f"headgate shim: cannot listen on {host}:{port}: {why}. Choose another with --host or --port.")
        raise typer.Exit(1) from None


async def _until_told(line: Shim) -> None:
    """Do what is said on standard input, until SIGINT or SIGTERM."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def listen() -> None:
        said = os.read(sys.stdin.fileno(), 4096)
        heard.put_nowait(said)
        if not said:
            loop.remove_reader(sys.stdin)

    async def obey() -> None:
        begun = b""
        while said := await heard.get():
            *lines, begun = (begun + said).split(b"\n")
            for each in lines:
                try:
                    await _obey(line, each.decode(errors="replace"))
                except (ValueError, OSError) as problem:
                    say(f"headgate shim: {problem}")

    with suppress(OSError, ValueError):  # a file, or none at all: nobody is going to say anything
        loop.add_reader(sys.stdin, listen)
    obeying = loop.create_task(obey())
    await told.wait()
    obeying.cancel()


_WORDS = {"none": None, "true": True, "false": False}
_LINES = "a line is NAME=VALUE (with `up` before it for the way to the target), refuse, accept or drop"


async def _obey(line: Shim, said: str) -> None:
    """One line: `refuse`, `accept`, `drop`, or faults as `name=value`, with `up` or `down` before them.

    Raises:
        ValueError: it means nothing, or a value cannot be; nothing has changed then.
        OSError: the port to listen on again is taken.
    """
    words = said.split()
    if words in (["refuse"], ["accept"]):
        await line.refuse(words == ["refuse"])
        return
    if words == ["drop"]:
        await line.drop()
        return
    from headgate.sim.shim import Faults

    names = [item.name for item in fields(Faults)]
    up = words[:1] == ["up"]
    changes: dict[str, Any] = {}
    for word in words[1:] if words[:1] in (["up"], ["down"]) else words:
        name, _, value = word.partition("=")
        if name not in names:
            raise ValueError(f"{word!r} means nothing: {_LINES}. Names are {', '.join(names)}.")
        try:
            number = _WORDS[value] if value in _WORDS else float(value)
        except ValueError:
            raise ValueError(f"{word!r}: the value must be a number, true, false or none") from None
        changes[name] = int(number) if isinstance(number, float) and number.is_integer() else number
    line.change("up" if up else "down", **changes)
