"""An instance of a JSON schema: what a forced tool call and a structured answer are filled with.

Covers the subset that structured outputs document (claude-api.md §12): types, enum, const, anyOf, allOf, `$ref` into
`$defs`, required properties, arrays.  Anything else is met with the plainest value of the type.
"""

from __future__ import annotations

from typing import Any

__all__ = ["instance"]

SHALLOW = 6
"""Below this depth only what is required is filled in, so that schemas that refer to themselves come to an end."""
MOST_DEPTH = 12
MOST_VALUES = 2_000
MOST_ITEMS = 8

_FORMATS = {
    "date-time": "2026-11-21T07:00:00Z",
    "date": "2026-11-21",
    "time": "07:00:00Z",
    "duration": "PT1H",
    "email": "keeper@water.example",
    "hostname": "water.example",
    "uri": "https://water.example/records",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "018f3c2e-7b1a-7c3d-9e4f-5a6b7c8d9e0f",
}


def instance(schema: Any) -> Any:
    """A value that satisfies `schema`; always the same one.  Bounded in depth and size whatever the schema says."""
    return _Filler(schema).value(schema, 0)


class _Filler:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MOST_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, dict) or depth > MOST_DEPTH or self._left < 0:
            return None
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if choices := _list(schema.get("enum")):
            return choices[0]
        if choices := _list(schema.get("anyOf")) or _list(schema.get("oneOf")):
            # Deep down the last choice: it is the null or the plainest member of a union that refers to itself.
            return self.value(choices[0 if depth < SHALLOW else -1], depth + 1)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[0] if kind else "string"
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return _FORMATS.get(str(schema.get("format")), "water")
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return True
        return None

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow `$ref` and fold `allOf` in."""
        for _ in range(MOST_DEPTH):
            reference = schema.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#"):
                break
            schema = _dict(self._at(reference))
        for part in _list(schema.get("allOf")):
            folded = self._resolved(part) if isinstance(part, dict) and "allOf" not in part else _dict(part)
            schema = {
                **folded,
                **schema,
                "properties": {**_dict(schema.get("properties")), **_dict(folded.get("properties"))},
                "required": [*_list(schema.get("required")), *_list(folded.get("required"))],
            }
        return schema

    def _at(self, reference: str) -> Any:
        target = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            target = _dict(target).get(step.replace("~1", "/").replace("~0", "~"))
        return target

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = _list(schema.get("required"))
        return {
            name: self.value(part, depth + 1)
            for name, part in _dict(schema.get("properties")).items()
            if depth < SHALLOW or name in required
        }

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        least = schema.get("minItems")
        count = least if isinstance(least, int) else int(depth < SHALLOW)
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(min(count, MOST_ITEMS))]


def _number(schema: dict[str, Any]) -> int | float:
    for bound, step in (("minimum", 0), ("exclusiveMinimum", 1), ("maximum", 0), ("exclusiveMaximum", -1)):
        value = schema.get(bound)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value + step
    return 1


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
