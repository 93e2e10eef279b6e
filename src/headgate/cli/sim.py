"""`headgate sim`: the simulated Claude API on a port, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.output import print_line, say

if TYPE_CHECKING:
    from headgate.sim.settings import SimSettings

__all__ = ["sim"]

GRACE_S = 1.0
"""How long answers under way may take to finish after a signal."""
DEFAULT_PORT = 8789
TIERS = "evaluation, start, build, scale, custom"


def sim(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.")] = DEFAULT_PORT,
    tier: Annotated[str, typer.Option(help=f"Usage tier whose limits apply: {TIERS}.")] = "start",
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute for every pool, over the tier's.")] = None,
    itpm: Annotated[int | None, typer.Option(min=1, help="Input tokens a minute, over the tier's.")] = None,
    otpm: Annotated[int | None, typer.Option(min=1, help="Output tokens a minute, over the tier's.")] = None,
    depth_s: Annotated[float, typer.Option(min=1, max=60, help="Seconds' worth of refill a limit holds.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Decides every id and every word.")] = 0,
    ttft_ms: Annotated[float, typer.Option(min=0, help="Milliseconds to the first token.")] = 0.0,
    tokens_per_s: Annotated[float, typer.Option(min=0, help="Speed of generation; 0 answers at once.")] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print where it listens as one JSON line.")] = False,
) -> None:
    """Run the simulated Claude API.

    Any API key is taken; nothing leaves this machine.
    """
    from headgate.event_loop import run
    from headgate.sim.settings import Latency, Limits, SimSettings

    try:
        settings = SimSettings(
            limits=Limits(tier=tier, rpm=rpm, itpm=itpm, otpm=otpm, depth_s=depth_s),
            latency=Latency(ttft_s=ttft_ms / 1000, tokens_per_s=tokens_per_s),
        )
    except ValueError as problem:
        say(f"headgate sim: {problem}")
        raise typer.Exit(2) from None
    try:
        run(_until_told(settings, host, port, seed, json=json))
    except OSError as problem:
        why = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror
        say(f"headgate sim: cannot listen on {host}:{port}: {why}. Choose another with --host or --port.")
        raise typer.Exit(1) from None


async def _until_told(settings: SimSettings, host: str, port: int, seed: int, *, json: bool) -> None:
    """Serve until SIGINT or SIGTERM."""
    from headgate.sim.service import serve

    running = await serve(settings, host=host, port=port, seed=seed)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    url = running.base_url
    if json:
        print_line({"event": "listening", "url": url, "tier": settings.limits.tier, "seed": seed})
    say(f"The simulated Claude API listens on {url}  (books: {url}/sim/books, statistics: {url}/sim/stats)")
    say(f"Point a client at it: ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any")
    say(f"Next, put the gateway in front: headgate serve --upstream {url}")
    await told.wait()
    await running.stop(GRACE_S)
