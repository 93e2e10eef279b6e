"""`headgate replay`: recorded traffic through Headgate's engine, or a rival, against the simulated API."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.output import Json, print_json, print_table, say, say_next
from headgate.core.shown import percent
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.replay.run import Run
    from headgate.replay.workload import Changes, Workload

__all__ = [
    "Day",
    "DepthS",
    "FollowUps",
    "FromHour",
    "Hours",
    "Latencies",
    "PolicyChoice",
    "Seed",
    "Source",
    "check_plot",
    "misused",
    "replay",
    "save_plot",
]

# Options that `headgate plan` has too.
Day = Annotated[str | None, typer.Option(help="The day, YYYY-MM-DD, UTC.")]
FromHour = Annotated[
    float | None, typer.Option(min=0, help="Where in a plant's week (default 8: Monday at 8) or a day to begin.")
]
Hours = Annotated[float | None, typer.Option(min=0.01, max=168, help="How long a plant is played; default 1.")]
DepthS = Annotated[float, typer.Option(min=1, max=60, help="Depth of the API's buckets, in seconds of refill.")]
Seed = Annotated[int, typer.Option(help="Decides everything that chance decides.")]


WORKERS = 40


class PolicyChoice(StrEnum):
    headgate = "headgate"
    fifo = "fifo"
    sdk = "sdk"
    fixed_retry = "fixed-retry"
    semaphore = "semaphore"
    fixed_minute = "fixed-minute"


class FollowUps(StrEnum):
    recorded = "recorded"
    wait = "wait"


class Latencies(StrEnum):
    none = "none"
    typical = "typical"


def replay(
    trace: Annotated[
        str | None,
        typer.Option(
            help="A trace: azure-code, azure-chat, mooncake-chat, mooncake-synthetic, servegen-tenants, or a file."
        ),
    ] = None,
    ledger: Annotated[Path | None, typer.Option(help="A ledger of Headgate's, with --day.")] = None,
    day: Day = None,
    plant: Annotated[
        str | None, typer.Option(help="A company with its tools: a TOML file, or '' for the one that comes along.")
    ] = None,
    from_hour: FromHour = None,
    hours: Hours = None,
    rpm: Annotated[int | None, typer.Option(min=1, help="Requests a minute; default the tier's.")] = None,
    itpm: Annotated[int | None, typer.Option(min=1, help="Input tokens a minute.")] = None,
    otpm: Annotated[int | None, typer.Option(min=1, help="Output tokens a minute.")] = None,
    tier: Annotated[str, typer.Option(help="Whose limits apply where none are given.")] = "start",
    depth_s: DepthS = 60.0,
    policy: Annotated[PolicyChoice, typer.Option(help="Who decides when a call goes.")] = PolicyChoice.headgate,
    workers: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Of fixed-retry; calls at a time of semaphore; default 40.")
    ] = None,
    sessions: Annotated[
        FollowUps, typer.Option(help="Ask follow-ups when they were recorded, or not before the answer they wait for.")
    ] = FollowUps.recorded,
    latency: Annotated[Latencies, typer.Option(help="How long the simulated API takes to answer.")] = Latencies.none,
    cache: Annotated[
        bool, typer.Option("--cache/--no-cache", help="Prompts that share a beginning carry cache markers.")
    ] = True,
    max_wait_s: Annotated[
        float | None, typer.Option(min=0, help="Longest wait in Headgate's lanes; default as long as it takes.")
    ] = None,
    scenario: Annotated[str | None, typer.Option(help="What goes wrong when, as `headgate sim --scenario`.")] = None,
    model: Annotated[str | None, typer.Option(help="Ask this model for every call.")] = None,
    seed: Seed = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it: a .png or .svg.  Needs pip install 'headgate[plot]'.")
    ] = None,
    json: Json = False,
) -> None:
    """Replay recorded traffic in virtual time, and compare with what no scheduler could beat.

    Runs Headgate's own engine, or what others do instead, against the simulated API.  Nothing is sent anywhere, and the
    same seed gives the same figures.
    """
    from headgate.replay.figures import figures_of
    from headgate.replay.run import Setup, play
    from headgate.replay.workload import Changes

    with misused("replay"):
        source = Source(trace, ledger, day, plant, from_hour, hours)
        check_plot(plot)
        _check_policy(policy, workers, max_wait_s)
        workload = source.read(Changes(model=model, seed=seed))
        setup = Setup(
            policy=policy.value, tier=tier, rpm=rpm, itpm=itpm, otpm=otpm, depth_s=depth_s, seed=seed,
            follow_ups=sessions.value, latency=latency.value, marked=cache, max_wait_s=max_wait_s,
            workers=WORKERS if workers is None else workers, scenario=scenario,
        )  # fmt: skip
        setup.check(workload)
    run = play(workload, setup)
    figures = figures_of(run)
    if plot is not None:
        save_plot([(policy.value, run)], plot)
    if json:
        print_json(figures)
        return
    _tell(figures, run)
    say_next(_next(source, policy, plot))


class misused:
    """What is wrong with the options is said in one line, and ends with 2."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if isinstance(problem, (HeadgateError, LookupError, ValueError)):
            text = problem.args[0] if isinstance(problem, LookupError) and problem.args else problem
            say(f"headgate {self._command}: {text}")
            raise typer.Exit(2) from None


@dataclass(frozen=True, slots=True)
class Source:
    """Where the calls come from, as options say it."""

    trace: str | None
    ledger: Path | None
    day: str | None
    plant: str | None
    from_hour: float | None
    hours: float | None

    def __str__(self) -> str:
        """As options, for the next command."""
        if self.trace is not None:
            return f"--trace {shlex.quote(self.trace)}"
        if self.ledger is not None:
            return f"--ledger {shlex.quote(str(self.ledger))} --day {self.day}"
        return f"--plant {shlex.quote(self.plant or '')}"

    def read(self, changes: Changes) -> Workload:
        """The calls.

        Raises:
            LoadError, LedgerError: there is not exactly one source, or it cannot be read.
        """
        from headgate.load.problems import LoadError
        from headgate.replay.workload import from_ledger, from_plant, from_trace

        given = {"--trace": self.trace, "--ledger": self.ledger, "--plant": self.plant}
        chosen = [name for name, value in given.items() if value is not None]
        if len(chosen) != 1:
            what = f"{' and '.join(chosen)} are several" if chosen else "there is none"
            raise LoadError(f"calls from one place are needed, and {what}: give --trace, --ledger or --plant.")
        if self.day is not None and self.ledger is None:
            raise LoadError(f"--day goes with --ledger, and there is {chosen[0]}.")
        if self.from_hour is not None and self.trace is not None:
            raise LoadError("--from-hour goes with --ledger or --plant, and there is --trace.")
        if self.hours is not None and self.plant is None:
            raise LoadError(f"--hours goes with --plant, and there is {chosen[0]}.")
        if self.trace is not None:
            return from_trace(self.trace, changes)
        if self.ledger is not None:
            return from_ledger(self.ledger, self._day(), changes, from_hour=self.from_hour)
        from_hour = 8.0 if self.from_hour is None else self.from_hour
        hours = 1.0 if self.hours is None else self.hours
        return from_plant(Path(self.plant) if self.plant else None, changes, hours=hours, from_hour=from_hour)

    def _day(self) -> date:
        from headgate.load.problems import LoadError

        if self.day is None:
            raise LoadError("a ledger holds many days: choose one with --day YYYY-MM-DD.")
        try:
            return date.fromisoformat(self.day)
        except ValueError:
            raise LoadError(f"--day is {self.day!r}, and must be a day: YYYY-MM-DD.") from None


def _check_policy(policy: PolicyChoice, workers: int | None, max_wait_s: float | None) -> None:
    from headgate.load.problems import LoadError

    if workers is not None and policy not in (PolicyChoice.fixed_retry, PolicyChoice.semaphore):
        raise LoadError(f"--workers goes with --policy fixed-retry or semaphore; {policy.value} has none.")
    if max_wait_s is not None and policy is not PolicyChoice.headgate:
        raise LoadError(f"--max-wait-s goes with --policy headgate; {policy.value} has no lanes to wait in.")


def check_plot(file: Path | None) -> None:
    if file is not None:
        from headgate.replay import plot

        plot.check_plot(file)


def save_plot(runs: list[tuple[str, Run]], file: Path) -> None:
    """Draw them.

    Raises:
        PlotError: it cannot be written.
    """
    from headgate.replay.plot import plot

    plot(runs, file)
    say(f"drawn: {file}")


def _tell(figures: dict[str, Any], run: Run) -> None:
    bound_s, makespan_s = figures["bound_s"], figures["makespan_s"]
    attempts, limited = figures["attempts"], figures["upstream_429"]
    from headgate.replay.figures import fifo_s_of

    ratio = f" ({makespan_s / bound_s:.3f})" if bound_s and figures["answered"] == figures["calls"] else ""
    rows = [
        ("calls", f"{figures['calls']:,}, of which {figures['answered']:,} were answered"),
        ("attempts", f"{attempts:,}, of which {limited:,} were 429s ({percent(limited / max(1, attempts))})"),
        (
            "last admission",
            f"{makespan_s:,.1f} s; for all calls not before {bound_s:,.1f} s{ratio}",
        ),
        ("first come first served", f"{fifo_s_of(run):,.1f} s, if it knew every limit, depth and cost"),
        ("from the cache", f"{percent(figures['cached_share'])} of the input"),
        ("fairness (Jain)", f"{figures['jain']:.4f}"),
    ]
    print_table((run.setup.policy, f"{run.workload.name}, seed {run.setup.seed}"), rows)
    print()
    lanes = [
        (name, f"{lane['calls']:,}", *(f"{lane[f'wait_p{share}_s']:,.1f} s" for share in (50, 95, 99)))
        for name, lane in figures["lanes"].items()
    ]
    print_table(("lane", "calls", "wait p50", "p95", "p99"), lanes, right=(1, 2, 3, 4))
    if figures["answered"] < figures["calls"]:
        say("What was never answered is in no wait above, nor in the last admission.")


def _next(source: Source, policy: PolicyChoice, plot: Path | None) -> str:
    if policy is PolicyChoice.headgate:
        return f"headgate replay {source} --policy sdk, to see the contrast"
    return f"headgate plan {source} --traffic 2"
