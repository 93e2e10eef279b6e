"""Properties of every stream, for random requests and directives: claude-api.md §7."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import DecodeError
from msgspec.json import decode

TOOLS = [
    {
        "name": "level",
        "input_schema": {
            "type": "object",
            "properties": {"gate": {"type": "string"}, "metres": {"type": "array", "items": {"type": "number"}}},
            "required": ["gate", "metres"],
        },
    },
    {"name": "flow", "input_schema": {"type": "object"}, "eager_input_streaming": True},
    {"type": "web_search_20250305", "name": "web_search"},
    {"type": "web_fetch_20250910", "name": "web_fetch"},
    {"type": "code_execution_20250825", "name": "code_execution"},
]
SCHEMA = {"type": "object", "properties": {"m": {"type": "number"}}, "required": ["m"], "additionalProperties": False}
DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "The gate is open. The water stands at 7 m."},
    "citations": {"enabled": True},
}
TEXT = {"type": "text", "text": "How much water is at the gate?"}
FORMAT = {"format": {"type": "json_schema", "schema": SCHEMA}}
EDIT = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]}

COMPACTING = {"edits": [{"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 50_000}}]}
LONG = "The gate at the head of a canal decides how much of the river enters. " * 2_500  # some 57,000 tokens

ENDINGS = ("refusal=cyber", "refusal-mid", "max-tokens", "pause-turn", "context-exceeded", "blank-after-tools")
PARTS = ('tool=level:{"gate":"n","metres":[1.5]}', "tool=level", "tool=flow:{}", "web-search=2", "web-fetch=1",
         "code-execution=1", "tokens=7", "tokens=300", "deltas=5", "deltas=0", "late-results")  # fmt: skip

FIELDS = {
    "model": st.sampled_from(["claude-haiku-5-5", "claude-haiku-4-5", "claude-opus-5-5", "claude-opus-4-6"]),
    "max_tokens": st.sampled_from([1, 3, 20, 1_000, 2_000]),
}
OPTIONAL = {
    "thinking": st.sampled_from(
        [{"type": "adaptive"}, {"type": "adaptive", "display": "omitted"}, {"type": "disabled"}]
    ),
    "tools": st.lists(st.sampled_from(TOOLS), max_size=5, unique_by=lambda tool: tool["name"]),
    "tool_choice": st.just({"type": "auto", "disable_parallel_tool_use": True}),
    "stop_sequences": st.lists(st.sampled_from(["e", ". ", "the"]), min_size=1, max_size=2),
    "output_config": st.sampled_from([FORMAT, {"effort": "low"}]),
    "system": st.sampled_from(["Be brief.", [TEXT | {"cache_control": {"type": "ephemeral"}}]]),
    "context_management": st.sampled_from([EDIT, COMPACTING]),
    "inference_geo": st.just("us"),
}
REQUESTS = st.fixed_dictionaries(
    {"content": st.sampled_from(["hi", [TEXT], [DOCUMENT, TEXT], LONG]), **FIELDS}, optional=OPTIONAL
)
FALLBACK = {"model": "claude-fable-5-1", "fallbacks": [{"model": "claude-opus-5"}]}
REROUTED = REQUESTS.map(lambda fields: fields | FALLBACK)
"""Where another model may take over in the middle (§5.2): then the totals are its own, and a stream has said more than
an answer that is not streamed."""
DIRECTIVES = st.builds(
    lambda parts, ending: "; ".join([*parts, *ending]),
    st.lists(st.sampled_from(PARTS), max_size=3, unique=True),
    st.lists(st.sampled_from(ENDINGS), max_size=1),
)
BETAS = "context-management-2025-06-27,compact-2026-01-12,server-side-fallback-2026-07-01"

bounded = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def asked(make_sim: Any, request: dict[str, Any], directives: str, **more: Any) -> Any:
    """The reply of a simulator that has heard nothing else; one seed, so the same request has the same answer."""
    fields = {name: value for name, value in request.items() if name != "content"}
    return make_sim().ask(request["content"], {"anthropic_beta": BETAS, "x_sim": directives or None}, **fields, **more)


def streamed(make_sim: Any, request: dict[str, Any], directives: str) -> list[tuple[str, Any]]:
    """Its events without pings; a request that is refused is none of ours."""
    reply = asked(make_sim, request, directives, stream=True)
    assume(reply.status == 200)
    return [(name, data) for name, data in reply.events if name != "ping"]


LETTERS = {"message_start": "S", "content_block_start": "(", "content_block_delta": "d", "content_block_stop": ")",
           "message_delta": "M", "message_stop": "E", "error": "!"}  # fmt: skip
GRAMMAR = re.compile(r"S(\(d*\))*M+E")


@bounded
@given(REQUESTS | REROUTED, DIRECTIVES)
def test_every_stream_is_a_word_of_the_grammar(make_sim, request, directives):
    """§7.1: message_start, blocks one after the other, message_delta, message_stop; each event named after its type."""
    events = streamed(make_sim, request, directives)

    assert GRAMMAR.fullmatch("".join(LETTERS[name] for name, _ in events))
    assert all(name == data["type"] for name, data in events)


@bounded
@given(REQUESTS | REROUTED, DIRECTIVES)
def test_blocks_are_numbered_in_order_and_deltas_name_their_own(make_sim, request, directives):
    """§7.1: sequential by index, never interleaved, and a delta is of its block's kind."""
    kinds = {"text": {"text_delta", "citations_delta"}, "thinking": {"thinking_delta", "signature_delta"},
             "tool_use": {"input_json_delta"}, "server_tool_use": {"input_json_delta"},
             "compaction": {"compaction_delta"}}  # fmt: skip
    started: list[str] = []
    for name, data in streamed(make_sim, request, directives):
        if name == "content_block_start":
            assert data["index"] == len(started)
            started.append(data["content_block"]["type"])
        elif name.startswith("content_block"):
            assert data["index"] == len(started) - 1
        if name == "content_block_delta":
            assert data["delta"]["type"] in kinds.get(started[-1], ())


@bounded
@given(REQUESTS | REROUTED, DIRECTIVES)
def test_a_block_opens_empty_unless_it_is_a_result(make_sim, request, directives):
    """§7.1: no text, thinking, signature or input yet; what a server's tool found comes whole, without deltas."""
    events = streamed(make_sim, request, directives)
    for (name, data), (following, _) in pairwise(events):
        if name != "content_block_start":
            continue
        block = data["content_block"]
        if block["type"].endswith("_result"):
            assert block["content"]
            assert following == "content_block_stop"
        else:
            empty = {"text": "", "thinking": "", "signature": "", "input": {}, "citations": []}
            assert all(block[field] == nothing for field, nothing in empty.items() if field in block)


@bounded
@given(REQUESTS | REROUTED, DIRECTIVES)
def test_the_end_of_a_message_tells_why_it_ended(make_sim, request, directives):
    """§7.1: stop reason, sequence, details and container; details with a refusal and with nothing else (§5.2)."""
    (end,) = (data["delta"] for name, data in streamed(make_sim, request, directives) if name == "message_delta")

    assert end.keys() == {"stop_reason", "stop_sequence", "stop_details", "container"}
    assert (end["stop_details"] is not None) == (end["stop_reason"] == "refusal")
    assert (end["stop_sequence"] is not None) == (end["stop_reason"] == "stop_sequence")


@bounded
@given(REQUESTS, DIRECTIVES)
def test_usage_only_grows(make_sim, request, directives):
    """§7.1: message_start has the input and a small output, message_delta cumulative totals of the same request."""
    events = streamed(make_sim, request, directives)
    usages = [data["message"]["usage"] for name, data in events if name == "message_start"]
    usages += [data["usage"] for name, data in events if name == "message_delta"]

    output = [usage["output_tokens"] for usage in usages]
    assert output[0] <= 5
    assert output[1:] == sorted(output[1:])
    for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
        assert [usage[name] for usage in usages] == sorted(usage[name] for usage in usages)


@bounded
@given(REQUESTS, DIRECTIVES)
def test_the_deltas_add_up_to_the_answer_that_is_not_streamed(make_sim, request, directives):
    """Block by block, with stop reason, details and usage: streaming changes only how an answer travels."""
    events = streamed(make_sim, request, directives)
    whole = asked(make_sim, request, directives).json

    end = next(data for name, data in reversed(events) if name == "message_delta")
    streamed_content, content = accumulated(events), [told(block) for block in whole["content"]]
    if streamed_content and streamed_content[-1].get("input") is CUT:  # §7.2: where the tokens ended, so may the JSON
        assert whole["stop_reason"] in ("max_tokens", "model_context_window_exceeded")
        content[-1]["input"] = CUT
    assert streamed_content == content
    assert {name: whole[name] for name in end["delta"]} == end["delta"]
    assert {name: whole["usage"][name] for name in end["usage"]} == end["usage"]


@bounded
@given(REQUESTS, DIRECTIVES, st.integers(0, 12), st.sampled_from(["cut", "midstream-error"]))
def test_a_stream_that_breaks_is_the_beginning_of_the_whole_one(make_sim, request, directives, after, fault):
    """§7.4: what was sent stays; then an error event as the last, or nothing more."""
    whole = streamed(make_sim, request, directives)
    broken = streamed(make_sim, request, f"{directives}; {fault}={after}")
    if fault == "midstream-error":
        assert broken.pop()[0] == "error"

    assert [same(data) for _, data in broken] == [same(data) for _, data in whole][: len(broken)]
    assert len(broken) < len(whole)


def test_a_stream_can_have_several_message_deltas_and_pings_and_padding(sim):
    """§7.1: the last value of each field counts; pings may stand anywhere, and spaces before a closing brace.  Asked
    for: by itself the simulator sends one message_delta and one ping."""
    padded = r'"event: ping\ndata: {\"type\": \"ping\"     }\n\n"'
    plain = sim.ask("hi", stream=True)
    last = plain.names.index("message_delta")
    reply = sim.ask("hi", {"x_sim": f"event=3:{padded}; repeat-event={last}"}, stream=True)

    assert reply.names.count("message_delta") == 2
    assert reply.names.count("ping") == plain.names.count("ping") + 1
    assert b'"ping"     }' in reply.body
    assert GRAMMAR.fullmatch("".join(LETTERS[name] for name in reply.names if name != "ping"))


def test_an_event_can_come_before_message_start(sim):
    """§7.1: the SDKs accept them since October 2026; only asked for."""
    reply = sim.ask("hi", {"x_sim": 'event=0:{"type":"weather"}'}, stream=True)

    assert reply.names[:2] == ["weather", "message_start"]


def accumulated(events: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The content that a client builds from a stream, the ids left out."""
    blocks: list[dict[str, Any]] = []
    texts: list[str] = []
    for name, data in events:
        if name == "content_block_start":
            blocks.append(dict(data["content_block"]))
            texts.append("")
        elif name == "content_block_delta":
            _add(blocks[-1], data["delta"], texts)
        elif name == "content_block_stop" and texts[-1]:
            blocks[-1]["input"] = _input(texts[-1])
    return [told(block) for block in blocks]


CUT = object()
"""An input whose JSON was cut off."""


def _input(text: str) -> Any:
    try:
        return decode(text)
    except DecodeError:
        return CUT


def _add(block: dict[str, Any], delta: dict[str, Any], texts: list[str]) -> None:
    if delta["type"] == "input_json_delta":
        texts[-1] += delta["partial_json"]
    elif delta["type"] == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    else:
        (name,) = delta.keys() - {"type"}
        block[name] = (block.get(name) or "") + delta[name]


def told(block: dict[str, Any]) -> dict[str, Any]:
    """A block without the ids that two answers cannot share."""
    return {name: value for name, value in block.items() if name not in ("id", "tool_use_id")}


def same(data: dict[str, Any]) -> dict[str, Any]:
    """An event without what two requests cannot share."""
    if data["type"] == "message_start":
        return data | {"message": {name: value for name, value in data["message"].items() if name != "id"}}
    return data | {"content_block": told(data["content_block"])} if "content_block" in data else data
