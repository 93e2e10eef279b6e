"""Figures of the simulator: how fast it is on sockets and in virtual time, and that a seed decides a run.

    python bench/simulator.py                 all of it, about two minutes
    python bench/simulator.py --quick         a first look, about half a minute
    python bench/simulator.py --markdown      the table for docs/explanation/simulator.md

CPU seconds are the process's own, so a neighbour on the machine costs little; needs Linux, two cores and gcc.  It
reports and judges nothing: the exit code is 0 unless it could not run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import bodies
import processes
from run import BIN, CannotRun, build, say

from headgate.load.play import Tally, play
from headgate.load.requests import Asking
from headgate.load.traces import read_trace
from headgate.load.turns import Arrivals, Conversation, Piece, Turn
from headgate.load.wire import Wire
from headgate.sim.settings import Latency, Limits, SimSettings
from headgate.sim.virtual_time import memory_dial
from headgate.testing import VirtualWorld, virtual

TARGET_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 64
WIDE = {"rpm": 10_000_000, "itpm": 10_000_000_000, "otpm": 10_000_000_000}
"""Limits that count and never refuse."""
HOUR_S = 3_600.0
HALF_HOUR_S = 1_800.0
"""How long the shipped slice of the Azure code trace is; an hour is the slice twice."""
SEED = 7


@dataclass(frozen=True)
class Row:
    """One figure.  `goal` is in the figure's own unit."""

    name: str
    measured: str
    goal: str
    met: bool
    value: float


# -- on sockets --------------------------------------------------------------------------------------------------------


def marked_body() -> bytes:
    """The bench's request behind 6 kB of stable rules with a cache marker: every answer reads them from the cache."""
    rules = "A rule of the house that stays as it is from call to call. " * 100
    system = [{"type": "text", "text": rules, "cache_control": {"type": "ephemeral"}}]
    return json.dumps(bodies.message() | {"system": system}, separators=(",", ":")).encode()


def on_sockets(name: str, body: bytes, seconds: float, rounds: int, folder: Path) -> Row:
    """JSON requests per CPU second of `headgate sim` with limits, cache and books, as the median of the rounds."""
    with simulator(folder) as (process, port):
        (folder / "body.json").write_bytes(body)
        load(port, folder, 1.0)  # warms up
        tree = processes.Tree(process.pid)
        found = []
        for _ in range(rounds):
            before_s = tree.cpu_s()
            answered = load(port, folder, seconds)
            found.append(answered / (tree.cpu_s() - before_s))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/sim/books", timeout=10) as told:
            books = json.load(told)
    if name.endswith("cache") and not books["tokens"]["cache_read"]:
        raise CannotRun("the requests were meant to read from the cache, and none did")
    value = statistics.median(found)
    return Row(name, f"{value:,.0f} a CPU second", "at least 3,000", value >= 3_000, value)


@contextmanager
def simulator(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`headgate sim` on a core of its own."""
    limits = [part for name, value in WIDE.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "headgate", "sim", "--port", "0", "--json", *limits]
    log = folder / "sim.log"
    process = processes.start(command, core=TARGET_CORE, log=log)
    try:
        for _ in range(300):
            lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
            if lines:
                yield process, int(json.loads(lines[0])["url"].rpartition(":")[2])
                return
            if process.poll() is not None:
                break
            time.sleep(0.1)
        raise CannotRun(f"headgate sim does not start: {log.read_text()}")
    finally:
        processes.stop(process)


def load(port: int, folder: Path, seconds: float) -> int:
    """How many answers came; each was checked."""
    with processes.on_core(LOAD_CORE):
        done = subprocess.run(
            [BIN / "load", "--port", str(port), "--body", folder / "body.json", "--connections", str(CONNECTIONS),
             "--seconds", str(seconds), "--header", "x-api-key: any", "--header", "anthropic-version: 2023-06-01"],
            check=True, capture_output=True,
        )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    if told["errors"]:
        raise CannotRun(f"the simulator answered wrongly: {told}")
    return int(told["answers"])


# -- in virtual time ---------------------------------------------------------------------------------------------------


def played(arrivals: Arrivals, seconds: float, write: Callable[[bytes], object] | None = None) -> tuple[Tally, float]:
    """What came of arrivals through the gateway and the simulator, and the CPU seconds that it took."""
    settings = SimSettings(
        limits=Limits(**WIDE), latency=Latency(ttft_s=0.5, ttft_s_per_1k_tokens=0.02, tokens_per_s=80)
    )

    async def scene(world: VirtualWorld) -> Tally:
        wire = Wire(world.base_url, memory_dial, world.clock, Asking(model="claude-sonnet-5-5"), api_key="k")
        tally = await play(arrivals, wire, world.clock, until_s=seconds)
        wire.close()
        return tally

    before_s = time.process_time()
    tally = virtual(scene, settings=settings, through="gateway", seed=SEED, events=write)
    return tally, time.process_time() - before_s


def in_virtual_time(users: int, turns: int) -> Row:
    """Requests per CPU second of everything together: who asks, the gateway with the engine, and the simulator."""

    def user(number: int) -> Iterator[Turn]:
        for turn in range(turns):
            yield Turn(
                messages=((Piece(f"user {number}, turn {turn}", 200),),),
                output_tokens=60,
                max_tokens=1_024,
                think_s=1.0,
            )

    tally, cpu_s = played([Conversation(0.0, user(number)) for number in range(users)], float("inf"))
    check_all_answered(tally)
    value = tally.asked / cpu_s
    name = "virtual time: requests through gateway and simulator"
    return Row(name, f"{value:,.0f} a CPU second", "at least 1,500", value >= 1_500, value)


def an_hour_of_azure() -> Row:
    tally, cpu_s = played(read_trace("azure-code", again_after_s=HALF_HOUR_S), HOUR_S)
    check_all_answered(tally)
    what = f"virtual time: an hour of the Azure code trace ({tally.asked:,} calls, {tally.input_tokens:,} input tokens)"
    return Row(what, f"{cpu_s:.1f} s of CPU", "under 60 s", cpu_s < 60, cpu_s)


def check_all_answered(tally: Tally) -> None:
    if tally.failed or tally.unfinished or not tally.asked:
        raise CannotRun(f"not every call was answered: {dict(tally.failed)}, {tally.unfinished} unfinished")


# -- one seed ----------------------------------------------------------------------------------------------------------


def digest_of_a_run(seconds: float) -> str:
    """Of the event log of the Azure code trace's first `seconds`."""
    digest = hashlib.sha256()
    played(read_trace("azure-code"), seconds, digest.update)
    return digest.hexdigest()


def one_seed(seconds: float) -> Row:
    """Two processes with one seed, each with its own order of hashes; beside the second the machine is busy."""
    alone = in_a_process(seconds, "1")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        beside = in_a_process(seconds, "2")
    finally:
        for process in busy:
            process.kill()
            process.wait()
    same = alone == beside
    what = f"event log of {seconds:,.0f} s with one seed, once alone and once beside other load"
    return Row(what, "identical" if same else "different", "identical", same, float(same))


def in_a_process(seconds: float, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, __file__, "--digest", str(seconds)],
        check=True, capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )  # fmt: skip
    return done.stdout.strip()


# -- the table ---------------------------------------------------------------------------------------------------------


def measure(quick: bool) -> Iterator[Row]:
    seconds, rounds = (2.0, 2) if quick else (5.0, 5)
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as name:
        folder = Path(name)
        yield on_sockets("JSON requests on sockets", bodies.encoded(), seconds, rounds, folder)
        yield on_sockets("JSON requests on sockets, 6 kB from the cache", marked_body(), seconds, rounds, folder)
    yield in_virtual_time(64, 50 if quick else 200)
    yield an_hour_of_azure()
    yield one_seed(60.0 if quick else 600.0)


def table(rows: list[Row], markdown: bool) -> str:
    cells = [("measured", "found", "goal", "")]
    cells += [(row.name, row.measured, row.goal, "met" if row.met else "not met") for row in rows]
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        return "\n".join([lines[0], "| --- | --- | --- | --- |", *lines[1:]])
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Figures of the simulator.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--digest", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.digest is not None:
        print(digest_of_a_run(arguments.digest))
        return 0
    rows = []
    try:
        build()
        for number, row in zip(count(1), measure(arguments.quick), strict=False):
            say(f"{number} of 5: {row.name}: {row.measured}")
            rows.append(row)
    except CannotRun as problem:
        print(f"simulator.py: {problem}", file=sys.stderr)
        return 1
    print(table(rows, arguments.markdown))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([row.__dict__ for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
