"""Measure Headgate beside nginx, LiteLLM and Portkey, in one run on one machine.  README.md says how to read it.

    python bench/run.py                     everything that is installed, some minutes
    python bench/run.py --quick             a first look, one or two minutes
    python bench/run.py --install-peers     LiteLLM and Portkey, into a folder that git ignores

It reports and judges nothing: the exit code is 0 unless it could not run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bodies
import processes
import rivals
import targets
from results import Results, as_dict, render

BENCH = Path(__file__).resolve().parent
BIN = BENCH / "bin"

HOLD_STREAMS = 1000
HOLD_RAMP_PER_S = 250
HOLD_SETTLE_S = 7.0

CALM = 0.1
"""Share of the targets' core that others may take; a cell with more is measured again, and the calmest try counts."""
TRIES = 3


Found = dict[str, Any]
"""What bin/load prints."""


class CannotRun(Exception):
    """Nothing can be measured here.  The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One kind of load."""

    name: str
    body: bytes
    connections: int
    ramp_per_s: float = 0
    """0 opens all connections at once.  A ramp also keeps them from moving in step."""


CELLS = (
    Cell(name="json", body=bodies.encoded(), connections=64),
    Cell(name="single", body=bodies.encoded(), connections=1),
    Cell(name="slow", body=bodies.encoded("delay=200"), connections=256, ramp_per_s=256 / 0.2),
    Cell(name="paced", body=bodies.encoded("gap=20", stream=True), connections=40, ramp_per_s=40 / 0.02),
)
HOLD = Cell(
    name="hold",
    body=bodies.encoded("gap=500", stream=True),
    connections=HOLD_STREAMS,
    ramp_per_s=HOLD_RAMP_PER_S,
)


class Bench:
    """One run: the machine's two cores, the C tools, the mock, and what has been found so far."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, results: Results) -> None:
        self.folder = folder
        self.results = results
        self.seconds: float = arguments.seconds
        self.rounds: int = arguments.rounds
        self.quick: bool = arguments.quick
        self.chance = random.Random(arguments.seed)
        self.target_core, self.load_core = arguments.cores
        self.mock: targets.Mock
        self._files = 0

    def run(self, names: Sequence[str]) -> None:
        """Measure `names` and fill the results."""
        os.sched_setaffinity(0, {self.load_core})  # nor may we disturb the targets
        self.mock = targets.start_mock(BIN / "mock", self.load_core, self.folder)
        try:
            self.measure_open_streams([n for n in names if not self.quick or n == "headgate"])
            with contextlib.ExitStack() as running:
                self.measure_rounds(self.start_all(names, running))
            if "headgate" in names:
                self.measure_library()
        finally:
            processes.stop(self.mock.process)

    # ---- targets

    def start(self, name: str) -> targets.Running | None:
        """None, with the reason in the results, when `name` cannot be started."""
        if name in self.results.left_out:
            return None
        self._files += 1
        try:
            return targets.start_target(
                name, self.mock, self.target_core, self.folder / f"{name}-{self._files}", CELLS[0].body
            )
        except (targets.Missing, RuntimeError) as error:
            self.results.left_out[name] = str(error)
            say(f"{name} is left out: {error}")
            return None

    def start_all(self, names: Sequence[str], running: contextlib.ExitStack) -> list[targets.Running]:
        """Start `names`, note what each needs when idle, and warm it up."""
        started = []
        for name in names:
            say(f"starting {name}")
            if not (target := self.start(name)):
                continue
            running.callback(target.stop)
            time.sleep(1)
            self.results.versions[name] = target.version
            self.results.add(name, 0, idle_mb=target.tree.pss_bytes() / 1e6)
            self.warm_up(target, target.warmup_s, connections=64)
            started.append(target)
        return started

    def warm_up(self, target: targets.Running, seconds: float, connections: int) -> None:
        self.load(target, Cell(name="warm-up", body=CELLS[0].body, connections=connections), seconds)
        self.load(target, Cell(name="warm-up", body=bodies.encoded(stream=True), connections=4), seconds / 2)
        self.settle(target)

    # ---- cells

    def measure_rounds(self, running: Sequence[targets.Running]) -> None:
        """Every cell on every target, in an order that each round and cell draws anew."""
        for number in range(1, self.rounds + 1):
            for cell in CELLS:
                say(f"round {number} of {self.rounds}: {cell.name}")
                for target in self.chance.sample(running, len(running)):
                    if found := self.measure(target, cell):
                        self.results.add(target.name, number, **_VALUES[cell.name](found))
            direct_ms = self.results.by_round("direct", "single_p50_ms").get(number)
            for target in running:
                p50_ms = self.results.by_round(target.name, "single_p50_ms").get(number)
                if target.name != "direct" and p50_ms is not None and direct_ms is not None:
                    self.results.add(target.name, number, single_added_ms=p50_ms - direct_ms)

    def measure(self, target: targets.Running, cell: Cell) -> Found | None:
        """The calmest of some tries; None, with a word in the results, when any answer was wrong."""
        tries: list[Found] = []
        while not tries or (len(tries) < TRIES and tries[-1]["foreign_share"] > CALM):
            tries.append(self.measure_once(target, cell))
            found = tries[-1]
            if found["errors"] or not found["answers"]:
                self.error(
                    target, cell, f"{found['errors']} of {found['errors'] + found['answers']} answers are wrong", found
                )
                return None
        calmest = min(tries, key=lambda found: float(found["foreign_share"]))
        self.results.repeated += len(tries) > 1
        if target.name != "direct":
            self.results.foreign_share.append(calmest["foreign_share"])
        return calmest

    def measure_once(self, target: targets.Running, cell: Cell) -> Found:
        """What `load` found, the CPU seconds that the target took, and the share of its core that others took."""
        cpu_s, busy_s, at_s = target.tree.cpu_s(), processes.busy_s(self.target_core), time.monotonic()
        found = self.load(target, cell, self.seconds)
        self.settle(target)
        cpu_s = target.tree.cpu_s() - cpu_s
        foreign_s = processes.busy_s(self.target_core) - busy_s - cpu_s
        foreign_share = max(0.0, foreign_s / (time.monotonic() - at_s))
        # `direct` is the mock, which runs on the other core.
        return found | {"cpu_s": cpu_s, "foreign_share": 0.0 if target.name == "direct" else foreign_share}

    def measure_open_streams(self, names: Sequence[str]) -> None:
        """Memory per open stream, each target in a fresh process: memory that an earlier cell freed would hide it."""
        for name in self.chance.sample(names, len(names)):
            say(f"open streams: {name}")
            if not (target := self.start(name)):
                continue
            try:
                self.warm_up(target, 1, connections=8)  # more would leave garbage, in which the streams find room
                before = target.tree.pss_bytes()
                with self.popen_load(target, HOLD, HOLD_STREAMS / HOLD_RAMP_PER_S + HOLD_SETTLE_S + 0.5) as load:
                    time.sleep(HOLD_STREAMS / HOLD_RAMP_PER_S + HOLD_SETTLE_S)
                    grown = target.tree.pss_bytes() - before
                    found = json.loads(load.communicate()[0])
                if found["errors"]:
                    self.error(target, HOLD, f"{found['errors']} of {HOLD_STREAMS} streams are wrong", found)
                elif found["begun"] < HOLD_STREAMS:
                    self.error(target, HOLD, f"only {found['begun']} of {HOLD_STREAMS} streams had begun", found)
                else:
                    self.results.add(name, 0, stream_kb=grown / 1000 / HOLD_STREAMS)
            finally:
                target.stop()
            if name == "direct":  # the mock goes on: it needs a moment to see that the streams have gone
                self.settle(target)

    def measure_library(self) -> None:
        say("library")
        calls, rounds = (200, 3) if self.quick else (400, 6)
        command = [sys.executable, str(BENCH / "library.py"), "--port", str(self.mock.port)]
        command += ["--calls", str(calls), "--rounds", str(rounds)]
        env = os.environ | {
            "HEADGATE_LEDGER__PATH": str(self.folder / "library.db"),
            "HEADGATE_LOG__PATH": str(self.folder / "library.log"),
        }
        with processes.on_core(self.target_core):
            done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if done.returncode == 0:
            self.results.library = json.loads(done.stdout)
        else:
            self.results.left_out["library"] = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]

    def error(self, target: targets.Running, cell: Cell, what: str, found: Found) -> None:
        what += f", the first: {found['first_error']}" if found["first_error"] else ""
        self.results.fail(target.name, cell.name, what)
        say(f"{target.name}, {cell.name}: {what}")

    # ---- load

    def load(self, target: targets.Running, cell: Cell, seconds: float) -> Found:
        with self.popen_load(target, cell, seconds) as load:
            found: Found = json.loads(load.communicate()[0])
        return found

    def popen_load(self, target: targets.Running, cell: Cell, seconds: float) -> subprocess.Popen[bytes]:
        body = self.folder / f"{cell.name}.json"
        body.write_bytes(cell.body)
        command = [str(BIN / "load"), "--port", str(target.port), "--body", str(body)]
        command += ["--connections", str(cell.connections), "--seconds", str(seconds)]
        command += ["--ramp", str(cell.ramp_per_s)] if cell.ramp_per_s else []
        command += ["--hold"] if cell is HOLD else []
        for header in target.headers:
            command += ["--header", header]
        with processes.on_core(self.load_core):
            return subprocess.Popen(command, stdout=subprocess.PIPE)

    def settle(self, target: targets.Running) -> None:
        """Wait until `target` rests: what it does behind its answers is its own cost, and no other target's noise."""
        deadline = time.monotonic() + 5
        used_s = target.tree.cpu_s()
        while time.monotonic() < deadline:
            time.sleep(0.25)
            before_s, used_s = used_s, target.tree.cpu_s()
            if used_s - before_s < 0.01:
                return


_VALUES: dict[str, Callable[[Found], dict[str, float]]] = {
    "json": lambda found: {
        "json_per_cpu_s": found["answers"] / found["cpu_s"],
        "json_rps": found["rps"],
        "json_p50_ms": found["whole_us"]["p50"] / 1000,
        "json_p99_ms": found["whole_us"]["p99"] / 1000,
    },
    "single": lambda found: {"single_p50_ms": found["whole_us"]["p50"] / 1000},
    "slow": lambda found: {"slow_per_cpu_s": found["answers"] / found["cpu_s"]},
    "paced": lambda found: {"event_cpu_us": found["cpu_s"] / found["events"] * 1e6},
}
"""By cell: the metrics of report.py that come out of it."""


# ---- the machine -----------------------------------------------------------------------------------------------


def build() -> None:
    """Compile the C tools that are older than their source."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise CannotRun("no C compiler: `apt-get install gcc libc6-dev`")
    BIN.mkdir(exist_ok=True)
    for name in ("mock", "load"):
        source, binary = BENCH / f"{name}.c", BIN / name
        if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
            continue
        say(f"building {name}")
        done = subprocess.run([compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-o", binary, source], check=False)
        if done.returncode != 0:
            raise CannotRun(f"{source.name} does not compile")


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def raise_open_files() -> None:
    """A thousand streams are two thousand connections in a gateway, which inherits our limit."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16384 if hard == resource.RLIM_INFINITY else min(16384, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < 4096:
        say(f"only {wanted} open files are allowed: the cell of {HOLD_STREAMS} open streams will fail (`ulimit -Hn`)")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- the command line ------------------------------------------------------------------------------------------


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure Headgate beside nginx, LiteLLM and Portkey on one machine.",
        epilog="It only reports: the exit code is 0 unless it could not run.",
    )
    parser.add_argument("--targets", default=",".join(targets.TARGETS), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 2")
    parser.add_argument("--seconds", type=float, help="of load per cell, default 2, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="a first look: short, and fewer memory cells")
    parser.add_argument("--cores", help="TARGETS,LOAD: default the first two that we may use")
    parser.add_argument("--seed", type=int, default=random.randrange(10000), help="for the order of the targets")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value of every round here")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    parser.add_argument(
        "--no-rivals", dest="rivals", action="store_false", help="leave out the SDK and LiteLLM's Router in real time"
    )
    parser.add_argument("--install-peers", action="store_true", help="install LiteLLM and Portkey into .peers, and end")
    parsed = parser.parse_args(arguments)

    parsed.targets = [name.strip() for name in parsed.targets.split(",") if name.strip()]
    if unknown := [name for name in parsed.targets if name not in targets.TARGETS]:
        parser.error(f"unknown target {unknown[0]!r}: choose from {', '.join(targets.TARGETS)}")
    parsed.rounds = parsed.rounds or (2 if parsed.quick else 5)
    parsed.seconds = parsed.seconds or (1.0 if parsed.quick else 2.0)
    if parsed.rounds < 1 or parsed.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    usable = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    try:
        parsed.cores = [int(core) for core in parsed.cores.split(",")] if parsed.cores else usable[:2]
    except ValueError:
        parser.error("--cores takes two numbers, like 0,1")
    if len(parsed.cores) > 1 and (len(set(parsed.cores)) != 2 or not set(parsed.cores) <= set(usable)):
        parser.error(f"--cores takes two different ones of {', '.join(map(str, usable))}")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through the `finally`s, so that nothing stays behind
    try:
        if parsed.install_peers:
            targets.install_peers()
            return 0
        if len(parsed.cores) < 2:
            raise CannotRun("two cores of a Linux machine are needed: one for the targets, one for the load")
        build()
        raise_open_files()
        results = Results(
            settings={
                "rounds": parsed.rounds,
                "seconds": parsed.seconds,
                "seed": parsed.seed,
                "quick": parsed.quick,
                "target_core": parsed.cores[0],
                "load_core": parsed.cores[1],
                "cpu": cpu_model(),
                "kernel": platform.release(),
                "python": platform.python_version(),
            }
        )
        with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
            Bench(parsed, Path(folder), results).run(parsed.targets)
        real_time = measure_rivals(parsed)
    except (CannotRun, targets.Missing, subprocess.CalledProcessError) as error:
        say(f"run.py: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    if parsed.json:
        told = as_dict(results) | {"rivals": {name: asdict(run) for name, run in real_time[0].items()}}
        parsed.json.write_text(json.dumps(told, indent=2) + "\n")
    print(render(results, markdown=parsed.markdown))
    if parsed.rivals:
        print("\n## At half the limits that are needed\n")
        print("\n".join(rivals.table(*real_time)))
    return 0


def measure_rivals(parsed: argparse.Namespace) -> tuple[dict[str, rivals.Told], dict[str, str]]:
    """The SDK, LiteLLM's Router and Headgate's library on one short trace; rivals.py says how."""
    if not parsed.rivals:
        return {}, {}
    say("rivals on a short trace, in real time")
    os.sched_setaffinity(0, set(parsed.cores))
    return rivals.measure(seconds=15.0 if parsed.quick else 40.0)


if __name__ == "__main__":
    sys.exit(main())
