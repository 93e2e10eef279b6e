"""What a request can bring about, whoever sends it: nothing that settings, a caller key or the token do not allow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from headgate.config.schema import AdminConfig, CallerKey, Config, GatewayConfig, TelemetryConfig
from headgate.gateway.callers import make_key
from headgate.secret import Secret
from support.collector import collector
from support.edge import Edge, Reply, body_of, envelope_of, play, request_of
from support.watching import Watcher, alert

TOKEN = "operators-token-0001"
KEY, DIGEST = make_key("a" * 43)
OPERATED = Config(
    admin=AdminConfig(token=Secret(TOKEN)),
    gateway=GatewayConfig(keys=(CallerKey(name="search", sha256=DIGEST, workflow="search", lanes=("bulk",)),)),
)
OF_THE_TOKEN = {"authorization": f"Bearer {TOKEN}"}
FIRES = alert("error_rate_high")


async def ask_operators(edge: Edge, path: str, body: bytes | None = None, **headers: str | None) -> Reply:
    wire = await edge.connect(admin=True)
    method = "GET" if body is None else "POST"
    told: Mapping[str, str | None] = {name.replace("_", "-"): value for name, value in headers.items()}
    await wire.send(request_of(method, path, body, told))
    return await wire.reply(method)


def operators_paths(edge: Edge) -> list[tuple[str, bytes | None]]:
    """Every path of the operators' listener, out of its own tables, with a body where one is posted."""
    app = edge.gateway._operators
    asked = [*app._answers, *app._page._files, "/api/calls/call_1", "/api/runbooks/error_rate", "/metrics", "/api/live"]
    return [(path, None) for path in asked] + [(path, b"{}") for path in (*app._actions, "/logout")]


# -- J08: whose it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [{"x-api-key": KEY}, {"x-api-key": None, "authorization": f"Bearer {KEY}"}], ids=str)
def test_j08_a_caller_s_key_reaches_nothing_of_the_operators(header: dict[str, str | None]):
    """Not at their listener, where it is nobody's; not at its own, where their paths do not exist."""

    async def scene(edge: Edge) -> tuple[set[tuple[int, bytes]], set[int], list[str]]:
        theirs, ours = set(), set()
        for path, body in operators_paths(edge):
            refused = await ask_operators(edge, path, body, **header)
            theirs.add((refused.status, refused.body if path not in ("/ui/base.css", "/ui/icon.svg") else b""))
            method = "GET" if body is None else "POST"
            missing = await edge.ask(method, path, body, headers=header)
            ours.add(missing.status)
        return theirs, ours, edge.raw.lines

    theirs, ours, passed_on = play(scene, virtual=True, config=OPERATED)

    assert {status for status, _ in theirs} == {401, 200}  # what the form that asks for the token looks like
    assert {body for status, body in theirs if status == 401} == {b'{"error":"unauthorized"}'}
    assert (ours, passed_on) == ({404}, [])


def test_j08_the_operators_token_is_no_caller_s_key():
    async def scene(edge: Edge) -> tuple[list[int], list[str]]:
        statuses = [(await edge.ask(headers={"x-api-key": TOKEN})).status]
        statuses.append((await edge.ask(headers={"x-api-key": None, **OF_THE_TOKEN})).status)
        return statuses, edge.raw.lines

    assert play(scene, virtual=True, config=OPERATED) == ([401, 401], [])


@pytest.mark.parametrize("key", [None, "x", KEY[:-1], f"{KEY}x", TOKEN])
def test_j08_who_may_not_call_is_told_the_same_of_every_path(key: str | None):
    """What there is and what there is not; only a path that nobody serves is a 404 for all."""

    async def scene(edge: Edge) -> set[tuple[int, str]]:
        told = set()
        for method, path in (
            ("POST", "/v1/messages"), ("GET", "/v1/models"), ("GET", "/v1/messages/batches/msgbatch_1"),
            ("GET", "/v1/files/file_1"), ("GET", "/v1/files/file_1/content"),
        ):  # fmt: skip
            reply = await edge.ask(method, path, headers={"x-api-key": key})
            told.add((reply.status, envelope_of(reply)["message"]))
        assert edge.raw.lines == []
        return told

    ((status, _),) = play(scene, virtual=True, config=OPERATED)

    assert status == 401


# -- J09: where it goes ------------------------------------------------------------------------------------------------

ELSEWHERE = (
    "http://127.0.0.1:{port}", "http://2130706433:{port}", "http://0x7f.1:{port}", "http://[::1]:{port}",
    "http://[::ffff:127.0.0.1]:{port}", "http://127.1:{port}", "//127.0.0.1:{port}", "127.0.0.1:{port}",
    "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/_x",
)  # fmt: skip
FIELDS = ("base_url", "api_base", "custom_host", "upstream", "proxy", "endpoint", "webhook_url", "callback_url")
HEADERS = (
    "x-headgate-upstream", "x-headgate-base-url", "x-base-url", "x-api-base", "x-upstream-url", "x-portkey-custom-host",
    "helicone-target-url", "x-forwarded-host", "x-forwarded-server", "x-original-url", "x-rewrite-url", "forwarded",
    "proxy", "proxy-connection", "x-proxy-url", "x-webhook-url", "x-otel-exporter-otlp-endpoint", "referer", "origin",
)  # fmt: skip


@asynccontextmanager
async def trap():
    """Somebody who listens where nothing may go: its port, and how often anybody came."""
    came: list[int] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(1)
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], came
    finally:
        server.close()


def test_j09_nothing_in_a_request_chooses_where_it_goes():
    """Fields, headers, and documents that the API is asked to fetch: all go to the one upstream of the settings."""

    async def scene(edge: Edge) -> tuple[list[int], set[str], int]:
        statuses, came = [], 0
        async with trap() as (port, visits):
            for text in ELSEWHERE:
                url = text.format(port=port)
                document = {"type": "document", "source": {"type": "url", "url": url}}
                body = body_of(**dict.fromkeys(FIELDS, url), messages=[{"role": "user", "content": [document]}])
                reply = await edge.ask(body=body, headers=dict.fromkeys(HEADERS, url))
                statuses.append(reply.status)
            came = len(visits)
        return statuses, {exchange.all("host")[0] for exchange in edge.raw.exchanges}, came

    statuses, hosts, came = play(scene)

    assert statuses == [200] * len(ELSEWHERE)
    assert (len(hosts), came) == (1, 0)


@pytest.mark.parametrize(
    ("line", "status"),
    [("POST http://127.0.0.1:{port}/v1/messages HTTP/1.1", 200),  # which is how ourselves may be asked
     ("POST http://evil.example/v1/messages HTTP/1.1", 400), ("CONNECT 127.0.0.1:{port} HTTP/1.1", 405),
     ("POST //127.0.0.1:{port}/v1/messages HTTP/1.1", 400), ("POST /v1/messages@127.0.0.1:{port} HTTP/1.1", 404),
     ("POST /http://127.0.0.1:{port}/ HTTP/1.1", 400)],
)  # fmt: skip
def test_j09_it_is_no_proxy(line: str, status: int):
    """A request that names another server is refused; one that names this machine goes where all go."""

    async def scene(edge: Edge) -> tuple[int, int, int]:
        async with trap() as (port, visits):
            body = body_of()
            told = f"host: 127.0.0.1\r\nx-api-key: any\r\ncontent-length: {len(body)}"
            reply = await edge.say(f"{line.format(port=port)}\r\n{told}\r\n\r\n".encode() + body)
            return reply.status, len(visits), len(edge.raw.lines)

    assert play(scene) == (status, 0, status == 200)


# -- J11: what it grants -----------------------------------------------------------------------------------------------

GRANTS: dict[str, Any] = {
    "role": "admin", "allowed_routes": ["*"], "budget": "1e9", "budgets": {}, "caller_key": "other", "actor": "root",
    "admin": True, "scope": "*", "lane": "interactive", "token": "x", "severity": "none", "enabled": False,
    "until_ms": 1 << 52, "config": {}, "__proto__": {}, "fired_ms": 0, "phase": "ok",
}  # fmt: skip
ACTIONS: dict[str, dict[str, Any]] = {
    "silence": {"rule": "error_rate", "for_s": 60, "why": "x"}, "unsilence": {"id": "nothing"},
    "acknowledge": {"key": FIRES.key, "for_s": 60}, "test": {"receiver": "pager"},
}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_j11_an_action_takes_its_own_fields_and_no_other(action: str):
    """A body with one more is refused whole: nothing of it is done."""

    async def scene(edge: Edge) -> tuple[set[int], Watcher]:
        edge.gateway._operators._watched._watch = watcher = Watcher(FIRES)
        return {
            (await ask_operators(edge, f"/api/alerts/{action}", msgspec.json.encode(ACTIONS[action] | {name: value}),
                                 **OF_THE_TOKEN)).status
            for name, value in GRANTS.items()
        }, watcher  # fmt: skip

    statuses, watcher = play(scene, virtual=True, config=OPERATED)

    assert statuses == {400}
    assert (watcher.board.silences, watcher.board.acknowledgements) == ((), {})


def test_j11_every_action_is_among_those_that_are_tried():
    async def scene(edge: Edge) -> set[str]:
        return {path.rpartition("/")[2] for path in edge.gateway._operators._actions}

    assert play(scene, virtual=True) == set(ACTIONS)


def test_j11_what_a_call_says_grants_it_nothing():
    """A field or a header that names a right is passed on as the API's, or dropped as ours; the key alone counts."""

    async def scene(edge: Edge) -> tuple[Reply, Any]:
        headers = {f"x-headgate-{name.replace('_', '-')}": "admin" for name in GRANTS if name.islower()} | {
            "x-api-key": KEY, "x-headgate-workflow": "other", "x-headgate-lane": "bulk",
            "x-headgate-caller-key": "other",
        }  # fmt: skip
        reply = await edge.ask(body=body_of(**GRANTS), headers=headers)
        return reply, edge.calls[0]

    reply, call = play(scene, virtual=True, config=OPERATED)

    assert reply.status == 200
    assert (call.caller_key, call.workflow, call.lane) == ("search", "search", "bulk")


# -- J13: who is told of it --------------------------------------------------------------------------------------------


def test_j13_nobody_but_the_collector_of_the_settings_is_told_of_a_call():
    """However a caller spells another one's address."""

    async def scene(edge: Edge) -> int:
        async with trap() as (port, visits):
            url = f"http://127.0.0.1:{port}"
            told = {
                "baggage": f"otel.exporter.otlp.endpoint={url}", "tracestate": f"otlp={port}",
                "otel-exporter-otlp-endpoint": url, "x-otel-exporter-otlp-endpoint": url,
                "x-headgate-otlp-endpoint": url, "x-headgate-log-path": "/tmp/x", "x-headgate-log": url,
            }  # fmt: skip
            fields = {"otlp_endpoint": url, "telemetry": {"otlp_endpoint": url}, "log": {"path": "/tmp/x"},
                      "OTEL_EXPORTER_OTLP_ENDPOINT": url, "metadata": {"otlp_endpoint": url}}  # fmt: skip
            await edge.ask(body=body_of(**fields), headers=told)
            await edge.gateway.stop(grace_s=1.0)
            return len(visits)

    with collector() as found:
        came = play(scene, config=Config(telemetry=TelemetryConfig(otlp_endpoint=found.url)), stopped=True)

    assert came == 0
    assert len(found.spans) == 2
