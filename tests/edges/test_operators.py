"""The operators' listener: who is let in, what a page may do, and what is told to those who listen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from headgate.config.schema import AdminConfig, Config
from headgate.gateway.api import access
from headgate.gateway.api.access import SESSION_S, TRIES, TRIES_FOR_S
from headgate.gateway.api.live import EVERY_S, MOST_LISTENERS
from headgate.gateway.api.page import CONTENT_POLICY, Page
from headgate.net.app import Request
from headgate.secret import Secret
from headgate.telemetry.metrics.catalogue import AUTH_FAILURES
from support.edge import Edge, Reply, play, request_of
from support.watching import Watcher, alert

TOKEN = "operators-token-0001"
LOCKED = Config(admin=AdminConfig(token=Secret(TOKEN)))
FORM = {"content_type": "application/x-www-form-urlencoded"}
DATA = ("/api/now", "/api/limits", "/api/cache", "/api/workflows", "/api/spend", "/api/calls", "/api/live", "/metrics")


async def ask(edge: Edge, path: str, method: str = "GET", body: bytes | None = None, **headers: str | None) -> Reply:
    wire = await edge.connect(admin=True)
    told: Mapping[str, str | None] = {name.replace("_", "-"): value for name, value in headers.items()}
    await wire.send(request_of(method, path, body, told))
    return await wire.reply(method)


async def log_in(edge: Edge, token: str = TOKEN, **headers: str) -> Reply:
    return await ask(edge, "/login", "POST", f"token={token}".encode(), **FORM, **headers)


def cookie_of(reply: Reply) -> str:
    """What a browser would send back."""
    return (reply.header("set-cookie") or "").partition(";")[0]


# -- who is let in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/ui/app.js", "/nothing", *DATA])
def test_without_the_token_nothing_is_told(path: str):
    """The same 401 for what there is and what there is not, and not a word more."""

    async def scene(edge: Edge) -> Reply:
        return await ask(edge, path)

    reply = play(scene, virtual=True, config=LOCKED)

    assert (reply.status, reply.body) == (401, b'{"error":"unauthorized"}')


def test_a_person_at_a_browser_is_asked_for_the_token():
    """Still a 401; the form needs no script, and sends to us only."""

    async def scene(edge: Edge) -> Reply:
        return await ask(edge, "/", accept="text/html,*/*")

    reply = play(scene, virtual=True, config=LOCKED)

    assert reply.status == 401
    assert b'<form method="post" action="/login">' in reply.body
    assert b"<script" not in reply.body


def test_j06_s07_the_token_opens_a_session_that_no_script_and_no_other_site_can_use():
    """HttpOnly, SameSite=Strict, an end; Secure behind TLS.  The cookie is not the token."""

    async def scene(edge: Edge) -> tuple[Reply, Reply, Reply]:
        plain, by_tls = await log_in(edge), await log_in(edge, x_forwarded_proto="https")
        return plain, by_tls, await ask(edge, "/api/limits", cookie=cookie_of(plain))

    plain, by_tls, inside = play(scene, virtual=True, config=LOCKED)

    assert (plain.status, plain.header("location"), inside.status) == (303, "/", 200)
    cookie = plain.header("set-cookie") or ""
    assert re.fullmatch(
        rf"headgate_session=[\w-]{{43}}; Max-Age={SESSION_S}; HttpOnly; SameSite=Strict; Path=/", cookie
    )
    assert (by_tls.header("set-cookie") or "").endswith("; Secure")
    assert TOKEN not in cookie


def test_a_wrong_token_opens_nothing():
    async def scene(edge: Edge) -> Reply:
        return await log_in(edge, "wrong")

    reply = play(scene, virtual=True, config=LOCKED)

    assert reply.status == 401
    assert reply.header("set-cookie") is None
    assert b"This is not the token." in reply.body


def test_a_wrong_token_counts_as_a_failure_and_a_form_that_is_looked_at_does_not():
    """What AL-26 watches is guessing, and not people who begin their day."""

    async def scene(edge: Edge) -> list[float]:
        counted = []
        for headers in ({"accept": "text/html"}, {"authorization": "Bearer wrong"}):
            await ask(edge, "/", **headers)
            counted.append(edge.engine.metrics.counter(AUTH_FAILURES, "admin_token").value)
        await log_in(edge, "wrong")
        return [*counted, edge.engine.metrics.counter(AUTH_FAILURES, "admin_token").value]

    assert play(scene, virtual=True, config=LOCKED) == [0, 1, 2]


def test_s03_who_guesses_is_made_to_wait():
    """Then not even the right token is looked at, until the minute is over."""

    async def scene(edge: Edge) -> list[int]:
        statuses = [(await log_in(edge, f"wrong-{number}")).status for number in range(TRIES)]
        statuses.append((await log_in(edge)).status)
        await edge.engine.clock.sleep(TRIES_FOR_S)
        return [*statuses, (await log_in(edge)).status]

    assert play(scene, virtual=True, config=LOCKED) == [*[401] * TRIES, 429, 303]


def test_a_session_ends_by_itself(monkeypatch: pytest.MonkeyPatch):
    """However much it is used."""
    monkeypatch.setattr(access, "SESSION_S", 600)

    async def scene(edge: Edge) -> list[int]:
        cookie = cookie_of(await log_in(edge))
        statuses = []
        for wait_s in (599, 1):
            await edge.engine.clock.sleep(wait_s)
            statuses.append((await ask(edge, "/api/limits", cookie=cookie)).status)
        return statuses

    assert play(scene, virtual=True, config=LOCKED) == [200, 401]


def test_a_session_is_ended_here_and_not_only_in_the_browser():
    """Who kept a copy of the cookie has nothing."""

    async def scene(edge: Edge) -> tuple[Reply, Reply]:
        cookie = cookie_of(await log_in(edge))
        left = await ask(edge, "/logout", "POST", b"", cookie=cookie, x_headgate_action="1")
        return left, await ask(edge, "/api/limits", cookie=cookie)

    left, after = play(scene, virtual=True, config=LOCKED)

    assert (left.status, after.status) == (204, 401)
    assert "Max-Age=0" in (left.header("set-cookie") or "")


def test_news_ends_with_the_session():
    """A stream is let in once; it must not outlive what let it in."""

    async def scene(edge: Edge) -> tuple[bytes, bool]:
        cookie = cookie_of(await log_in(edge))
        wire = await edge.connect(admin=True)
        await wire.send(request_of("GET", "/api/live", headers={"cookie": cookie}))
        told = await wire.until(b"event: now\n")
        await ask(edge, "/logout", "POST", b"", cookie=cookie, x_headgate_action="1")
        rest = await wire.until(b"0\r\n\r\n")
        return told, rest.count(b"event: now\n") <= 1

    told, ended = play(scene, virtual=True, config=LOCKED)

    assert b"text/event-stream" in told
    assert ended


# -- what a page may do ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 403), ({"x_headgate_action": "1", "origin": "http://evil.example"}, 403),
     ({"x_headgate_action": "1", "sec_fetch_site": "cross-site"}, 403),
     ({"x_headgate_action": "1", "sec_fetch_site": "same-site"}, 403),
     ({"x_headgate_action": "1", "origin": "null"}, 403), ({"x_headgate_action": "1"}, 204),
     ({"x_headgate_action": "1", "origin": "http://127.0.0.1", "sec_fetch_site": "same-origin"}, 204),
     ({"authorization": f"Bearer {TOKEN}"}, 204)],
    ids=str,
)  # fmt: skip
def test_j06_only_our_own_page_or_a_program_with_the_token_may_change_anything(headers: dict[str, str], status: int):
    """A form of another site sends the cookie of this one and no header of ours; its script may not send that one."""

    async def scene(edge: Edge) -> int:
        cookie = cookie_of(await log_in(edge))
        return (await ask(edge, "/logout", "POST", b"", **({"cookie": cookie} | headers))).status

    assert play(scene, virtual=True, config=LOCKED) == status


def test_j06_another_site_cannot_log_a_browser_in():
    """Or its owner would work in a session of somebody else's."""

    async def scene(edge: Edge) -> Reply:
        return await log_in(edge, origin="http://evil.example", sec_fetch_site="cross-site")

    assert play(scene, virtual=True, config=LOCKED).header("set-cookie") is None


def test_where_no_token_is_set_there_is_nothing_to_log_in_to():
    async def scene(edge: Edge) -> list[int]:
        return [(await log_in(edge)).status, (await ask(edge, "/login")).status, (await ask(edge, "/")).status]

    assert play(scene, virtual=True) == [405, 303, 200]


@pytest.mark.parametrize("path", ["/", "/ui/app.js", "/ui/app.css", "/ui/icon.svg"])
def test_j05_j06_s35_a_browser_is_told_to_run_nothing_but_our_own_files(path: str):
    """Nothing inline, nothing from elsewhere, in no frame."""

    async def scene(edge: Edge) -> Reply:
        return await ask(edge, path)

    reply = play(scene, virtual=True)

    assert reply.header("content-security-policy") == CONTENT_POLICY.decode()
    for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert part in CONTENT_POLICY.decode()
    assert "unsafe" not in CONTENT_POLICY.decode()
    assert (reply.header("x-content-type-options"), reply.header("x-frame-options")) == ("nosniff", "DENY")


@pytest.mark.parametrize(
    "path", ["/ui/../admin.py", "/ui/%2e%2e/admin.py", "/ui/", "/ui", "/ui/index.html", "//ui/app.js"]
)
def test_no_path_leads_out_of_the_page_s_own_files(path: str):
    async def scene(edge: Edge) -> int:
        return (await ask(edge, path)).status

    assert play(scene, virtual=True) == 404


def test_a_file_that_is_the_same_is_not_sent_again():
    async def scene(edge: Edge) -> tuple[Reply, Reply]:
        first = await ask(edge, "/ui/app.js")
        return first, await ask(edge, "/ui/app.js", if_none_match=first.header("etag"))

    first, again = play(scene, virtual=True)

    assert (first.status, again.status, again.body) == (200, 304, b"")


def test_every_module_is_fetched_at_once_and_nothing_is_inline():
    """Modules that are named in the page need not be found one after the other."""
    page = Page()
    html = page.answer(Request("GET", "/", "", [], {}, "")).body.decode()
    scripts = {path for path in page._files if path.endswith(".js")}

    assert set(re.findall(r'(?:src|href)="(/ui/[^"]+\.js)"', html)) == scripts
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html)


# -- what is told ------------------------------------------------------------------------------------------------------


def test_now_says_how_the_gateway_stands():
    """Also where nobody keeps a ledger on disk."""

    async def scene(edge: Edge) -> Any:
        await edge.ask()
        return (await ask(edge, "/api/now")).json

    told = play(scene, virtual=True)

    assert told["health"] == {"level": "ok", "concerns": []}
    assert [pool["pool"] for pool in told["limits"]["pools"]] == ["haiku-5.5"]
    assert (told["waiting"], told["under_way"], told["hour"]) == (0, 0, None)


@pytest.mark.parametrize("path", ["/api/calls", "/api/spend", "/api/workflows", "/api/calls/call_1"])
def test_where_there_is_no_ledger_to_read_that_is_said(path: str):
    async def scene(edge: Edge) -> Reply:
        return await ask(edge, path)

    reply = play(scene, virtual=True)

    assert (reply.status, reply.json) == (404, {"error": "this process keeps no ledger that can be read"})


@pytest.mark.parametrize(
    "query",
    ["by=workflow;drop", "by=cost_pico", "days=2", "by=user&by=team", "nothing=1", "by=" + "a" * 300, "%00=1"],
)
def test_j10_what_is_asked_is_one_of_a_list(query: str):
    """A name or a value that nobody knows is refused with those that are known."""

    async def scene(edge: Edge) -> Reply:
        return await ask(edge, f"/api/spend?{query}")

    assert play(scene, virtual=True).status == 400


def test_news_costs_the_same_for_one_and_for_many():
    """It is made once and told to all; nobody is told anything while nobody listens."""

    async def scene(edge: Edge) -> tuple[int, int, int]:
        made = 0
        admin = edge.gateway._operators
        news = admin._live._news

        async def counted() -> bytes:
            nonlocal made
            made += 1
            return await news()

        admin._live._news = counted
        wires = [await edge.connect(admin=True) for _ in range(10)]
        for wire in wires:
            await wire.send(request_of("GET", "/api/live"))
        for wire in wires:
            await wire.until(b"event: now\n")
        at_once = made
        await edge.engine.clock.sleep(5 * EVERY_S)
        listened = made
        for wire in wires:
            wire.leave()
        await edge.engine.clock.sleep(2 * EVERY_S)
        after = made
        await edge.engine.clock.sleep(10 * EVERY_S)
        assert made == after
        return at_once, listened, len(admin._live._listeners)

    at_once, listened, left = play(scene, virtual=True)

    assert at_once <= 2
    assert 5 <= listened - at_once <= 6
    assert left == 0


def test_more_pages_than_there_is_room_for_are_refused():
    async def scene(edge: Edge) -> int:
        for _ in range(MOST_LISTENERS):
            wire = await edge.connect(admin=True)
            await wire.send(request_of("GET", "/api/live"))
            await wire.until(b"retry: ")
        return (await ask(edge, "/api/live")).status

    assert play(scene, virtual=True) == 503


def test_a_call_that_waits_is_told_before_it_is_written_down():
    """Its lane opens an hour after virtual time begins."""
    lanes = Config().lanes
    config = Config(lanes={**lanes, "bulk": replace(lanes["bulk"], open=("09:00-10:00",), max_wait_s=7200.0)})

    async def scene(edge: Edge) -> Any:
        late = asyncio.ensure_future(edge.ask(headers={"x-headgate-lane": "bulk"}))
        await edge.until(lambda: any(state.waiting for state in edge.engine.gates()))
        (ticket,) = [ticket for state in edge.engine.gates() for ticket in state.waiting]
        told = (await ask(edge, f"/api/calls/{ticket.call_id}")).json
        late.cancel()
        return told

    waiting = play(scene, virtual=True, config=config)["waiting"]

    assert (waiting["lane"], waiting["position"]) == ("bulk", 1)


# -- alerts ------------------------------------------------------------------------------------------------------------

FIRES = alert("error_rate", value=0.07)


async def with_alerts(edge: Edge, watcher: Watcher) -> None:
    """As if the gateway had been started with it."""
    edge.gateway._operators._watched._watch = watcher


def alerts_after(*actions: tuple[str, dict[str, Any]]) -> tuple[list[Reply], Any, Any]:
    """What is answered to each action, and then told at /api/alerts and at /api/now, while one rule fires."""

    async def scene(edge: Edge) -> tuple[list[Reply], Any, Any]:
        await with_alerts(edge, Watcher(FIRES))
        replies = [
            await ask(edge, f"/api/alerts/{action}", "POST", msgspec.json.encode(body), x_headgate_action="1")
            for action, body in actions
        ]
        return replies, (await ask(edge, "/api/alerts")).json, (await ask(edge, "/api/now")).json

    return play(scene, virtual=True)


def test_an_alert_that_fires_comes_first_with_its_runbook():
    """And the gateway does not call itself healthy."""
    _, told, now = alerts_after()

    first = told["rules"][0]
    assert (first["id"], first["phase"], first["runbook"]) == ("error_rate", "firing", "error_rate")
    assert (first["alerts"][0]["key"], first["alerts"][0]["silence"]) == (FIRES.key, None)
    assert now["health"]["level"] == "watch"
    assert now["health"]["concerns"][0]["view"] == "alerts"


def test_a_silence_takes_an_alert_out_of_the_way_until_it_is_ended():
    (made,), told, now = alerts_after(("silence", {"rule": "error_rate", "for_s": 60, "why": "known"}))
    (_, ended), after, _ = alerts_after(
        ("silence", {"rule": "error_rate", "for_s": 60}), ("unsilence", {"id": "nothing"})
    )

    assert made.json == told["silences"][0] == told["rules"][0]["alerts"][0]["silence"]
    assert (made.json["by"], made.json["why"]) == ("the dashboard", "known")
    assert now["health"]["level"] == "ok"
    assert (ended.status, len(after["silences"])) == (400, 1)


def test_an_acknowledgement_says_who_takes_care():
    (made,), told, _ = alerts_after(("acknowledge", {"key": FIRES.key, "for_s": 60}))

    assert made.status == 200
    assert told["rules"][0]["alerts"][0]["acknowledged"]["by"] == "the dashboard"


@pytest.mark.parametrize(
    ("action", "body"),
    [("silence", {"rule": "no_such_rule"}), ("silence", {"for_s": 0}), ("silence", {"for_s": 1e12}),
     ("silence", {"rule": 7}), ("silence", {"more": 1}), ("acknowledge", {"key": "nothing"}), ("acknowledge", {}),
     ("unsilence", {"id": "nothing"})],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_done_is_refused(action: str, body: dict[str, Any]):
    (reply,), told, _ = alerts_after((action, body))

    assert reply.status == 400
    assert told["silences"] == []


def test_j06_another_site_cannot_silence_an_alert():
    """Its form reaches the port of a browser's own machine; it can send no header of ours."""

    async def scene(edge: Edge) -> tuple[int, Any]:
        await with_alerts(edge, Watcher(FIRES))
        reply = await ask(edge, "/api/alerts/silence", "POST", b"{}", sec_fetch_site="cross-site")
        return reply.status, (await ask(edge, "/api/alerts")).json["silences"]

    assert play(scene, virtual=True) == (403, [])


@pytest.mark.parametrize("name", ["../admin", "..%2fadmin", "UPPER", "no-such", ""])
def test_only_runbooks_that_ship_are_shown(name: str):
    async def scene(edge: Edge) -> int:
        return (await ask(edge, f"/api/runbooks/{name}")).status

    assert play(scene, virtual=True) == 404
