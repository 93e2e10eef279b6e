"""Whatever a test run starts ends with it, also if the run is killed.  Linux only; elsewhere it does nothing.

Every process that is started gets a mark in its environment and hands it on to its own children.  A watcher of its own
reads from a pipe that the test run holds open; when that ends, it kills whoever still has the mark.

The file is also the watcher's program, so it imports nothing of ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["Leash"]

NAME = "TEST_RUN"
PROCESSES = Path("/proc")
GOING_S = 2.0
"""A process that was told to go has so long to be gone."""


class Leash:
    """Of one test run: put on before anything is started."""

    def __init__(self) -> None:
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self._watcher: subprocess.Popen[bytes] | None = None
        if PROCESSES.is_dir():
            self._watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, self._mark], stdin=subprocess.PIPE, start_new_session=True
            )
            os.environ[NAME] = self._mark

    def left(self) -> list[str]:
        """The commands that still run, after a moment in which they may end."""
        by_s = time.monotonic() + GOING_S
        while (found := _marked(self._mark)) and time.monotonic() < by_s:
            time.sleep(0.05)
        return [_command(pid) for pid in found]

    def pull(self) -> None:
        """Kill what is left."""
        if self._watcher is not None:
            os.environ.pop(NAME, None)
            self._watcher.communicate()


def _marked(mark: str) -> list[int]:
    """Processes that were started under `mark`; a test run itself was not, nor is one that has ended."""
    looked_for = f"{NAME}={mark}".encode()
    found = []
    for folder in PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            if looked_for in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def _command(pid: int) -> str:
    with suppress(OSError):
        return (PROCESSES / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return f"process {pid}"


def _watch(mark: str) -> None:
    sys.stdin.buffer.read()
    while found := _marked(mark):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


if __name__ == "__main__":
    _watch(sys.argv[1])
