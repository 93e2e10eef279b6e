"""Says which seeds were tried, and how to try others."""

from __future__ import annotations

import pytest

from proving.test_seeds import SEEDS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, ())]
    if any("proving/test_seeds.py" in report.nodeid for report in ran):
        terminalreporter.write_line(
            f"proving ground: seeds {SEEDS.start} to {SEEDS.stop - 1} in safety and liveness; others: "
            "python -m headgate.testing.proving --seeds 1000 --first 300"
        )
