"""Rivals in real time: the official SDK, LiteLLM's Router and Headgate's library on one short trace, over sockets.

    python bench/rivals.py                    about a minute and a half
    python bench/rivals.py --quick            about half a minute
    python bench/rivals.py --markdown         the table only

Each asks a simulated Claude of its own, all at the same time: a burst of the Azure code trace against half the
limits that it needs.  Nobody is told what comes; LiteLLM is told the limits, Headgate learns them.  It reports and
judges nothing: the exit code is 0 unless it could not run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import targets

from headgate.load.requests import Asking
from headgate.load.traces import read_trace

__all__ = ["NAMES", "Told", "measure", "table"]

BENCH = Path(__file__).resolve().parent
NAMES = {"headgate": "Headgate's library", "sdk": "the official SDK", "litellm": "LiteLLM's Router"}
FROM_S = 860.0
"""Where in the trace it begins: a quarter of an hour in comes the first great burst."""
LIMITS = {"rpm": 1_000, "itpm": 700_000, "otpm": 200_000}
DEPTH_S = 5
"""How much of a minute's limit the simulated account takes at once: nobody is told."""
START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of one rival's run."""

    calls: int
    answered: int
    failed: dict[str, int]
    attempts: int
    upstream_429: int
    took_p50_s: float
    took_p95_s: float
    lasted_s: float


def measure(*, seconds: float) -> tuple[dict[str, Told], dict[str, str]]:
    """Every rival's run over the first `seconds` of the trace, and why one is left out."""
    left_out: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="headgate-rivals-") as told, ExitStack() as running:
        folder = Path(told)
        plan = folder / "plan.json"
        rows = _rows(seconds)
        plan.write_text(json.dumps({"limits": LIMITS, "rows": rows}))
        clients: dict[str, tuple[subprocess.Popen[str], int]] = {}
        for name in NAMES:
            python = _python(name)
            if python is None:
                left_out[name] = "not installed: python bench/run.py --install-peers"
                continue
            port = running.enter_context(_simulator(folder / f"{name}.sim"))
            clients[name] = running.enter_context(_client(name, python, port, plan, folder)), port
        for name, (client, _) in list(clients.items()):
            if _line(client) != "ready":
                left_out[name] = f"does not start: {_last_words(folder / f'{name}.log')}"
                del clients[name]
        for client, _ in clients.values():  # all begin together
            _stdin(client).write("go\n")
            _stdin(client).flush()
        found = {}
        for name, (client, port) in clients.items():
            said = _line(client)
            if not said.startswith("{"):
                left_out[name] = f"ended early: {_last_words(folder / f'{name}.log')}"
                continue
            found[name] = _told(json.loads(said), port, len(rows))
    return found, left_out


def table(found: dict[str, Told], left_out: dict[str, str]) -> list[str]:
    """As Markdown, which reads well without."""
    lines = [
        "| | answered | failed | attempts ÷ calls | 429s | took, p50 | p95 | all done after |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, told in found.items():
        lines.append(
            f"| {NAMES[name]} | {told.answered} of {told.calls} | {sum(told.failed.values())} "
            f"| {told.attempts / told.calls:.2f} | {told.upstream_429} | {told.took_p50_s:.1f} s "
            f"| {told.took_p95_s:.1f} s | {told.lasted_s:.0f} s |"
        )
    lines += [f"| {NAMES[name]} | left out: {why} | | | | | | |" for name, why in left_out.items()]
    return lines


def _rows(seconds: float) -> list[dict[str, Any]]:
    asking = Asking()
    rows = []
    for conversation in read_trace("azure-code"):
        at_s = conversation.at_s - FROM_S
        if not 0 <= at_s <= seconds:
            continue
        for turn in conversation.turns:
            headers = {name.decode(): value.decode() for name, value in asking.headers(turn)}
            rows.append({"at_s": at_s, "body": json.loads(asking.body(turn)), "headers": headers})
    return rows


def _told(said: dict[str, Any], port: int, calls: int) -> Told:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/sim/books?requests=1", timeout=30) as answer:
        entries = json.load(answer)["entries"]
    took_s = sorted(said["took_s"]) or [0.0]
    return Told(
        calls=calls,
        answered=said["answered"],
        failed=said["failed"],
        attempts=len(entries),
        upstream_429=sum(entry["status"] == 429 for entry in entries),
        took_p50_s=statistics.median(took_s),
        took_p95_s=took_s[int(0.95 * (len(took_s) - 1))],
        lasted_s=said["lasted_s"],
    )


# ---- processes -------------------------------------------------------------------------------------------------------


@contextmanager
def _simulator(log: Path) -> Iterator[int]:
    """`headgate sim` with the limits, answering about as fast as a small model."""
    limits = [part for name, value in LIMITS.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "headgate", "sim", "--port", "0", "--json", "--depth-s", str(DEPTH_S)]
    command += ["--ttft-ms", "400", "--tokens-per-s", "80", *limits]
    with log.open("w") as errors, _process(command, errors=errors) as process:
        yield int(json.loads(_line(process))["url"].rpartition(":")[2])


@contextmanager
def _client(name: str, python: str, port: int, plan: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [python, str(BENCH / "rival_client.py"), "--rival", name, "--port", str(port), "--plan", str(plan)]
    env = os.environ | {
        "HEADGATE_LEDGER__PATH": str(folder / "ledger.db"),
        "HEADGATE_LOG__PATH": str(folder / "calls.jsonl"),
    }
    with (folder / f"{name}.log").open("w") as errors, _process(command, errors=errors, env=env) as process:
        yield process


@contextmanager
def _process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    errors = options.pop("errors")
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, **options
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _python(name: str) -> str | None:
    """The interpreter that has the rival."""
    if name != "litellm":
        return sys.executable
    python = targets.LITELLM / "bin" / "python"
    return str(python) if python.exists() else None


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    while (line := process.stdout.readline()) and not line.startswith(("ready", "{")):
        continue  # a rival may talk
    return line.strip()


def _stdin(process: subprocess.Popen[str]) -> Any:
    assert process.stdin is not None
    return process.stdin


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The SDK, LiteLLM's Router and Headgate in real time on one trace.")
    parser.add_argument("--quick", action="store_true", help="fifteen seconds of the trace instead of forty")
    parser.add_argument("--markdown", action="store_true", help="the table only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parsed = parser.parse_args(arguments)
    seconds = 15.0 if parsed.quick else 40.0
    began_s = time.monotonic()
    found, left_out = measure(seconds=seconds)
    if parsed.json:
        parsed.json.write_text(json.dumps({name: asdict(told) for name, told in found.items()}, indent=2) + "\n")
    if not parsed.markdown:
        needs = "twice the input limit"
        print(f"{seconds:.0f} s of azure-code, {needs}, depth {DEPTH_S} s; took {time.monotonic() - began_s:.0f} s")
    print("\n".join(table(found, left_out)))
    if not parsed.markdown:
        for name, told in found.items():
            print(f"{NAMES[name]}: {told.failed or 'nothing failed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
