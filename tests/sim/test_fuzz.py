"""Whatever is sent, the answer is one of the API's: never a traceback, and an error always in its envelope.

The requests are made by hypothesis: odd paths, headers and JSON, and good requests with one odd thing in them.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.json import decode, encode

from headgate.sim import SimSettings, serve
from headgate.sim.request.parsing import MOST_DEPTH
from headgate.sim.settings import Thinking
from headgate.sim.vocabulary import DIRECTIVES
from support.patience import HANG_S

EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
NEVER_ENDING = {"hang", "pings", "stall"}

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(2**62, 2**70), st.floats(allow_nan=False), st.just(-0.0),
    st.text(max_size=8), st.sampled_from(["", "\x00", "\u202e", "\ud7ff", "claude-haiku-5-5", "auto", "5m"]),
    st.just([]), st.just({}), st.just([[]]), st.just([None]), st.just({"type": None}), st.just({"type": "text"}),
    st.just([{"type": []}]), st.just({"": {}}),
)  # fmt: skip
JSON = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)

SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["gate", "cm"],
    "properties": {"gate": {"enum": ["north", "south"]}, "cm": {"type": "integer"}, "more": {"$ref": "#/$defs/m"}},
    "$defs": {"m": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "string", "format": "date"}}]}},
}  # fmt: skip
CACHE = {"type": "ephemeral", "ttl": "1h"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
DOCUMENT = {
    "type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Water is wet."}, "title": "t",
    "context": "c", "citations": {"enabled": True}, "cache_control": CACHE,
}  # fmt: skip
TOOLS = [
    {"name": "level", "description": "d", "input_schema": SCHEMA, "strict": True, "eager_input_streaming": True},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "allowed_domains": ["a.example"]},
    {"type": "web_fetch_20250910", "name": "web_fetch"},
    {"type": "code_execution_20250825", "name": "code_execution"},
]
ASK = [{"role": "user", "content": "How much water?"}]
HISTORY = [
    {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": CACHE}, IMAGE, DOCUMENT]},
    {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "level", "input": {"a": 1}}]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "12"}],
         "is_error": False},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}]},
]  # fmt: skip
EDITS = [
    {"type": "clear_thinking_20251015", "keep": "all"},
    {"type": "clear_tool_uses_20250919", "trigger": {"type": "input_tokens", "value": 1}, "exclude_tools": ["a"],
     "keep": {"type": "tool_uses", "value": 1}, "clear_at_least": {"type": "input_tokens", "value": 1},
     "clear_tool_inputs": True},
    {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50000}, "pause_after_compaction": True},
]  # fmt: skip
MESSAGES: list[dict[str, Any]] = [
    {"model": "claude-haiku-5-5", "max_tokens": 20, "messages": ASK},
    {"model": "claude-sonnet-4-6", "max_tokens": 3000, "messages": HISTORY, "tools": TOOLS[:1],
     "stop_sequences": ["END"],
     "system": [{"type": "text", "text": "s", "cache_control": CACHE}],
     "thinking": {"type": "enabled", "budget_tokens": 1024},
     "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}, "metadata": {"user_id": "u"}, "stream": True,
     "service_tier": "auto", "inference_geo": "us", "diagnostics": {"previous_message_id": None}},
    {"model": "claude-sonnet-4-6", "max_tokens": 3000, "messages": ASK, "tools": TOOLS, "cache_control": CACHE},
    {"model": "claude-sonnet-4-6", "max_tokens": 300, "messages": ASK, "tools": TOOLS[:1],
     "tool_choice": {"type": "tool", "name": "level"}, "output_config": {"effort": "low"}},
    {"model": "claude-opus-5-5", "max_tokens": 500, "messages": ASK, "speed": "fast", "thinking": {
        "type": "adaptive", "display": "omitted", "block_binding": {"prefix_mismatch_behavior": "drop_block"}},
     "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA},
                       "task_budget": {"type": "tokens", "total": 20000}}},
    {"model": "claude-fable-5-2", "max_tokens": 500,
     "messages": [{"role": "user", "content": "[[sim: refusal=cyber]]"}],
     "fallbacks": [{"model": "claude-opus-5-5", "max_tokens": 50}], "stream": True},
    {"model": "claude-opus-5", "max_tokens": 500, "messages": HISTORY, "tools": TOOLS[:1],
     "context_management": {"edits": EDITS}},
    {"model": "claude-opus-5", "max_tokens": 500, "messages": ASK, "thread": {"type": "create"}},
    {"model": "claude-opus-5", "max_tokens": 5000, "messages": ASK, "compaction": {"type": "summarize"}},
    {"model": "claude-opus-5", "max_tokens": 500, "messages": ASK, "tools": TOOLS[3:], "container": "container_1"},
    {"model": "claude-opus-5", "max_tokens": 500, "messages": ASK,
     "mcp_servers": [{"type": "url", "name": "m", "url": "https://m.example"}],
     "tools": [{"type": "mcp_toolset", "mcp_server_name": "m"}]},
]  # fmt: skip
BODIES: list[dict[str, Any]] = [
    *MESSAGES,
    {**MESSAGES[0], "fallback_credit_token": "t"},
    {**MESSAGES[0], "billing_policy": {"type": "billing_policy", "bill_to": "user_profile"}},
    {"requests": [{"custom_id": "a", "params": MESSAGES[0]}]},
    {"advance_s": 5},
    {"limits": [{"type": "requests_per_minute", "value": 5}], "value": 5},
]
TRUSTING = SimSettings(thinking=Thinking(unknown_signatures_pass=True))
BETAS = (
    "server-side-fallback-2026-07-01,fallback-credit-2026-07-01,context-management-2025-06-27,compact-2026-01-12,"
    "compact-2026-09-04,thinking-binding-controls-2026-08-01,message-threads-2026-08-12,task-budgets-2026-03-13,"
    "fast-mode-2026-02-01,mcp-client-2025-11-20,user-profiles-billing-2026-10-01"
)
TOLD = {"anthropic_beta": BETAS, "anthropic_user_profile_id": "uprof_1"}
PATHS = [
    "/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches", "/v1/models", "/v1/files", "/sim/clock",
    "/sim/books", "/sim/stats", "/api/hello", "/v1/organizations/rate_limits",
    "/v1/organizations/workspaces/w/rate_limits",
    "/v1/organizations/usage_report/messages", "/v1/organizations/cost_report", "/v1/models/claude-haiku-5-5",
    "/v1/messages/batches/msgbatch_1/results", "/v1/messages/batches/msgbatch_1/cancel", "/v1/files/file_1/content",
]  # fmt: skip


def places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [where]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        found += places(item, (*where, key))
    return found


@st.composite
def bent(draw: st.DrawFn) -> Any:
    """A good body with one or two odd values in it, something missing, or a key that nobody knows."""
    body: Any = copy.deepcopy(draw(st.sampled_from(BODIES)))
    for _ in range(draw(st.integers(1, 2))):
        where = draw(st.sampled_from(places(body)))
        if not where:
            return copy.deepcopy(draw(JSON))
        holder = body
        for key in where[:-1]:
            holder = holder[key]
        if draw(st.integers(0, 5)) == 0:
            del holder[where[-1]]
        else:
            holder[where[-1]] = copy.deepcopy(draw(JSON))
    return body


VALUES = st.text(st.sampled_from("0123456789:={}[]\"',; abc\\éx-"), max_size=8)
DIRECTIVE = st.builds(
    lambda usage, value: usage.partition("=")[0] + value,
    st.sampled_from([usage for usage in DIRECTIVES if usage.partition("=")[0] not in NEVER_ENDING]),
    st.one_of(st.just(""), st.integers(0, 300).map("={}".format), VALUES.map("={}".format)),
)
HEADERS = st.dictionaries(
    st.sampled_from(["x_api_key", "authorization", "anthropic_version", "anthropic_beta", "anthropic_workspace_id",
                     "anthropic_user_profile_id", "content_type", "content_encoding", "x_forwarded_proto", "host"]),
    st.one_of(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
              st.sampled_from(["2023-06-01", "2026-10-21", BETAS, "multipart/form-data; boundary=b", "gzip",
                               "sk-ant-admin-1", "Bearer sk-ant-admin-1", "wrkspc_1"])),
    max_size=3,
)  # fmt: skip


def check(reply):
    """Whatever it is, it is an answer that the API could give."""
    assert reply.status == 0 or 200 <= reply.status <= 999
    if 400 <= reply.status < 600 and not reply.cut and reply.headers.get("content-type") == "application/json":
        body = decode(reply.body)
        assert body["type"] == "error"
        assert isinstance(body["error"]["type"], str)
        assert isinstance(body["error"]["message"], str)


@pytest.mark.parametrize("body", MESSAGES, ids=lambda body: ",".join(body)[28:])
def test_what_is_bent_here_is_good_before(make_sim, body):
    """Or it would be refused for another reason, and what is odd would never be looked at."""
    reply = make_sim(TRUSTING).call("POST", "/v1/messages", body, **TOLD)

    assert reply.status == 200, reply.body


@EXAMPLES
@given(body=bent(), target=st.sampled_from(PATHS[:4]), version=st.sampled_from(["2023-06-01", "2026-10-21"]))
def test_a_good_request_with_something_odd_in_it_gets_an_answer(make_sim, body, target, version):
    """§6: a 400 that says what, or the answer of somebody who does not mind."""
    sim = make_sim(TRUSTING)
    check(sim.call("POST", target, body, anthropic_version=version, **TOLD))


@EXAMPLES
@given(body=bent())
def test_an_odd_batch_item_is_a_result_and_no_accident(make_sim, body):
    """§10: what is wrong with an item is its result."""
    sim = make_sim(TRUSTING)
    made = sim.call(
        "POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": body}]}, anthropic_beta=BETAS
    )
    check(made)
    if made.status == 200:
        sim.clock.advance(90_000)
        results = sim.call("GET", f"/v1/messages/batches/{made.json['id']}/results")
        assert decode(results.body)["result"]["type"] in ("succeeded", "errored", "expired")


@EXAMPLES
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "ODD"]),
    target=st.one_of(
        st.sampled_from(PATHS),
        st.builds("{}/{}".format, st.sampled_from(PATHS), st.text(st.sampled_from("abc/%2.é\\ ?=&"), max_size=8)),
        st.builds("{}?{}".format, st.sampled_from(PATHS), st.text(st.sampled_from("limit=-10&afterd_%["), max_size=20)),
    ),
    headers=HEADERS,
    body=st.one_of(st.binary(max_size=30), JSON.map(encode)),
)
def test_any_request_at_all_gets_an_answer(make_sim, method, target, headers, body):
    """Paths, queries, headers and bodies that no client would send."""
    check(make_sim(TRUSTING).call(method, target, body, **headers))


@EXAMPLES
@given(directives=st.lists(DIRECTIVE, min_size=1, max_size=4), stream=st.booleans(), target=st.sampled_from(PATHS[:5]))
def test_any_directives_in_any_mixture_get_an_answer(make_sim, directives, stream, target):
    """All that can be asked for, together, whatever stands behind the equals sign."""
    body = {**BODIES[0], "stream": stream} if target == "/v1/messages" else BODIES[0]
    said = "; ".join(directives).encode("utf-8").decode("latin-1")
    sim = make_sim(TRUSTING)
    reply = sim.call("POST", target, body, x_sim=said.encode("latin-1", "replace").decode("latin-1"))

    assert reply.status == 0 or 200 <= reply.status <= 999


@pytest.mark.parametrize("depth", [100, 2_000, 100_000])
@pytest.mark.parametrize("target", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"])
def test_json_nested_ever_deeper_is_a_400(sim, target, depth):
    """faults.md E01: as content, as a schema, as anything."""
    deep = b"[" * depth + b"]" * depth
    for body in (
        deep,
        b'{"model":"claude-haiku-5-5","max_tokens":5,"messages":%s}' % deep,
        b'{"model":"claude-haiku-5-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"metadata":%s}' % deep,
        b'{"requests":[{"custom_id":"a","params":{"x":%s}}]}' % deep,
    ):
        reply = sim.call("POST", target, body)
        check(reply)
        assert reply.status < 500


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400), (b"GARBAGE\r\n\r\n", 405), (b"GET /v1/models HTTP/9.9\r\nhost: x\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\n\r\n", 400), (b"GET /v1/models HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n", 400),
        (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n", 413),
        (b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused_in_the_envelope(raw, status, caplog):
    """On a socket: the edge before the API speaks its words too (§1), and no handler fails."""

    async def main() -> bytes:
        running = await serve(port=0)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(), HANG_S)
        writer.close()
        await writer.wait_closed()
        await running.stop()
        return answer

    head, _, body = asyncio.run(main()).partition(b"\r\n\r\n")

    assert int(head[9:12]) == status
    assert decode(body)["type"] == "error"
    assert not caplog.records


@pytest.mark.parametrize("target", ["/v1/messages", "/v1/messages/count_tokens"])
def test_what_is_too_deep_depends_on_the_request_alone(sim, target):
    """Not on the stack that happens to read, hash or compare it: one depth is taken everywhere, the next nowhere."""
    around = 3  # the body, the list of system blocks, and the block
    for inside, status in ((MOST_DEPTH - around, 200), (MOST_DEPTH - around + 1, 400), (970, 400), (974, 400)):
        deep = b"[" * inside + b"]" * inside
        body = (
            b'{"model":"claude-haiku-5-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}],'
            b'"diagnostics":{"previous_message_id":null},'
            b'"system":[{"type":"text","text":"a","x":%s,"cache_control":{"type":"ephemeral"}}]}' % deep
        )

        assert sim.call("POST", target, body).status == status, inside


def test_an_item_that_is_nested_too_deeply_fails_alone(sim):
    """The batch ends, and tells of it."""
    items = [
        b'{"custom_id":"item-%d","params":{"model":"claude-haiku-5-5","max_tokens":5,"messages":[{"role":"user",'
        b'"content":"hi"}],"system":[{"type":"text","text":"a","x":%s,"cache_control":{"type":"ephemeral"}}]}}'
        % (depth, b"[" * depth + b"]" * depth)
        for depth in (1, *range(900, 990))
    ]
    statuses = []
    for item in items:
        created = sim.call("POST", "/v1/messages/batches", b'{"requests":[%s]}' % item)
        if created.status == 200:
            sim.clock.advance(86_400)
            statuses.append(
                sim.call("GET", f"/v1/messages/batches/{created.json['id']}/results").json["result"]["type"]
            )

    assert statuses[0] == "succeeded"
    assert set(statuses[1:]) == {"errored"}
