"""`headgate serve` as a process in front of `headgate sim`: who is connected sees it drain, not die."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from anthropic import Anthropic

from support.commands import Command, fetch
from support.patience import HANG_S
from support.sdk import asking

STREAM = asking("[[sim: drip=20:50]]")
"""A stream of one second."""


@pytest.fixture
def sim(tmp_path) -> Iterator[Command]:
    with Command("sim", "--port", "0", folder=tmp_path) as sim:
        yield sim


@pytest.fixture
def gateway(tmp_path, sim) -> Iterator[Command]:
    ports = {"HEADGATE_ADMIN__PORT": "0", "HEADGATE_LEDGER__PATH": str(tmp_path / "ledger.db")}
    with Command("serve", "--port", "0", "--upstream", sim.url, folder=tmp_path, **ports) as gateway:
        yield gateway


def refuses(url: str) -> bool:
    """Whether nobody listens there."""
    where = urlsplit(url)
    try:
        socket.create_connection((where.hostname, where.port), 1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_lets_a_stream_finish_and_takes_no_new_call(gateway, sim):
    """The stream under way comes whole, a new connection is refused, and the exit code is 0; the call is in the ledger
    and in the log."""
    with (
        Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as client,
        client.messages.stream(**STREAM) as stream,
    ):
        for event in stream:
            if event.type == "text":
                break
        gateway.process.send_signal(signal.SIGTERM)
        gateway.wait_for("stopping: 1 calls may finish")
        refused = refuses(gateway.url)
        final = stream.get_final_message()
    code = gateway.process.wait(HANG_S)

    assert (refused, final.stop_reason, code) == (True, "end_turn", 0)
    assert fetch(f"{sim.url}/sim/stats")["streams_finished"] == 1
    lines = [json.loads(line) for line in gateway.out.read_text().splitlines()]
    [line] = [line for line in lines if line["event"] == "call"]
    with closing(sqlite3.connect(gateway.out.parent / "ledger.db")) as db:
        rows = db.execute("SELECT call_id, outcome FROM calls").fetchall()
    assert rows == [(line["call_id"], "ok")]


def test_an_idle_gateway_stops_at_once(gateway):
    """Also with a connection kept open by a client that says nothing."""
    where = urlsplit(gateway.url)
    with socket.create_connection((where.hostname, where.port)):
        assert gateway.stop() == 0


def test_the_operators_listener_is_apart(gateway):
    """Another port, on loopback; it knows the limits, the gateway does not tell them."""
    assert fetch(f"{gateway.admin_url}/healthz") == {"status": "ok"}
    assert fetch(f"{gateway.url}/readyz") == {"status": "ready"}
    assert fetch(f"{gateway.url}/api/limits")["error"]["type"] == "not_found_error"
    assert "pools" in fetch(f"{gateway.admin_url}/api/limits")
