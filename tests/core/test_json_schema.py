"""Whether a value is what a schema asks for."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anthropic import transform_schema
from jsonschema import Draft202012Validator

from headgate.core.json_schema import conforms, fits
from headgate.sim.reply.schema import instance

TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["leaf", "node", None]},
        "weight": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
    },
    "required": ["name", "children"],
    "additionalProperties": False,
}
SCHEMA = {**TREE, "$defs": {"Tree": TREE}}


DATA = Path(__file__).resolve().parent.parent / "data" / "schemas"


def schemas() -> list[Any]:
    """Of the project's own test suite, and of the real world as the SDK sends them."""
    suite, store = (
        [json.loads(line)["schema"] for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
        for name in ("json-schema-test-suite.jsonl", "schemastore.jsonl")
    )
    return [*suite, *map(transform_schema, store)]


@pytest.mark.parametrize("number", range(0, 85, 3))
def test_nothing_is_sent_back_that_the_schema_allows(number):
    """By the judgement of the package jsonschema, over what schemas of all kinds are answered with; the other way
    round there are keywords that only the API keeps."""
    all_ = schemas()
    values = [instance(schema, Random(seed)) for seed in (1, 2) for schema in all_]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judge = Draft202012Validator(all_[number])

        refused = [value for value in values if judge.is_valid(value) and not conforms(value, all_[number])]

    assert refused == []


@pytest.mark.parametrize("seed", range(50))
def test_what_structured_outputs_may_say_conforms(seed):
    """Whatever the simulator draws from the schema."""
    assert conforms(instance(SCHEMA, Random(seed)), SCHEMA)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"name": "a"},
        {"name": 1, "children": []},
        {"name": "a", "children": [], "more": 1},
        {"name": "a", "children": [], "kind": "bush"},
        {"name": "a", "children": [], "weight": 1.5},
        {"name": "a", "children": [], "weight": True},
        {"name": "a", "children": [{"name": "b"}]},
    ],
)
def test_anything_else_does_not(value):
    """At any depth."""
    assert not conforms(value, SCHEMA)


def test_true_is_not_1():
    """As JSON has it."""
    assert not conforms(True, {"const": 1})
    assert not conforms(1, {"enum": [True]})


def test_a_whole_number_has_any_number_of_digits():
    """Also more than a float can hold."""
    assert conforms(10**400, {"type": "integer"})
    assert conforms(2.0, {"type": "integer"})
    assert not conforms(2.5, {"type": "integer"})


@pytest.mark.parametrize(
    "schema",
    [
        {"required": 5}, {"minItems": "3"}, {"type": [["object"]]}, {"enum": 5}, {"allOf": 5}, {"$defs": [1]},
        {"properties": [1]}, {"$ref": {}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [{"a": 1}, ["a"], 1])
def test_what_is_no_schema_stops_nobody(schema, value):
    """Whether anything satisfies it is the API's to say; here it must not be an error of ours."""
    assert conforms(value, schema) in (True, False)


def test_a_schema_that_has_no_end_is_given_up():
    """It may come from a caller, and must not stop the others."""
    endless = {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}

    assert not conforms(1, {**endless, "$defs": {"A": endless}})


@pytest.mark.parametrize(
    "part", [{"enum": [*map(str, range(20_000))]}, {"required": ["a"] * 20_000}, {"type": ["object"] * 20_000}]
)
def test_long_lists_of_a_schema_count_too(part):
    """Each value of an answer is compared with all of them."""
    value = [{"a": 1}] * 1_000

    assert fits(value, {"type": "array", "items": {"anyOf": [part, True]}}) is None
