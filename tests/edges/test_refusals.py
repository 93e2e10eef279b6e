"""Every refusal says why, in one word out of a closed list: in the header, and in exactly one line of the log."""

from __future__ import annotations

import asyncio

import pytest

from headgate.config.schema import CallerKey, Config, GatewayConfig, LimitsConfig, PoolCeiling
from headgate.events import Reason
from headgate.gateway.callers import make_key
from support.edge import MESSAGE, OUR_KEY, body_of, envelope_of, play, request_of
from support.world import lanes

BUSY = Config(limits=LimitsConfig(pools={"haiku-5.5": PoolCeiling(rpm=60)}, burst_s=1.0), lanes=lanes(max_wait_s=0.0))
"""One call a second, and nobody waits."""

REFUSED = {
    Reason.BAD_JSON: (400, {"body": b"{"}),
    Reason.BAD_FIELD: (400, {"body": body_of(max_tokens="many")}),
    Reason.BODY_ENCODING: (415, {"headers": {"content-encoding": "gzip"}}),
    Reason.BODY_TOO_LARGE: (413, {"headers": {"content-length": "33554433"}}),
    Reason.BAD_REQUEST: (400, {"headers": {"x-headgate-deadline-s": "soon"}}),
    Reason.NO_SUCH_PATH: (404, {"target": "/v1/nothing"}),
    Reason.METHOD_NOT_ALLOWED: (405, {"method": "DELETE"}),
    Reason.CALLER_UNKNOWN: (401, {"headers": {"x-api-key": None}}),
    Reason.NO_PRICE: (404, {"body": body_of(model="claude-unheard-of")}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_inv22_a_refusal_is_explained_in_the_header_and_in_one_log_line(reason):
    """In Anthropic's envelope, with ids that agree, and a word that stops SDKs from trying again."""
    status, request = REFUSED[reason]

    async def scene(edge):
        return await edge.ask(**request), edge.log_lines, edge.raw.lines

    reply, log, lines = play(scene, virtual=True)

    assert (reply.status, reply.header("x-headgate-reason"), lines) == (status, reason, [])
    assert envelope_of(reply)["message"]
    assert reply.header("request-id") == reply.header("x-headgate-call-id").replace("call_", "req_")
    assert reply.header("x-should-retry") == "false"
    [line] = log
    assert (line["call_id"], line["status"], line["reason"], line["outcome"]) == (
        reply.header("x-headgate-call-id"), status, reason, "client_error",
    )  # fmt: skip


@pytest.mark.parametrize("reason", [reason for reason in REFUSED if "headers" not in REFUSED[reason][1]])
def test_a_refusal_carries_the_callers_own_id(reason):
    """Where the caller is known its `x-correlation-id` comes back and stands in the log; else the call id does."""
    _, request = REFUSED[reason]

    async def scene(edge):
        return await edge.ask(**request, headers={"x-correlation-id": "my-1"}), edge.log_lines[0]

    reply, line = play(scene, virtual=True)

    known = reason not in (Reason.NO_SUCH_PATH, Reason.METHOD_NOT_ALLOWED)
    expected = "my-1" if known else line["call_id"]
    assert (reply.header("x-correlation-id"), line["correlation_id"]) == (expected, expected)


def test_inv22_a_refusal_for_now_tells_when_to_come_back():
    """`retry-after` in whole seconds, rounded up, and `retry-after-ms`, which SDKs read first."""

    async def scene(edge):
        await edge.ask()
        await asyncio.sleep(0.4)
        return await edge.ask(), edge.log_lines[-1]

    reply, line = play(scene, virtual=True, config=BUSY)

    assert (reply.status, reply.header("x-headgate-reason")) == (429, "wait_too_long")
    assert envelope_of(reply)["type"] == "rate_limit_error"
    assert reply.header("x-should-retry") == "true"
    assert float(reply.header("retry-after")) == float(reply.header("retry-after-ms")) / 1000 == 1
    assert (line["reason"], line["outcome"]) == ("wait_too_long", "shed")


def test_every_call_leaves_exactly_one_log_line():
    """Answered, streamed, refused by the edge, by the engine or by the API, left by its caller: one line each."""

    async def scene(edge):
        await edge.ask()
        await edge.ask(body=body_of(stream=True))
        await edge.ask("GET", "/v1/models")
        await edge.ask("POST", "/v1/messages/batches", b"{}")
        for _, request in REFUSED.values():
            await edge.ask(**request)
        await edge.say(b"nonsense\r\n\r\n")
        await edge.ask("GET", "/v1/models/fails")
        leaver = await edge.connect()
        await leaver.send(request_of("POST", "/v1/messages", body_of("[[hang]]")))
        await edge.until(lambda: b"[[hang]]" in edge.raw.exchanges[-1].body)
        leaver.leave()
        await asyncio.sleep(1)
        return edge.log_lines, edge.calls

    async def upstream(exchange):
        if b"[[hang]]" in exchange.body:
            await asyncio.Event().wait()
        elif "fails" in exchange.line:
            await exchange.answer(b'{"type":"error","error":{"type":"not_found_error","message":"no"}}', 404)
        else:
            await exchange.answer_plainly()

    log, calls = play(scene, virtual=True, upstream=upstream)

    assert len(log) == 4 + len(REFUSED) + 3
    assert len({line["call_id"] for line in log}) == len(log)
    assert {call.call_id for call in calls} < {line["call_id"] for line in log}
    assert len(calls) == len(log) - 7, "seven were refused by the edge, and have no row in the ledger"


@pytest.mark.parametrize("pause_s", [0.0, 0.01], ids=["in one piece", "piece by piece"])
def test_an_upload_that_turns_out_too_large_is_one_call_with_its_reason(pause_s):
    """It may be under way when it passes the limit: the caller gets the 413, the upstream a broken body, the log one
    line."""

    async def scene(edge):
        wire = await edge.connect()
        chunks = {"content-length": None, "transfer-encoding": "chunked"}
        await wire.send(request_of("POST", "/v1/files", headers=chunks))
        for _ in range(20):
            await wire.send(b"%x\r\n%s\r\n" % (65536, b"x" * 65536))
            await asyncio.sleep(pause_s)
        reply = await wire.reply()
        await asyncio.sleep(0.1)
        return reply, edge.log_lines, edge.raw.exchanges

    reply, [line], exchanges = play(scene, virtual=True, max_file_mb=1)

    assert (reply.status, reply.closes, exchanges) == (413, True, [])
    assert (line["reason"], line["call_id"]) == ("body_too_large", reply.header("x-headgate-call-id"))


def test_a_defect_of_ours_is_a_500_without_a_traceback():
    """One line, `internal`; the next call is served."""

    async def scene(edge):
        broken = edge.gateway.app._respond
        edge.gateway.app._respond = None
        reply = await edge.ask()
        edge.gateway.app._respond = broken
        return reply, (await edge.ask()).status

    reply, after = play(scene, virtual=True)

    assert (reply.status, reply.closes, after) == (500, True, 200)
    assert envelope_of(reply)["message"] == "internal error"


# -- impatient callers -------------------------------------------------------------------------------------------------


async def waits_told(edge, bodies, pause_s: float) -> list[float]:
    """The `retry-after-ms` that a row of refused calls is told, in seconds."""
    await edge.ask()
    told = []
    for body in bodies:
        reply = await edge.ask(body=body)
        assert reply.status == 429
        told.append(int(reply.header("retry-after-ms")) / 1000)
        await asyncio.sleep(pause_s)
    return told


def test_d09_the_same_call_again_before_its_time_is_told_to_wait_twice_as_long():
    """Up to eight times; nothing of it reaches the upstream."""

    async def scene(edge):
        return await waits_told(edge, [body_of("again")] * 6, 0.001), len(edge.raw.lines)

    assert play(scene, virtual=True, config=BUSY) == ([1, 2, 4, 8, 8, 8], 1)


def test_d09_a_long_wait_is_told_as_it_is_however_often_somebody_asks():
    """Twice the hours until a lane opens would miss its opening: what is added ends at a minute."""
    closed = lanes(max_wait_s=0.0, open=("Mon 00:00-00:01",))

    async def scene(edge):
        told = [await edge.ask(body=body_of("again")) for _ in range(3)]
        return {reply.header("x-headgate-reason") for reply in told}, {reply.header("retry-after") for reply in told}

    reasons, waits = play(scene, virtual=True, config=Config(lanes=closed))

    assert reasons == {"lane_closed"}
    assert len(waits) == 1


def test_d09_many_different_calls_at_once_are_no_impatience():
    """A busy application is told the truth."""

    async def scene(edge):
        return await waits_told(edge, [body_of(f"call {n}") for n in range(6)], 0.001)

    assert play(scene, virtual=True, config=BUSY) == [1] * 6


def test_d09_who_comes_back_in_time_is_served():
    """The penalty ends with the wait."""

    async def scene(edge):
        await waits_told(edge, [body_of("again")] * 2, 0.001)
        await asyncio.sleep(2.0)
        return (await edge.ask(body=body_of("again"))).status

    assert play(scene, virtual=True, config=BUSY) == 200


def test_d09_one_callers_impatience_is_not_anothers():
    """By caller key."""
    keys = {name: make_key(name * 43) for name in "ab"}
    gateway = GatewayConfig(keys=tuple(CallerKey(name=n, sha256=digest) for n, (_, digest) in keys.items()))

    async def scene(edge):
        told = []
        for name in "aaab":
            reply = await edge.ask(headers={"x-api-key": keys[name][0]})
            told.append(int(reply.header("retry-after-ms") or 0))
        return told

    config = Config(limits=BUSY.limits, lanes=BUSY.lanes, gateway=gateway)
    assert play(scene, virtual=True, config=config) == [0, 1000, 2000, 1000]


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_inv16_no_error_and_no_log_line_holds_a_key():
    """Neither ours nor the caller's, whatever breaks."""
    broken = [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"garbage\r\n\r\n", b"HTTP/1.1 401 X\r\ncontent-length: 2\r\n\r\n{}"]
    scripts = iter(broken * 8)

    async def upstream(exchange):
        await exchange.send(next(scripts))
        exchange.writer.close()

    async def scene(edge):
        requests = [{}] * 4 + [request for _, request in REFUSED.values() if "headers" not in request]
        told = [await edge.ask(headers={"x-api-key": "sk-ant-canary-9"}, **request) for request in requests]
        return b"".join(str(reply.headers).encode() + reply.body for reply in told) + b"".join(edge.log.lines)

    told = play(scene, virtual=True, upstream=upstream)

    assert MESSAGE["id"].encode() not in told
    assert b"canary" not in told
    assert OUR_KEY.encode() not in told
