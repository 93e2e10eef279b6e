"""`headgate plan --compare plain`: a company's tools without and with Headgate."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from headgate.cli.output import print_number_json, print_table, say, say_next
from headgate.cli.replay import misused
from headgate.core.shown import percent

if TYPE_CHECKING:
    from headgate.load.plant import Plant

__all__ = ["compare_plain"]


def compare_plain(file: str | None, seed: int, days: float | None, latency: str, *, json: bool) -> None:
    """Play both sides, on two processors if there are two, and print what came of them."""
    from headgate.load.plant import read_plant
    from headgate.replay.compare import SIDES

    with misused("plan"):
        plant = read_plant(Path(file) if file else None)
        _check(plant, seed)
        wanted = [(plant, side, seed, days, latency) for side in SIDES]
        try:
            if (os.cpu_count() or 1) > 1:
                with ProcessPoolExecutor(len(SIDES), get_context("spawn")) as pool:
                    found = list(pool.map(_play, wanted))
            else:
                found = [_play(one) for one in wanted]
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
    told = dict(zip(SIDES, found, strict=True))
    if json:
        print_number_json(told)
        return
    _tell(told)
    say_next("headgate plan --compare plain --json, for programs; docs/howto/plan.md says what is in the figures")


def _check(plant: Plant, seed: int) -> None:
    """What cannot be is found out before a long run."""
    from headgate.replay.compare import check

    check(plant, seed)


def _play(wanted: tuple[Plant, str, int, float | None, str]) -> dict[str, Any]:
    from headgate.replay.compare import compared, sums_of

    plant, side, seed, days, latency = wanted
    return sums_of(compared(plant, side, seed=seed, days=days, latency=latency))


def _tell(told: dict[str, dict[str, Any]]) -> None:
    plain, headgate = told["plain"], told["headgate"]
    rows = [
        ("calls", f"{plain['calls']:,}", f"{headgate['calls']:,}", ""),
        ("answered", f"{plain['answered']:,}", f"{headgate['answered']:,}", ""),
        ("cost", f"${plain['cost_usd']:,.2f}", f"${headgate['cost_usd']:,.2f}", _ratio(told, "cost_usd")),
        (
            "requests a minute, peak",
            f"{plain['peak_rpm']:.1f}",
            f"{headgate['peak_rpm']:.1f}",
            _ratio(told, "peak_rpm"),
        ),
        ("within tolerance", percent(plain["within_tolerance"]), percent(headgate["within_tolerance"]), ""),
        ("from the cache", percent(plain["cached_share"]), percent(headgate["cached_share"]), ""),
    ]
    print_table(("", "plain", "Headgate", "to plain"), rows, right=(1, 2, 3))
    if headgate["answered"] < headgate["calls"]:
        say("What was not answered ended in an error for whoever asked.")


def _ratio(told: dict[str, dict[str, Any]], name: str) -> str:
    plain = told["plain"][name]
    return f"{told['headgate'][name] / plain:.3f}" if plain else ""
