"""Whether a value is what a schema asks for."""

from __future__ import annotations

from random import Random

import pytest

from headgate.core.json_schema import conforms
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


def test_a_schema_that_has_no_end_is_given_up():
    """It may come from a caller, and must not stop the others."""
    endless = {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]}

    assert not conforms(1, {**endless, "$defs": {"A": endless}})
