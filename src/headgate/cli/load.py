"""`headgate load`: traffic like that of a trace, of a company, of a past day, or made up, against any address."""

from __future__ import annotations

import os
import time
from datetime import date
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from headgate.cli.output import Json, print_json, print_table, say, say_next

if TYPE_CHECKING:
    from headgate.load.play import Tally
    from headgate.load.requests import Asking
    from headgate.load.turns import Arrivals
    from headgate.sim import SimSettings
    from headgate.testing import VirtualWorld

__all__ = ["load"]

HERE = "http://127.0.0.1:8789"
"""Where `headgate sim` listens."""


MOST_S = 365 * 86_400.0


class Family(StrEnum):
    poisson = "poisson"
    gamma = "gamma"
    weibull = "weibull"


class Through(StrEnum):
    nothing = "nothing"
    gateway = "gateway"


def load(
    to: Annotated[str, typer.Option(help="Base URL of what is to answer, without /v1.")] = HERE,
    trace: Annotated[
        str | None,
        typer.Option(
            help="Replay a trace: azure-code, azure-chat, mooncake-chat, mooncake-synthetic, "
            "servegen-tenants, or a file of JSON lines."
        ),
    ] = None,
    again_after_s: Annotated[float | None, typer.Option(min=1, help="Play the trace once more after so long.")] = None,
    plant: Annotated[
        str | None, typer.Option(help="Be a company with its tools: a TOML file, or '' for the one that comes along.")
    ] = None,
    from_hour: Annotated[
        float | None, typer.Option(min=0, help="Where in a plant's week (8: Monday at 8) or a ledger's day to begin.")
    ] = None,
    ledger: Annotated[Path | None, typer.Option(help="Repeat a past day from this ledger of Headgate's.")] = None,
    day: Annotated[str | None, typer.Option(help="That day, YYYY-MM-DD, UTC.")] = None,
    rate: Annotated[float | None, typer.Option(help="So many single turns a second on average.")] = None,
    arrivals: Annotated[Family, typer.Option(help="How their gaps are distributed.")] = Family.poisson,
    cv: Annotated[float, typer.Option(help="The gaps' deviation by their mean, for gamma and weibull.")] = 1.0,
    users: Annotated[int | None, typer.Option(min=1, help="So many users who ask, read, think, and ask again.")] = None,
    think_s: Annotated[float, typer.Option(min=0, help="How long they think on average.")] = 10.0,
    seconds: Annotated[
        float, typer.Option(min=1, max=MOST_S, help="How long to ask; answers are then waited for.")
    ] = 60.0,
    model: Annotated[str, typer.Option(help="For turns that name no model.")] = "claude-haiku-5-5",
    stream: Annotated[bool, typer.Option("--stream", help="Ask for streams where a turn does not say.")] = False,
    mark_stable: Annotated[
        bool, typer.Option("--mark-stable", help="Put cache markers behind stable prompts.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Decides everything that is made up.")] = 0,
    speed: Annotated[float, typer.Option(help="How many times as fast, as `headgate sim --speed`.")] = 1.0,
    virtual: Annotated[
        bool, typer.Option("--virtual", help="No address and no waiting: a simulator in virtual time, in this process.")
    ] = False,
    through: Annotated[Through, typer.Option(help="In virtual time: what stands before it.")] = Through.gateway,
    tier: Annotated[str, typer.Option(help="In virtual time: the tier whose limits apply.")] = "start",
    scenario: Annotated[
        str | None, typer.Option(help="In virtual time: what goes wrong when, as `headgate sim --scenario`.")
    ] = None,
    typical_latency: Annotated[
        bool, typer.Option("--typical-latency", help="In virtual time: take about as long as large models do.")
    ] = False,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="Allow an address that is not this machine's; it may cost money.")
    ] = False,
    json: Json = False,
) -> None:
    """Play traffic against an address and tell what came of it.

    Every follow-up turn comes only after its answer.  Nothing is tried twice.  In virtual time the whole run takes a
    moment, and the same seed gives the same figures.
    """
    from headgate.load.problems import LoadError
    from headgate.load.requests import Asking
    from headgate.load.sources import arrivals_of

    began_s = time.process_time()
    try:
        chosen = arrivals_of(
            seed=seed, trace=trace, again_after_s=again_after_s, plant=plant, from_hour=from_hour, ledger=ledger,
            day=_day(day), rate_per_s=rate, family=arrivals.value, cv=cv, how_many_users=users, think_s=think_s,
        )  # fmt: skip
        if not virtual:
            _check_address(to, anywhere=anywhere)
            _check_not_given(
                {
                    "--through": through is not Through.gateway,
                    "--tier": tier != "start",
                    "--scenario": scenario is not None,
                    "--typical-latency": typical_latency,
                }
            )
    except LoadError as problem:
        say(f"headgate load: {problem}")
        raise typer.Exit(2) from None
    asking = Asking(model=model, stream=stream, mark_stable=mark_stable)
    if virtual:
        tally = _virtually(chosen, asking, _settings(tier, typical_latency), scenario, through, seconds, seed)
    else:
        tally = _really(chosen, asking, to, seconds, speed)
    facts = _facts(tally) | {"seed": seed, "cpu_s": round(time.process_time() - began_s, 3)}
    if json:
        print_json(facts)
    else:
        _tell(facts)
    if tally.failed.get("connect") == tally.asked > 0 and not virtual:
        say(f"Nothing answers at {to}. Start `headgate sim` in another terminal, or say where with --to.")
    elif not json:
        say_next("headgate load --virtual --plant '' --seconds 3600")
    if tally.asked and not tally.answered:
        raise typer.Exit(1)


def _day(text: str | None) -> date | None:
    from headgate.load.problems import LoadError

    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise LoadError(f"--day is {text!r}, and must be a day: YYYY-MM-DD.") from None


def _check_address(to: str, *, anywhere: bool) -> None:
    """Refuse what is no address, or, unless `anywhere`, not this machine.

    Raises:
        LoadError: it is refused.
    """
    from headgate.load.problems import LoadError

    try:
        parts = urlsplit(to)
        host, sound = parts.hostname or "", parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        host, sound = "", False
    if not host or not sound:
        raise LoadError(f"--to is {to!r}, and must be a base URL, such as {HERE}.")
    if parts.path.rstrip("/").endswith("/v1"):
        raise LoadError(f"--to is {to!r}, and must be the base URL before /v1.")
    try:
        here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here and not anywhere:
        raise LoadError(f"{to} is not this machine; what answers there may cost money.  If that is meant: --anywhere.")


def _check_not_given(in_virtual_time: dict[str, bool]) -> None:
    """Refuse what would change nothing.

    Raises:
        LoadError: one is given.
    """
    from headgate.load.problems import LoadError

    for option, given in in_virtual_time.items():
        if given:
            raise LoadError(f"{option} goes with --virtual; here it is `headgate sim`, or what else answers, to tell.")


def _settings(tier: str, typical_latency: bool) -> SimSettings:
    from headgate.sim.settings import TYPICAL_LATENCY, Latency, Limits, SimSettings

    try:
        return SimSettings(limits=Limits(tier=tier), latency=TYPICAL_LATENCY if typical_latency else Latency())
    except (LookupError, ValueError) as problem:
        say(f"headgate load: {problem}")
        raise typer.Exit(2) from None


def _virtually(
    arrivals: Arrivals,
    asking: Asking,
    settings: SimSettings,
    scenario: str | None,
    through: Through,
    seconds: float,
    seed: int,
) -> Tally:
    from headgate.load.play import play
    from headgate.load.wire import Wire
    from headgate.sim.virtual_time import memory_dial
    from headgate.testing import ScenarioError, virtual

    async def scene(world: VirtualWorld) -> Tally:
        wire = Wire(world.base_url, memory_dial, world.clock, asking, api_key="sk-ant-load")
        tally = await play(arrivals, wire, world.clock, until_s=seconds)
        wire.close()
        return tally

    try:
        return virtual(scene, settings=settings, scenario=scenario, through=through.value, seed=seed)
    except ScenarioError as problem:
        say(f"headgate load: {problem}")
        raise typer.Exit(2) from None


def _really(arrivals: Arrivals, asking: Asking, to: str, seconds: float, speed: float) -> Tally:
    from headgate.clock import ScaledClock
    from headgate.event_loop import run
    from headgate.load.play import play
    from headgate.load.wire import Wire
    from headgate.upstream.dial import TcpDial

    async def main() -> Tally:
        clock = ScaledClock(speed)
        key = os.environ.get("ANTHROPIC_API_KEY", "sk-ant-load")
        wire = Wire(to, TcpDial(allow_private=True), clock, asking, api_key=key)
        tally = await play(arrivals, wire, clock, until_s=seconds)
        wire.close()
        return tally

    try:
        return run(main())
    except ValueError as problem:
        say(f"headgate load: {problem}")
        raise typer.Exit(2) from None


def _facts(tally: Tally) -> dict[str, Any]:
    return {
        "asked": tally.asked,
        "answered": tally.answered,
        "failed": dict(sorted(tally.failed.items())),
        "unfinished": tally.unfinished,
        "lasted_s": round(tally.lasted_s, 3),
        "took_s": _spread(tally.took_s),
        "first_byte_s": _spread(tally.first_byte_s),
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
    }


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"p{share}": round(ordered[len(ordered) * share // 100], 6) for share in (50, 95, 99) if ordered}


def _tell(facts: dict[str, Any]) -> None:
    rows = [
        ("asked", f"{facts['asked']:,} turns in {facts['lasted_s']:,.1f} s"),
        ("answered", f"{facts['answered']:,}"),
    ]
    rows += [(f"failed: {kind}", f"{count:,}") for kind, count in facts["failed"].items()]
    if facts["unfinished"]:
        rows.append(("given up", f"{facts['unfinished']:,}"))
    for name, what in (("took_s", "whole answer"), ("first_byte_s", "first byte")):
        told = ", ".join(f"{share} {value:.3f} s" for share, value in facts[name].items())
        rows.append((what, told or "none"))
    rows.append(("tokens", f"{facts['input_tokens']:,} in, {facts['output_tokens']:,} out"))
    rows.append(("this process", f"{facts['cpu_s']:.1f} s of CPU, seed {facts['seed']}"))
    print_table(("load", ""), rows)
