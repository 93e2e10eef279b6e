"""`python -m headgate.testing.proving`: what a developer sees of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headgate.testing.proving import Violation, prove
from headgate.testing.proving import __main__ as command


def broken(*args: Any, **options: Any) -> Any:
    """As `prove`, and something was wrong."""
    return replace(prove(*args, **options), violations=(Violation("INV-09", 12.5, "call 3 comes too early"),))


def test_many_seeds_end_with_a_line_of_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds, runs, calls, attempts and the pace."""
    code = command.main(["--seeds", "2", "--first", "5"])

    told = capsys.readouterr().out.splitlines()
    assert code == 0
    assert told[-2].startswith("seeds 5 to 6 in safety and liveness: 4 runs, ")
    assert told[-1] == "nothing wrong"


def test_a_seed_that_fails_is_told_with_the_command_that_replays_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ready to paste."""
    monkeypatch.setattr(command, "prove", broken)

    code = command.main(["--seeds", "1", "--first", "5", "--mode", "safety"])

    told = capsys.readouterr().out
    assert code == 1
    assert "INV-09 at 12.500 s: call 3 comes too early" in told
    assert "replay: python -m headgate.testing.proving --seed 5 --mode safety" in told
    assert "1 runs failed: INV-09 in 1" in told


def test_one_seed_is_told_event_by_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks, what goes out, what the API answers, and how it ends."""
    command.main(["--seed", "5", "--mode", "safety"])

    told = capsys.readouterr().out
    for event in (": asks in ", " goes out by ", ": the API answers ", ": over, "):
        assert event in told
