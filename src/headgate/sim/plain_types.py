"""Settings that Python callers make, held to their plain types.  What a scenario says has its own reader (`typed`)."""

from __future__ import annotations

from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["check_plain_types"]

_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}


def check_plain_types(group: Any, name: str) -> None:
    """Refuse a value of another type where a setting is a flag, a number or text, so that nothing fails later over it.

    Args:
        group: the settings of one concept, a dataclass.
        name: what it is called in an error.

    Raises:
        ValueError: naming the setting.
    """
    kind: Any = type(group)
    for setting, (plain, may_be_none) in _plain(kind).items():
        value = getattr(group, setting)
        if value is None and may_be_none:
            continue
        fits = isinstance(value, int | float if plain is float else plain)
        if not fits or (isinstance(value, bool) and plain is not bool):
            raise ValueError(f"{name}.{setting} is {value!r}, and must be {_WORDS[plain]}")


@cache
def _plain(kind: type) -> dict[str, tuple[type, bool]]:
    """The settings that are of a plain type, or of one or None."""
    found = {}
    for setting, hint in get_type_hints(kind).items():
        kinds = set(get_args(hint)) if get_origin(hint) is UnionType else {hint}
        plain = kinds & _WORDS.keys()
        if len(plain) == 1 and kinds <= plain | {NoneType}:
            found[setting] = (plain.pop(), NoneType in kinds)
    return found
