"""A real Alertmanager, and what it knows."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from support.patience import HANG_S
from support.ports import free_port

__all__ = ["Alertmanager", "alertmanager", "needs_alertmanager"]

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
needs_alertmanager = pytest.mark.skipif(
    PROGRAM is None, reason="no alertmanager on the PATH: apt-get install prometheus-alertmanager"
)

LOOK_EVERY_S = 0.02


class Alertmanager:
    def __init__(self, url: str) -> None:
        self.url = url
        self._open = build_opener(ProxyHandler({})).open

    def active(self) -> list[dict[str, Any]]:
        """Alerts that it holds for firing."""
        with self._open(f"{self.url}/api/v2/alerts?active=true", timeout=HANG_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def until_active(self, count: int) -> list[dict[str, Any]]:
        by_s = time.monotonic() + HANG_S
        while len(found := self.active()) != count:
            assert time.monotonic() < by_s, found
            time.sleep(LOOK_EVERY_S)
        return found


@contextmanager
def alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """One that tells nobody."""
    assert PROGRAM is not None
    config = {"route": {"receiver": "nobody", "group_wait": "0s"}, "receivers": [{"name": "nobody"}]}
    file = folder / "alertmanager.yml"
    file.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    port = free_port()
    with (folder / "alertmanager.log").open("wb") as said:
        process = subprocess.Popen(
            [PROGRAM, f"--config.file={file}", f"--storage.path={folder / 'data'}", "--cluster.listen-address=",
             f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
    found = Alertmanager(f"http://127.0.0.1:{port}")
    try:
        by_s = time.monotonic() + HANG_S
        while True:
            try:
                found.active()
                break
            except OSError:
                assert process.poll() is None, (folder / "alertmanager.log").read_text()
                assert time.monotonic() < by_s
                time.sleep(LOOK_EVERY_S)
        yield found
    finally:
        process.kill()
        process.wait()
