"""An instance of a JSON schema: what a structured answer says, and what a tool is called with (claude-api.md §12).

Of a schema that structured outputs take (`request/grammar.py`) every instance drawn here is valid.  Any other schema,
as tools may have it, is met as well as can be: what cannot be read is passed over.
"""

from __future__ import annotations

from math import ceil, floor
from random import Random
from typing import Any

from msgspec.json import encode

from headgate.sim.reply import plausible
from headgate.sim.reply.fitting import fits, is_number, listed, mapped, same, types_of
from headgate.sim.reply.regex import UnsupportedPattern, matching

__all__ = ["Unsatisfiable", "instance", "pointed_at", "possible"]

SHALLOW = 6
"""Below this depth only what is required is filled in, so that schemas that refer to themselves come to an end."""
MOST_DEPTH = 64
MOST_VALUES = 5_000
"""More than a schema has that structured outputs take, so that each of those has an instance."""
MOST_REFERENCES = 10_000
MOST_ITEMS = 8
MOST_CHARS = 2_000
TRIES = 4
"""How often a value is drawn again that a keyword did not foresee (`not`, `oneOf`, `if`)."""
OPTIONAL_SHARE = 0.7
NULL_SHARE = 0.15
"""How often a property that need not be there is, and one that may be null is null."""

_HARD = ("not", "oneOf", "if", "contains", "propertyNames", "dependentRequired", "uniqueItems", "multipleOf")
_HINTS = (
    ("object", ("properties", "required", "additionalProperties", "patternProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems", "contains", "uniqueItems")),
    ("string", ("pattern", "format", "minLength", "maxLength")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
"""What a schema is about that names no type."""

_Schema = dict[str, Any]


class Unsatisfiable(Exception):
    """No value satisfies the schema; inside it, of this choice."""


def instance(schema: Any, rng: Random) -> Any:
    """A value that satisfies `schema`, drawn from `rng`.  Bounded in depth and size whatever the schema says; None
    where nothing satisfies it."""
    for shallow in (SHALLOW, 0):  # where there is too much to choose from, only what must be
        try:
            return _Drawer(schema, rng, shallow).value([schema], "", 0)
        except Unsatisfiable:
            continue
    return None


def possible(schema: Any) -> bool:
    """Whether anything satisfies `schema` at all."""
    try:
        _Drawer(schema, Random(0), 0).value([schema], "", 0)  # noqa: S311  # any value will do
    except Unsatisfiable:
        return False
    return True


def pointed_at(root: Any, reference: str) -> Any:
    """What a `$ref` inside `root` points at, or None: nothing but `#` and JSON pointers are followed."""
    if not reference.startswith("#") or reference[1:2] not in ("", "/"):
        return None
    target = root
    for step in reference[2:].split("/") if len(reference) > 1 else ():
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, dict):
            target = target.get(name)
        elif isinstance(target, list) and name.isascii() and name.isdigit() and int(name[:6]) < len(target):
            target = target[int(name[:6])]
        else:
            return None
    return target


class _Drawer:
    """Draws values; a value has to satisfy several schemas at once where they are combined."""

    def __init__(self, root: Any, rng: Random, shallow: int) -> None:
        self._root = root
        self._rng = rng
        self._shallow = shallow
        self._left = MOST_VALUES
        self._references = MOST_REFERENCES

    def _resolve(self, reference: str) -> Any:
        """What a reference points at; after too many of them, anything."""
        self._references -= 1
        return pointed_at(self._root, reference) if self._references > 0 else True

    def value(self, schemas: list[Any], hint: str, depth: int) -> Any:
        """A value for a property called `hint`.

        Raises:
            Unsatisfiable: no value is in all of `schemas`, or none within bounds.
        """
        self._left -= 1
        if depth > MOST_DEPTH or self._left < 0:
            raise Unsatisfiable
        return self._chosen(self._flat(schemas), hint, depth)

    def _flat(self, schemas: list[Any]) -> list[_Schema]:
        """All that must hold, with references followed and `allOf` taken apart."""
        flat: list[_Schema] = []
        waiting = list(reversed(schemas))
        for _ in range(MOST_VALUES):
            if not waiting:
                return flat
            schema = waiting.pop()
            if schema is False:
                raise Unsatisfiable
            if not isinstance(schema, dict):
                continue
            if "allOf" in schema or "$ref" in schema:
                waiting += listed(schema.get("allOf"))
                if isinstance(schema.get("$ref"), str):
                    waiting.append(self._resolve(schema["$ref"]))
                schema = {name: part for name, part in schema.items() if name not in ("allOf", "$ref")}
            flat.append(schema)
        raise Unsatisfiable

    def _chosen(self, flat: list[_Schema], hint: str, depth: int) -> Any:
        """Decide the first `anyOf` or `oneOf` among `flat`; the last choice that works is the one that counts."""
        for place, schema in enumerate(flat):
            for name in ("anyOf", "oneOf"):
                choices = listed(schema.get(name))
                if not choices:
                    continue
                rest = [*flat[:place], {key: part for key, part in schema.items() if key != name}, *flat[place + 1 :]]
                return self._first_that_works(choices, rest, schema if name == "oneOf" else None, hint, depth)
        return self._checked(flat, hint, depth)

    def _first_that_works(
        self, choices: list[Any], rest: list[_Schema], exactly: _Schema | None, hint: str, depth: int
    ) -> Any:
        order = list(choices)
        if depth < self._shallow:
            self._rng.shuffle(order)
            order.sort(key=lambda choice: _is_null(choice) != (self._rng.random() < NULL_SHARE))
        else:
            # Deep down the plainest choice first: it is what ends a union that refers to itself.
            order.sort(key=lambda choice: len(encode(choice)) if isinstance(choice, dict) else 0)
        for choice in order:
            try:
                found = self.value([*rest, choice], hint, depth + 1)
            except Unsatisfiable:
                continue
            if exactly is None or fits(found, exactly, self._resolve):
                return found
        raise Unsatisfiable

    def _checked(self, flat: list[_Schema], hint: str, depth: int) -> Any:
        """Draw until the keywords are satisfied that drawing does not know of; a few times, then it has to do."""
        found = self._drawn(flat, hint, depth)
        if not any(name in schema for schema in flat for name in _HARD):
            return found
        for _ in range(TRIES):
            if all(fits(found, schema, self._resolve) for schema in flat):
                break
            found = self._drawn(flat, hint, depth)
        return found

    def _drawn(self, flat: list[_Schema], hint: str, depth: int) -> Any:
        literals = self._literals(flat)
        if literals is not None:
            return self._rng.choice(literals)
        allowed = types_of(flat)
        if allowed is None:
            allowed = [next((kind for kind, names in _HINTS if _mentions(flat, names)), "string")]
        order = [kind for kind in allowed if kind != "null"]
        self._rng.shuffle(order)
        if "null" in allowed:
            order.insert(0 if self._rng.random() < NULL_SHARE or depth >= self._shallow else len(order), "null")
        for kind in order:
            try:
                return self._of_kind(kind, flat, hint, depth)
            except Unsatisfiable:
                continue
        raise Unsatisfiable

    def _literals(self, flat: list[_Schema]) -> list[Any] | None:
        """The values that `const` and `enum` leave, or None where neither is there."""
        told = [[part["const"]] for part in flat if "const" in part]
        told += [part["enum"] for part in flat if isinstance(part.get("enum"), list)]
        if not told:
            return None
        left = [value for value in told[0] if all(any(same(value, one) for one in more) for more in told[1:])]
        left = [value for value in left if all(fits(value, part, self._resolve) for part in flat)]
        if not left:
            raise Unsatisfiable
        return left

    def _of_kind(self, kind: str, flat: list[_Schema], hint: str, depth: int) -> Any:
        match kind:
            case "object":
                return self._object(flat, depth)
            case "array":
                return self._array(flat, hint, depth)
            case "string":
                return self._string(flat, hint)
            case "integer" | "number":
                return self._number(flat, hint, whole=kind == "integer")
            case "boolean":
                return self._rng.random() < 0.5
        return None

    def _object(self, flat: list[_Schema], depth: int) -> dict[str, Any]:
        """What is required first, then some of the rest: in this order the API writes them."""
        order = list(dict.fromkeys(name for part in flat for name in mapped(part.get("properties"))))
        required = {name for part in flat for name in listed(part.get("required")) if isinstance(name, str)}
        needed = [name for name in order if name in required] + sorted(required.difference(order))
        found = {name: self.value(_for_property(flat, name), name, depth + 1) for name in needed}
        least, most = _size(flat, "minProperties", max), _size(flat, "maxProperties", min)
        for name in order:
            wanted = depth < self._shallow and self._rng.random() < OPTIONAL_SHARE
            if name in found or (most is not None and len(found) >= most):
                continue
            if wanted or (least is not None and len(found) < least):
                try:
                    found[name] = self.value(_for_property(flat, name), name, depth + 1)
                except Unsatisfiable:
                    continue
        self._fill_up(found, least or (1 if _is_map(flat) and depth < self._shallow else 0), flat, depth)
        return found

    def _fill_up(self, found: dict[str, Any], least: int, flat: list[_Schema], depth: int) -> None:
        """Entries that no property names, for a map and for `minProperties`."""
        for number in range(min(least - len(found), MOST_ITEMS)):
            name = f"{plausible.text('', self._rng)} {number}".replace(" ", "_")
            try:
                found[name] = self.value(_for_property(flat, name), name, depth + 1)
            except Unsatisfiable:
                return

    def _array(self, flat: list[_Schema], hint: str, depth: int) -> list[Any]:
        least = min(_size(flat, "minItems", max) or 0, 50)
        most = _size(flat, "maxItems", min)
        count = least + (self._rng.randint(1 if least == 0 else 0, 2) if depth < self._shallow else 0)
        if most is not None:
            count = min(count, most)
        if least <= MOST_ITEMS:
            count = min(count, MOST_ITEMS)
        found: list[Any] = []
        for place in range(count):
            parts = [part for schema in flat for part in _for_item(schema, place)]
            if place == 0:
                parts += [schema["contains"] for schema in flat if "contains" in schema]
            try:
                found.append(self.value(parts, hint.removesuffix("s"), depth + 1))
            except Unsatisfiable:
                if len(found) < least:
                    raise
                break
        return found

    def _string(self, flat: list[_Schema], hint: str) -> str:
        least, most = _size(flat, "minLength", max) or 0, _size(flat, "maxLength", min)
        if most is not None and most < least:
            raise Unsatisfiable
        found = self._worded(flat, hint)
        while len(found) < min(least, MOST_CHARS):
            found += " " + found if found else "x"
        return found if most is None or len(found) <= most else found[: max(least, most)].rstrip() or "x" * least

    def _worded(self, flat: list[_Schema], hint: str) -> str:
        for schema in flat:
            if isinstance(schema.get("pattern"), str):
                try:
                    return matching(schema["pattern"])(self._rng)[:MOST_CHARS]
                except UnsupportedPattern:
                    continue
        for schema in flat:
            told = plausible.formatted(schema.get("format"), self._rng)
            if told is not None:
                return told
        return plausible.text(hint, self._rng)

    def _number(self, flat: list[_Schema], hint: str, *, whole: bool) -> int | float:
        low, high = _bounds(flat, whole=whole)
        if low is None and high is None:
            drawn = plausible.number(hint, self._rng, whole=whole)
        else:
            low = high - 100 if low is None and high is not None else low
            high = low + 100 if high is None and low is not None else high
            assert low is not None
            assert high is not None
            if low > high:
                raise Unsatisfiable
            drawn = self._rng.randint(ceil(low), floor(high)) if whole else round(self._rng.uniform(low, high), 4)
            drawn = min(max(drawn, low), high)
        step = next((part["multipleOf"] for part in flat if is_number(part.get("multipleOf"))), None)
        if step and abs(step) > 1e-12 and abs(drawn) < 1e15:
            drawn = ceil((low if low is not None else drawn) / step) * step
        return drawn


def _bounds(flat: list[_Schema], *, whole: bool) -> tuple[float | None, float | None]:
    """The least and the most a number may be, both included."""
    nudge = 1 if whole else 1e-6

    def told(name: str) -> list[float]:
        return [part[name] for part in flat if is_number(part.get(name)) and abs(part[name]) < 1e300]

    low = [*told("minimum"), *(bound + nudge for bound in told("exclusiveMinimum"))]
    high = [*told("maximum"), *(bound - nudge for bound in told("exclusiveMaximum"))]
    least, most = max(low, default=None), min(high, default=None)
    if whole:
        return (None if least is None else ceil(least)), (None if most is None else floor(most))
    return least, most


def _for_property(flat: list[_Schema], name: str) -> list[Any]:
    """Every schema that a property of this name has to satisfy."""
    parts: list[Any] = []
    for schema in flat:
        named = mapped(schema.get("properties"))
        patterns = mapped(schema.get("patternProperties"))
        mine = [named[name]] if name in named else []
        mine += [part for pattern, part in patterns.items() if fits(name, {"pattern": pattern}, lambda _: True)]
        parts += mine or [schema.get("additionalProperties", True)]
    return parts


def _for_item(schema: _Schema, place: int) -> list[Any]:
    items = schema.get("items", True)
    first = listed(schema.get("prefixItems")) or listed(items)
    if place < len(first):
        return [first[place]]
    return [schema.get("additionalItems", True) if isinstance(items, list) else items]


def _is_map(flat: list[_Schema]) -> bool:
    """Whether it is an object of names nobody knows, and values of one kind."""
    return any(isinstance(part.get("additionalProperties"), dict) and not part.get("properties") for part in flat)


def _size(flat: list[_Schema], name: str, pick: Any) -> int | None:
    told = [int(part[name]) for part in flat if is_number(part.get(name)) and 0 <= part[name] < 1e9]
    return pick(told) if told else None


def _mentions(flat: list[_Schema], names: tuple[str, ...]) -> bool:
    return any(name in part for part in flat for name in names)


def _is_null(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("type") == "null"
