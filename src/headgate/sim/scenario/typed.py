"""Settings as TOML writes them, in the types that the settings have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

__all__ = ["members", "setting"]

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def setting(kind: Any) -> Callable[[Any], Any]:
    """What reads a value of `kind`.

    The reader raises ValueError with the end of a sentence that begins with the name of the setting.  `"none"` stands
    for None where that is a choice.
    """
    choices = get_args(kind)
    plain = next((one for one in choices or (kind,) if one in _WORDS), None)

    def read(value: Any) -> Any:
        if value == "none" and type(None) in choices:
            return None
        if not _finite(value):
            raise ValueError("must be a number that is one")
        try:
            return msgspec.convert(value, kind, str_keys=True)
        except msgspec.ValidationError as problem:
            if plain is not None and get_origin(kind) in (None, *_UNIONS):
                raise ValueError(f"must be {_WORDS[plain]}") from None
            raise ValueError(f"cannot be read: {problem}") from None

    return read


_UNIONS = (get_origin(int | None),)


def members(kind: Any) -> Any:
    """What is in values of `kind`: types by name, of a class; the one type, of a table or a list; else None."""
    if dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return get_type_hints(kind)
    inner = get_args(kind)
    if get_origin(kind) is Mapping:
        return inner[1]
    if get_origin(kind) is tuple:
        return inner[0]
    return None


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or isfinite(value)
