"""`headgate demo` as a stranger runs it: real processes, real sockets, official SDK clients."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.demo.run import SIM
from headgate.demo.traffic import LONGEST_S, WORKFLOWS, plan

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "calls", "answered", "caller_429", "upstream_429", "attempts", "cost_usd", "invoice_usd", "cached_share",
    "p50_ms", "p95_ms", "p99_ms", "added_p50_ms",
}  # fmt: skip


def demo(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headgate.cli.main", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=os.environ | environ)


def test_through_a_burst_nobody_sees_a_429_and_the_ledger_equals_the_books():
    """Twenty seconds hold the trace's biggest burst."""
    run = demo("--json", "--seconds", "20")

    assert run.returncode == 0, run.stderr
    both = json.loads(run.stdout)
    assert both.keys() == {"headgate", "plain"}
    assert both["headgate"].keys() == both["plain"].keys() == KEYS
    headgate, plain = both["headgate"], both["plain"]
    assert headgate["calls"] == plain["calls"] == len(plan(20))
    assert headgate["answered"] == headgate["calls"]
    assert headgate["caller_429"] == 0
    assert headgate["cost_usd"] == headgate["invoice_usd"] > 0
    assert plain["answered"] + plain["caller_429"] == plain["calls"]


def test_the_burst_is_more_than_the_simulated_limits_allow():
    """Or the demo shows nothing.  By the plan: a machine that is busy sends it later, and meets no limit."""
    assert SIM[3:9] == ("--tier", "start", "--itpm", "3000000", "--depth-s", "10")
    per_s = 1000 / 60  # requests of that tier
    left, at_s, refused = 10 * per_s, 0.0, 0
    for ask in plan(20):
        left, at_s = min(10 * per_s, left + (ask.at_s - at_s) * per_s), ask.at_s
        if left >= 1:
            left -= 1
        else:
            refused += 1

    assert refused > 50


@pytest.fixture(scope="module")
def lines() -> str:
    """What a short run prints where there is no terminal."""
    run = demo("--seconds", "6")

    assert run.returncode == 0, run.stderr
    return run.stdout


def test_without_a_terminal_it_prints_plain_lines_and_a_summary(lines: str):
    assert "\x1b" not in lines
    for said in ("429s the callers saw", "prompt-cache share", "equal", "headgate cost --by model", *WORKFLOWS):
        assert said in lines
    assert "DIFFERENT" not in lines


def test_a_proxy_of_the_environment_is_not_asked():
    """Here it is one where nobody listens.  All that the demo talks to is on this machine."""
    run = demo("--json", "--seconds", "2", http_proxy="http://127.0.0.1:9", all_proxy="http://127.0.0.1:9")

    assert run.returncode == 0, run.stderr
    for side in json.loads(run.stdout).values():
        assert side["answered"] + side["caller_429"] == side["calls"] > 0


@pytest.mark.parametrize("seconds", ["0", "-3", "601", "soon"])
def test_seconds_that_the_traces_do_not_hold_are_refused(seconds: str):
    run = demo("--seconds", seconds)

    assert run.returncode == 2
    assert "--seconds" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_plan_is_the_same_every_time_and_ends_with_the_traces():
    whole = plan(LONGEST_S)

    assert whole == plan(LONGEST_S)
    assert [ask.at_s for ask in whole] == sorted(ask.at_s for ask in whole)
    assert {ask.workflow for ask in whole} == WORKFLOWS.keys()
    assert max(ask.at_s for ask in whole) > LONGEST_S - 5


def test_the_readme_shows_what_the_demo_prints(lines: str):
    """The figures differ from run to run; the lines do not."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, found, rest = readme.partition("<!-- demo:")
    shown = rest.partition("```text\n")[2].partition("```\n<!-- end of demo -->")[0]

    assert found
    assert shape(shown) == shape(lines)


def shape(output: str) -> set[str]:
    """Its lines without figures, signs, folders and the lengths of columns."""
    output = re.sub(r"\S*/", "", output)
    return {" ".join(re.sub(r"[^A-Za-z]+", " ", line).split()) for line in output.splitlines()}
