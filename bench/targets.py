"""What is measured: how each target is installed, started, asked whether it is ready, and addressed."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import processes

__all__ = ["TARGETS", "Missing", "Mock", "Running", "install_peers", "start_mock", "start_target"]

TARGETS = ("direct", "nginx", "headgate", "litellm", "portkey")

PEERS = Path(__file__).resolve().parent / ".peers"
LITELLM = PEERS / "litellm"
PORTKEY = PEERS / "portkey"
PORTKEY_PACKAGE = PORTKEY / "node_modules/@portkey-ai/gateway"

_LITELLM_KEY = "sk-bench-0123456789abcdef0123456789abcdef"
_MODEL = "claude-sonnet-5-5"


class Missing(Exception):
    """A tool that a target needs is not here.  The message says how to get it."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to start one target in front of the mock."""

    command: Sequence[str]
    version: str
    headers: Sequence[str] = ()
    """What a caller must send besides the body."""
    env: Mapping[str, str] = field(default_factory=dict)
    ready_path: str | None = None
    """Answers 200 when the target is ready.  None: ready when it answers a message."""
    start_s: float = 20.0
    """Longest it may take to be ready."""
    warmup_s: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Mock:
    """The upstream.  It shares its core with the load, so it is also the target `direct`."""

    process: subprocess.Popen[bytes]
    port: int


@dataclass(frozen=True, kw_only=True)
class Running:
    """A target that answers."""

    name: str
    version: str
    port: int
    headers: Sequence[str]
    warmup_s: float
    process: subprocess.Popen[bytes] | None
    """None for `direct`: the mock is not the target's to stop."""
    tree: processes.Tree

    def stop(self) -> None:
        if self.process:
            processes.stop(self.process)


def start_mock(binary: Path, core: int, folder: Path) -> Mock:
    log = folder / "mock.log"
    process = processes.start([str(binary)], core=core, log=log)
    deadline = time.monotonic() + 5
    while not (lines := log.read_text().splitlines()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the mock did not start: {log.read_text()}")
        time.sleep(0.01)
    return Mock(process=process, port=int(lines[0]))


def start_target(name: str, mock: Mock, core: int, folder: Path, probe: bytes) -> Running:
    """Start `name` on `core`, and return when it has answered the request body `probe`.

    Raises:
        Missing: something it needs is not installed.
        RuntimeError: it ended or did not answer in time; the message holds the end of its log.
    """
    if name == "direct":
        tree = processes.Tree(mock.process.pid)
        return Running(name=name, version="-", port=mock.port, headers=(), warmup_s=0.5, process=None, tree=tree)
    port = _free_port()
    folder.mkdir()
    recipe = _RECIPES[name](port, mock.port, folder)
    log = folder / "output.log"
    process = processes.start(recipe.command, core=core, log=log, env=recipe.env, cwd=folder)
    try:
        _wait_until_ready(process, port, recipe, probe)
    except BaseException as error:
        processes.stop(process)
        if isinstance(error, RuntimeError):
            last_lines = log.read_text(errors="replace").split("\n")[-4:]
            raise RuntimeError(f"{error}; its log ends: {' | '.join(filter(None, last_lines))}") from None
        raise
    return Running(
        name=name,
        version=recipe.version,
        port=port,
        headers=recipe.headers,
        warmup_s=recipe.warmup_s,
        process=process,
        tree=processes.Tree(process.pid),
    )


# ---- the targets -----------------------------------------------------------------------------------------------


def _nginx(port: int, upstream: int, folder: Path) -> Recipe:
    """A plain proxy: one worker, connections kept to both sides, no buffering of streams, no access log."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not binary:
        raise Missing("nginx is not installed: `apt-get install nginx`, and stop the service that it starts")
    config = folder / "nginx.conf"
    config.write_text(_NGINX_CONFIG.format(port=port, upstream=upstream, folder=folder))
    said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=True).stderr
    return Recipe(
        command=[binary, "-e", "stderr", "-p", str(folder), "-c", str(config)],
        version=said.strip().rpartition("/")[2],
    )


_NGINX_CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream mock {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        keepalive_requests 100000000;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def _headgate(port: int, upstream: int, folder: Path) -> Recipe:
    """Headgate as it comes: metering, ledger, log and admission on."""
    code = "from headgate._version import __version__; print(__version__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        reason = (said.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Missing(
            f"headgate cannot be imported ({reason}): run this with the Python that has it, or PYTHONPATH=src"
        )
    return Recipe(
        command=[sys.executable, "-m", "headgate", "serve"],
        version=said.stdout.strip(),
        headers=["x-api-key: sk-ant-caller"],
        env={
            "ANTHROPIC_API_KEY": "sk-ant-bench",
            "HEADGATE_UPSTREAM__BASE_URL": f"http://127.0.0.1:{upstream}",
            "HEADGATE_GATEWAY__PORT": str(port),
            "HEADGATE_ADMIN__PORT": str(_free_port()),
            "HEADGATE_LEDGER__PATH": str(folder / "ledger.db"),
            "HEADGATE_LOG__PATH": str(folder / "calls.log"),
        },
        ready_path="/healthz",
    )


def _litellm(port: int, upstream: int, folder: Path) -> Recipe:
    """LiteLLM's proxy: one worker, no database, its own server; asked on /v1/messages."""
    binary = LITELLM / "bin/litellm"
    if not binary.exists():
        raise Missing("litellm is not installed: `python bench/run.py --install-peers`")
    config = folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n  - model_name: {_MODEL}\n    litellm_params:\n      model: anthropic/{_MODEL}\n"
        f"      api_base: http://127.0.0.1:{upstream}\n      api_key: sk-ant-bench\n"
    )
    code = "from importlib.metadata import version; print(version('litellm'))"
    said = subprocess.run([LITELLM / "bin/python", "-c", code], capture_output=True, text=True, check=True).stdout
    where = ["--host", "127.0.0.1", "--port", str(port)]
    return Recipe(
        command=[str(binary), "--config", str(config), *where, "--num_workers", "1"],
        version=said.strip(),
        headers=[f"x-api-key: {_LITELLM_KEY}"],
        env={"LITELLM_MASTER_KEY": _LITELLM_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        ready_path="/health/liveliness",
        start_s=120,
        warmup_s=6,
    )


def _portkey(port: int, upstream: int, folder: Path) -> Recipe:
    """Portkey's open-source gateway on node, told by headers where the upstream is."""
    node = shutil.which("node")
    if not node:
        raise Missing("node is not installed: `apt-get install nodejs npm` (version 20 or later)")
    if not PORTKEY_PACKAGE.exists():
        raise Missing("portkey is not installed: `python bench/run.py --install-peers`")
    return Recipe(
        command=[node, str(PORTKEY_PACKAGE / "build/start-server.js"), f"--port={port}", "--headless"],
        version=json.loads((PORTKEY_PACKAGE / "package.json").read_text())["version"],
        headers=[
            "x-api-key: sk-ant-bench",
            "authorization: Bearer sk-ant-bench",
            "anthropic-version: 2023-06-01",
            "x-portkey-provider: anthropic",
            f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1",
        ],
        env={"NODE_ENV": "production"},
        start_s=60,
        warmup_s=10,  # it is still getting faster after 5,000 calls
    )


_RECIPES: Mapping[str, Callable[[int, int, Path], Recipe]] = {
    "nginx": _nginx,
    "headgate": _headgate,
    "litellm": _litellm,
    "portkey": _portkey,
}
"""A recipe is written for a port of its own, the port of the mock, and a folder for its files."""


# ---- installing ------------------------------------------------------------------------------------------------


def install_peers() -> None:
    """Install LiteLLM and Portkey, newest versions, in a folder that git ignores.

    Raises:
        Missing: npm is not here.
        subprocess.CalledProcessError: an installation failed; it has said why.
    """
    PEERS.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", LITELLM], check=True)
    subprocess.run([LITELLM / "bin/pip", "install", "--quiet", "--upgrade", "litellm[proxy]"], check=True)
    npm = shutil.which("npm")
    if not npm:
        raise Missing("npm is not installed, so portkey is left out: `apt-get install nodejs npm` (node 20 or later)")
    PORTKEY.mkdir(exist_ok=True)
    manifest = {
        "private": True,
        "dependencies": {"@portkey-ai/gateway": "latest"},
        # With a newer one (seen: 1.19.19) every streamed answer is a 500, "TypeError: immutable".
        "overrides": {"@hono/node-server": "1.3.3"},
    }
    (PORTKEY / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=PORTKEY, check=True)


# ---- being ready -----------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, recipe: Recipe, probe: bytes) -> None:
    deadline = time.monotonic() + recipe.start_s
    headers = dict(line.split(": ", 1) for line in recipe.headers) | {"content-type": "application/json"}
    healthy = recipe.ready_path is None
    said = "it refuses connections"
    while True:
        try:
            if not healthy:
                status, _ = _ask(port, "GET", recipe.ready_path or "/", b"", {})
                healthy = status == 200
                said = f"GET {recipe.ready_path} answers {status}"
            if healthy:
                status, body = _ask(port, "POST", "/v1/messages", probe, headers)
                if status == 200 and b'"usage"' in body:
                    return
                said = f"a message is answered {status} {body[:300]!r}"
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
        if process.poll() is not None:
            raise RuntimeError(f"ended with status {process.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise RuntimeError(f"not ready after {recipe.start_s:.0f} s: {said}")
        time.sleep(0.1)


def _ask(port: int, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
