"""The figures of traffic: what Headgate makes of real traffic under limits, storms and strangers, beside its rivals.

    python bench/traffic.py                   all of it
    python bench/traffic.py --quick           a first look: one seed, the beginnings of the slices
    python bench/traffic.py --only storm      worlds whose name begins so
    python bench/traffic.py --write           and write the tables into docs/explanation/traffic.md

Virtual time: the production engine and the simulated API on one event loop, so a figure is the same on every machine.
The CPU of a decision (admission.py) and rivals in real time (rivals.py) are measured too, and are not.  It reports and
judges nothing: the exit code is 0 unless it could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import rivals
import traffic_worlds as worlds
from figures import Figure, percent, ratio, say, seconds, times, whole, write_tables
from traffic_worlds import Found

from headgate.replay.policies import POLICIES, PolicyName

BENCH = Path(__file__).resolve().parent
PAGE = BENCH.parent / "docs/explanation/traffic.md"
HEAD = {"headgate": "Headgate", "fifo": "first come", "sdk": "SDK", "fixed-retry": "fixed retry",
        "semaphore": "semaphore", "fixed-minute": "fixed minute"}  # fmt: skip


_MOST, _LEAST, _ALL = {"at_most": True}, {"at_most": False}, {"at_most": True, "of_all": True}
FIGURES = tuple(
    Figure(title=title, of=of, metric=metric, goal=goal, shown=shown, **more)
    for title, of, metric, goal, shown, more in (
        ("429s ÷ attempts, after the first minute", ("1s", "10s", "60s"), "late_429", 0.001, percent, _MOST),
        ("makespan ÷ fluid bound", ("10s", "60s"), "stretch", 1.01, ratio, _ALL),
        ("makespan ÷ that of first come", ("1s",), "to_first_come", 1.01, ratio, _ALL),
        ("makespan ÷ ideal-cache bound", ("cached",), "stretch", 1.03, ratio, _ALL),
        ("interactive wait, p95", ("lanes",), "interactive_p95_s", 1, seconds, _MOST),
        ("bulk's share of the rest", ("lanes",), "bulk_share", 0.97, percent, _LEAST),
        ("Jain index, 24 backlogged tenants", ("tenants/backlogged",), "jain", 0.99, ratio, _LEAST),
        ("Jain index, the tenants as recorded", ("tenants/recorded",), "jain", 0.99, ratio, _LEAST),
        ("attempts ÷ calls", ("storm",), "attempts", 1.2, times, _MOST),
        ("full service after, in probe intervals", ("storm",), "recovery", 2, times, _ALL),
        ("waiting jobs, at most", ("retry-storm",), "most_queued", 780, whole, _MOST),
        ("throughput ÷ limit while jobs wait", ("retry-storm",), "throughput", 0.95, percent, _LEAST),
        ("interactive wait after the bad minute, p95", ("retry-storm",), "interactive_p95_s", 1, seconds, _MOST),
        ("429s ÷ attempts", ("hidden",), "share_429", 0.005, percent, _MOST),
        ("used of the other half", ("hidden",), "used", 0.97, percent, _LEAST),
    )
)


@dataclass(frozen=True)
class Task:
    """One run."""

    world: str
    policy: PolicyName
    seed: int
    quick: bool

    def run(self) -> tuple[Task, Found, float]:
        began_s = time.process_time()
        found = worlds.WORLDS[self.world](self.policy, self.seed, self.quick)
        return self, found, time.process_time() - began_s


def measure(tasks: Sequence[Task], jobs: int) -> dict[Task, Found]:
    """Every run, in as many processes."""
    told: dict[Task, Found] = {}

    def take(done: Iterable[tuple[Task, Found, float]]) -> None:
        for task, found, cpu_s in done:
            told[task] = found
            figures = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
            say(f"{task.world}, {task.policy}, seed {task.seed}: {figures} ({cpu_s:.0f} s of CPU)")

    if jobs == 1:
        take(map(Task.run, tasks))
        return told
    with ProcessPoolExecutor(jobs) as pool:
        take(pool.map(Task.run, tasks))
    return told


def _read(file: Path, but: Sequence[str]) -> dict[Task, Found]:
    told = [(Task(**row["task"]), row["found"]) for row in json.loads(file.read_text())]
    return {task: found for task, found in told if task.policy not in but}


# ---- tables ----------------------------------------------------------------------------------------------------------


def tables(found: dict[Task, Found]) -> list[str]:
    """One line a figure: the worst run of each policy, and what was to be reached."""
    present = [policy for policy in POLICIES if any(task.policy == policy for task in found)]
    lines = [
        f"| figure | in | reach | {' | '.join(HEAD[policy] for policy in present)} |",
        f"| --- | --- | ---: | {' | '.join('---:' for _ in present)} |",
    ]
    for figure in FIGURES:
        names = [name for name in worlds.WORLDS if name.startswith(figure.of)]
        cells = [_cell(figure, found, names, policy) for policy in present]
        if any(cell != "" for cell in cells):
            seen = [name for name in names if any(task.world == name for task in found)]
            lines.append(f"| {figure.title} | {_worlds(seen)} | {figure.reach} | {' | '.join(cells)} |")
    return lines


def _cell(figure: Figure, found: dict[Task, Found], names: Sequence[str], policy: str) -> str:
    runs = [told for task, told in found.items() if task.world in names and task.policy == policy]
    values = [told[figure.metric] for told in runs if figure.metric in told]
    if not values:
        return ""
    worst, middle = figure.worst(values), statistics.median(values)
    failed = max(told.get("failed", 0.0) for told in runs)
    given_up = f"{percent(failed)} given up" if failed >= 0.0005 else ""
    if given_up and figure.of_all:
        return given_up
    cell = figure.shown(middle)
    if worst != middle and figure.shown(worst) != cell:
        cell += f" (worst {figure.shown(worst)})"
    cell += f"; {given_up}" if given_up else ""
    if policy == "headgate":
        cell = f"**{cell}**" if figure.met(values) else f"{cell} (missed)"
    return cell


def _worlds(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{len(names)} worlds"


def every_run(found: dict[Task, Found]) -> list[str]:
    """One line a world and policy: each metric's median and range over the seeds."""
    lines = ["| world | policy | what came of it |", "| --- | --- | --- |"]
    for world in worlds.WORLDS:
        for policy in POLICIES:
            runs = [told for task, told in found.items() if (task.world, task.policy) == (world, policy)]
            if not runs:
                continue
            metrics = []
            for metric in runs[0]:
                values = [run[metric] for run in runs]
                low, middle, high = min(values), statistics.median(values), max(values)
                spread = f" ({low:.4g}–{high:.4g})" if low != high else ""
                metrics.append(f"{metric} {middle:.4g}{spread}")
            lines.append(f"| {world} | {policy} | {', '.join(metrics)} |")
    return lines


def decision_table(quick: bool) -> list[str]:
    """The CPU of one admission decision, as bench/admission.py measures it: for real, and so not to be repeated."""
    command = [sys.executable, str(BENCH / "admission.py"), *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return [f"bench/admission.py: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}"]
    return done.stdout.strip().splitlines()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The figures of traffic, beside Headgate's rivals, in virtual time.")
    parser.add_argument("--quick", action="store_true", help="a first look: one seed, the beginnings of the slices")
    parser.add_argument("--only", default="", help="worlds whose name begins like one of: " + ", ".join(worlds.WORLDS))
    parser.add_argument("--policies", default=",".join(POLICIES), help="default: %(default)s")
    parser.add_argument("--seeds", type=int, help="how many, default 3, with --quick 1")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default %(default)s)")
    parser.add_argument(
        "--virtual-only", action="store_true", help="leave out what takes real time: the CPU of a decision, rivals.py"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every run here")
    parser.add_argument(
        "--reuse", type=Path, metavar="FILE", help="figures of an earlier --json for policies not measured now"
    )
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.name}")
    parsed = parser.parse_args(arguments)
    named = [name.strip() for name in parsed.policies.split(",") if name.strip()]
    if unknown := [name for name in named if name not in POLICIES]:
        parser.error(f"unknown policy {unknown[0]!r}: choose from {', '.join(POLICIES)}")
    policies = [policy for policy in POLICIES if policy in named]
    chosen = [name for name in worlds.WORLDS if name.startswith(tuple(parsed.only.split(",")))]
    if not chosen:
        parser.error(f"no world begins with {parsed.only!r}; there are {', '.join(worlds.WORLDS)}")
    seeds = range(parsed.first, parsed.first + (parsed.seeds or (1 if parsed.quick else 3)))
    tasks = [
        Task(world, policy, seed, parsed.quick)
        for world in chosen
        for policy in policies
        for seed in (seeds if policy == "headgate" else seeds[:1])
    ]
    found = (_read(parsed.reuse, named) if parsed.reuse else {}) | measure(tasks, parsed.jobs)
    decision, real_time = [], []
    if not (parsed.virtual_only or parsed.only):
        say("the CPU of a decision, then rivals in real time")
        decision = decision_table(parsed.quick)
        real_time = rivals.table(*rivals.measure(seconds=15.0 if parsed.quick else 40.0))
    if parsed.json:
        told = [{"task": vars(task), "found": figures} for task, figures in found.items()]
        parsed.json.write_text(json.dumps(told, indent=1) + "\n")
    if parsed.write:
        written = {"figures": tables(found), "runs": every_run(found), "decision": decision, "rivals": real_time}
        write_tables(PAGE, "bench/traffic.py", written)
    print("\n".join(["", *tables(found), "", *every_run(found), "", *decision, "", *real_time]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
