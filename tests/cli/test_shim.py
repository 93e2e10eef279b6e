"""`headgate shim` as a process: where it listens, what it is told while it runs, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from support.patience import HANG_S

MAIN = "import typer; from headgate.cli.shim import shim; typer.run(shim)"


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(1000):
                connection.sendall(data)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "--port", "0", "--json", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def test_the_command_passes_bytes_on_and_is_changed_while_it_runs(echo):
    """By lines on its standard input; a line that means nothing is told, and changes nothing."""
    with start("--target", f"127.0.0.1:{echo}", "--slice-bytes", "3") as run:
        assert run.stdout is not None
        assert run.stdin is not None
        port = int(json.loads(run.stdout.readline())["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as line:
            line.sendall(b"hello")
            back = b""
            while len(back) < 5:
                back += line.recv(5)
            run.stdin.write("latency_s=soon\nlatency_s=inf\nlatency_s=none\ncut_after=1.5\nnonsense=1\ndrop\n")
            run.stdin.flush()
            with pytest.raises(ConnectionResetError):
                line.recv(1)
        run.terminate()
        _, said = run.communicate(timeout=HANG_S)

    assert back == b"hello"
    for told in (
        "'latency_s=soon': the value must be a number",
        "latency_s is inf",
        "latency_s is None",
        "cut_after is 1.5, and must be a whole number",
        "'nonsense=1' means nothing: a line is NAME=VALUE",
    ):
        assert f"headgate shim: {told}" in said
    assert run.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--target", "nowhere"], 2, "host:port"),
        (["--target", "http://a:0"], 2, "host:port"),
        (["--target", "a:1", "--port", "99999"], 2, "--port"),
        (["--target", "a:1", "--certificate", "/nowhere.pem"], 2, "/nowhere.pem: cannot be read: No such file"),
        (["--target", "a:1", "--certificate", __file__], 2, "not a certificate and its private key, in PEM"),
        (["--target", "a:1", "--key", __file__], 2, "a key is of no use without its certificate"),
        (["--target", "a:1", "--host", "203.0.113.1"], 1, "cannot listen"),
    ],
)
def test_misuse_exits_with_what_is_wrong(arguments, code, words):
    """2 for a target or a certificate that cannot be, 1 for a port that cannot be had."""
    with start(*arguments) as run:
        _, said = run.communicate(timeout=HANG_S)

    assert run.returncode == code
    assert words in said
