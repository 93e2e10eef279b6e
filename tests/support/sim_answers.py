"""One answer of every kind that the simulator gives, with the name of the shape that the SDKs say it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.json import decode

__all__ = ["MESSAGES", "TYPED_CODES", "WORKSPACE", "Answer", "answers"]

MODEL = "claude-haiku-5-5"
WORKSPACE = "wrkspc_a"
"""One that the simulator's settings should have."""
TOOL = {
    "name": "level",
    "input_schema": {
        "type": "object",
        "properties": {"gate": {"type": "string"}, "metres": {"type": "number"}},
        "required": ["gate"],
        "additionalProperties": False,
    },
}
SCHEMA = {"type": "object", "properties": {"m": {"type": "number"}}, "required": ["m"], "additionalProperties": False}
LONG = "The water stands at seven metres. " * 400
CODE = {"type": "code_execution_20250825", "name": "code_execution"}
ALL_FAIL = "web-search=1; web-fetch=1; code-execution=1; server-tool-error=unavailable"
ASK = {"type": "text", "text": "How much water?"}


FALLBACK = "server-side-fallback-2026-07-01"
CHAIN = {"model": "claude-fable-5-1", "fallbacks": [{"model": "claude-opus-5"}]}
COMPACT = "compact-2026-01-12,context-management-2025-06-27"
AT_50K = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}
EDITING = "context-management-2025-06-27"
CLEARING = {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 1}, "keep": {
    "type": "tool_uses", "value": 0}}  # fmt: skip
BINDING = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}}


def _edits(*edits: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"context_management": {"edits": [*edits]}, **fields}


def _document(kind: str, **source: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": kind, **source}, "citations": {"enabled": True}}


class Answer(NamedTuple):
    """A part of the simulator's output that has a shape of its own."""

    name: str
    shape: str
    data: Any


@dataclass(frozen=True)
class Asked:
    """A request: what is said, its fields, its betas; `beta` if only the beta types know the answer."""

    content: Any
    fields: dict[str, Any] = field(default_factory=dict)
    betas: str = ""
    beta: bool = False


MESSAGES: dict[str, Asked] = {
    "text": Asked("How much water?"),
    "thinking": Asked("How much water?", {"thinking": {"type": "adaptive"}}),
    "thinking omitted": Asked("How much water?", {"thinking": {"type": "adaptive", "display": "omitted"}}),
    "a tool": Asked("[[sim: tool=level:{}]]", {"tools": [TOOL]}),
    "a forced tool": Asked("hi", {"tools": [TOOL], "tool_choice": {"type": "any"}}),
    "parallel tools": Asked("[[sim: tool=level:{}; tool=level:{}]]", {"tools": [TOOL]}),
    "web search": Asked("[[sim: web-search=2]]", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    "web fetch": Asked("[[sim: web-fetch=1]]", {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}),
    "code execution": Asked("[[sim: code-execution=1]]", {"tools": [CODE]}),
    "first code execution": Asked("[[sim: code-execution=1]]",
                                  {"tools": [{**CODE, "type": "code_execution_20250522"}]}),
    "server tools that fail": Asked(f"[[sim: {ALL_FAIL}]]", {"tools": [CODE]}),
    "a late result": Asked("[[sim: web-search=1; tool=level; late-results]]", {"tools": [TOOL]}),
    "citations of text": Asked([_document("text", data=LONG[:300], media_type="text/plain"), ASK]),
    "citations of blocks": Asked([_document("content", content=[{"type": "text", "text": LONG[:300]}]), ASK]),
    "citations of a search result": Asked([{"type": "search_result", "source": "https://example.com", "title": "Old",
                                            "content": [{"type": "text", "text": "Seven metres."}],
                                            "citations": {"enabled": True}}, ASK]),
    "pause": Asked("[[sim: pause-turn]]", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    "schema": Asked("hi", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    "stop sequence": Asked("hi", {"stop_sequences": ["e"]}),
    "max_tokens": Asked("[[sim: max-tokens]]"),
    "window": Asked("[[sim: context-exceeded]]"),
    "refusal": Asked("[[sim: refusal=cyber]]"),
    "refusal without a category": Asked("[[sim: refusal]]"),
    "refusal midway": Asked("[[sim: refusal-mid=bio]]"),
    "cache": Asked("hi", {"system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]}),
    "fast": Asked("hi", {"model": "claude-opus-5-5", "speed": "fast"}),
    "geography": Asked("hi", {"inference_geo": "us"}),
    "an older model": Asked("hi", {"model": "claude-haiku-4-5", "temperature": 0.5}),
    "diagnostics": Asked("hi", {"diagnostics": {"previous_message_id": "msg_none"}}),
    "diagnostics of a first turn": Asked("hi", {"diagnostics": {"previous_message_id": None}}),
    "a thread": Asked("hi", {"thread": {"type": "create"}}, "message-threads-2026-08-12", True),
    "fallback": Asked("[[sim: refusal]]", CHAIN, FALLBACK, True),
    "fallback midway": Asked("[[sim: refusal-mid]]", CHAIN, FALLBACK, True),
    "all decline": Asked("[[sim: refusal; declines=2]]", CHAIN, FALLBACK, True),
    "a refusal with credit": Asked("[[sim: refusal]]", {"model": CHAIN["model"]}, "fallback-credit-2026-07-01", True),
    "compaction": Asked(LONG * 20, _edits(AT_50K, model="claude-opus-5"), COMPACT, True),
    "a pause after compaction": Asked(
        LONG * 20, _edits(AT_50K | {"pause_after_compaction": True}, model="claude-opus-5"), COMPACT, True
    ),
    "compaction on demand": Asked("hi", {"model": "claude-opus-5", "compaction": {"type": "summarize"}, "messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "hi"},
    ]}, "compact-2026-09-04", True),
    "edits": Asked("hi", _edits(CLEARING, tools=[TOOL], messages=[
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "level", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": LONG}]},
    ]), EDITING, True),
    "bindings": Asked("hi", {"thinking": BINDING}, "thinking-binding-controls-2026-08-01", True),
}  # fmt: skip
ERRORS = {
    "400": "error=400",
    "400 spend": "error=400:spend",
    "402": "error=402",
    "403": "error=403",
    "404": "error=404",
    "429": "error=429",
    "429 ramp": "error=429:ramp_limit_exceeded",
    "429 cap": "error=429:enforced_spend_limit_reached",
    "429 contract": "error=429:contract_spend_limit_reached",
    "500": "error=500",
    "504": "error=504",
    "529": "error=529",
    "not understood": "nonsense",
}

TYPED_CODES = {
    400: """available_tools_limit_exceeded claude_code_key_creator_not_member claude_code_version_too_old
        cmek_key_disabled cmek_key_network_blocked compaction_block_ambiguous compaction_block_misplaced
        compaction_content_mismatch
        compaction_incomplete_turn compaction_nothing_to_summarize compaction_signature_invalid
        compaction_too_many_tool_references compaction_tool_changes_mismatch organization_on_hold
        request_body_encoding_invalid request_body_encoding_unsupported thread_already_continued
        thread_continue_in_flight thread_fingerprint_mismatch thread_unsupported_request tool_name_conflict
        tool_reference_unresolved user_profile_required""",
    402: "linked_organization_billing_unavailable linked_organization_spend_limit_reached",
    403: "user_profile_billing_not_authorized user_profile_not_billable",
    404: "thread_not_found",
    409: "skill_read_blocked_undecryptable",
    413: "request_body_too_large_after_decoding",
    429: "ramp_limit_exceeded enforced_spend_limit_reached contract_spend_limit_reached",
    503: "cmek_key_unreachable",
    529: "compaction_unavailable",
}
"""§6: those of `POST /v1/messages`, by status."""


def answers(sim: Any) -> Iterator[Answer]:
    """All of it, from an in-process simulator of tests/sim."""
    yield from _messages(sim)
    for name, directive in ERRORS.items():
        yield from _error(name, sim.ask(f"[[sim: {directive}]]").json)
    yield from _error("401", sim.ask(headers={"x_api_key": None}).json)
    yield from _threads(sim)
    count = sim.call("POST", "/v1/messages/count_tokens", {"model": MODEL, "messages": _said("hi")}).json
    yield Answer("count", "count", count)
    yield Answer("count, beta", "beta_count", count)
    edited = {"model": MODEL, "messages": _said("hi"), **_edits(CLEARING)}
    counted = sim.call("POST", "/v1/messages/count_tokens", edited, anthropic_beta=EDITING).json
    yield Answer("count, edited", "beta_count", counted)
    yield from _batches(sim)
    yield from _files(sim)
    models = sim.call("GET", "/v1/models?limit=1000&lifecycle=active,deprecated,retired").json
    yield Answer("models", "model_page", models)
    yield Answer("a model", "model", sim.call("GET", f"/v1/models/{MODEL}").json)
    yield from _account(sim)


def _error(name: str, body: Any) -> Iterator[Answer]:
    """The envelope, and apart from it the details, which the SDKs type by their code."""
    details = body["error"].pop("details", None)
    yield Answer(f"error {name}", "error", body)
    if details is not None:
        yield Answer(f"details of error {name}", "error_details", details)


def _said(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def _messages(sim: Any) -> Iterator[Answer]:
    for name, asked in MESSAGES.items():
        headers = {"anthropic_beta": asked.betas} if asked.betas else {}
        if not asked.beta:
            yield Answer(name, "message", _whole(sim, asked, headers))
        yield Answer(f"{name}, beta", "beta_message", _whole(sim, asked, headers))
        events = [data for event, data in _streamed(sim, asked, headers).events if event != "ping"]
        for number, data in enumerate(events):
            if not asked.beta:
                yield Answer(f"{name}, event {number}", "event", data)
            yield Answer(f"{name}, beta event {number}", "beta_event", data)
    yield Answer("prewarm", "message", sim.ask(max_tokens=0).json)


def _whole(sim: Any, asked: Asked, headers: dict[str, str]) -> Any:
    reply = sim.ask(asked.content, headers, **asked.fields)
    assert reply.status == 200, reply.body
    return reply.json


def _streamed(sim: Any, asked: Asked, headers: dict[str, str]) -> Any:
    return sim.ask(asked.content, headers, stream=True, **asked.fields)


def _threads(sim: Any) -> Iterator[Answer]:
    headers = {"anthropic_beta": "message-threads-2026-08-12"}

    def proceed(message_id: str, **fields: Any) -> Any:
        return sim.ask(headers=headers, thread={"type": "continue", "previous_message_id": message_id}, **fields).json

    first = sim.ask(headers=headers, thread={"type": "create"}).json["id"]
    yield from _error("thread_not_found", proceed("msg_none"))
    yield from _error("thread_fingerprint_mismatch", proceed(first, system="Be brief."))
    yield from _error("thread_unsupported_request", proceed(first, cache_control={"type": "ephemeral"}))
    proceed(first)
    yield from _error("thread_already_continued", proceed(first))


def _batches(sim: Any) -> Iterator[Answer]:
    path = "/v1/messages/batches"
    params = {"model": MODEL, "max_tokens": 50, "messages": _said("hi")}
    requests = [{"custom_id": "good", "params": params}, {"custom_id": "bad", "params": {**params, "stream": True}}]
    for _ in range(2):
        made = sim.call("POST", path, {"requests": requests}).json
    yield Answer("a new batch", "batch", made)
    yield Answer("a batch that is cancelled", "batch", sim.call("POST", f"{path}/{made['id']}/cancel").json)
    yield from _results(sim, made["id"], "canceled")
    made = sim.call("POST", path, {"requests": requests}).json
    sim.clock.advance(3_600)
    yield Answer("an ended batch", "batch", sim.call("GET", f"{path}/{made['id']}").json)
    yield Answer("batches", "batch_page", sim.call("GET", f"{path}?limit=2").json)
    yield from _error("page", sim.call("GET", f"{path}?limit=0").json)
    yield from _results(sim, made["id"], "ended")
    sim.clock.advance(30 * 24 * 3_600)
    yield Answer("an archived batch", "batch", sim.call("GET", f"{path}/{made['id']}").json)
    yield Answer("a deleted batch", "deleted_batch", sim.call("DELETE", f"{path}/{made['id']}").json)


def _results(sim: Any, batch_id: str, name: str) -> Iterator[Answer]:
    lines = sim.call("GET", f"/v1/messages/batches/{batch_id}/results").body.splitlines()
    assert len(lines) == 2
    for line in lines:
        yield Answer(f"a line of a batch that is {name}", "batch_line", decode(line))


def _files(sim: Any) -> Iterator[Answer]:
    form = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nseven\r\n--b--\r\n'
    uploads = [
        sim.call("POST", "/v1/files", form, content_type="multipart/form-data; boundary=b").json for _ in range(2)
    ]
    yield Answer("a file", "file", uploads[0])
    yield Answer("files", "file_page", sim.call("GET", "/v1/files?limit=1", anthropic_version="2026-10-21").json)
    yield Answer("a deleted file", "deleted_file", sim.call("DELETE", f"/v1/files/{uploads[0]['id']}").json)
    yield from _error("file", sim.call("GET", f"/v1/files/{uploads[0]['id']}").json)


def _account(sim: Any) -> Iterator[Answer]:
    """The Rate Limits API; the SDK has no types for the reports."""

    def get(target: str) -> Any:
        return sim.call("GET", target, x_api_key="sk-ant-admin01-x", anthropic_version="2026-10-21").json

    yield Answer("limits", "limit_page", get("/v1/organizations/rate_limits?limit=50"))
    own = get(f"/v1/organizations/workspaces/{WORKSPACE}/rate_limits?include_inherited=true")
    yield Answer("limits of a workspace", "workspace_limit_page", own)
