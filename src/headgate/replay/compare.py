"""The same calls twice: as a company's tools send them today, each by itself, and through Headgate.

*Plain* is the SDK's own retries, no cache markers, and `max_tokens` as the tool sends it.  *Headgate* is the production
engine with what the plan itself says of its tools as its configuration, and nothing else.  Both get the same answers of
the same model; what is compared comes from the simulated API's own invoice and from the clock of whoever asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from headgate.config.schema import WorkflowConfig
from headgate.load.plant import Plant, Tool
from headgate.replay.run import Run, Setup, play
from headgate.replay.workload import Changes, Workload, of_plant
from headgate.sim.settings import TYPICAL_BATCHES

__all__ = ["SIDES", "check", "compared", "sums_of", "workflows_of"]

SIDES = ("headgate", "plain")
HOURS = 24.0
PATIENT_S = 3_600.0
"""Answers that are wanted no sooner may come through a Message Batch."""
MOST_JOINED = 16
WINDOW, LONGEST_WINDOW_S = 0.5, 600.0
"""The longest wait for others to be asked together with: of the tolerance, and at all."""


def workflows_of(tools: Iterable[Tool]) -> dict[str, WorkflowConfig]:
    """What a plan says of its tools, as Headgate's configuration."""
    return {tool.name: _workflow(tool) for tool in tools}


def _workflow(tool: Tool) -> WorkflowConfig:
    told = WorkflowConfig(lane=tool.lane, traceable=tool.traceable)
    if tool.tolerance_s is None:
        return told
    if tool.tolerance_s >= PATIENT_S:
        return replace(told, batch=True)
    if tool.joinable and not tool.traceable:
        window_s = min(LONGEST_WINDOW_S, tool.tolerance_s * WINDOW)
        return replace(told, join_max=MOST_JOINED, join_window_s=window_s, join_within_s=tool.tolerance_s)
    return told


def compared(
    plant: Plant,
    side: str,
    *,
    seed: int = 0,
    days: float | None = None,
    latency: str = "typical",
    keeps_alive: bool = True,
) -> Run:
    """Play `days` of the plan, from Monday at midnight on, on one side.

    Raises:
        LoadError: nothing is asked in that time.
        LookupError, ValueError: the plan's models have no such limits.
    """
    workload = _workload(plant, seed, days)
    setup = replace(_setup(plant, side, seed, latency), keeps_alive=keeps_alive)
    setup.check(workload)
    return play(workload, setup)


def check(plant: Plant, seed: int = 0) -> None:
    """Find out before a long run what cannot be; as `compared` raises it."""
    workload = _workload(plant, seed, min(1.0, plant.days))
    for side in SIDES:
        _setup(plant, side, seed, "typical").check(workload)


def _workload(plant: Plant, seed: int, days: float | None) -> Workload:
    hours = HOURS * (plant.days if days is None else days)
    return of_plant(plant, "plant", Changes(seed=seed), hours=hours, from_hour=0.0)


def _setup(plant: Plant, side: str, seed: int, latency: Any) -> Setup:
    return Setup(
        policy="headgate" if side == "headgate" else "sdk",
        tier=plant.tier,
        seed=seed,
        follow_ups="wait",
        latency=latency,
        marked=False,
        places_markers=True,
        workflows=workflows_of(plant.tools),
        batches=TYPICAL_BATCHES,
        length_inside=True,
    )


def sums_of(run: Run) -> dict[str, Any]:
    """As `headgate plan --compare plain --json` prints them for each side."""
    asked = len(run.outcomes)
    in_time = sum(
        outcome.answered and outcome.ended_s - outcome.asked_s <= (outcome.ask.turn.tolerance_s or float("inf"))
        for outcome in run.outcomes
    )
    usage = run.billed.usage
    return {
        "calls": asked,
        "answered": sum(outcome.answered for outcome in run.outcomes),
        "cost_usd": round(Decimal(run.billed.cost_pico) / 10**12, 2),
        "peak_rpm": round(max(run.by_hour.values(), default=0) / 60, 2),
        "within_tolerance": round(in_time / asked, 6) if asked else 1.0,
        "cached_share": round(usage.cache_read / usage.prompt, 6) if usage.prompt else 0.0,
    }
