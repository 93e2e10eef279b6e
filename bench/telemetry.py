"""What telemetry costs: requests per CPU second of gateways that differ in nothing else, in one run.

    python bench/telemetry.py                 nine rounds of two seconds each; about two minutes
    python bench/telemetry.py --rounds 3

All gateways are up together, and each round gives every one of them the same load, in an order drawn anew.  CPU is that
of the gateway's whole process, what it does behind its answers included.  README.md says how to read figures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any
from urllib.request import ProxyHandler, build_opener

import bodies
import processes
import run
import targets

GOAL = 0.8
CONNECTIONS = 64

_UNCOUNTED = """
import sys
from headgate.cli.main import main
from headgate.telemetry.metrics.calls import Calls
Calls.call_over = Calls.estimate_error = lambda *told: None
sys.argv = ["headgate", "serve"]
main()
"""
"""`headgate serve` that counts nothing: there is no setting for that."""

Variant = tuple[list[str], dict[str, str]]
"""Command and environment of a gateway."""


def variants(folder: Path, collector: str) -> dict[str, Variant]:
    """From nothing to everything, one thing more each time."""
    serve = [sys.executable, "-m", "headgate", "serve"]
    log = {"HEADGATE_LOG__PATH": str(folder / "calls.log")}
    otel = {"HEADGATE_TELEMETRY__OTLP_ENDPOINT": collector}
    off = {"HEADGATE_LOG__PATH": "off"}
    return {
        "none": ([sys.executable, "-c", _UNCOUNTED], off),
        "metrics": (serve, off),
        "metrics, log": (serve, log),
        "metrics, log, every trace": (serve, log | otel),
    }


class Gateway:
    """One of them, under way."""

    def __init__(self, variant: Variant, mock: targets.Mock, core: int, folder: Path) -> None:
        folder.mkdir()
        command, environ = variant
        self.port, self.admin_port = _free_port(), _free_port()
        environ = {
            "ANTHROPIC_API_KEY": "sk-ant-bench",
            "HEADGATE_UPSTREAM__BASE_URL": f"http://127.0.0.1:{mock.port}",
            "HEADGATE_GATEWAY__PORT": str(self.port),
            "HEADGATE_ADMIN__PORT": str(self.admin_port),
            "HEADGATE_LEDGER__PATH": str(folder / "ledger.db"),
            **environ,
        }
        self.process = processes.start(command, core=core, log=folder / "output.log", env=environ, cwd=folder)
        self.tree = processes.Tree(self.process.pid)
        self._folder = folder
        self._open = build_opener(ProxyHandler({})).open

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                self._open(f"http://127.0.0.1:{self.port}/readyz", timeout=1).close()
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a gateway did not start: {(self._folder / 'output.log').read_text()[-500:]}")
            time.sleep(0.05)

    def scrape(self) -> int:
        """As Prometheus does; how many bytes."""
        with self._open(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5) as told:
            return len(told.read())

    def per_cpu_s(self, body: Path, core: int, seconds: float) -> float:
        """Answers for a second of its CPU, under load."""
        command = [str(run.BIN / "load"), "--port", str(self.port), "--body", str(body), "--seconds", str(seconds)]
        command += ["--connections", str(CONNECTIONS), "--header", "x-api-key: sk-ant-caller"]
        command += ["--header", "x-headgate-workflow: bench"]
        before_s = self.tree.cpu_s()
        with processes.on_core(core):
            found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        self.scrape()
        self._settle()
        if found["errors"]:
            raise RuntimeError(f"a gateway answered wrongly: {found['first_error']}")
        return float(found["answers"] / (self.tree.cpu_s() - before_s))

    def _settle(self) -> None:
        """Until it rests: rows, lines and spans that wait are its own cost."""
        used_s = self.tree.cpu_s()
        for _ in range(20):
            time.sleep(0.25)
            before_s, used_s = used_s, self.tree.cpu_s()
            if used_s - before_s < 0.01:
                return


@contextlib.contextmanager
def collector(core: int) -> Any:
    """Takes what it is sent, and throws it away; how many bytes that were."""
    taken = [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            taken[0] += len(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    with processes.on_core(core), ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", taken
        finally:
            server.shutdown()


def measure(rounds: int, seconds: float, seed: int) -> tuple[dict[str, list[float]], int]:
    """Requests per CPU second of each variant, round by round, and bytes of spans and metrics sent."""
    load_core, core = 0, 1
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        body = folder / "body.json"
        body.write_bytes(bodies.encoded())
        mock = targets.start_mock(run.BIN / "mock", load_core, folder)
        running.callback(processes.stop, mock.process)
        url, taken = running.enter_context(collector(load_core))
        gateways = {}
        for number, (what, variant) in enumerate(variants(folder, url).items()):
            gateway = gateways[what] = Gateway(variant, mock, core, folder / str(number))
            running.callback(processes.stop, gateway.process)
        for gateway in gateways.values():
            gateway.wait_until_ready()
            gateway.per_cpu_s(body, load_core, 1.0)  # to warm up
        rng = random.Random(seed)
        for _ in range(rounds):
            for what in rng.sample([*gateways], len(gateways)):
                found.setdefault(what, []).append(gateways[what].per_cpu_s(body, load_core, seconds))
        return found, taken[0]


def report(found: dict[str, list[float]], sent: int) -> str:
    """A neighbour on the machine only ever adds CPU, so the best round of each is nearest to what it needs."""
    base = found["none"]
    lines = ["| telemetry | requests per CPU second | to none | round by round |", "| --- | --- | --- | --- |"]
    for what, values in found.items():
        ratios = [value / without for value, without in zip(values, base, strict=True)]
        rounds = f"{median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {what} | {max(values):,.0f} | {max(values) / max(base):.2f}x | {rounds} |")
    ratio = max(found["metrics, log, every trace"]) / max(base)
    met = "met" if ratio >= GOAL else "not met"
    lines += [
        "",
        f"Goal: at least {GOAL:g}x with everything on: {ratio:.2f}x, {met}.  The collector got {sent:,} bytes.",
    ]
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load, for each gateway and round")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    try:
        run.build()
        print(report(*measure(told.rounds, told.seconds, told.seed)))
    except run.CannotRun as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
