"""Which schemas can be enforced, and which cannot: the subset of JSON Schema of structured outputs (claude-api.md §12).

The sheet names the feature and leaves the subset to the documentation, whose page on structured outputs lists what is
supported, what is not, and the limits on complexity.  Texts are those that users of the API have reported, with the
place inside the schema added.  A schema is walked once for every request that brings it; nothing of it is kept but the
instant of its last use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from msgspec.json import encode

from headgate.sim.errors import ApiError, invalid
from headgate.sim.reply.plausible import FORMATS
from headgate.sim.reply.regex import UnsupportedPattern, matching
from headgate.sim.reply.schema import pointed_at, possible

__all__ = ["Grammars", "check_enforced", "enforced"]

MOST_STRICT_TOOLS = 20
MOST_OPTIONAL = 24
MOST_UNIONS = 16
"""Limits of all enforced schemas of one request together."""
MOST_PARTS = 4_000
"""Beyond so many parts, with everything that is referred to counted where it is, the grammar is too large.  The
documentation gives no figure, and so much no reported schema had."""
MOST_DEPTH = 60
KEPT_S = 24 * 3600
KEPT = 10_000
"""Most grammars remembered; beyond it the one that was used longest ago is compiled anew."""

_NOTES = frozenset(("$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated",
                    "readOnly", "writeOnly"))  # fmt: skip
_ANYWHERE = _NOTES | {"type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions"}
_OF_TYPE = {
    "object": frozenset(("properties", "required", "additionalProperties")),
    "array": frozenset(("items", "minItems")),
    "string": frozenset(("format", "pattern")),
}
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_SAYS_WHAT = ("type", "enum", "const", "anyOf", "allOf", "$ref")
_REFUSED_BY_NAME = ("not", "if", "then", "else")


def enforced(body: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas of a request that its answer must satisfy, and where each stands.  Reads only what has the shape."""
    wanted = body.get("output_config")
    wanted = wanted.get("format") if isinstance(wanted, dict) else None
    if isinstance(wanted, dict) and "schema" in wanted:
        yield "output_config.format.schema", wanted["schema"]
    for number, tool in enumerate(body.get("tools") or ()):
        if isinstance(tool, dict) and tool.get("strict") is True and "input_schema" in tool:
            yield f"tools.{number}.custom", tool["input_schema"]


def check_enforced(body: dict[str, Any], *, untyped: bool) -> None:
    """Check every schema that is to be enforced.

    Args:
        untyped: whether a schema that names no type is taken.

    Raises:
        ApiError: 400 that names the place, or the limit that is passed.
    """
    count = _Count()
    strict = 0
    for place, schema in enforced(body):
        strict += place.startswith("tools.")
        _Check(schema, place, count, untyped=untyped).whole()
    if strict > MOST_STRICT_TOOLS:
        raise invalid(
            f"Too many strict tools ({strict}). The maximum number of strict tools supported is {MOST_STRICT_TOOLS}. "
            "Try reducing the number of tools marked as strict."
        )
    if count.optional > MOST_OPTIONAL:
        raise invalid(
            f"Schemas contains too many optional parameters ({count.optional}), which would make grammar compilation "
            f"inefficient. Reduce the number of optional parameters in your tool schemas (limit: {MOST_OPTIONAL})."
        )
    if count.unions > MOST_UNIONS:
        raise invalid(
            f"Schemas contains too many parameters with union types ({count.unions} parameters with type arrays or "
            f"anyOf) which exceeds the limit: {MOST_UNIONS}"
        )


class Grammars:
    """Which grammars are compiled: each until 24 hours after its last use."""

    def __init__(self) -> None:
        self._used_s: dict[bytes, float] = {}

    def use(self, body: dict[str, Any], scope: str, now_s: float) -> bool:
        """Whether the request `body` needs a grammar that `scope` has not compiled; it is compiled from now on.

        A request has one grammar for all its schemas, so another set of tools needs another one; names of tools and
        descriptions are no part of it."""
        schemas = [(place, _bare(schema)) for place, schema in enforced(body)]
        if not schemas:
            return False
        key = blake2b(encode((scope, schemas)), digest_size=16).digest()
        last_s = self._used_s.pop(key, None)
        self._used_s[key] = now_s
        if len(self._used_s) > KEPT:
            del self._used_s[next(iter(self._used_s))]
        return last_s is None or now_s - last_s > KEPT_S


def _bare(schema: Any) -> Any:
    """A schema without what is only told to the reader; properties may be called `description` all the same."""
    if isinstance(schema, list):
        return [_bare(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    maps = ("properties", "$defs", "definitions")
    return {
        name: {key: _bare(inner) for key, inner in part.items()}
        if name in maps and isinstance(part, dict)
        else _bare(part)
        for name, part in schema.items()
        if name not in ("description", "title")
    }


@dataclass(slots=True)
class _Count:
    """What all enforced schemas of a request hold together."""

    optional: int = 0
    unions: int = 0
    parts: int = 0


@dataclass(slots=True)
class _Check:
    """One schema on its way through the rules."""

    root: Any
    place: str
    count: _Count
    untyped: bool
    _seen: set[str] = field(default_factory=set)
    """References whose target was checked and counted."""

    def whole(self) -> None:
        self._part(self.root, (), ())
        if not possible(self.root):
            raise self._refused("Invalid schema: no value can satisfy it")

    def _refused(self, what: str, path: tuple[str, ...] = ()) -> ApiError:
        return invalid(f"{self.place}: {what}" + (f" (at {'.'.join(path)})" if path else ""))

    def _part(self, schema: Any, path: tuple[str, ...], following: tuple[str, ...]) -> None:
        """Check one schema; `following` are the references that led here, one inside the other."""
        self.count.parts += 1
        if self.count.parts > MOST_PARTS or len(path) > MOST_DEPTH:
            raise invalid(
                "The compiled grammar is too large, which would cause performance issues. Simplify your tool schemas "
                "or reduce the number of strict tools."
            )
        if not isinstance(schema, dict):
            raise self._refused("Invalid schema: it must be an object", path)
        self._keywords(schema, path)
        if "$ref" in schema:
            self._reference(schema, path, following)
            return
        if not self.untyped and not any(name in schema for name in _SAYS_WHAT):
            raise self._refused("Schema must have a 'type', 'anyOf', 'allOf', '$ref', 'const' or 'enum'", path)
        for name in ("$defs", "definitions"):
            for key, part in self._map(schema, name, path).items():
                self._definition(part, (*path, name, key))
        self._literals(schema, path)
        self._combinations(schema, path, following)
        self._object(schema, path, following)
        self._array(schema, path, following)
        self._string(schema, path)

    def _definition(self, part: Any, path: tuple[str, ...]) -> None:
        """A definition that nothing has referred to yet: it is checked, so that what is wrong with it is told."""
        reference = "#/" + "/".join(path)
        if reference not in self._seen:
            self._seen.add(reference)
            self._part(part, path, (reference,))

    def _kinds(self, schema: dict[str, Any], path: tuple[str, ...]) -> list[str]:
        if "type" not in schema:
            return list(_TYPES)
        told = schema["type"]
        named = told if isinstance(told, list) else [told]
        if not named or not all(isinstance(kind, str) and kind in _TYPES for kind in named):
            raise self._refused("JSON schema is invalid. It must match JSON Schema draft 2020-12: type", path)
        return named

    def _keywords(self, schema: dict[str, Any], path: tuple[str, ...]) -> None:
        """Refuse what is not in the list, in the words of the API."""
        kinds = self._kinds(schema, path)
        if "oneOf" in schema:
            raise self._refused("Schema type 'oneOf' is not supported", path)
        allowed = _ANYWHERE.union(*(_OF_TYPE.get(kind, ()) for kind in kinds))
        wrong = sorted(name for name in schema if name not in allowed)
        if not wrong:
            return
        if "type" not in schema or wrong[0] in _REFUSED_BY_NAME:
            raise self._refused(f"Schema keyword '{wrong[0]}' is not supported", path)
        if len(wrong) == 1:
            raise self._refused(f"For '{kinds[0]}' type, property '{wrong[0]}' is not supported", path)
        raise self._refused(f"For '{kinds[0]}' type, properties {', '.join(wrong)} are not supported", path)

    def _reference(self, schema: dict[str, Any], path: tuple[str, ...], following: tuple[str, ...]) -> None:
        """Follow a reference: its target counts wherever it is referred to, and may not lead back to itself."""
        reference = schema["$ref"]
        beside = sorted(schema.keys() - _NOTES - {"$ref", "$defs", "definitions"})
        if beside:
            raise self._refused(f"Schema keyword '{beside[0]}' is not supported beside '$ref'", path)
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise self._refused("External '$ref' is not supported", path)
        target = pointed_at(self.root, reference)
        if target is None:
            raise self._refused(f"Invalid schema: Reference to non-existent definition: {reference[:100]}", path)
        if reference in following or reference == "#":
            loop = following[following.index(reference) :] if reference in following else (reference,)
            names = [one.rpartition("/")[2] for one in (*loop, reference)]
            raise self._refused(
                f"Circular reference detected in schema definitions: {' -> '.join(names)}. Self-referencing or "
                "mutually-referencing definitions are not supported.",
                path,
            )
        if reference in self._seen:
            # Its optional and union parameters were counted; only its size counts again, and a cycle must be found.
            known = _Count(parts=self.count.parts)
            _Check(self.root, self.place, known, self.untyped, self._seen)._part(target, path, (*following, reference))
            self.count.parts = known.parts
            return
        self._seen.add(reference)
        self._part(target, path, (*following, reference))

    def _map(self, schema: dict[str, Any], name: str, path: tuple[str, ...]) -> dict[str, Any]:
        told = schema.get(name, {})
        if not isinstance(told, dict):
            raise self._refused(f"JSON schema is invalid. It must match JSON Schema draft 2020-12: {name}", path)
        return told

    def _literals(self, schema: dict[str, Any], path: tuple[str, ...]) -> None:
        choices = schema.get("enum", [None])
        if not isinstance(choices, list) or not choices:
            raise self._refused("JSON schema is invalid. It must match JSON Schema draft 2020-12: enum", path)
        if any(isinstance(value, dict | list) for value in (*choices, schema.get("const"))):
            raise self._refused("enum and const: only strings, numbers, booleans and null are supported", path)

    def _combinations(self, schema: dict[str, Any], path: tuple[str, ...], following: tuple[str, ...]) -> None:
        self.count.unions += "anyOf" in schema or isinstance(schema.get("type"), list)
        for name in ("anyOf", "allOf"):
            parts = schema.get(name, [{}])
            if not isinstance(parts, list) or not parts:
                raise self._refused(f"JSON schema is invalid. It must match JSON Schema draft 2020-12: {name}", path)
            if name not in schema:
                continue
            for number, part in enumerate(parts):
                if name == "allOf" and isinstance(part, dict) and "$ref" in part:
                    raise self._refused("'allOf' with '$ref' is not supported", path)
                self._part(part, (*path, name, str(number)), following)

    def _object(self, schema: dict[str, Any], path: tuple[str, ...], following: tuple[str, ...]) -> None:
        is_object = "type" in schema and "object" in self._kinds(schema, path)
        if is_object and "additionalProperties" not in schema:
            raise self._refused("For 'object' type, 'additionalProperties' must be explicitly set to false", path)
        if schema.get("additionalProperties", False) is not False:
            told = "true" if schema["additionalProperties"] is True else "object"
            raise self._refused(
                f"For 'object' type, 'additionalProperties: {told}' is not supported. "
                "Please set 'additionalProperties' to false",
                path,
            )
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise self._refused("JSON schema is invalid. It must match JSON Schema draft 2020-12: required", path)
        for name, part in self._map(schema, "properties", path).items():
            self.count.optional += name not in required
            self._part(part, (*path, "properties", name), following)

    def _array(self, schema: dict[str, Any], path: tuple[str, ...], following: tuple[str, ...]) -> None:
        least = schema.get("minItems", 0)
        if isinstance(least, bool) or least not in (0, 1):
            raise self._refused("For 'array' type, 'minItems' values other than 0 or 1 are not supported", path)
        if "items" in schema:
            self._part(schema["items"], (*path, "items"), following)

    def _string(self, schema: dict[str, Any], path: tuple[str, ...]) -> None:
        told = schema.get("format")
        if told is not None and not (isinstance(told, str) and told in FORMATS):
            raise self._refused(f"For 'string' type, only these formats are supported: {', '.join(FORMATS)}", path)
        pattern = schema.get("pattern")
        if pattern is None:
            return
        try:
            matching(pattern if isinstance(pattern, str) else "(")
        except UnsupportedPattern as wrong:
            raise self._refused(f"For 'string' type, 'pattern' is not supported: {wrong}", path) from None
