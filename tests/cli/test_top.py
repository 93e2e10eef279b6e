"""`headgate top`: the gateway as it stands, in a terminal or a pipe."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Latency, Limits
from headgate.stores.sqlite.queries import spend
from support.dashboard import Served, past_calls, serving
from support.patience import HANG_S

HOSTILE = "\x1b[31mred\r\n[bold]markup[/bold]"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Sixty calls of the last half hour, one workflow of which has a name that would steer a terminal."""
    folder = tmp_path_factory.mktemp("top")
    past_calls(folder / "ledger.db", 60, days=1 / 48, workflows=("triage", HOSTILE))
    with serving(folder, sim=SimSettings(limits=Limits(rpm=600), latency=Latency(ttft_s=0.01))) as gateway:
        gateway.traffic(5, **{"x-headgate-workflow": "support-chat"})
        gateway.flush()
        yield gateway


def test_one_frame_has_health_limits_lanes_and_workflows(cli, served: Served):
    """In a pipe it is one look, as with --once; the last line says what to run next."""
    ran = cli("top", "--admin", served.admin_url)

    assert ran.code == 0
    assert ran.out.startswith("Healthy")
    for word in ("sends", "interactive", "triage", "support-chat", "haiku-5.5", "calls/min"):
        assert word in ran.out
    assert ran.last.startswith("Next: ")


def test_nothing_is_cut_off_in_a_pipe(cli, served: Served):
    """There is no width to keep to."""
    assert "…" not in cli("top", "--admin", served.admin_url).out


def test_names_that_callers_chose_do_not_steer_the_terminal(cli, served: Served):
    """No escape sequence of theirs, no line of theirs, no markup."""
    out = cli("top", "--once", "--admin", served.admin_url, COLUMNS="160").out

    assert "\x1b" not in out
    assert "[bold]markup[/bold]" in out


def test_programs_get_what_the_api_says(cli, served: Served):
    """Its totals are the ledger's."""
    told = cli("top", "--json", "--admin", served.admin_url).json

    assert told["now"]["health"]["level"] == "ok"
    assert {row["name"]: row["calls"] for row in told["workflows"]["rows"]} == {
        row.name: row.calls for row in spend(served.ledger, "workflow")
    }


def test_without_a_gateway_it_says_what_to_do(cli):
    ran = cli("top", "--admin", "http://127.0.0.1:9")

    assert ran.code == 1
    assert "headgate serve" in ran.err


def test_q_ends_it_and_leaves_the_terminal_as_it_was(served: Served):
    """On a real terminal: it draws again by itself until then."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "headgate", "top", "--every", "0.5", "--admin", served.admin_url]
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    drawn = b""
    until_s = time.monotonic() + HANG_S
    while drawn.count(b"calls/min") < 2 and time.monotonic() < until_s:
        if select.select([ours], [], [], 0.5)[0]:
            drawn += os.read(ours, 65_536)
    os.write(ours, b"q")
    while process.poll() is None and time.monotonic() < until_s:
        if select.select([ours], [], [], 0.1)[0]:
            drawn += os.read(ours, 65_536)
    process.wait(timeout=HANG_S)
    os.close(theirs)
    os.close(ours)

    assert process.returncode == 0
    assert drawn.count(b"calls/min") >= 2
    assert drawn.index(b"\x1b[?1049h") < drawn.rindex(b"\x1b[?1049l")
