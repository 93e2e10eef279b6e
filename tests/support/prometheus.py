"""A real Prometheus that scrapes a gateway, and its answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

from support.patience import HANG_S
from support.ports import free_port

__all__ = ["Prometheus", "needs_prometheus", "scraping"]

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="no prometheus on the PATH: apt-get install prometheus"
)

EVERY = "200ms"
LOOK_EVERY_S = 0.1


class Prometheus:
    """Asked through its HTTP API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self._open = build_opener(ProxyHandler({})).open

    async def get(self, path: str, **query: str) -> Any:
        """The data it answers with; None while it does not answer."""

        def ask() -> Any:
            try:
                with self._open(f"{self._url}/{path}?{urlencode(query)}", timeout=HANG_S) as answer:
                    return json.load(answer)["data"]
            except OSError:
                return None

        return await asyncio.to_thread(ask)

    async def values(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """What an expression is now, by the labels of each series."""
        found = await self.get("query", query=expression)
        return {
            tuple(sorted(each["metric"].items())): float(each["value"][1])
            for each in (found or {"result": []})["result"]
        }

    async def targets(self) -> list[dict[str, Any]]:
        return (await self.get("targets") or {"activeTargets": []})["activeTargets"]

    async def until(self, expression: str) -> None:
        """Wait until an expression has a value."""
        while not await self.values(expression):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def scraping(port: int, folder: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus that has read `/metrics` at `port` at least once."""
    config = {
        "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY},
        "scrape_configs": [{"job_name": "headgate", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    own_port = free_port()
    with (folder / "prometheus.log").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{own_port}", stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
    try:
        prometheus = Prometheus(own_port)
        await prometheus.until("up == 1")
        yield prometheus
    finally:
        process.kill()
        await process.wait()
