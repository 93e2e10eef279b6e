"""A real `headgate serve` in front of a real `headgate sim`: killed, and on a disk that is full."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.commands import Command, fetch, headgate, limit_files
from support.edge import Broken, Reply, Wire, body_of, request_of
from support.patience import HANG_S
from support.records import rows


@dataclass
class Load:
    """Callers that ask again and again until their connection breaks."""

    answered: list[str] = field(default_factory=list)
    """Call ids of answers that arrived whole."""
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def caller(self, serve: Command, number: int, wanted: int) -> None:
        wire = Wire(*await serve.connect())
        with suppress(Broken, ConnectionError):
            for turn in range(10_000):
                body = body_of(f"Caller {number}, question {turn}", stream=turn % 2 == 0, max_tokens=40)
                await wire.send(request_of("POST", "/v1/messages", body))
                reply = await wire.reply("POST")
                if reply.status == 200:
                    self.answered.append(reply.header("x-headgate-call-id") or "")
                if len(self.answered) >= wanted:
                    self.enough.set()
        wire.leave()


async def load_until_killed(serve: Command, wanted: int) -> list[str]:
    """Call ids of the answers that arrived before the gateway was killed under sixteen callers."""
    load = Load()
    callers = [asyncio.ensure_future(load.caller(serve, number, wanted)) for number in range(16)]
    async with asyncio.timeout(HANG_S):
        await load.enough.wait()
        serve.kill()
        await asyncio.gather(*callers)
    return load.answered


def serving(folder: Path, sim: Command, **more: str) -> Command:
    return Command(
        "serve", "--port", "0", "--upstream", sim.url,
        folder=folder, HEADGATE_ADMIN__PORT="0", HEADGATE_LEDGER__PATH=str(folder / "ledger.db"),
        **({"HEADGATE_LOG__PATH": "off"} | more),
    )  # fmt: skip


def test_f01_a_gateway_killed_under_load_loses_nothing_that_the_api_bills(tmp_path: Path):
    """After kill -9 and a new start, every request that the simulator's books know is in the ledger: with its exact
    cost, or, where the answer died with the process, as unknown with an expected cost, which covers it here."""
    ledger = tmp_path / "ledger.db"
    chance = random.Random(11)
    answered: list[str] = []
    recovered = 0
    with Command("sim", "--port", "0", "--tier", "scale", "--ttft-ms", "15", folder=tmp_path) as sim:
        for _ in range(4):
            with serving(tmp_path, sim) as serve:
                answered += asyncio.run(load_until_killed(serve, chance.randint(20, 120)))
        with serving(tmp_path, sim) as serve:
            recovered = int(serve.wait_for(r"(\d+) calls were under way when the last process died")[1])
            assert serve.stop() == 0
        books = fetch(f"{sim.url}/sim/books?requests=1")

    assert recovered > 0, "nothing was under way: the kill proved nothing"
    calls = {row["call_id"]: row for row in rows(ledger, "calls")}
    attempts = rows(ledger, "attempts")
    assert {calls[name]["outcome"] for name in answered} == {"ok"}
    billed = {entry["request_id"]: entry for entry in books["entries"]}
    known = {row["upstream_request_id"]: row for row in attempts if row["upstream_request_id"]}
    crashed = [row for row in attempts if row["error"] == "crashed"]
    assert known.keys() <= billed.keys()
    for name, row in known.items():
        assert row["cost_pico"] == billed[name]["cost_pico"], name
    lost = [entry for name, entry in billed.items() if name not in known]
    assert len(lost) <= len(crashed)
    assert sum(entry["cost_pico"] for entry in lost) <= sum(row["unconfirmed_pico"] for row in crashed)
    assert {row["usage_source"] for row in crashed} == {"unknown"}


def ask(serve: Command) -> Reply:
    """One call over a connection of its own."""

    async def main() -> Reply:
        wire = Wire(*await serve.connect())
        await wire.send(request_of("POST", "/v1/messages", body_of()))
        reply = await wire.reply("POST")
        wire.close()
        return reply

    return asyncio.run(main())


def test_f03_a_gateway_on_a_full_disk_refuses_spending_and_recovers_without_a_restart(tmp_path: Path):
    """No file of the process may grow: new calls get 503 and a reason, reading and health work, and with room again
    calls are taken as before."""
    with Command("sim", "--port", "0", folder=tmp_path) as sim, serving(tmp_path, sim) as serve:
        assert ask(serve).status == 200

        limit_files(serve.process, 4096)
        refused = next(reply for _ in range(10_000) if (reply := ask(serve)).status != 200)
        assert (refused.status, refused.header("x-headgate-reason")) == (503, "ledger_unavailable")
        assert refused.error["type"] == "api_error"
        assert fetch(f"{serve.url}/healthz") == {"status": "ok"}
        assert fetch(f"{serve.url}/readyz")["status"] == "not ready"
        assert fetch(f"{serve.admin_url}/api/limits")["pools"]
        assert headgate("cost", "--ledger", "ledger.db", "--json", folder=tmp_path).returncode == 0

        limit_files(serve.process, None)
        serve.wait_for("the ledger can be written again")
        assert ask(serve).status == 200
        assert serve.stop() == 0
        books = fetch(f"{sim.url}/sim/books")

    calls = rows(tmp_path / "ledger.db", "calls")
    assert sum(row["cost_pico"] for row in calls) == books["cost_pico"]
    assert {row["outcome"] for row in calls} == {"ok", "shed"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_f04_a_gateway_whose_log_disk_is_full_serves_and_says_so_once(tmp_path: Path):
    """Telemetry fails open: calls flow and are recorded, lines are dropped and counted."""
    with (
        Command("sim", "--port", "0", folder=tmp_path) as sim,
        serving(tmp_path, sim, HEADGATE_LOG__PATH="/dev/full") as serve,
    ):
        for _ in range(3):
            assert ask(serve).status == 200
            serve.wait_for("the log /dev/full cannot be written: No space left on device")
        assert serve.stop() == 0
        assert serve.said.count("cannot be written") == 1
        assert "5 lines of the log were dropped" in serve.said  # with those of the settings and of the start

    assert len(rows(tmp_path / "ledger.db", "calls")) == 3
