"""Who may call: caller keys, what they fix, and the operators' listener beside the gateway."""

from __future__ import annotations

import pytest

from headgate.config import load_config
from headgate.config.schema import AdminConfig, CallerKey, Config, GatewayConfig
from headgate.errors import ConfigError
from headgate.gateway.callers import make_key
from headgate.secret import Secret
from support.edge import envelope_of, play, request_of

KEY, DIGEST = make_key("a" * 43)
OTHER_KEY, OTHER_DIGEST = make_key("b" * 43)
TOKEN = "operators-token-0001"


def with_key(**fixed) -> Config:
    """A gateway that knows one caller."""
    return Config(gateway=GatewayConfig(keys=(CallerKey(name="team-search", sha256=DIGEST, **fixed),)))


def record_of(config: Config, headers=None):
    """The reply, and the record of the call if there is one."""

    async def scene(edge):
        reply = await edge.ask(headers={"x-api-key": KEY, **(headers or {})})
        return reply, edge.calls[0] if edge.calls else None, edge.raw.lines

    return play(scene, virtual=True, config=config)


# -- caller keys -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers", [{"x-api-key": KEY}, {"x-api-key": None, "authorization": f"Bearer {KEY}"}], ids=["x-api-key", "bearer"]
)
def test_a_known_caller_is_served_and_named(headers):
    """In either header; logs and tables show its name, never its key."""
    reply, call, _ = record_of(with_key(), headers)

    assert (reply.status, call.caller_key) == (200, "team-search")


@pytest.mark.parametrize("presented", [OTHER_KEY, KEY[:-1], KEY + "a", KEY.upper(), "x", DIGEST, "sk-ant-ours"])
def test_an_unknown_caller_is_refused_whatever_is_wrong_with_its_key(presented):
    """The same words for all, and nothing reaches the upstream."""
    reply, _, lines = record_of(with_key(), {"x-api-key": presented})

    assert (reply.status, lines) == (401, [])
    assert envelope_of(reply)["message"] == "this credential is not known here"


def test_what_a_key_fixes_no_header_changes():
    """Workflow, user, session and lane."""
    config = with_key(workflow="search", user="team", session="one", lane="bulk")
    asked = {f"x-headgate-{name}": "other" for name in ("workflow", "user", "session")}
    _, call, _ = record_of(config, {**asked, "x-headgate-lane": "interactive"})

    assert (call.workflow, call.user, call.session, call.lane) == ("search", "team", "one", "bulk")


def test_what_a_key_leaves_open_a_header_says():
    """Labels are cut to 64 plain characters; a mail address is kept as a digest."""
    asked = {"workflow": "a b/" + "c" * 100, "user": "ann@example.com", "session": "s-1", "lane": "interactive"}
    _, call, _ = record_of(with_key(), {f"x-headgate-{name}": value for name, value in asked.items()})

    assert call.workflow == "a_b/" + "c" * 60
    assert (call.user.startswith("user-"), call.session, call.lane) == (True, "s-1", "interactive")
    assert "ann" not in call.user


@pytest.mark.parametrize(
    ("asked", "status", "lane"), [("bulk", 200, "bulk"), ("interactive", 403, None), (None, 200, "bulk")]
)
def test_a_header_grants_no_lane_that_the_key_does_not(asked, status, lane):
    """403, with the lanes there are; without a wish it is one of its own."""
    reply, call, _ = record_of(with_key(lanes=("bulk",)), {"x-headgate-lane": asked})

    assert (reply.status, call.lane if call else None) == (status, lane)
    assert status == 200 or envelope_of(reply)["type"] == "permission_error"


def test_a_lane_that_does_not_exist_is_a_400():
    """Also without keys."""
    reply, _, lines = record_of(Config(), {"x-headgate-lane": "fast"})

    assert (reply.status, lines) == (400, [])
    assert "interactive" in envelope_of(reply)["message"]


def test_claude_code_is_known_by_its_session():
    """It sends no header of ours: its own tells sessions apart, and still goes on."""

    async def scene(edge):
        await edge.ask(headers={"x-claude-code-session-id": "4f1c-1"})
        return edge.calls[0], edge.raw.exchanges[0].all("x-claude-code-session-id")

    call, passed_on = play(scene, virtual=True)

    assert (call.workflow, call.session, passed_on) == ("claude-code", "4f1c-1", ["4f1c-1"])


# -- where it may listen -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gate.example"])
def test_a_public_address_without_caller_keys_is_refused_at_the_start(host):
    """Anyone could spend the money; the message says what to do."""
    with pytest.raises(ConfigError, match="headgate keys new"):
        load_config({"HEADGATE_GATEWAY__HOST": host})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_a_public_address_for_operators_needs_a_token(host):
    """They see what the business does."""
    with pytest.raises(ConfigError, match=r"admin\.token_file"):
        load_config({"HEADGATE_ADMIN__HOST": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_neither(host):
    """Who is on this machine could read the key anyway."""
    config = load_config({"HEADGATE_GATEWAY__HOST": host, "HEADGATE_ADMIN__HOST": host}).config

    assert (config.gateway.keys, config.admin.token) == ((), None)


# -- the operators' listener -------------------------------------------------------------------------------------------


def operators_get(path: str, *, method="GET", headers=None, config: Config | None = None, gateway: bool = False):
    """What a listener answers: the operators', or the gateway's."""

    async def scene(edge):
        await edge.ask()
        wire = await edge.connect(admin=not gateway)
        await wire.send(request_of(method, path, headers=headers))
        return await wire.reply(method)

    return play(scene, virtual=True, config=config)


def test_operators_see_the_limits_and_callers_do_not():
    """Two listeners, and neither serves the other's paths."""
    limits = operators_get("/api/limits")

    assert limits.status == 200
    (pool,) = limits.json["pools"]
    assert (pool["pool"], [backend["backend"] for backend in pool["backends"]]) == ("haiku-5.5", ["default"])
    assert operators_get("/api/limits", gateway=True).status == 404
    assert operators_get("/v1/models").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"authorization": "Bearer wrong"}, 401), ({"authorization": TOKEN}, 401), ({"x-api-key": TOKEN}, 401),
     ({"authorization": f"Bearer {TOKEN}"}, 200)],
)  # fmt: skip
def test_a_token_is_asked_for_where_there_is_one(headers, status):
    """Health is told to everybody."""
    config = Config(admin=AdminConfig(token=Secret(TOKEN)))
    reply = operators_get("/api/limits", headers=headers, config=config)

    assert reply.status == status
    assert TOKEN.encode() not in reply.body
    assert operators_get("/healthz", config=config).status == 200


def test_a_monitor_reads_the_metrics_from_the_operators_listener_only():
    """In Prometheus' format, and with the token where there is one."""
    config = Config(admin=AdminConfig(token=Secret(TOKEN)))

    reply = operators_get("/metrics")

    assert reply.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    assert b'headgate_attempts_total{model="claude-haiku-5-5",class="ok"} 1\n' in reply.body
    assert operators_get("/metrics", gateway=True).status == 404
    assert operators_get("/metrics", config=config).status == 401


@pytest.mark.parametrize(
    ("request_", "status"),
    [({"path": "/admin"}, 404), ({"path": "/api/../healthz"}, 404), ({"path": "/metrics", "method": "POST"}, 405),
     ({"path": "/api/limits", "method": "DELETE"}, 405),
     ({"path": "/api/limits", "headers": {"host": "evil.example"}}, 400)],
    ids=str,
)  # fmt: skip
def test_operators_get_nothing_else(request_, status):
    """No other path, no other method, no other name: a web page cannot point its own at this machine."""
    assert operators_get(**request_).status == status
