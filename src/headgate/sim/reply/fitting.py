"""Whether a value fits a JSON schema: as much of the specification as drawing an instance needs (see `schema.py`).

Formats are annotations here, as they are in the specification.  What a keyword that is not known asks for is not
looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from msgspec.json import encode

__all__ = ["fits", "is_number", "listed", "mapped", "same", "types_of"]

MOST_DEPTH = 40

Resolve = Callable[[str], Any]
"""What a `$ref` points at."""


def is_number(value: Any) -> bool:
    """A number of JSON, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: is_number(value) and (isinstance(value, int) or value.is_integer()),
    "number": is_number,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def _kinds(schema: dict[str, Any]) -> list[str] | None:
    """The types that `type` names, or None where it names none."""
    told = schema.get("type")
    named = told if isinstance(told, list) else [told]
    known = [kind for kind in named if isinstance(kind, str) and kind in _TYPES]
    return known or None


def types_of(schemas: list[dict[str, Any]]) -> list[str] | None:
    """The types that all of `schemas` allow; None if none of them says, empty if they contradict each other."""
    allowed: list[str] | None = None
    for schema in schemas:
        named = _kinds(schema)
        if named is None:
            continue
        if allowed is None:
            allowed = named
        else:
            both = [kind for kind in allowed if kind in named or (kind == "integer" and "number" in named)]
            if "number" in allowed and "integer" in named and "integer" not in both:
                both.append("integer")
            allowed = both
    return allowed


def same(one: Any, other: Any) -> bool:
    """Equality of JSON: 1 is 1.0, and neither is true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    return bool(one == other)


_NESTED = re.compile(r"\)[*+{]")
"""A repeated group: what it repeats may itself repeat, and then time doubles with every character."""


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", pattern))
    except (re.error, RecursionError, OverflowError):
        return None


def _searches(pattern: Any, text: str) -> bool:
    """Patterns that Python does not read are taken to be met, and so are long texts, which could take for ever."""
    if not isinstance(pattern, str):
        return True
    compiled = _compiled(pattern) if len(text) < (20 if _NESTED.search(pattern) else 200) else None
    return compiled is None or compiled.search(text) is not None


def fits(value: Any, schema: Any, resolve: Resolve, depth: int = 0) -> bool:
    """Whether `value` satisfies `schema`; deeper than anything sensible it is taken to."""
    if schema is True or depth > MOST_DEPTH:
        return True
    if not isinstance(schema, dict):
        return schema is not False
    named = _kinds(schema)
    if named is not None and not any(_TYPES[kind](value) for kind in named):
        return False
    if "const" in schema and not same(value, schema["const"]):
        return False
    if isinstance(schema.get("enum"), list) and not any(same(value, choice) for choice in schema["enum"]):
        return False
    return _combined(value, schema, resolve, depth) and _by_kind(value, schema, resolve, depth)


def _combined(value: Any, schema: dict[str, Any], resolve: Resolve, depth: int) -> bool:
    def fit(part: Any) -> bool:
        return fits(value, part, resolve, depth + 1)

    if isinstance(schema.get("$ref"), str) and not fit(resolve(schema["$ref"])):
        return False
    if not all(map(fit, listed(schema.get("allOf")))):
        return False
    if (some := listed(schema.get("anyOf"))) and not any(map(fit, some)):
        return False
    if (one := listed(schema.get("oneOf"))) and sum(map(fit, one)) != 1:
        return False
    if "not" in schema and fit(schema["not"]):
        return False
    if "if" in schema:
        return fit(schema.get("then" if fit(schema["if"]) else "else", True))
    return True


def _by_kind(value: Any, schema: dict[str, Any], resolve: Resolve, depth: int) -> bool:
    match value:
        case dict():
            return _object(value, schema, resolve, depth)
        case list():
            return _array(value, schema, resolve, depth)
        case str():
            return _within(len(value), schema, "minLength", "maxLength") and _searches(schema.get("pattern"), value)
        case bool():
            return True
        case int() | float():
            return _measured(value, schema)
    return True


def _object(value: dict[str, Any], schema: dict[str, Any], resolve: Resolve, depth: int) -> bool:
    if not _within(len(value), schema, "minProperties", "maxProperties"):
        return False
    if not all(name in value for name in listed(schema.get("required")) if isinstance(name, str)):
        return False
    named, patterns = mapped(schema.get("properties")), mapped(schema.get("patternProperties"))
    others = schema.get("additionalProperties", True)
    for name, inner in value.items():
        if not fits(name, schema.get("propertyNames", True), resolve, depth + 1):
            return False
        parts = [named[name]] if name in named else []
        parts += [part for pattern, part in patterns.items() if _searches(pattern, name)]
        if not all(fits(inner, part, resolve, depth + 1) for part in parts or [others]):
            return False
        needed = listed(mapped(schema.get("dependentRequired")).get(name))
        if not all(other in value for other in needed if isinstance(other, str)):
            return False
    return True


def _array(value: list[Any], schema: dict[str, Any], resolve: Resolve, depth: int) -> bool:
    if not _within(len(value), schema, "minItems", "maxItems"):
        return False
    first = listed(schema.get("prefixItems")) or listed(schema.get("items"))
    rest = schema.get("items", True)
    for place, inner in enumerate(value):
        part = first[place] if place < len(first) else True if isinstance(rest, list) else rest
        if not fits(inner, part, resolve, depth + 1):
            return False
    if schema.get("uniqueItems") is True and len({encode(inner) for inner in value}) < len(value):
        return False
    return "contains" not in schema or any(fits(inner, schema["contains"], resolve, depth + 1) for inner in value)


def _within(size: int, schema: dict[str, Any], least: str, most: str) -> bool:
    low: Any = schema.get(least)
    high: Any = schema.get(most)
    return not (is_number(low) and size < low) and not (is_number(high) and size > high)


def _measured(value: float, schema: dict[str, Any]) -> bool:
    def bound(name: str) -> Any:
        told = schema.get(name)
        return told if is_number(told) else None

    least, most, above, below = map(bound, ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
    if (least is not None and value < least) or (most is not None and value > most):
        return False
    if (above is not None and value <= above) or (below is not None and value >= below):
        return False
    step = bound("multipleOf")
    if not step:
        return True
    try:
        return bool(abs(value / step - round(value / step)) < 1e-9)
    except (OverflowError, ValueError):
        return False


def listed(value: Any) -> list[Any]:
    """A list, or an empty one in place of anything else."""
    return value if isinstance(value, list) else []


def mapped(value: Any) -> dict[str, Any]:
    """An object, or an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}
