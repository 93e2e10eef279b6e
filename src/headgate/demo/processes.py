"""The servers of the demo, each a `headgate` command in a process of its own, as a user would start it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from headgate.errors import HeadgateError

__all__ = ["running"]

START_S = 30.0
STOP_S = 30.0
_URL = re.compile(rb"http://127\.0\.0\.1:[0-9]+")


@asynccontextmanager
async def running(*arguments: str, folder: Path, environ: Mapping[str, str] | None = None) -> AsyncIterator[list[str]]:
    """Run `headgate ARGUMENTS` in `folder` for as long as the block runs, then stop it with SIGTERM and wait.

    Yields:
        the addresses it announced, in that order.

    Raises:
        HeadgateError: it did not start; with what it said.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "headgate.cli.main", *arguments,
        cwd=folder, env={**_without_ours(os.environ), **(environ or {})}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said: deque[str] = deque(maxlen=20)
    addresses: list[str] = []
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                while not addresses and (line := await process.stderr.readline()):
                    said.append(line.decode("utf-8", "replace").rstrip())
                    addresses = [found.decode() for found in _URL.findall(line)]
        if not addresses:
            raise HeadgateError(f"`headgate {arguments[0]}` did not start: {' / '.join(said) or 'it said nothing'}")
        # What it says from now on is read, or it would block on a full pipe one day.
        reading = asyncio.ensure_future(_read_on(process.stderr, said))
        yield addresses
        process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_S)
        await reading
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read_on(stream: asyncio.StreamReader, said: deque[str]) -> None:
    while line := await stream.readline():
        said.append(line.decode("utf-8", "replace").rstrip())


def _without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's own settings and keys are not for the demo."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("HEADGATE_", "ANTHROPIC_")) and not name.lower().endswith("_proxy")
    }
