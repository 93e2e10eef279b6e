"""`headgate` commands in processes of their own, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from support.patience import HANG_S

__all__ = ["Command", "fetch", "headgate", "limit_files"]

_TYPED_BY_THE_USER = ("HEADGATE_", "ANTHROPIC_")


def _environ(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, without anybody's settings, and with a home of its own."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_TYPED_BY_THE_USER)}
    quiet = {name: value for name, value in ours.items() if not name.lower().endswith("_proxy")}
    return {**quiet, "HOME": str(folder), **more}


def headgate(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `headgate ARGUMENTS` in `folder` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "headgate", *arguments],
        cwd=folder, env=_environ(folder, environ), capture_output=True, text=True, timeout=HANG_S,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


class Command:
    """A `headgate` command that runs until it is told to stop.  A context manager; leaving it kills what still runs.

    Its output goes to `NAME.out` and `NAME.err` in its folder, appended to by every command of that name.
    """

    def __init__(self, name: str, *arguments: str, folder: Path, **environ: str) -> None:
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        self._read_from = self.err.stat().st_size if self.err.exists() else 0
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headgate", name, *arguments],
                cwd=folder, env=_environ(folder, environ), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """What it has written to standard error."""
        return self.err.read_bytes()[self._read_from :].decode()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it says something that matches."""
        by = time.monotonic() + HANG_S
        while not (found := re.search(pattern, self.said)):
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.said}"
            assert time.monotonic() < by, f"it never said {pattern!r}: {self.said}"
            time.sleep(0.01)
        return found

    @property
    def url(self) -> str:
        """The first address it announces."""
        return self.wait_for(r"http://[^\s/;]+:[0-9]+(?=.*\n)")[0]

    @property
    def admin_url(self) -> str:
        return self.wait_for(r"operators (http://\S+)")[1]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return await asyncio.open_connection(host, int(port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and wait; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANG_S)

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def limit_files(process: subprocess.Popen[bytes], size: int | None) -> None:
    """Let no file of a running process grow past `size` bytes, as a full disk would; None lifts that."""
    hard = resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def fetch(url: str, *, token: str | None = None) -> Any:
    """The JSON at `url`, whatever the status."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=HANG_S) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as problem:
        with problem:
            return json.loads(problem.read())
