"""`headgate` commands in this process: quick, and everything but the process itself is real."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headgate.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def last(self) -> str:
        """The last line of the talk."""
        return self.err.splitlines()[-1]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `headgate ARGUMENTS` in an empty folder that is also the home, without anybody's settings."""
    for name in list(os.environ):
        if name.startswith(("HEADGATE_", "ANTHROPIC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environ: str) -> Ran:
        code = 0
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["headgate", *arguments])
            for name, value in environ.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ran(code, said.out, said.err)

    return run
