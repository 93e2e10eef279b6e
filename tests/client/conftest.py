"""An engine for every test, and simulated Claudes for it to talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.client import portal, transport
from headgate.client.portal import shutdown
from headgate.sim.settings import Batches, SimSettings
from headgate.testing import Claude, simulated_claude
from support.sdk import Kept, SideBySide


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """The process's engine writes into a folder of the test's own, and is stopped afterwards."""
    kept = Kept(tmp_path)
    for name, value in {
        "HEADGATE_LEDGER__PATH": str(kept.ledger),
        "HEADGATE_LEDGER__COMMIT_INTERVAL_S": "0.001",
        "HEADGATE_RETRY__BASE_S": "0.001",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "HEADGATE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    transport._told_of_retries.clear()
    yield kept
    shutdown()
    assert portal.running() is None


@pytest.fixture
def claude() -> Iterator[Claude]:
    with simulated_claude() as claude:
        yield claude


@pytest.fixture
def side_by_side() -> Iterator[SideBySide]:
    settings = SimSettings(batches=Batches(processing_s=0))
    with simulated_claude(settings, seed=3) as direct, simulated_claude(settings, seed=3) as through:
        yield SideBySide(direct, through)


@pytest.fixture(params=["sync", "asynchronous"])
def compare(request: pytest.FixtureRequest, side_by_side: SideBySide) -> Callable[..., tuple[list[Any], list[Any]]]:
    """`SideBySide.sync`, then `SideBySide.asynchronous`."""
    compare: Callable[..., tuple[list[Any], list[Any]]] = getattr(side_by_side, request.param)
    return compare
