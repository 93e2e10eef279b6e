"""`headgate serve` and `headgate sim` as processes: how they start, what they say, how they stop."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.commands import Command, fetch, headgate
from support.edge import Reply, Wire, body_of, request_of
from support.patience import HANG_S
from support.records import rows


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with Command("sim", "--port", "0", folder=tmp_path_factory.mktemp("sim")) as sim:
        yield sim


def serving(folder: Path, sim: Command, *arguments: str, **environ: str) -> Command:
    """A gateway on free ports; `environ` are settings without their prefix."""
    told = {"ADMIN__PORT": "0"} | environ
    settings = {f"HEADGATE_{name}": value for name, value in told.items()}
    return Command("serve", "--port", "0", "--upstream", sim.url, *arguments, folder=folder, **settings)


async def ask(serve: Command, wire: Wire | None = None, **headers: str) -> Reply:
    wire = wire or Wire(*await serve.connect())
    await wire.send(request_of("POST", "/v1/messages", body_of(), headers))
    reply = await wire.reply("POST")
    wire.close()
    return reply


# -- starting ------------------------------------------------------------------------------------------------------


def test_without_any_file_it_starts_and_serves_and_says_where(tmp_path: Path, sim: Command):
    """An empty home, no settings: the ledger goes where state goes, the log to standard output."""
    with serving(tmp_path, sim) as serve:
        assert asyncio.run(ask(serve)).status == 200
        assert f"gateway {serve.url} -> {sim.url}; operators {serve.admin_url}" in serve.said
        assert f"ledger  {tmp_path}/.local/state/headgate/ledger.db" in serve.said
        assert f"next    ANTHROPIC_BASE_URL={serve.url} claude" in serve.said
        assert fetch(f"{serve.admin_url}/healthz") == {"status": "ok"}
        assert serve.stop() == 0

    lines = [json.loads(line) for line in serve.out.read_text().splitlines()]
    assert sorted(line["event"] for line in lines) == ["audit", "call", "config"]
    assert [line["outcome"] for line in lines if line["event"] == "call"] == ["ok"]
    assert len(rows(tmp_path / ".local/state/headgate/ledger.db", "calls")) == 1


def test_for_programs_it_prints_where_it_listens_as_one_line_of_json(tmp_path: Path, sim: Command):
    with serving(tmp_path, sim, "--json") as serve:
        asyncio.run(ask(serve))
        serve.stop()

    first, *lines = [json.loads(line) for line in serve.out.read_text().splitlines()]
    assert first == {
        "event": "listening", "url": serve.url, "upstream": sim.url, "admin_url": serve.admin_url,
        "ledger": f"{tmp_path}/.local/state/headgate/ledger.db", "recovered_calls": 0,
    }  # fmt: skip
    assert "call" in [line["event"] for line in lines]


def test_the_simulator_prints_where_it_listens_as_one_line_of_json(tmp_path: Path):
    with Command("sim", "--port", "0", "--json", "--seed", "7", folder=tmp_path) as sim:
        assert sim.url in sim.said
        assert sim.stop() == 0

    told = {"event": "listening", "url": sim.url, "tier": "start", "seed": 7, "scenario": None}
    assert json.loads(sim.out.read_text()) == told


def test_the_operators_address_is_announced_as_it_is(tmp_path: Path, sim: Command):
    with serving(tmp_path, sim, ADMIN__HOST="::1") as serve:
        assert serve.admin_url.startswith("http://[::1]:")
        assert fetch(f"{serve.admin_url}/healthz") == {"status": "ok"}


def test_on_all_addresses_it_announces_one_that_can_be_called(tmp_path: Path, sim: Command):
    key = json.loads(headgate("keys", "new", "--name", "team", "--json", folder=tmp_path).stdout)
    keys = json.dumps([{"name": "team", "sha256": key["sha256"]}])
    with serving(tmp_path, sim, "--host", "0.0.0.0", GATEWAY__KEYS=keys) as serve:
        assert serve.url.startswith("http://127.0.0.1:")
        assert asyncio.run(ask(serve)).status == 401
        assert asyncio.run(ask(serve, **{"x-api-key": key["key"]})).status == 200


def busy_port() -> socket.socket:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.listen()
    return held


@pytest.mark.parametrize("what", ["gateway", "admin"])
def test_a_port_in_use_is_said_with_the_setting(tmp_path: Path, sim: Command, what: str):
    with closing(busy_port()) as held:
        port = str(held.getsockname()[1])
        ports = {"HEADGATE_GATEWAY__PORT": "0", "HEADGATE_ADMIN__PORT": "0", f"HEADGATE_{what.upper()}__PORT": port}
        run = headgate("serve", "--upstream", sim.url, folder=tmp_path, **ports)

    assert run.returncode == 1
    assert f"{what}: cannot listen on 127.0.0.1:{port}: Address already in use" in run.stderr
    assert f"set {what}.port" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


def test_a_port_in_use_is_said_by_the_simulator_too(tmp_path: Path):
    with closing(busy_port()) as held:
        port = str(held.getsockname()[1])
        run = headgate("sim", "--port", port, folder=tmp_path)

    assert run.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use. Choose another" in run.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"GATEWAY__HOST": "0.0.0.0"}, "no caller keys are configured"),
        ({"ADMIN__HOST": "0.0.0.0"}, "there is no token"),
        ({"UPSTREAM__BASE_ULR": "x"}, "did you mean 'HEADGATE_UPSTREAM__BASE_URL'?"),
        ({"LEDGER__PATH": "/dev/null/ledger.db"}, "set ledger.path"),
        ({"LOG__PATH": "/dev/null/log"}, "set another path"),
        ({"UPSTREAM__API_KEY_FILE": "missing.key"}, "missing.key"),
        ({"PRICES__FILE": "missing.toml"}, "cannot read missing.toml"),
    ],
)
def test_what_is_not_safe_or_not_possible_stops_the_start(tmp_path: Path, settings: dict[str, str], said: str):
    """With the place, the problem and the remedy; nothing is served before."""
    environ = {f"HEADGATE_{name}": value for name, value in settings.items()}
    run = headgate("serve", "--port", "0", folder=tmp_path, ANTHROPIC_API_KEY="sk-ant-any", **environ)

    assert run.returncode == 1
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_an_option_is_named_as_it_was_typed(tmp_path: Path):
    run = headgate("serve", "--host", "0.0.0.0", folder=tmp_path, ANTHROPIC_API_KEY="sk-ant-any")

    assert run.returncode == 1
    assert run.stderr.startswith("headgate: --host: gateway.host '0.0.0.0' can be reached from other machines")


def test_f06_a_damaged_ledger_stops_the_start(tmp_path: Path):
    (tmp_path / "ledger.db").write_bytes(b"SQLite format 3\x00" + b"\xa5" * 8000)

    run = headgate("serve", "--port", "0", folder=tmp_path, ANTHROPIC_API_KEY="any", HEADGATE_LEDGER__PATH="ledger.db")

    assert run.returncode == 1
    assert "Nothing was changed or deleted" in run.stderr
    assert "Traceback" not in run.stderr


def test_j04_a_key_that_a_caller_sends_as_a_name_is_in_no_log(tmp_path: Path, sim: Command):
    """S10: neither in the lines of calls nor in what the process says; here it is the gateway's own."""
    key = "sk-ant-api03-" + "Ab3" * 30
    with serving(tmp_path, sim, UPSTREAM__API_KEY=key) as serve:
        for header in ("x-headgate-user", "x-headgate-session", "x-headgate-lane"):
            asyncio.run(ask(serve, **{header: key}))
        assert serve.stop() == 0

    logged = serve.out.read_text()
    assert key not in logged + serve.said
    assert '"user":"[secret]"' in logged
    assert '"session":"[secret]"' in logged


# -- stopping ------------------------------------------------------------------------------------------------------


async def state(serve: Command, reached: Callable[[dict[str, Any]], object]) -> None:
    """Wait until a pool of the gateway is in a state."""

    def holds() -> bool:
        return any(reached(pool) for pool in fetch(f"{serve.admin_url}/api/limits")["pools"])

    while not holds():  # noqa: ASYNC110 - another process does not signal
        await asyncio.sleep(0.01)


def test_told_to_stop_it_lets_calls_under_way_finish(tmp_path: Path, sim: Command):
    with serving(tmp_path, sim) as serve:

        async def scene() -> Reply:
            answer = asyncio.ensure_future(ask(serve, **{"x-sim": "slow=700"}))
            await state(serve, lambda pool: pool["under_way"])
            serve.process.send_signal(signal.SIGTERM)
            return await answer

        reply = asyncio.run(scene())
        assert reply.status == 200
        assert serve.process.wait(HANG_S) == 0
        assert "stopping: 1 calls may finish; again to stop at once" in serve.said

    assert [row["outcome"] for row in rows(tmp_path / ".local/state/headgate/ledger.db", "calls")] == ["ok"]


def test_told_twice_it_stops_at_once_and_the_next_start_finds_what_was_under_way(tmp_path: Path, sim: Command):
    with serving(tmp_path, sim) as serve:

        async def scene() -> None:
            wire = Wire(*await serve.connect())
            await wire.send(request_of("POST", "/v1/messages", body_of(), {"x-sim": "hang"}))
            await state(serve, lambda pool: pool["under_way"])
            serve.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(serve.wait_for, "may finish; again to stop at once")
            serve.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(serve.process.wait, 20)
            wire.leave()

        asyncio.run(scene())
        assert serve.process.returncode == 130

    with serving(tmp_path, sim) as serve:
        serve.wait_for("1 calls were under way when the last process died; they are in the ledger as crashed")


# -- looking at it -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, sim: Command) -> Iterator[Command]:
    """A gateway whose operators' listener wants a token, after one call."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text("operators-token-0001\n")
    (folder / "token").chmod(0o600)
    with serving(folder, sim, ADMIN__TOKEN_FILE=str(folder / "token")) as serve:
        assert "no call has been made yet" in limits(serve).stdout
        asyncio.run(ask(serve))
        yield serve


def limits(serve: Command, *arguments: str, token: str | None = "token"):
    folder = serve.err.parent
    environ = {"HEADGATE_ADMIN__TOKEN_FILE": str(folder / token)} if token else {}
    return headgate("limits", "--admin", serve.admin_url, *arguments, folder=folder, **environ)


def test_limits_says_what_is_known_of_each_limit_and_from_where(guarded: Command):
    """Tier, limits, what remains, who waits, what is frozen: each with its source and age."""
    told = json.loads(limits(guarded, "--json").stdout)

    (pool,) = told["pools"]
    (backend,) = pool["backends"]
    assert told["tier"] == "start"
    for name in ("requests", "input", "output"):
        limiter = backend["limiters"][name]
        assert limiter["per_minute"] > 0
        assert limiter["source"]
        assert limiter["age_s"] >= 0
    assert backend["breaker"]["state"] == "closed"
    assert {lane["waiting"] for lane in pool["lanes"].values()} == {0}


def test_the_table_of_limits_is_readable_and_ends_with_the_next_step(guarded: Command):
    run = limits(guarded)

    assert run.stdout.splitlines()[1].split()[:4] == ["pool", "key", "limiter", "per"]
    assert "haiku-5.5: waiting: none" in run.stdout
    assert "\x1b" not in run.stdout
    assert run.stderr == "Next: headgate cost --by workflow\n"


def test_limits_says_what_is_held_and_why_and_who_waits(tmp_path: Path, sim: Command):
    """The API asked for a pause: an operator sees how long it still lasts, and who stands before the gate."""
    with serving(tmp_path, sim) as serve:

        async def scene() -> str:
            wires = [Wire(*await serve.connect()) for _ in range(2)]
            for wire, headers in zip(wires, ({"x-sim": "error=429; retry-after=20"}, {}), strict=True):
                await wire.send(request_of("POST", "/v1/messages", body_of(), headers | {"x-headgate-lane": "bulk"}))
                await state(serve, lambda pool: pool["backends"][0]["breaker"]["state"] == "held")
            await state(serve, lambda pool: pool["lanes"]["bulk"]["waiting"] == 2)
            run = await asyncio.to_thread(limits, serve, token=None)
            for wire in wires:
                wire.leave()
            return run.stdout

        table = asyncio.run(scene())

    assert "waiting: bulk 2 (oldest " in table
    assert re.search(r"held for [12]\d\.\d s: \w+", table)


def test_limits_without_the_token_says_which_setting_is_missing(guarded: Command):
    run = limits(guarded, token=None)

    assert run.returncode == 1
    assert "answered 401; set admin.token or admin.token_file as the gateway has it" in run.stderr
    assert run.stdout == ""
