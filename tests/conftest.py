"""For all tests."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from support.leash import Leash

# The same examples in every run, so that a change is what breaks a test; and no limit on their time, because machines
# differ.  To look for new ones: pytest --hypothesis-profile=search
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, max_examples=3_000, database=None, print_blob=True)
settings.load_profile("repeatable")

LEASH = pytest.StashKey[Leash]()
LEFT = pytest.StashKey[list[str]]()
LONGEST = (
    "docs/test_pages_run.py", "engine/test_passes.py", "demo/test_demo.py", "engine/test_retry.py",
    "proving/test_seeds.py", "ui/test_dashboard.py", "test_canary.py",
)  # fmt: skip
"""Files of tests that take a minute or more, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Nothing that a test starts outlives the run.  In the background of a shell Ctrl-C is ignored, and who is started
    there would ignore it too and have to be killed after a while."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of hundreds of processes compiles all of Headgate
    if not hasattr(config, "workerinput"):  # who is told what to run, with pytest-xdist, is started by this
        config.stash[LEASH] = Leash()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, the longest begin first, or everybody would wait for them at the end."""

    def turn(item: pytest.Item) -> int:
        return next((turn for turn, file in enumerate(LONGEST) if item.path.match(file)), len(LONGEST))

    if hasattr(config, "workerinput"):
        items.sort(key=turn)


@pytest.hookimpl(trylast=True)  # when the workers have ended
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that leaves a process behind fails the run."""
    if LEASH in session.config.stash and (left := session.config.stash[LEASH].left()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[LEFT] = left


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for command in config.stash.get(LEFT, []):
        terminalreporter.line(f"a test left this running, and it was killed: {command}", red=True)
    ran = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, ())]
    for name, value in (each for report in ran for each in getattr(report, "user_properties", ())):
        if name == "told":  # `record_property("told", …)`: figures, also of a test in another process
            terminalreporter.line(value)
    if any("proving/test_seeds.py" in report.nodeid for report in ran):
        _tell_of_seeds(terminalreporter)


def _tell_of_seeds(terminalreporter: pytest.TerminalReporter) -> None:
    """Which were tried, and how to try others."""
    from proving.test_seeds import SEEDS

    terminalreporter.line(
        f"proving ground: seeds {SEEDS.start} to {SEEDS.stop - 1} in safety and liveness; others: "
        "python -m headgate.testing.proving --seeds 1000 --first 300"
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if LEASH in config.stash:
        config.stash[LEASH].pull()
