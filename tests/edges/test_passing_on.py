"""What reaches the upstream of a request, and what comes back of an answer: the bytes, but for a list that is known."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from headgate.config.schema import Config, WorkflowConfig
from support.edge import CALLER_KEY, MESSAGE, MODEL, OUR_KEY, body_of, envelope_of, play, sse
from support.world import lanes

WRITTEN_ODDLY = (
    b'{ "messages" :[{"content":"\\u00e9\\ud83d\\ude00 \\/ \\u0041 \xc3\xa9\xf0\x9f\x98\x80","role":"user"} ],\n'
    b'\t"x_future": {"b":1.0, "a":[1e2, -0, 12345678901234567890, null, true]},"max_tokens" :\r\n 16 ,'
    b'"model":"%s", "another": "z" } \n' % MODEL.encode()
)


def seen_upstream(body: bytes | None = None, headers: dict[str, str | None] | None = None, method="POST", **settings):
    """The request as it reached the upstream."""

    async def scene(edge):
        target = "/v1/messages" if method == "POST" else "/v1/models"
        reply = await edge.ask(method, target, body, headers)
        assert reply.status == 200
        [exchange] = edge.raw.exchanges
        return exchange

    return play(scene, virtual=True, **settings)


def answer_of(script, body: bytes | None = None, target="/v1/messages", method="POST", **settings):
    """The reply that a scripted upstream makes, after all attempts."""

    async def scene(edge):
        return await edge.ask(method, target, body)

    return play(scene, virtual=True, upstream=script, **settings)


# -- the request's body ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages?beta=true"])
def test_inv17_a_body_goes_on_byte_for_byte(target):
    """Unknown fields, the order of keys, white space, escapes and the spelling of numbers."""

    async def scene(edge):
        await edge.ask("POST", target, WRITTEN_ODDLY)
        return edge.raw.exchanges[0].body

    assert play(scene, virtual=True) == WRITTEN_ODDLY


@pytest.mark.parametrize("target", ["/v1/messages/batches", "/v1/files"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_inv17_an_upload_goes_on_byte_for_byte_with_its_own_framing(target, chunked):
    """Passed on while it arrives: with its length where the caller told it, in chunks where it did not."""
    body = bytes(range(256)) * 1000
    framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(body))}

    async def scene(edge):
        wire = await edge.connect()
        lines = "".join(f"{k}: {v}\r\n" for k, v in {"host": "localhost", "x-api-key": "k", **framing}.items())
        await wire.send(f"POST {target} HTTP/1.1\r\n{lines}\r\n".encode())
        for at in range(0, len(body), 10_000):
            piece = body[at : at + 10_000]
            await wire.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            await asyncio.sleep(0.01)
        if chunked:
            await wire.send(b"0\r\n\r\n")
        await wire.reply()
        [exchange] = edge.raw.exchanges
        return exchange.body == body, exchange.all("content-length"), exchange.all("transfer-encoding")

    expected = ([], ["chunked"]) if chunked else ([str(len(body))], [])
    assert play(scene, virtual=True) == (True, *expected)


# -- the request's headers ---------------------------------------------------------------------------------------------

PASSED = {
    "anthropic-version": "2099-12-31",
    "anthropic-beta": "unheard-of-2099-01-01,fast-mode-2026-02-01, spaced-2026-01-01",
    "anthropic-workspace-id": "wrkspc_1",
    "anthropic-future": "yes",
    "user-agent": "Anthropic/Python 2.11.0",
    "content-type": "application/json",
    "accept": "application/json",
    "x-app": "cli",
    "x-stainless-lang": "python",
    "x-stainless-retry-count": "0",
    "x-claude-code-session-id": "s-1",
    "x-unheard-of": "  a  b\tc",
    "idempotency-key": "k-1",
}


@pytest.mark.parametrize("name", PASSED)
def test_inv17_headers_we_do_not_know_go_on_unchanged(name):
    """Versions, betas and everything that a future client may add are the API's to judge."""
    assert seen_upstream(headers={name: PASSED[name]}).all(name) == [PASSED[name].strip()]


def test_a_header_that_stands_twice_goes_on_twice():
    """In order: `anthropic-beta` may come as several lines."""

    async def scene(edge):
        body = body_of()
        head = f"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: k\r\ncontent-length: {len(body)}\r\n"
        await edge.say(f"{head}anthropic-beta: a-1\r\nAnthropic-Beta: b-2\r\n\r\n".encode() + body)
        return edge.raw.exchanges[0].all("anthropic-beta")

    assert play(scene, virtual=True) == ["a-1", "b-2"]


DROPPED = {
    "origin": "https://evil.example",
    "referer": "https://evil.example/page",
    "cookie": "session=1",
    "forwarded": "for=10.0.0.1",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-host": "elsewhere.example",
    "x-forwarded-proto": "https",
    "x-real-ip": "10.0.0.1",
    "via": "1.1 proxy",
    "cf-connecting-ip": "10.0.0.1",
    "sec-fetch-site": "cross-site",
    "anthropic-ratelimit-requests-limit": "1000000",
    "anthropic-ratelimit-unified-status": "allowed",
    "x-headgate-workflow": "chat",
    "x-headgate-user": "ann",
    "x-headgate-unheard-of": "x",
    "x-correlation-id": "c-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "te": "trailers",
    "keep-alive": "timeout=5",
    "proxy-authorization": "Basic c2VjcmV0",
    "proxy-connection": "keep-alive",
}


@pytest.mark.parametrize("name", DROPPED)
def test_b09_d12_what_belongs_to_one_connection_or_to_us_does_not_go_on(name):
    """A request with `Origin` is refused by the API as one from a browser."""
    assert seen_upstream(headers={name: DROPPED[name]}).all(name) == []


@pytest.mark.parametrize("nominated", ["x-api-key", "anthropic-version, x-secret", "X-Secret , close", "x-secret,,"])
def test_d05_what_connection_names_does_not_go_on(nominated):
    """Headers for the upstream are built, not copied: naming the credential as hop-by-hop takes nothing from ours."""
    exchange = seen_upstream(headers={"connection": nominated, "x-secret": "1"})

    assert exchange.all("connection") == []
    assert exchange.all("x-secret") == ([] if "secret" in nominated.lower() else ["1"])
    assert exchange.all("x-api-key") == [OUR_KEY]


def test_the_upstream_is_asked_for_plain_bytes():
    """Whatever the caller could unpack: usage is read in passing, and a compressed bomb is never asked for."""
    assert seen_upstream(headers={"accept-encoding": "gzip, br, zstd"}).all("accept-encoding") == ["identity"]


# -- credentials -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "swapped"),
    [
        ({"x-api-key": CALLER_KEY}, {"x-api-key": [OUR_KEY], "authorization": []}),
        (
            {"x-api-key": None, "authorization": f"Bearer {CALLER_KEY}"},
            {"x-api-key": [], "authorization": [f"Bearer {OUR_KEY}"]},
        ),
        (
            {"x-api-key": None, "authorization": f"bearer  {CALLER_KEY}"},
            {"x-api-key": [], "authorization": [f"Bearer {OUR_KEY}"]},
        ),
        (
            {"x-api-key": CALLER_KEY, "authorization": f"Bearer {CALLER_KEY}"},
            {"x-api-key": [OUR_KEY], "authorization": []},
        ),
    ],
)
def test_a_credential_is_swapped_in_whichever_header_it_came(sent, swapped):
    """Older clients send `x-api-key`, the SDKs since October 2026 a bearer token; the API gets one header, with our
    key, and never the caller's."""
    exchange = seen_upstream(headers=sent)

    assert {name: exchange.all(name) for name in swapped} == swapped
    assert CALLER_KEY.encode() not in exchange.head + exchange.body


@pytest.mark.parametrize(
    "sent",
    [{}, {"x-api-key": ""}, {"x-api-key": " "}, {"authorization": "Bearer "}, {"authorization": "Basic dTpw"},
     {"authorization": CALLER_KEY}],
    ids=str,
)  # fmt: skip
def test_without_a_credential_nothing_goes_on(sent):
    """401, as the API says it; also where any credential would do."""

    async def scene(edge):
        return await edge.ask(headers={"x-api-key": None, **sent}), edge.raw.lines, edge.log_lines

    reply, lines, log = play(scene, virtual=True)

    assert (reply.status, lines) == (401, [])
    assert envelope_of(reply)["type"] == "authentication_error"
    assert [line["reason"] for line in log] == ["caller_unknown"]


# -- deadlines ---------------------------------------------------------------------------------------------------------


async def hang(exchange) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("asked", ["999999999", "999999999.5", None])
def test_d11_an_absurd_deadline_is_held_to_the_lanes(asked):
    """`total_timeout_s` of the lane; a caller's clock is looked at nowhere."""

    async def scene(edge):
        headers = {"x-headgate-deadline-s": asked, "date": "Thu, 01 Jan 1970 00:00:00 GMT"}
        reply = await edge.ask(body=body_of(stream=True), headers=headers)
        return reply.status, edge.now_s

    status, at_s = play(scene, virtual=True, upstream=hang, config=Config(lanes=lanes(total_timeout_s=50.0)))

    assert status == 504
    assert at_s == pytest.approx(50, abs=0.1)


def test_d11_a_shorter_deadline_is_kept():
    """Over waiting and all attempts."""

    async def scene(edge):
        reply = await edge.ask(headers={"x-headgate-deadline-s": "2.5"})
        return reply.status, edge.now_s

    status, at_s = play(scene, virtual=True, upstream=hang)

    assert status == 504
    assert at_s == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize(
    "asked", ["0", "-1", "nan", "inf", "1e9", "", "5, 10", "٣", "1_0", "0.0", "9999999999", "0x10"]
)
def test_d11_a_deadline_that_is_no_number_of_seconds_is_a_400(asked):
    """Read strictly: `float` would take nan, inf and underscores."""

    async def scene(edge):
        body = body_of()
        head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: k\r\n"
        lines = f"content-length: {len(body)}\r\nx-headgate-deadline-s: {asked}\r\n\r\n"
        return await edge.say((head + lines).encode() + body), edge.raw.lines, edge.log_lines

    reply, lines, log = play(scene, virtual=True)

    assert (reply.status, lines) == (400, [])
    assert "x-headgate-deadline-s" in envelope_of(reply)["message"]
    assert [line["reason"] for line in log] == ["bad_request"]


# -- the answer --------------------------------------------------------------------------------------------------------


def test_inv17_an_answer_comes_back_byte_for_byte():
    """With its headers, `request-id` and rate limits among them, known or not."""
    body = msgspec.json.encode(MESSAGE)[:-1] + b' ,\n "x_future":"\\u00e9\\/",  "a":1.50}\n'
    told = {"anthropic-organization-id": "org_1", "anthropic-ratelimit-requests-remaining": "49", "x-new": "a, b"}

    reply = answer_of(lambda exchange: exchange.answer(body, headers=told))

    assert reply.body == body
    assert {name: reply.header(name) for name in told} == told
    assert reply.header("request-id") == "req_up"
    assert reply.header("content-type") == "application/json"


def test_headers_of_one_connection_and_cookies_do_not_come_back():
    """A cookie of the API's edge would tie callers to each other."""
    told = {"set-cookie": "__cf_bm=1", "keep-alive": "timeout=5", "connection": "keep-alive", "x-stays": "1"}

    reply = answer_of(lambda exchange: exchange.answer(msgspec.json.encode(MESSAGE), headers=told))

    assert [reply.all(name) for name in told] == [[], [], [], ["1"]]


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "lines",
    [
        "connection: keep-alive, X-Hop\r\nX-Hop: 1",
        "x-hop: 1\r\nConnection: x-hop\r\nconnection: keep-alive",
        "X-Headgate-Reason: lies",
        "x-headgate-call-id: call_of_another",
        "x-headgate-cost-usd: 99",
        "X-Correlation-Id: of-another",
    ],
)
def test_what_connection_names_and_what_another_headgate_says_do_not_come_back(lines, status):
    """As on the way up.  Two Headgates in a row would otherwise say everything twice, and the wrong one first."""
    body = msgspec.json.encode(
        MESSAGE if status == 200 else {"type": "error", "error": {"type": "invalid_request_error"}}
    )
    head = f"HTTP/1.1 {status} X\r\n{lines}\r\ncontent-type: application/json\r\nx-stays: 1\r\n"

    reply = answer_of(lambda exchange: exchange.send(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body))

    assert (reply.status, reply.header("x-stays"), reply.all("x-hop")) == (status, "1", [])
    assert reply.header("x-headgate-call-id") == reply.header("x-correlation-id") != "call_of_another"
    assert "lies" not in reply.all("x-headgate-reason")
    assert "99" not in reply.all("x-headgate-cost-usd")


def test_inv17_events_come_back_byte_for_byte():
    """Unknown events and fields, comments, odd spelling; nothing is written anew."""
    odd = (
        b': a comment\n\nevent: future_event\ndata: {"type":"future_event", "a" : 1.50}\n\nid: 7\nretry: 10\ndata:x\n\n'
    )
    events = sse(2, end=False) + odd + sse(1, begin=False).replace(b'"type":"message_stop"', b'"type": "message_stop" ')

    async def stream(exchange):
        await exchange.open_stream(x_new="1")
        for at in range(0, len(events), 7):
            await exchange.event(events[at : at + 7])
        await exchange.end_stream()

    reply = answer_of(stream, body_of(stream=True))

    assert reply.body == events
    assert (reply.header("x-new"), reply.header("request-id")) == ("1", "req_up")


ERROR = (
    b'{"type":"error","error":{"type":"%s","message":"M\\u00e9ssage: max_tokens","details":{"error_code":"x_new",'
    b'"nested":[1, 2.50]},"extra":1} ,"request_id":"req_up"}'
)


CALLERS_OWN = [(400, b"invalid_request_error"), (404, b"not_found_error"), (409, b"conflict_error"),
               (413, b"request_too_large"), (418, b"teapot_error"), (422, b"invalid_request_error")]  # fmt: skip
OF_THE_SERVICE = [(401, b"authentication_error"), (402, b"billing_error"), (403, b"permission_error"),
                  (429, b"rate_limit_error"), (500, b"api_error"), (503, b"api_error"), (504, b"timeout_error"),
                  (529, b"overloaded_error"), (599, b"api_error")]  # fmt: skip


def own_words(asked: bool | None) -> Config:
    """Settings in which callers have, or have not, asked for the API's own words."""
    return Config(workflows={"unset": WorkflowConfig(api_error_text=asked)})


def failed(status: int, type: bytes, **settings):
    """The reply to a call that the API answers with `ERROR`."""
    told = {"x-should-retry": "true", "x-new": "1"}
    return answer_of(lambda exchange: exchange.answer(ERROR % type, status, told), **settings)


@pytest.mark.parametrize(
    ("status", "type", "asked"), [*((*each, None) for each in CALLERS_OWN), *((*each, True) for each in OF_THE_SERVICE)]
)
def test_b10_b20_an_error_of_the_api_comes_back_in_its_own_words(status, type, asked):
    """Where it is about the request, or the workflow asks for it.  The body byte for byte, its details too, the same
    status and `request-id`; only who should try again is ours to say, since we have tried already."""
    reply = failed(status, type, config=own_words(asked))

    assert (reply.status, reply.body) == (status, ERROR % type)
    assert (reply.header("request-id"), reply.header("x-new")) == ("req_up", "1")
    assert reply.header("x-should-retry") == "false"
    assert reply.header("content-type") == "application/json"


@pytest.mark.parametrize(
    ("status", "type", "asked"),
    [*((*each, None) for each in OF_THE_SERVICE), *((*each, False) for each in CALLERS_OWN)],
)
def test_no_other_words_of_the_api_reach_the_caller(status, type, asked):
    """Errors of the service and the account are told in ours: status, type, code and `request-id` stay."""
    reply = failed(status, type, config=own_words(asked))

    error = json.loads(reply.body)
    assert (reply.status, error["error"]["type"], error["error"]["details"]) == (
        status, type.decode(), {"error_code": "x_new"},
    )  # fmt: skip
    assert (reply.header("request-id"), error["request_id"], reply.header("x-new")) == ("req_up", "req_up", "1")
    assert b"max_tokens" not in reply.body


@pytest.mark.parametrize(("asked", "words"), [(None, b"is overloaded"), (True, b"Org acme")])
def test_nor_do_they_in_the_middle_of_a_stream(asked, words):
    """The events before the error are the API's, byte for byte."""
    events = b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\n'
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Org acme is out"},"request_id":"req_up"}'

    async def stream(exchange):
        await exchange.open_stream()
        await exchange.event(events + b"event: error\ndata: " + error + b"\n\n")
        await exchange.end_stream()

    reply = answer_of(stream, body_of(stream=True), config=own_words(asked))

    told = reply.body.removeprefix(events)
    assert told.startswith(b"event: error\ndata: ")
    assert told.endswith(b"\n\n")
    assert words in told
    assert json.loads(told[19:])["error"]["type"] == "overloaded_error"


def test_b21_an_error_without_a_request_id_gets_ours():
    """The header is there, in our name."""

    async def nameless(exchange):
        body = ERROR % b"invalid_request_error"
        await exchange.send(
            b"HTTP/1.1 400 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        await exchange.send(body)

    reply = answer_of(nameless)

    assert reply.header("request-id") == reply.header("x-headgate-call-id").replace("call_", "req_")


def test_a_cost_that_is_not_confirmed_is_not_told_as_exact():
    """The API had the call and never answered: what it cost is not known, and least of all zero."""

    async def hang_up(exchange):
        exchange.writer.close()

    reply = answer_of(hang_up)

    assert (reply.status, reply.all("x-headgate-cost-usd")) == (502, [])


def test_a16_a_web_page_is_not_passed_on_as_an_answer():
    """Something in between answered: the caller gets an error in the usual envelope."""
    page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"

    reply = answer_of(lambda exchange: exchange.answer(page, 502, type="text/html; charset=utf-8"))

    assert reply.status in (502, 503)
    assert envelope_of(reply)["type"] == "api_error"
    assert b"<" not in reply.body
    assert reply.header("x-should-retry") == "false"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a15_a_redirect_is_neither_followed_nor_passed_on(status):
    """It would take the key elsewhere."""
    reply = answer_of(lambda e: e.answer(b"", status, {"location": "https://elsewhere.example/v1/messages"}))

    assert reply.status == 502
    assert envelope_of(reply)["type"] == "api_error"
    assert reply.header("location") is None


# -- answers that break HTTP -------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
WHOLE = msgspec.json.encode(MESSAGE)
BROKEN_ANSWERS = {
    "c19 a body that was compressed unasked": HEAD
    + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00",
    "c20 more bytes than content-length": HEAD + b"content-length: 5\r\n\r\n" + WHOLE,
    "c20 content-length and chunked": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "c20 a chunk size in nonsense": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + WHOLE,
    "c20 a negative length": HEAD + b"content-length: -5\r\n\r\n" + WHOLE,
    "c20 two lengths": HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n" + WHOLE,
    "c20 no HTTP at all": b"SSH-2.0-OpenSSH_9.2\r\n",
    "c20 a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    "c21 headers of 100 kB": HEAD + b"x-big: " + b"y" * 100_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
    "c21 headers without end": HEAD + b"x: y\r\n" * 20_000,
}


@pytest.mark.parametrize("name", BROKEN_ANSWERS)
def test_c19_c20_c21_an_answer_that_breaks_http_is_an_error_and_its_connection_is_not_used_again(name):
    """Tried again on a new one, then a 502 in the usual envelope."""

    async def broken(exchange):
        await exchange.send(BROKEN_ANSWERS[name])

    async def scene(edge):
        reply = await edge.ask()
        return reply, [exchange.connection for exchange in edge.raw.exchanges], edge.calls

    reply, connections, calls = play(scene, virtual=True, upstream=broken)

    assert reply.status == 502
    assert envelope_of(reply)["type"] == "api_error"
    assert connections == [1, 2, 3, 4]
    assert [(call.error, call.reason) for call in calls] == [("protocol", "attempts_spent")]


def test_c21_trailers_of_an_answer_are_read_past():
    """They are not passed on, and the connection is used again."""

    async def trailing(exchange):
        chunks = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nx-late: 1\r\n\r\n" % (len(WHOLE), WHOLE)
        await exchange.send(HEAD + chunks)

    async def scene(edge):
        replies = [await edge.ask(), await edge.ask()]
        return [r.json for r in replies], [e.connection for e in edge.raw.exchanges], replies[0].header("x-late")

    assert play(scene, virtual=True, upstream=trailing) == ([MESSAGE, MESSAGE], [1, 1], None)
