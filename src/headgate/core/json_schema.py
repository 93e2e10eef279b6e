"""Whether a value is what a JSON schema asks for, as far as structured outputs know schemas (claude-api.md §12).

Keywords that are not known here are passed over: what they forbid is the API's to keep.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["DEFINITIONS", "Steps", "conforms", "fits"]

DEFINITIONS = ("$defs", "definitions")
"""Where a schema keeps the parts that it refers to."""
MOST_STEPS = 20_000
"""A value that takes more of them is given up: a schema may refer to itself in two ways at once."""
MOST_DEPTH = 100
CHOICES_A_STEP = 8
"""To look at one name or choice of a list takes so much less than a step."""

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and value % 1 == 0,
    "number": lambda value: _is_number(value),
    "null": lambda value: value is None,
}


def conforms(value: Any, schema: Any) -> bool:
    """Whether `value` surely satisfies `schema`."""
    return fits(value, schema) is True


class Steps:
    """How many comparisons may yet be made."""

    __slots__ = ("left",)

    def __init__(self, most: int = MOST_STEPS) -> None:
        self.left = most

    @property
    def spent(self) -> bool:
        """More were needed than there were."""
        return self.left < 0

    def take(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise _Untold


def fits(value: Any, schema: Any, steps: Steps | None = None) -> bool | None:
    """Whether `value` satisfies `schema`; None if that cannot be told: it is no schema, it refers to something else
    than its own `$defs` and `definitions`, or it takes more than `steps`."""
    try:
        return _Check(schema, steps or Steps()).fits(value, schema, 0)
    except (_Untold, TypeError, AttributeError, RecursionError):
        return None


class _Untold(Exception):
    """It cannot be said whether a value fits."""


class _Check:
    def __init__(self, schema: Any, steps: Steps) -> None:
        root = schema if isinstance(schema, dict) else {}
        self._parts = {
            f"#/{kept}/{name}": part for kept in DEFINITIONS for name, part in (root.get(kept) or {}).items()
        }
        self._steps = steps

    def fits(self, value: Any, schema: Any, depth: int) -> bool:
        self._steps.take()
        if depth > MOST_DEPTH:
            raise _Untold
        if not isinstance(schema, dict):
            return schema is not False
        types = schema.get("type")
        if types is not None and not any(
            _TYPES[kind](value) for kind in self._counted(_listed(types)) if kind in _TYPES
        ):
            return False
        if "const" in schema and not _same(value, schema["const"]):
            return False
        if "enum" in schema and not any(_same(value, choice) for choice in self._counted(schema["enum"])):
            return False
        if "$ref" in schema and not self.fits(value, self._part(schema["$ref"]), depth + 1):
            return False
        if "anyOf" in schema and not any(self.fits(value, part, depth + 1) for part in schema["anyOf"]):
            return False
        if not all(self.fits(value, part, depth + 1) for part in schema.get("allOf", ())):
            return False
        if isinstance(value, dict):
            return self._has_properties(value, schema, depth)
        if isinstance(value, list):
            items = schema.get("items", True)
            return len(value) >= schema.get("minItems", 0) and all(self.fits(each, items, depth + 1) for each in value)
        return True

    def _has_properties(self, value: dict[str, Any], schema: Mapping[str, Any], depth: int) -> bool:
        properties = schema.get("properties") or {}
        if any(name not in value for name in self._counted(schema.get("required", ()))):
            return False
        others = schema.get("additionalProperties", True)
        return all(self.fits(each, properties.get(name, others), depth + 1) for name, each in value.items())

    def _counted(self, choices: Any) -> Any:
        """A list of a schema may be long, and is gone through for each value anew."""
        self._steps.take(len(choices) // CHOICES_A_STEP)
        return choices

    def _part(self, reference: str) -> Any:
        if reference not in self._parts:
            raise _Untold
        return self._parts[reference]


def _listed(types: Any) -> list[Any]:
    return types if isinstance(types, list) else [types]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    """As JSON has it: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
