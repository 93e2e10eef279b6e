"""Whether an answer is what structured outputs promise."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from core.test_json_schema import SCHEMA, schemas
from headgate.core.message_stream import events_of
from headgate.core.structured_output import promise_of, validation_of
from headgate.events import Validation
from headgate.sim.reply.schema import instance

ORDER = {
    "type": "object",
    "properties": {"item": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["item", "count"],
    "additionalProperties": False,
}
GOOD = {"item": "gate", "count": 2}
BAD = {"item": "gate", "count": "two"}
FORMAT = {"output_config": {"format": {"type": "json_schema", "schema": ORDER}}}
STRICT = {"tools": [{"name": "buy", "strict": True, "input_schema": ORDER}, {"name": "ask", "input_schema": ORDER}]}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def call_of(tool: str, given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": "toolu_1", "name": tool, "input": given}


def message(*content: dict[str, Any], stop_reason: str = "end_turn") -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [*content],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }


def judged(request: dict[str, Any], answer: dict[str, Any]) -> Validation:
    """The same whether the answer came whole or as a stream."""
    promise = promise_of(request)
    assert promise is not None
    whole = validation_of(promise, json.dumps(answer).encode(), streamed=False)
    assert validation_of(promise, events_of(answer), streamed=True) == whole
    return whole


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"tools": [{"name": "ask", "input_schema": ORDER}, {"name": "search", "strict": False, "input_schema": ORDER}]},
        {"output_config": {"effort": "low"}},
        {"output_config": {"format": None}, "tools": []},
        {"output_config": [], "tools": "none"},
        {"output_config": {"format": {"type": "json_schema"}}, "tools": [1, {"strict": True}]},
    ],
)
def test_a_plain_request_is_promised_nothing(request_):
    """Nor one that the API refuses."""
    assert promise_of(request_) is None


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (json.dumps(GOOD), "valid"),
        (f"  {json.dumps(GOOD)}\n", "valid"),
        (json.dumps(BAD), "invalid"),
        (json.dumps([GOOD]), "invalid"),
        (json.dumps(GOOD)[:-1], "invalid"),
        (f"Here you are: {json.dumps(GOOD)}", "invalid"),
        (f"```json\n{json.dumps(GOOD)}\n```", "invalid"),
        ("", "invalid"),
    ],
)
def test_text_is_json_that_fits_or_it_is_invalid(said, verdict):
    """A reader that expects the schema can do nothing with anything else."""
    assert judged(FORMAT, message(text(said))) == verdict


def test_the_last_text_is_the_answer():
    """Before it a model may tell what it looks up."""
    assert judged(FORMAT, message(text("Let me look."), text(json.dumps(GOOD)))) == "valid"
    assert judged(FORMAT, message(text(json.dumps(GOOD)), text("Done."))) == "invalid"


def test_an_answer_that_says_nothing_is_invalid():
    """§5.1: an almost empty answer can end well."""
    assert judged(FORMAT, message()) == "invalid"


@pytest.mark.parametrize("stop_reason", ["max_tokens", "model_context_window_exceeded"])
def test_c12_an_answer_that_is_cut_is_truncated_and_not_invalid(stop_reason):
    """What helps is more room, not another prompt."""
    assert judged(FORMAT, message(text('{"item": "ga'), stop_reason=stop_reason)) == "truncated"


@pytest.mark.parametrize("stop_reason", ["refusal", "pause_turn", "compaction"])
def test_what_is_no_last_word_is_not_judged(stop_reason):
    """The model declined, or has not answered yet."""
    assert judged(FORMAT, message(text("I would"), stop_reason=stop_reason)) == "skipped"


def test_the_input_of_a_strict_tool_fits_its_schema():
    """§12: strict tools are structured outputs too; others promise nothing."""
    assert judged(STRICT, message(text("Buying."), call_of("buy", GOOD), stop_reason="tool_use")) == "valid"
    assert judged(STRICT, message(call_of("buy", BAD), stop_reason="tool_use")) == "invalid"
    assert judged(STRICT, message(call_of("ask", BAD), stop_reason="tool_use")) == "skipped"
    assert judged(STRICT, message(text("Nothing to buy."))) == "skipped"


def test_text_beside_a_call_of_a_tool_need_not_fit():
    """The answer comes when the tool has been heard."""
    both = {**FORMAT, **STRICT}

    assert judged(both, message(text("Buying."), call_of("buy", GOOD), stop_reason="tool_use")) == "valid"
    assert judged(both, message(text("Buying."), call_of("buy", BAD), stop_reason="tool_use")) == "invalid"


def test_c12_a_call_of_a_tool_that_is_cut_is_truncated():
    """Of a stream nothing but the stop reason can be read then."""
    promise = promise_of(STRICT)
    whole = events_of(message(call_of("buy", GOOD), stop_reason="max_tokens"))
    cut = whole.replace(json.dumps(json.dumps(GOOD, separators=(",", ":"))).encode(), b'"{\\"item\\": \\"ga"')
    assert cut != whole
    assert promise is not None

    assert validation_of(promise, cut, streamed=True, stop_reason="max_tokens") == "truncated"


@pytest.mark.parametrize(
    ("answer", "streamed"),
    [(b"", False), (b"{", False), (b"[]", False), (b"\xff", False), (b'{"content": 1}', False), (b"", True)],
)
def test_what_cannot_be_read_is_not_judged(answer, streamed):
    """It is not the model that is to blame."""
    promise = promise_of(FORMAT)
    assert promise is not None

    assert validation_of(promise, answer, streamed=streamed, stop_reason="end_turn") == "skipped"


def test_a_stream_of_which_the_end_was_not_kept_is_not_judged():
    """It may be longer than what is kept of it."""
    promise = promise_of(FORMAT)
    assert promise is not None

    kept = events_of(message(text(json.dumps(GOOD))))[:-50]

    assert validation_of(promise, kept, streamed=True, stop_reason="end_turn") == "skipped"


@pytest.mark.parametrize("schema", [{"$ref": "https://example.com/order.json"}, {"$ref": "#/properties/item"}])
def test_nothing_is_fetched_and_what_is_not_known_is_not_judged(schema):
    """E15: a schema may name an address; an answer is not called invalid for it."""
    request = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}

    assert judged(request, message(text(json.dumps(GOOD)))) == "skipped"


def test_a_pattern_is_not_tried():
    """E15: one that runs for ever would stop everybody; what it forbids is the API's to keep."""
    schema = {"type": "string", "pattern": "^(a+)+$"}
    request = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}

    assert judged(request, message(text(json.dumps("a" * 40 + "!")))) == "valid"


def test_a_long_answer_is_judged():
    """128,000 tokens of it."""
    rows = {"type": "array", "items": ORDER}
    request = {"output_config": {"format": {"type": "json_schema", "schema": rows}}}

    assert judged(request, message(text(json.dumps([GOOD] * 20_000)))) == "valid"
    assert judged(request, message(text(json.dumps([*[GOOD] * 20_000, BAD])))) == "invalid"


def test_an_answer_that_takes_no_end_is_not_judged():
    """A schema may refer to itself in two ways at once."""
    endless = {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}
    request = {"output_config": {"format": {"type": "json_schema", "schema": {**endless, "$defs": {"A": endless}}}}}

    assert judged(request, message(text("1"))) == "skipped"


@pytest.mark.parametrize("number", range(0, 85, 4))
def test_no_answer_that_its_schema_allows_is_called_invalid(number):
    """By the judgement of the package jsonschema, over schemas of its own test suite and of the real world."""
    schema = schemas()[number]
    request = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    answers = [instance(schema, Random(seed)) for seed in range(5)]
    judge = Draft202012Validator(schema)

    blamed = [
        each
        for each in answers
        if judge.is_valid(each) and judged(request, message(text(json.dumps(each)))) == "invalid"
    ]

    assert blamed == []


@pytest.mark.parametrize("seed", range(20))
def test_an_answer_without_what_is_required_is_invalid(seed):
    """Of a schema that refers to itself, at its top."""
    request = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    tree = instance(SCHEMA, Random(seed))
    assert judged(request, message(text(json.dumps(tree)))) == "valid"

    del tree["name"]

    assert judged(request, message(text(json.dumps(tree)))) == "invalid"
