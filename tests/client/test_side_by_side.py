"""The official SDK behaves on Headgate's transport as it does on its own: same values, same events, same errors."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from support.sdk import MODEL, asking, said


class Level(BaseModel):
    """For structured output."""

    gate: str
    centimetres: int


SCHEMA = {"type": "json_schema", "schema": {"type": "object", "properties": {"gate": {"type": "string"}},
          "required": ["gate"], "additionalProperties": False}}  # fmt: skip

ANSWERS = {
    "create": lambda c: c.messages.create(**asking()),
    "create with thinking": lambda c: c.messages.create(**asking(thinking={"type": "adaptive"})),
    "create with tools": lambda c: c.messages.create(**asking('[[sim: tool=level:{"gate": "north"}; tool=flow:{}]]')),
    "create, refused by the model": lambda c: c.messages.create(**asking("[[sim: refusal=cyber]]")),
    "create, web search": lambda c: c.messages.create(**asking("[[sim: web-search=2]]")),
    "create, cached prompt": lambda c: c.messages.create(
        **asking(system=[{"type": "text", "text": "water " * 5000, "cache_control": {"type": "ephemeral"}}])
    ),
    "create, stream=True": lambda c: c.messages.create(**asking(), stream=True),
    "create, stream=True, refused half-way": lambda c: c.messages.create(**asking("[[sim: refusal-mid]]"), stream=True),
    "create, unknown events": lambda c: c.messages.create(**asking("[[sim: garbage=events]]"), stream=True),
    "create, many deltas": lambda c: c.messages.create(**asking("[[sim: deltas=3000]]"), stream=True),
    "stream": lambda c: c.messages.stream(**asking()),
    "stream with tools and thinking": lambda c: c.messages.stream(
        **asking('[[sim: tool=level:{"gate": "north"}]]', thinking={"type": "adaptive"})
    ),
    "structured output": lambda c: c.messages.create(**asking(output_config={"format": SCHEMA})),
    "parse": lambda c: c.messages.parse(**asking(), output_format=Level),
    "stream, structured": lambda c: c.messages.stream(**asking(), output_format=Level),
    "raw response": lambda c: c.messages.with_raw_response.create(**asking()),
    "streaming response": lambda c: c.messages.with_streaming_response.create(**asking()),
    "streaming response, stream=True": lambda c: c.messages.with_streaming_response.create(**asking(), stream=True),
    "count_tokens": lambda c: c.messages.count_tokens(model=MODEL, messages=said("How much?")),
    "models": lambda c: c.models.list(),
    "model": lambda c: c.models.retrieve(MODEL),
    "beta create": lambda c: c.beta.messages.create(**asking()),
    "beta stream": lambda c: c.beta.messages.stream(**asking()),
    "beta parse": lambda c: c.beta.messages.parse(**asking(), output_format=Level),
    "beta count_tokens": lambda c: c.beta.messages.count_tokens(model=MODEL, messages=said("How much?")),
    "beta models": lambda c: c.beta.models.list(),
    "a path of one's own": lambda c: c.post("/v1/messages/count_tokens", body=asking(), cast_to=object),
}


@pytest.mark.parametrize("use", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_the_same_through_headgate(compare, use):
    """Values, classes, events, ids and response headers, on the sync and on the async client."""
    direct, through = compare(use)

    assert through == direct
    assert "Error" not in str(direct[0])[:40], "it should have been an answer"


ERRORS = {
    "400": ("[[sim: error=400]]", {}),
    "401": ("[[sim: error=401]]", {}),
    "403": ("[[sim: error=403]]", {}),
    "404": ("[[sim: error=404]]", {}),
    "409": ("[[sim: error=409]]", {}),
    "413": ("[[sim: error=413]]", {}),
    "429": ("[[sim: error=429; retry-after=7]]", {}),
    "429 spend limit": ("[[sim: error=429:spend]]", {}),
    "500": ("[[sim: error=500]]", {}),
    "504": ("[[sim: error=504]]", {}),
    "529": ("[[sim: error=529]]", {}),
    "out of range": ("hello", {"max_tokens": 10_000_000, "stream": True}),
    "wrong role": ("hello", {"messages": [{"role": "nobody", "content": "x"}]}),
    "error event after content": ("[[sim: midstream-error=2]]", {"stream": True}),
}


@pytest.fixture
def one_attempt(monkeypatch):
    """So that both sides make the same requests."""
    monkeypatch.setenv("HEADGATE_RETRY__MAX_ATTEMPTS", "1")


@pytest.mark.usefixtures("one_attempt")
@pytest.mark.parametrize(("text", "more"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_the_same_through_headgate(compare, text, more):
    """Class, message, status, request id, body."""
    direct, through = compare(lambda c: c.messages.create(**asking(text) | more))

    assert through == direct
    assert direct[0]["class"].endswith("Error")
    assert direct[0]["request_id"] or "stream" in more
