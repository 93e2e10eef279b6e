"""The engine as a whole: what it starts, and lets go of."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from headgate.config.load import load_config
from headgate.engine.engine import Engine
from headgate.errors import LedgerError


def test_f06_an_engine_that_cannot_open_its_ledger_leaves_nothing_behind(tmp_path: Path):
    """It may be tried again and again: no thread and no descriptor of the log stays."""
    (tmp_path / "ledger.db").write_bytes(b"no database" * 500)
    environ = {
        "HEADGATE_LEDGER__PATH": str(tmp_path / "ledger.db"),
        "HEADGATE_LOG__PATH": str(tmp_path / "calls.log"),
        "ANTHROPIC_API_KEY": "sk-ant-test-0001",
    }
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))

    with pytest.raises(LedgerError):
        Engine.from_config(load_config(environ).config, environ)

    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
