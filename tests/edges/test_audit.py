"""What operators do at their listener is written down before it is done, or is not done."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.config.schema import AdminConfig, CallerKey, Config, GatewayConfig
from headgate.core.audit import Act, AuditRow
from headgate.errors import LedgerError
from headgate.gateway.api.trail import FAILED_EVERY_S
from headgate.gateway.callers import make_key
from headgate.secret import Secret
from headgate.stores.sqlite.audit import SqliteAudit
from support.dashboard import serving
from support.edge import Edge, Reply, play, request_of
from support.watching import Watcher, alert

TOKEN = "operators-token-0001"
LOCKED = Config(admin=AdminConfig(token=Secret(TOKEN)))
BEARER = {"authorization": f"Bearer {TOKEN}"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
FIRES = alert("error_rate_high")
OWN = {"x-headgate-action": "1"}


async def send(edge: Edge, path: str, body: bytes, headers: dict[str, str]) -> Reply:
    wire = await edge.connect(admin=True)
    await wire.send(request_of("POST", path, body, headers))
    return await wire.reply("POST")


async def log_in(edge: Edge, token: str = TOKEN) -> Reply:
    return await send(edge, "/login", f"token={token}".encode(), FORM)


def rows(edge: Edge, but: Act = Act.START) -> list[AuditRow]:
    return [row for row in edge.gateway._operators.trail.store.rows() if row.action != but]


def written(
    act: Callable[[Edge], Awaitable[Any]], config: Config = LOCKED, watcher: Watcher | None = None
) -> list[AuditRow]:
    """The rows that `act` leaves."""

    async def scene(edge: Edge) -> list[AuditRow]:
        edge.gateway._operators._watched._watch = watcher or Watcher(FIRES)
        await act(edge)
        await edge.engine.clock.sleep(0.01)
        return rows(edge)

    return play(scene, virtual=True, config=config)


ACTIONS: dict[str, tuple[dict[str, Any], str, str, dict[str, Any] | None]] = {
    "silence": ({"rule": "error_rate_high", "for_s": 60, "why": "PRIVATE"}, "alert.silence", "error_rate_high",
                {"by": "a program", "labels": []}),
    "acknowledge": ({"key": FIRES.key, "for_s": 60, "by": "ann"}, "alert.acknowledge", FIRES.key, {"by": "ann"}),
    "test": ({"receiver": "pager"}, "alert.test", "pager", None),
}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_said_of_alerts_is_written_down(action: str):
    """By whom, as far as the listener knows; what people write freely is not."""
    body, act, subject, after = ACTIONS[action]

    async def say(edge: Edge) -> None:
        reply = await send(edge, f"/api/alerts/{action}", msgspec.json.encode(body), BEARER)
        assert reply.status == 200

    (row,) = written(say)

    assert (row.actor, row.action, row.subject) == ("program", act, subject)
    assert after is None or after.items() <= json.loads(row.after or "{}").items()
    assert "PRIVATE" not in str(row)


def test_the_end_of_a_silence_is_written_down():
    async def say(edge: Edge) -> None:
        made = await send(edge, "/api/alerts/silence", b'{"for_s": 60}', BEARER)
        await send(edge, "/api/alerts/unsilence", msgspec.json.encode({"id": made.json["id"]}), BEARER)

    silenced, ended = written(say)

    assert (silenced.subject, ended.action) == ("all", "alert.unsilence")
    assert json.loads(silenced.after or "")["silence"] == ended.subject


def test_sessions_are_written_down_from_begin_to_end():
    """What is done in one is done by `dashboard`."""

    async def live(edge: Edge) -> None:
        cookie = ((await log_in(edge)).header("set-cookie") or "").partition(";")[0]
        own = {"cookie": cookie, **OWN}
        await send(edge, "/api/alerts/silence", b'{"for_s": 60}', own)
        await send(edge, "/logout", b"", own)

    assert [(row.actor, row.action) for row in written(live)] == [
        ("dashboard", "admin.login"), ("dashboard", "alert.silence"), ("dashboard", "admin.logout")
    ]  # fmt: skip


def test_where_no_token_is_set_who_acts_is_local():
    async def act(edge: Edge) -> None:
        await send(edge, "/api/alerts/silence", b'{"for_s": 60}', OWN)

    (row,) = written(act, Config())

    assert row.actor == "local"


def test_what_is_refused_leaves_no_row():
    """Nothing was done."""

    async def act(edge: Edge) -> None:
        await send(edge, "/api/alerts/silence", b'{"for_s": -1}', BEARER)
        await send(edge, "/api/alerts/silence", b'{"rule": "no_such_rule"}', BEARER)
        await send(edge, "/api/alerts/unsilence", b'{"id": "x"}', BEARER)

    assert written(act) == []


def test_wrong_tokens_without_end_are_a_row_a_minute_with_their_number():
    """Whoever guesses must not fill a disk."""

    async def guess(edge: Edge) -> None:
        for _ in range(4):
            await send(edge, "/api/alerts/silence", b"{}", {"authorization": "Bearer wrong"})
            await log_in(edge, "wrong")
        await edge.engine.clock.sleep(FAILED_EVERY_S)
        await log_in(edge, "wrong")

    found = written(guess)

    assert [(row.action, row.actor, row.after) for row in found] == [
        ("admin.login_failed", "unknown", '{"failures":1}'), ("admin.login_failed", "unknown", '{"failures":8}')
    ]  # fmt: skip


def test_a_start_names_the_keys_and_budgets_that_are_in_force():
    """A key that was made or revoked shows as the difference of two starts."""
    _, digest = make_key("a" * 43)
    config = Config(gateway=GatewayConfig(keys=(CallerKey(name="search", sha256=digest),)))

    async def scene(edge: Edge) -> list[AuditRow]:
        await edge.engine.clock.sleep(0.01)
        return edge.gateway._operators.trail.store.rows()

    (row,) = play(scene, virtual=True, config=config)

    assert (row.action, len(row.subject)) == ("gateway.start", 8)
    assert json.loads(row.after or "")["keys"] == ["search"]
    assert digest not in str(row)


@pytest.mark.parametrize("action", ["login", *ACTIONS])
def test_what_cannot_be_written_down_is_not_done(action: str, monkeypatch: pytest.MonkeyPatch):
    """Fail closed: no session, no silence."""

    def full(*told: Any, **more: Any) -> AuditRow:
        raise LedgerError("the audit trail cannot be used")

    async def scene(edge: Edge) -> tuple[Reply, Watcher, int]:
        edge.gateway._operators._watched._watch = watcher = Watcher(FIRES)
        monkeypatch.setattr(SqliteAudit, "add", full)
        if action == "login":
            reply = await log_in(edge)
        else:
            reply = await send(edge, f"/api/alerts/{action}", msgspec.json.encode(ACTIONS[action][0]), BEARER)
        return reply, watcher, len(edge.gateway._operators._access._sessions)

    reply, watcher, sessions = play(scene, virtual=True, config=LOCKED)

    assert (reply.status, reply.header("set-cookie"), sessions) == (503, None, 0)
    assert (watcher.board.silences, watcher.board.acknowledgements) == ((), {})


def test_each_row_is_told_in_the_log_with_its_digest():
    """Elsewhere than where the trail is: a chain that was made anew lacks it."""

    async def scene(edge: Edge) -> tuple[list[AuditRow], list[dict[str, Any]]]:
        await log_in(edge)
        lines = [msgspec.json.decode(line) for line in edge.log.others]
        return rows(edge, Act.LOGOUT), [line for line in lines if line["event"] == "audit"]

    found, lines = play(scene, virtual=True, config=LOCKED)

    assert [(line["number"], line["digest"]) for line in lines] == [(row.number, row.digest) for row in found]
    assert lines[-1]["action"] == "admin.login"


def test_on_disk_it_is_beside_the_ledger_and_whole(tmp_path: Path):
    with serving(tmp_path) as gateway:
        gateway.traffic(1)

    trail = SqliteAudit(tmp_path / "audit.db")
    assert [row.action for row in trail.rows()] == ["gateway.start"]
    assert trail.first_broken() is None
    trail.close()
