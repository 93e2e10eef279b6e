"""The figures of money: what Headgate makes of a bill, and whether its own books are right.

    python bench/money.py                   all of it
    python bench/money.py --quick           a first look: half a day, few seeds
    python bench/money.py --only plant      measurements whose name begins so
    python bench/money.py --write           and write the tables into docs/explanation/money.md

Virtual time, against the simulated API's own invoice; but for `race`, which has real threads and processes, and `cpu`,
which is measured.  It reports and judges nothing: the exit code is 0 unless it could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import money_cache
import money_cpu
import money_ledger
import money_lint
import money_plant
import money_race
from figures import Figure, percent, ratio, say, whole, write_tables
from money_budgets import AGENTS, false_refusals

PAGE = Path(__file__).resolve().parent.parent / "docs/explanation/money.md"

Found = Mapping[str, float]


def agents(seed: int, quick: bool) -> Found:
    """Agents with `max_tokens` 32,000 that write 500, on a budget of a tenth more than what they really cost."""
    return {
        mode: max(
            false_refusals(mode, agents=number, margin=1.1, calls=calls, seed=seed)["share"]
            for number, calls in AGENTS[: 1 if quick else None]
        )
        for mode in ("smooth", "strict")
    }


MEASURES: dict[str, Callable[[int, bool], Found]] = {
    "race": money_race.race,
    "agents": agents,
    "ledger": money_ledger.ledger,
    "plant": money_plant.plant,
    "cache": money_cache.cache,
    "lint": money_lint.lint,
    "cpu": money_cpu.cpu,
}
"""By name: each takes a seed and whether to be quick."""
MEASURED = frozenset(("race", "cpu"))
"""For real, and so by themselves: not beside anything else."""


def _micros(value: float) -> str:
    return f"{value:.0f} µs"


_MOST, _LEAST = {"at_most": True}, {"at_most": False}
FIGURES = tuple(
    Figure(title=title, of=of, metric=metric, goal=goal, shown=shown, **more)
    for title, of, metric, goal, shown, more in (
        ("1,000 calls on a budget for 100, by tasks, threads, 8 processes: off by", ("race",), "off", 0, whole, _MOST),
        ("and picodollars over it", ("race",), "over", 0, whole, _MOST),
        ("agents refused falsely, smooth", ("agents",), "smooth", 0, percent, _MOST),
        ("agents refused falsely, strict", ("agents",), "strict", 0.01, percent, _MOST),
        ("costs that differ from the invoice unflagged, or after reconciling", ("ledger",), "wrong", 0, whole, _MOST),
        ("the plant, one week: cost ÷ plain", ("plant",), "cost", 0.40, ratio, _MOST),
        ("requests a minute at the peak hour ÷ plain", ("plant",), "peak", 0.40, ratio, _MOST),
        ("answers within tolerance", ("plant",), "within", 0.995, percent, _LEAST),
        ("input cost of mooncake-chat ÷ uncached", ("cache",), "conv", 0.87, ratio, _MOST),
        ("a prefix with a timestamp is named after so many calls", ("lint",), "calls", 20, whole, _MOST),
        ("CPU that budgets, planner and shape add to a call", ("cpu",), "added_us", 60, _micros, _MOST),
    )
)


@dataclass(frozen=True)
class Task:
    """One measurement."""

    name: str
    seed: int
    quick: bool

    def run(self) -> tuple[Task, Found, float]:
        began_s = time.process_time()
        return self, MEASURES[self.name](self.seed, self.quick), time.process_time() - began_s


def measure(tasks: Sequence[Task], jobs: int) -> dict[Task, Found]:
    """Every measurement, in as many processes; those of real time by themselves, afterwards."""
    told: dict[Task, Found] = {}

    def take(done: Iterable[tuple[Task, Found, float]]) -> None:
        for task, found, cpu_s in done:
            told[task] = found
            figures = ", ".join(f"{name} {value:.5g}" for name, value in found.items())
            say(f"{task.name}, seed {task.seed}: {figures} ({cpu_s:.0f} s of CPU)")

    with ProcessPoolExecutor(jobs) as pool:
        take(pool.map(Task.run, [task for task in tasks if task.name not in MEASURED]))
    take(map(Task.run, [task for task in tasks if task.name in MEASURED]))
    return told


def _read(file: Path) -> dict[Task, Found]:
    return {Task(**row["task"]): row["found"] for row in json.loads(file.read_text())}


def table(found: Mapping[Task, Found]) -> list[str]:
    """One line a figure: the worst over seeds, and what was to be reached."""
    lines = ["| figure | reach | Headgate |", "| --- | ---: | ---: |"]
    for figure in FIGURES:
        runs = [told for task, told in found.items() if task.name.startswith(figure.of)]
        values = [told[figure.metric] for told in runs if figure.metric in told]
        if values:
            cell = figure.shown(figure.worst(values))
            cell = f"**{cell}**" if figure.met(values) else f"{cell} (missed)"
            lines.append(f"| {figure.title} | {figure.reach} | {cell} |")
    return lines


def every_run(found: Mapping[Task, Found]) -> list[str]:
    lines = ["| measurement | seed | what came of it |", "| --- | ---: | --- |"]
    for task, told in found.items():
        lines.append(
            f"| {task.name} | {task.seed} | {', '.join(f'{name} {value:.5g}' for name, value in told.items())} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The figures of money, against the simulated API's own invoice.")
    parser.add_argument("--quick", action="store_true", help="a first look: half a day, few seeds")
    parser.add_argument("--only", default="", help="names that begin like one of: " + ", ".join(MEASURES))
    parser.add_argument("--seeds", type=int, default=1, help="how many (default %(default)s)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every run here")
    parser.add_argument(
        "--reuse", type=Path, metavar="FILE", action="append", default=[],
        help="figures of an earlier --json for what is not measured now; several times for several",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.name}")
    parsed = parser.parse_args(arguments)
    chosen = [name for name in MEASURES if name.startswith(tuple(parsed.only.split(",")))]
    if not chosen:
        parser.error(f"nothing begins with {parsed.only!r}; there are {', '.join(MEASURES)}")
    tasks = [
        Task(name, seed, parsed.quick)
        for name in chosen
        for seed in range(parsed.first, parsed.first + (1 if name in MEASURED else parsed.seeds))
    ]
    reused = {task: told for file in parsed.reuse for task, told in _read(file).items() if task.name not in chosen}
    found = {**reused, **measure(tasks, parsed.jobs)}
    found = {task: found[task] for task in sorted(found, key=lambda task: ([*MEASURES].index(task.name), task.seed))}
    if parsed.json:
        told = [{"task": vars(task), "found": dict(figures)} for task, figures in found.items()]
        parsed.json.write_text(json.dumps(told, indent=1) + "\n")
    if parsed.write:
        write_tables(PAGE, "bench/money.py", {"figures": table(found), "runs": every_run(found)})
    print("\n".join(["", *table(found), "", *every_run(found)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
