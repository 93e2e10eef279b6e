"""What came of a run, in a handful of figures."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from headgate.replay.bounds import fifo, fluid_bound_s
from headgate.replay.fairness import jain_of
from headgate.replay.run import Outcome, Run
from headgate.replay.workload import Ask

__all__ = ["bound_s_of", "cost_usd_of", "fifo_s_of", "figures_of", "percentile"]

LIMITED = 429


def figures_of(run: Run) -> dict[str, Any]:
    """As `headgate replay --json` prints them.  Waits are from asking to the admission that led to an answer."""
    answers = [outcome.answer for outcome in run.outcomes if outcome.answer is not None]
    read = sum(answer.cached_tokens for answer in answers)
    prompts = read + sum(answer.input_tokens for answer in answers)
    lanes: dict[str, list[Outcome]] = {}
    for outcome in run.outcomes:
        lanes.setdefault(outcome.ask.lane, []).append(outcome)
    return {
        "calls": len(run.outcomes),
        "answered": len(answers),
        "attempts": len(run.attempts),
        "upstream_429": sum(attempt.status == LIMITED for attempt in run.attempts),
        "makespan_s": round(max((answer.admitted_s for answer in answers), default=0.0), 3),
        "bound_s": round(bound_s_of(run), 3),
        "cached_share": round(read / prompts, 6) if prompts else 0.0,
        "jain": round(jain_of(run), 6),
        "lanes": {name: _lane(of) for name, of in sorted(lanes.items())},
    }


def bound_s_of(run: Run) -> float:
    """No scheduler is done sooner; with an ideal cache where prompts are marked and have something in common."""
    cached = run.setup.marked and run.workload.shared
    return max(
        (fluid_bound_s(asks, limits, run.setup.depth_s, cached=cached) for asks, limits in _pools(run)), default=0.0
    )


def fifo_s_of(run: Run) -> float:
    """When strictly first come first served is done, on limits, depths and costs that are all known."""
    cached = run.setup.marked and run.workload.shared
    return max(
        (fifo(asks, limits, run.setup.depth_s, cached=cached).makespan_s for asks, limits in _pools(run)), default=0.0
    )


def _pools(run: Run) -> Iterator[tuple[list[Ask], tuple[float, float, float]]]:
    for pool, limits in run.per_minute.items():
        yield [ask for ask in run.workload.asks if ask.model.rate_limit_pool == pool], limits


def cost_usd_of(run: Run) -> Decimal:
    """What the simulated API bills for the answers."""
    pico = sum(outcome.answer.cost_pico for outcome in run.outcomes if outcome.answer is not None)
    return round(Decimal(pico) / 10**12, 2)


def _lane(outcomes: list[Outcome]) -> dict[str, Any]:
    waits = sorted(outcome.waited_s for outcome in outcomes if outcome.answer is not None)
    told = {f"wait_p{share}_s": round(percentile(waits, share), 3) for share in (50, 95, 99)}
    return {"calls": len(outcomes), **told}


def percentile(ordered: list[float], share: float) -> float:
    """The nearest rank; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))] if ordered else 0.0
