"""`headgate plan`: what if the tier, the lanes, the cache or the traffic were different; or Headgate were there."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.compare import compare_plain
from headgate.cli.output import Json, money, print_json, print_table, say_next
from headgate.cli.replay import (
    Day,
    DepthS,
    FromHour,
    Hours,
    Latencies,
    PolicyChoice,
    Seed,
    Source,
    check_plot,
    misused,
    save_plot,
)
from headgate.core.shown import percent

if TYPE_CHECKING:
    from headgate.config.schema import LaneConfig
    from headgate.replay.run import Run
    from headgate.replay.workload import Workload

__all__ = ["plan"]


class OnOff(StrEnum):
    on = "on"
    off = "off"


class Compare(StrEnum):
    plain = "plain"


def plan(
    plant: Annotated[
        str | None,
        typer.Option(help="A company with its tools: a TOML file, or '' for the one that comes along (the default)."),
    ] = None,
    workload: Annotated[str | None, typer.Option(help="The same as --plant, for --compare.")] = None,
    compare: Annotated[
        Compare | None,
        typer.Option(help="Play a whole plan through Headgate, and as its tools would send it without."),
    ] = None,
    days: Annotated[
        float | None, typer.Option(min=0.01, max=366, help="How much of it, from Monday 0:00; default as it says.")
    ] = None,
    trace: Annotated[str | None, typer.Option(help="Or a trace: one that comes along, or a file.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Or a day of this ledger of Headgate's, with --day.")] = None,
    day: Day = None,
    from_hour: FromHour = None,
    hours: Hours = None,
    now_tier: Annotated[str, typer.Option(help="The tier before.")] = "start",
    now_policy: Annotated[
        PolicyChoice, typer.Option(help="Who decides before; after, Headgate does.")
    ] = PolicyChoice.headgate,
    rpm: Annotated[
        int | None, typer.Option(min=1, help="Requests a minute, before; and after, without --tier.")
    ] = None,
    itpm: Annotated[int | None, typer.Option(min=1, help="Input tokens a minute, likewise.")] = None,
    otpm: Annotated[int | None, typer.Option(min=1, help="Output tokens a minute, likewise.")] = None,
    depth_s: DepthS = 60.0,
    tier: Annotated[str | None, typer.Option(help="What if: this tier.")] = None,
    lanes: Annotated[
        str | None,
        typer.Option(help="What if: weights, as interactive=8,bulk=1, or the lanes and workflows of a headgate.toml."),
    ] = None,
    prompt_cache: Annotated[
        OnOff | None, typer.Option(help="What if: prompts carry cache markers, or none; before, the other.")
    ] = None,
    traffic: Annotated[float | None, typer.Option(min=0.01, max=100, help="What if: so many times as much.")] = None,
    tools: Annotated[
        int | None, typer.Option(min=1, help="What if: only the first so many of a plan, else the busiest.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="What if: this model for every call.")] = None,
    latency: Annotated[
        Latencies | None,
        typer.Option(help="How long the simulated API takes to answer; default none, with --compare typical."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="What goes wrong when, before and after, as `headgate sim --scenario`.")
    ] = None,
    seed: Seed = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw both: a .png or .svg.  Needs pip install 'headgate[plot]'.")
    ] = None,
    json: Json = False,
) -> None:
    """Play the same traffic before and after a change, or without and with Headgate, in virtual time, and compare.

    Nothing is sent anywhere, and the same seed gives the same figures.
    """
    from headgate.replay.run import Setup, play
    from headgate.replay.workload import Changes

    if compare is not None:
        others = (trace, ledger, day, from_hour, hours, rpm, itpm, otpm, tier, lanes, prompt_cache, traffic, tools)
        more = (model, scenario, plot, *([] if now_policy is PolicyChoice.headgate else [now_policy]))
        with misused("plan"):
            if any(given is not None for given in (*others, *more)):
                raise ValueError("--compare takes --workload, --days, --latency, --seed and --json, and nothing else.")
        compare_plain(workload or plant, seed, days, (latency or Latencies.typical).value, json=json)
        return
    with misused("plan"):
        if workload is not None or days is not None:
            raise ValueError("--workload and --days go with --compare plain; without it: --plant and --hours.")
        if trace is None and ledger is None and plant is None:
            plant = ""
        source = Source(trace, ledger, day, plant, from_hour, hours)
        check_plot(plot)
        _check_changed(tier, lanes, prompt_cache, traffic, tools, model, now_policy)
        weights, lane_of = _lanes(lanes)
        before = Setup(
            policy=now_policy.value, tier=now_tier, rpm=rpm, itpm=itpm, otpm=otpm, depth_s=depth_s, seed=seed,
            latency=(latency or Latencies.none).value, marked=prompt_cache is not OnOff.on, scenario=scenario,
        )  # fmt: skip
        after = replace(before, policy="headgate", marked=prompt_cache is not OnOff.off, lanes=weights)
        if tier is not None:
            after = replace(after, tier=tier, rpm=None, itpm=None, otpm=None)
        changes = Changes(
            model=model, traffic=1.0 if traffic is None else traffic, tools=tools, lane_of=lane_of, seed=seed
        )
        as_is, as_if = source.read(Changes(seed=seed)), source.read(changes)
        if lanes is not None and "=" in lanes:
            _check_lanes(weights, as_if)
        before.check(as_is)
        after.check(as_if)
    runs = [("before", play(as_is, before)), ("after", play(as_if, after))]
    told = {name: _facts(run) for name, run in runs}
    if plot is not None:
        save_plot(runs, plot)
    if json:
        print_json(told)
        return
    _tell(told)
    say_next("headgate replay --help, for one of them in detail")


def _check_changed(*what_ifs: Any) -> None:
    from headgate.load.problems import LoadError

    if all(given is None or given is PolicyChoice.headgate for given in what_ifs):
        raise LoadError(
            "nothing is different: give --tier, --lanes, --prompt-cache, --traffic, --tools, --model or --now-policy."
        )


def _check_lanes(weights: dict[str, LaneConfig], workload: Workload) -> None:
    """A lane that neither ships nor has calls is a slip of the pen."""
    from headgate.config.schema import Config
    from headgate.load.problems import LoadError

    used = {ask.lane for ask in workload.asks}
    for name in weights:
        if name not in used and name not in Config().lanes:
            raise LoadError(f"--lanes: no call is in lane {name!r}; there are calls in {', '.join(sorted(used))}.")


def _lanes(text: str | None) -> tuple[dict[str, LaneConfig], dict[str, str]]:
    """The lanes that are different, and which workflow runs where.

    Raises:
        ConfigError: the file is wrong.
        LoadError: a weight is.
    """
    from headgate.config.load import load_config
    from headgate.config.schema import Config, LaneConfig
    from headgate.load.problems import LoadError

    if text is None:
        return {}, {}
    if "=" not in text:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
        config = load_config(environ, file=Path(text)).config
        return config.lanes, {name: flow.lane for name, flow in config.workflows.items() if flow.lane is not None}
    own = Config().lanes
    found: dict[str, LaneConfig] = {}
    for part in text.split(","):
        name, _, told = part.partition("=")
        try:
            weight = float(told)
        except ValueError:
            weight = 0.0
        if not name.strip() or not 0 < weight < 1e6:
            raise LoadError(f"--lanes: {part.strip()!r} must be a lane and its weight above 0, such as bulk=1.")
        found[name.strip()] = replace(own.get(name.strip(), LaneConfig()), weight=weight)
    return found, {}


def _facts(run: Run) -> dict[str, Any]:
    from headgate.replay.figures import cost_usd_of, figures_of

    setup = {name: value for name, value in asdict(run.setup).items() if value not in (None, {})}
    setup.pop("lanes", None)
    limits = {
        pool: dict(zip(("rpm", "itpm", "otpm"), map(int, told), strict=True)) for pool, told in run.per_minute.items()
    }
    weights = {name: lane.weight for name, lane in run.setup.lanes.items()}
    return {"setup": setup | {"limits": limits, "weights": weights}, "cost_usd": cost_usd_of(run)} | figures_of(run)


def _tell(told: dict[str, dict[str, Any]]) -> None:
    both = (told["before"], told["after"])
    rows = [
        _row("calls", both, lambda one: f"{one['calls']:,}"),
        _row("answered", both, lambda one: f"{one['answered']:,}"),
        _row("attempts", both, lambda one: f"{one['attempts']:,}"),
        _row("429s", both, lambda one: f"{one['upstream_429']:,}"),
        _row("last admission", both, lambda one: f"{one['makespan_s']:,.0f} s"),
        _row("  not sooner than", both, lambda one: f"{one['bound_s']:,.0f} s"),
        _row("from the cache", both, lambda one: percent(one["cached_share"])),
        _row("fairness (Jain)", both, lambda one: f"{one['jain']:.3f}"),
        _row("cost", both, lambda one: money(one["cost_usd"])),
    ]
    for lane in sorted({*both[0]["lanes"], *both[1]["lanes"]}):
        for share in (50, 95, 99):
            rows.append(
                _row(f"{lane}: wait p{share}", both, lambda one, lane=lane, share=share: _wait(one, lane, share))
            )
    print_table(("", "before", "after"), rows, right=(1, 2))


def _row(name: str, both: tuple[dict[str, Any], dict[str, Any]], cell: Any) -> tuple[str, str, str]:
    return name, cell(both[0]), cell(both[1])


def _wait(figures: dict[str, Any], lane: str, share: int) -> str:
    of = figures["lanes"].get(lane)
    return "-" if of is None else f"{of[f'wait_p{share}_s']:,.1f} s"
