"""Which requests are passed on: an allow-list of paths in one spelling, their methods, and our own names."""

from __future__ import annotations

import asyncio

import pytest

from headgate.edge.routes import ROUTES
from support.edge import CALLER_KEY, envelope_of, play, request_of


def raw(line: str, host: str | None = "localhost") -> bytes:
    """A request without a body whose request line and Host are the test's own."""
    told = f"host: {host}\r\n" if host is not None else ""
    return f"{line} HTTP/1.1\r\n{told}x-api-key: {CALLER_KEY}\r\ncontent-length: 0\r\n\r\n".encode("latin-1")


def answer_to(data: bytes, **settings):
    """The reply to raw bytes, and the request lines that reached the upstream."""

    async def scene(edge):
        reply = await edge.say(data)
        return reply, edge.raw.lines, edge.log_lines

    return play(scene, virtual=True, **settings)


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("template", "method"), [(route.template, m) for route in ROUTES for m in route.methods])
def test_every_path_of_the_api_is_passed_on_as_it_is(template, method):
    """With each of its methods; the query goes along."""
    path = template.replace("{id}", "thing_01:A").replace("{version}", "2")

    async def scene(edge):
        body = None if method == "POST" and template.startswith("/v1/messages") else b""
        return (await edge.ask(method, f"{path}?beta=true", body)).status, edge.raw.lines

    assert play(scene, virtual=True) == (200, [f"{method} {path}?beta=true HTTP/1.1"])


TRICKS = {
    "//v1/messages": 400,
    "/v1//messages": 400,
    "/v1/../v1/messages": 400,
    "/v1/messages/..": 400,
    "/v1/messages/../../admin": 400,
    "/v1/./messages": 400,
    "/v1/%2e%2e/v1/messages": 400,
    "/v1/%2E%2E/api/limits": 400,
    "/v1%2fmessages": 400,
    "/v1/models/a%2Fb": 400,
    "/v1/models/a%2fcontent": 400,
    "/v1/models/%252e%252e": 400,
    "/v1/models/..%2f..%2fapi": 400,
    "/v1\\messages": 400,
    "/v1/models/a%5cb": 400,
    "/v1/models/a%00b": 400,
    "/v1/models/a;b=c": 400,
    "/v1/messages;v=1": 400,
    "/v1/models/%c0%ae%c0%ae": 400,
    "/v1/models/%C3%A9": 400,
    "/v1/models/a%20b": 400,
    "/v1/models/a%0d%0ax-api-key:%20b": 400,
    "/v1/models/%zz": 400,
    "/v1/models/" + "a" * 257: 400,
    "/v1/messages/": 404,
    "/v1/Messages": 404,
    "/V1/messages": 404,
    "/v1/messages/count_tokens/more": 404,
    "/v1/organizations/rate_limits": 404,
    "/v1/sessions": 404,
    "/v1/complete": 404,
    "/v1/messages.json": 404,
    "/api/limits": 404,
    "/metrics": 404,
    "/admin": 404,
    "/": 404,
    "*": 400,
    "v1/messages": 400,
}


@pytest.mark.parametrize("path", TRICKS)
def test_d07_a_path_that_is_not_on_the_list_in_plain_spelling_is_not_passed_on(path):
    """Normalised once, then looked up: no second spelling of a path reaches the upstream or the operators' listener."""
    reply, lines, log = answer_to(raw(f"POST {path}"))

    assert (reply.status, lines) == (TRICKS[path], [])
    assert envelope_of(reply)["type"] == ("not_found_error" if TRICKS[path] == 404 else "invalid_request_error")
    assert [line["reason"] for line in log] == [reply.header("x-headgate-reason")]


@pytest.mark.parametrize("path", ["/v1/%6dodels", "/%76%31/models", "/v1/mode%6Cs"])
def test_d07_an_encoded_plain_character_is_undone_before_it_is_routed_and_sent(path):
    """What is routed is exactly what is sent."""
    reply, lines, _ = answer_to(raw(f"GET {path}"))

    assert (reply.status, lines) == (200, ["GET /v1/models HTTP/1.1"])


@pytest.mark.parametrize("query", ["beta=true", "limit=1000&after_id=a%20b", "beta=true&beta=false", "x[]=1", ""])
def test_a_query_goes_on_as_it_is(query):
    """`?beta=true` above all, which beta clients add."""
    _, lines, _ = answer_to(raw(f"GET /v1/models?{query}"))

    assert lines == [f"GET /v1/models{'?' if query else ''}{query} HTTP/1.1"]


@pytest.mark.parametrize("query", ["a#b", "a\\b", "a\xffb", "a" * 5000, "a{b}", 'a"b'])
def test_d07_a_query_with_characters_that_no_url_has_is_refused(query):
    """400, by the parser or by us."""
    reply, lines, _ = answer_to(raw(f"GET /v1/models?{query}"))

    assert (reply.status, lines) == (400, [])


def test_paths_that_tell_no_cost_are_passed_on_where_the_operator_says_so():
    """`gateway.unmetered_paths`; still in one spelling."""
    settings = {"unmetered_paths": ("/v1/sessions",)}
    reply, lines, _ = answer_to(raw("GET /v1/sessions/abc/events"), **settings)
    tricked, nothing, _ = answer_to(raw("GET /v1/sessions/../messages"), **settings)

    assert (reply.status, lines) == (200, ["GET /v1/sessions/abc/events HTTP/1.1"])
    assert (tricked.status, nothing) == (400, [])


ANSWERS = {
    "whole": lambda exchange: exchange.answer(b"{}"),
    "stream": lambda exchange: exchange.answer(b"data", type="text/plain"),
    "error": lambda exchange: exchange.answer(b'{"type":"error","error":{"type":"invalid_request_error"}}', 400),
    "nothing": lambda exchange: exchange.writer.close() or asyncio.sleep(0),
}


@pytest.mark.parametrize(
    ("target", "answer", "cost"),
    [
        ("/v1/sessions", "whole", (None, "unmetered", "unknown")),
        ("/v1/sessions", "stream", (None, "unmetered", "unknown")),
        ("/v1/sessions", "nothing", (None, "unmetered", "unknown")),
        ("/v1/sessions", "error", (0, None, "none")),
        ("/v1/messages/count_tokens", "whole", (0, None, "none")),
        ("/v1/messages/batches", "whole", (0, None, "none")),
        ("/v1/files", "stream", (0, None, "none")),
        ("/v1/skills", "whole", (0, None, "none")),
        ("/v1/user_profiles", "whole", (0, None, "none")),
    ],
)
def test_a_cost_that_nobody_tells_is_not_zero(target, answer, cost):
    """Of a path that tells none it is NULL with its reason, of attempt and call.  An error is not billed, and managing
    things is free: those zeros are known."""

    async def scene(edge):
        await edge.ask(target=target)
        return edge.calls[-1], edge.ledger.attempts[-1]

    records = play(scene, virtual=True, upstream=ANSWERS[answer], unmetered_paths=("/v1/sessions",))

    assert [(r.cost_pico, r.cost_problem, r.usage_source) for r in records] == [cost, cost]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/v1/messages", "/v1 twice"),
        ("/messages", "gateway's root"),
        ("/v1/organizations/usage", "Admin API"),
        ("/v1/sessions", "unmetered_paths"),
        ("/", "gateway for the Claude API"),
    ],
)
def test_a_wrong_base_url_is_told_what_is_wrong(path, words):
    """The usual mistakes say what to do next."""
    reply, _, _ = answer_to(raw(f"POST {path}"))

    assert words in reply.error["message"]


# -- methods -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("GET /v1/messages", "POST"),
        ("DELETE /v1/messages", "POST"),
        ("PUT /v1/messages", "POST"),
        ("OPTIONS /v1/messages", "POST"),
        ("TRACE /v1/messages", "POST"),
        ("HEAD /v1/messages", "POST"),
        ("PATCH /v1/models", "GET"),
        ("POST /v1/models", "GET"),
        ("PROPFIND /v1/models", "GET"),
        ("DELETE /v1/files", "GET, POST"),
        ("POST /v1/files/file_1", "GET, DELETE"),
        ("PUT /v1/user_profiles/up_1", "GET, POST, PATCH, DELETE"),
        ("CONNECT api.anthropic.com:443", "DELETE, GET, PATCH, POST"),
        ("BREW /v1/messages", "DELETE, GET, PATCH, POST"),
        ("get /v1/models", "DELETE, GET, PATCH, POST"),
    ],
)
def test_d08_any_other_method_is_a_405(line, allowed):
    """`allow` lists what the path takes, or what any does to a method that no parser knows; nothing reaches the
    upstream."""
    reply, lines, log = answer_to(raw(line))

    assert (reply.status, lines) == (405, [])
    assert reply.header("allow") == allowed
    assert reply.header("x-headgate-reason") == "method_not_allowed"
    assert [line["reason"] for line in log] == ["method_not_allowed"]


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_d08_a_header_does_not_change_the_method(header):
    """It is neither obeyed nor passed on."""

    async def scene(edge):
        reply = await edge.ask("GET", "/v1/models", headers={header: "DELETE"})
        return reply.status, edge.raw.lines, edge.raw.exchanges[0].all(header)

    assert play(scene, virtual=True) == (200, ["GET /v1/models HTTP/1.1"], [])


# -- our names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["", " ", "local host", "localhost/", "localhost?", "localhost#", "user@localhost", "localhost:",
     "localhost:999999", "localhost:80:80", "[::1", "[:::1]x", "localhost,elsewhere", "local\xe9", "elsewhere.example",
     "10.0.0.1", "localhost.elsewhere.example"],
)  # fmt: skip
def test_d06_a_host_that_is_malformed_or_not_ours_is_a_400(host):
    """On loopback only this machine's names are served: a web page could point its own name at 127.0.0.1."""
    reply, lines, log = answer_to(raw("GET /v1/models", host))

    assert (reply.status, lines) == (400, [])
    assert envelope_of(reply)["type"] == "invalid_request_error"
    assert len(log) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8787", "[::1]:8787", "LOCALHOST:1", "gate.example:80"])
def test_d06_our_own_names_are_served(host):
    """With any port, in any case; and those of `gateway.hosts`."""
    reply, _, _ = answer_to(raw("GET /v1/models", host), hosts=("gate.example",))

    assert reply.status == 200


@pytest.mark.parametrize(("target", "status"), [("http://localhost", 200), ("http://elsewhere.example", 400)])
def test_d06_the_host_of_an_absolute_target_stands_for_the_header(target, status):
    """RFC 9112, 3.2.2: so it is that one which is checked, and the upstream never sees either."""
    reply, lines, _ = answer_to(raw(f"GET {target}/v1/models", "localhost"))

    assert (reply.status, lines) == (status, ["GET /v1/models HTTP/1.1"] if status == 200 else [])


def test_the_upstream_is_told_its_own_name():
    """Not the caller's."""

    async def scene(edge):
        await edge.ask("GET", "/v1/models", headers={"host": "localhost"})
        return edge.raw.exchanges[0].all("host")

    [host] = play(scene, virtual=True)

    assert host.startswith("127.0.0.1:")


# -- without a credential ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("HEAD", "/api/hello", b""),
        ("GET", "/healthz", b'{"status":"ok"}'),
        ("GET", "/readyz", b'{"status":"ready"}'),
    ],
)
def test_probes_need_no_credential_and_are_no_calls(method, path, body):
    """Claude Code asks for /api/hello before it starts."""

    async def scene(edge):
        wire = await edge.connect()
        await wire.send(request_of(method, path, headers={"x-api-key": None}))
        return await wire.reply(method), edge.raw.lines, edge.log_lines

    reply, lines, log = play(scene, virtual=True)

    assert (reply.status, reply.body, lines, log) == (200, body, [], [])
