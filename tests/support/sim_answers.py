"""One answer of every kind that the simulator gives, with the name of the shape that the SDKs say it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec.json import decode

__all__ = ["MESSAGES", "Answer", "answers"]

MODEL = "claude-haiku-5-5"
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
    yield from _batches(sim)
    yield from _files(sim)
    models = sim.call("GET", "/v1/models?limit=1000&lifecycle=active,deprecated,retired").json
    yield Answer("models", "model_page", models)
    yield Answer("a model", "model", sim.call("GET", f"/v1/models/{MODEL}").json)


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
