"""`headgate sim`: the simulated Claude API on a port, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.output import print_json, print_line, print_table, say, say_next

if TYPE_CHECKING:
    from io import RawIOBase

    from headgate.clock import ScaledClock
    from headgate.sim.scenario import Scenario
    from headgate.sim.settings import SimSettings

__all__ = ["sim"]

GRACE_S = 1.0
"""How long answers under way may take to finish after a signal."""
DEFAULT_PORT = 8789
TIERS = "evaluation, start, build, scale, custom"


def sim(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = DEFAULT_PORT,
    tier: Annotated[str, typer.Option(help=f"Usage tier whose limits apply: {TIERS}.")] = "start",
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute for every pool, over the tier's.")] = None,
    itpm: Annotated[int | None, typer.Option(min=1, help="Input tokens a minute, over the tier's.")] = None,
    otpm: Annotated[int | None, typer.Option(min=1, help="Output tokens a minute, over the tier's.")] = None,
    depth_s: Annotated[float, typer.Option(min=1, max=60, help="Seconds' worth of refill a limit holds.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Decides every id and every word.")] = 0,
    ttft_ms: Annotated[float, typer.Option(min=0, help="Milliseconds to the first token.")] = 0.0,
    tokens_per_s: Annotated[float, typer.Option(min=0, help="Speed of generation; 0 answers at once.")] = 0.0,
    typical_latency: Annotated[
        bool, typer.Option("--typical-latency", help="Take about as long as large models do, instead of the two above.")
    ] = False,
    speed: Annotated[float, typer.Option(help="How many times as fast its waits and its date run.")] = 1.0,
    events: Annotated[
        Path | None, typer.Option(help="Append a JSON line to this file for everything that happens.")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(
            help="What goes wrong when: one that ships, or a TOML file.  Its settings go before these options."
        ),
    ] = None,
    list_scenarios: Annotated[
        bool, typer.Option("--list-scenarios", help="Print the scenarios that ship, and stop.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print where it listens as one JSON line.")] = False,
) -> None:
    """Run the simulated Claude API.

    Any API key is taken; nothing leaves this machine.
    """
    from headgate.clock import ScaledClock
    from headgate.event_loop import run
    from headgate.sim.scenario import load_scenario, shipped
    from headgate.sim.settings import TYPICAL_LATENCY, Latency, Limits, SimSettings

    if list_scenarios:
        _list(shipped(), json=json)
        return
    played: Scenario | None = None
    try:
        settings = SimSettings(
            limits=Limits(tier=tier, rpm=rpm, itpm=itpm, otpm=otpm, depth_s=depth_s),
            latency=TYPICAL_LATENCY if typical_latency else Latency(ttft_s=ttft_ms / 1000, tokens_per_s=tokens_per_s),
        )
        if scenario is not None:
            settings, played = load_scenario(scenario, settings)
        clock = ScaledClock(speed, start=None if played is None else played.start)
    except ValueError as problem:
        say(f"headgate sim: {problem}")
        raise typer.Exit(2) from None
    try:
        log = None if events is None else events.expanduser().open("ab", buffering=0)
    except OSError as problem:
        say(f"headgate sim: cannot write {events}: {problem.strerror}. Choose another file with --events.")
        raise typer.Exit(2) from None
    try:
        run(_until_told(settings, host, port, seed, played, clock, log, json=json))
    except OSError as problem:
        why = os.strerror(problem.errno) if problem.errno and problem.errno > 0 else problem.strerror
        say(f"headgate sim: cannot listen on {host}:{port}: {why}. Choose another with --host or --port.")
        raise typer.Exit(1) from None
    finally:
        if log is not None:
            log.close()


def _list(scenarios: Mapping[str, str], *, json: bool) -> None:
    if json:
        print_json(scenarios)
        return
    print_table(("scenario", "what happens"), list(scenarios.items()))
    say_next("headgate sim --scenario storm")


def _writing(log: RawIOBase) -> Callable[[bytes], None]:
    """Writes lines until one cannot be written, which is said once: a full disk is no reason to answer wrongly."""
    whole = True

    def write(line: bytes) -> None:
        nonlocal whole
        if whole:
            try:
                log.write(line)
            except OSError as problem:
                whole = False
                say(f"headgate sim: the event log ends here, it cannot be written: {problem.strerror}")

    return write


async def _until_told(
    settings: SimSettings,
    host: str,
    port: int,
    seed: int,
    scenario: Scenario | None,
    clock: ScaledClock,
    log: RawIOBase | None,
    *,
    json: bool,
) -> None:
    """Serve until SIGINT or SIGTERM."""
    from headgate.sim.service import serve

    running = await serve(settings, host=host, port=port, seed=seed, scenario=scenario, clock=clock)
    if log is not None:
        running.app.world.log_events(_writing(log))
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    url = running.base_url
    if json:
        name = None if scenario is None else scenario.name
        print_line({"event": "listening", "url": url, "tier": settings.limits.tier, "seed": seed, "scenario": name})
    say(f"The simulated Claude API listens on {url}  (books: {url}/sim/books, statistics: {url}/sim/stats)")
    if scenario is not None:
        say(f"Scenario {scenario.name}: {scenario.about}")
    say(f"Point a client at it: ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=any")
    say(f"Next, put the gateway in front: headgate serve --upstream {url}")
    await told.wait()
    await running.stop(GRACE_S)
