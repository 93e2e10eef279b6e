"""A company's tools, one week, without and with Headgate: `headgate plan --compare plain`."""

from __future__ import annotations

from functools import cache

from headgate.load.plant import read_plant
from headgate.replay.compare import compared, sums_of

__all__ = ["plant"]

QUICK_DAYS = 0.5


def plant(seed: int, quick: bool) -> dict[str, float]:
    """The plan that comes along.  Shares are of what it is without."""
    headgate, plain = (_side(name, seed, quick) for name in ("headgate", "plain"))
    return {
        "cost": headgate["cost_usd"] / plain["cost_usd"],
        "peak": headgate["peak_rpm"] / plain["peak_rpm"],
        "within": headgate["within_tolerance"],
        "unanswered": headgate["calls"] - headgate["answered"],
        "cached": headgate["cached_share"],
        "cost_usd": headgate["cost_usd"],
        "plain_usd": plain["cost_usd"],
        "plain_within": plain["within_tolerance"],
        "peak_rpm": headgate["peak_rpm"],
        "plain_rpm": plain["peak_rpm"],
        "calls": plain["calls"],
    }


@cache
def _side(name: str, seed: int, quick: bool) -> dict[str, float]:
    run = compared(read_plant(), name, seed=seed, days=QUICK_DAYS if quick else None)
    return {figure: float(value) for figure, value in sums_of(run).items()}
