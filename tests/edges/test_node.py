"""The official TypeScript SDK behaves through the gateway as it does without.  Skipped, with the reason, where there is
no node, no npm or no registry."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from headgate.config.schema import RetryConfig, WorkflowConfig
from headgate.sim.settings import Batches, SimSettings
from headgate.testing import simulated_claude
from support.edge import gateway_to
from support.node import install

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with its packages, in a folder of its own: nothing is installed beside the tests."""
    folder = install(NODE, tmp_path_factory.mktemp("node"))
    return folder / "calls.mjs"


def told(program: Path, base_url: str) -> dict[str, Any]:
    """What the program says of an API."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}
    ended = subprocess.run(["node", program, base_url], capture_output=True, text=True, timeout=60, env=quiet)
    assert ended.returncode == 0, ended.stderr
    answers: dict[str, Any] = json.loads(ended.stdout)
    return answers


@pytest.fixture(scope="module")
def both(program: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What it says of a simulator directly, and of one that answers the same through the gateway, errors in the API's
    own words."""
    own_words = {"unset": WorkflowConfig(api_error_text=True)}
    settings = SimSettings(batches=Batches(processing_s=0))
    with (
        simulated_claude(settings, seed=3) as alone,
        simulated_claude(settings, seed=3) as behind,
        gateway_to(behind.base_url, retry=RetryConfig(max_attempts=1), workflows=own_words) as gateway,
    ):
        return told(program, alone.base_url), told(program, gateway)


def test_the_typescript_sdk_sees_no_difference(both):
    """Answers, streams, tools, batches, files, and each error's class, status, id and words."""
    direct, through = both

    assert through == direct


def test_the_typescript_program_really_made_its_calls(both):
    """Answers where there should be some, errors where there should be some."""
    direct, _ = both

    failed = {name for name, value in direct.items() if isinstance(value, dict) and value.get("class")}
    assert failed == {
        name for name in direct if name.startswith("error") or name in ("timeout", "a model that is not there")
    }
    assert direct["batches"]["own"] is True
    assert direct["response and request id"]["agree"] is True
