"""One request with several inputs, as micro-batches make them: what the simulated model says to each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

FRAME_TOKENS = 20
"""Of an answer: its id, and the JSON around it."""


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def schema_of(answer: dict[str, Any]) -> dict[str, Any]:
    return closed(answers={"type": "array", "items": closed(id={"type": "string"}, answer=answer)})


def asked(sim: Any, *inputs: str, answer: dict[str, Any] | None = None, fault: str = "") -> tuple[Any, int]:
    """What is said to `inputs`, which have the ids a, b, c, …; and the tokens it took."""
    marked = [f'<input-0a1b id="{chr(97 + at)}">\n{text}\n</input-0a1b>' for at, text in enumerate(inputs)]
    schema = schema_of(answer or {"type": "string"})
    format_ = {"type": "json_schema", "schema": schema}
    text = "\n\n".join((f"Answer each. {fault}", *marked))
    got = sim.ask(text, max_tokens=4_000, output_config={"format": format_}).json
    said = json.loads(got["content"][0]["text"]) if "prose" not in fault else got["content"][0]["text"]
    if not fault:
        Draft202012Validator(schema).validate(said)
    return said, got["usage"]["output_tokens"]


def test_every_input_has_its_answer_with_its_id(sim):
    """And is answered by its own words: the same ones get the same answer."""
    said, _ = asked(sim, "one", "two", "one")

    answers = said["answers"]
    assert [entry["id"] for entry in answers] == ["a", "b", "c"]
    assert answers[0]["answer"] == answers[2]["answer"] != answers[1]["answer"]


def test_an_input_gets_as_many_tokens_as_it_asks_for(sim):
    """So that together they take what they would have taken alone, and the frames."""
    _, tokens = asked(sim, "[[sim: tokens=100]]", "[[sim: tokens=40]]", "[[sim: tokens=60]]")

    assert 200 < tokens <= 200 + 4 * FRAME_TOKENS


def test_an_input_is_answered_by_the_schema(sim):
    """Each by itself."""
    said, _ = asked(sim, "mail", "mail of another", answer=closed(label={"enum": ["spam", "ham"]}))

    assert all(entry["answer"]["label"] in ("spam", "ham") for entry in said["answers"])


def test_an_input_can_say_what_is_to_be_answered(sim):
    """As a prompt can that is alone."""
    said, _ = asked(sim, '[[sim: say="yes"]]', '[[sim: say="no"]]')

    assert [entry["answer"] for entry in said["answers"]] == ["yes", "no"]


@pytest.mark.parametrize(
    ("kind", "ids"), [("missing", "b"), ("duplicate", "aba"), ("unknown", "?b"), ("bad", "ab")], ids=lambda it: it
)
def test_the_first_answer_goes_wrong_as_asked(sim, kind, ids):
    """A model may pass over an input, repeat itself, or make up an id."""
    said, _ = asked(sim, "one", "two", fault=f"[[sim: answers={kind}]]")

    assert "".join(entry["id"] if len(entry["id"]) == 1 else "?" for entry in said["answers"]) == ids
    if kind == "bad":
        assert said["answers"][0]["answer"] is None


def test_all_of_it_can_be_words(sim):
    """No JSON at all."""
    said, _ = asked(sim, "one", "two", fault="[[sim: answers=prose]]")

    assert not said.startswith("{")
