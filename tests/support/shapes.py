"""Whether a JSON value has exactly the shape that a type of the official SDK describes.

The SDK's own models are lenient: they take what is missing or wrong as it comes, and keep what they do not know.  Here
nothing is converted, nothing may be missing, and a field that the type does not have is reported.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from typing_extensions import TypeAliasType

__all__ = ["misfits"]

_PLAIN: dict[Any, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}


def misfits(kind: Any, value: Any, place: str = "$") -> list[str]:
    """What does not fit, each with its place; empty if all does."""
    return list(_misfits(kind, value, place))


def _misfits(kind: Any, value: Any, place: str) -> Iterator[str]:
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, TypeAliasType):
        yield from _misfits(kind.__value__, value, place)
    elif kind in (Any, object):
        return
    elif origin is Annotated:
        yield from _misfits(arguments[0], value, place)
    elif origin in (Union, types.UnionType):
        yield from _of_a_union(arguments, value, place)
    elif origin is Literal:
        if value not in arguments or isinstance(value, bool) is not isinstance(arguments[0], bool):
            yield f"{place}: {value!r} is none of {arguments}"
    elif origin is list:
        yield from _of_a_list(arguments[0], value, place)
    elif origin is dict:
        yield from _of_a_dict(arguments[1], value, place)
    elif kind is None or kind is type(None):
        if value is not None:
            yield f"{place}: {_short(value)} is not null"
    elif kind in (datetime, date):
        yield from _of_a_time(kind, value, place)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _of_a_model(kind, value, place)
    elif kind in _PLAIN:
        if not isinstance(value, _PLAIN[kind]) or (isinstance(value, bool) and kind is not bool):
            yield f"{place}: {_short(value)} is no {kind.__name__}"
    else:
        raise TypeError(f"{place}: no rule for {kind!r}")


def _of_a_union(options: tuple[Any, ...], value: Any, place: str) -> Iterator[str]:
    """Nothing, if one option fits; else what is wrong with the option of that `type`, or with all of them."""
    found = [misfits(option, value, place) for option in options]
    if all(found):
        named = [lines for lines in found if not any(line.startswith(f"{place}.type:") for line in lines)]
        yield from min(named or found, key=len)


def _of_a_list(kind: Any, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{place}: {_short(value)} is no list"
        return
    for number, item in enumerate(value):
        yield from _misfits(kind, item, f"{place}[{number}]")


def _of_a_dict(kind: Any, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: {_short(value)} is no object"
        return
    for name, item in value.items():
        yield from _misfits(kind, item, f"{place}.{name}")


def _of_a_time(kind: type[date], value: Any, place: str) -> Iterator[str]:
    try:
        parsed = kind.fromisoformat(value)
        if isinstance(parsed, datetime) and parsed.tzinfo is None:
            yield f"{place}: {value} has no time zone"
    except (TypeError, ValueError):
        yield f"{place}: {_short(value)} is no {kind.__name__}"


def _of_a_model(kind: type[BaseModel], value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: {_short(value)} is no {kind.__name__}"
        return
    known = {item.alias or name: item for name, item in kind.model_fields.items()}
    for name, item in known.items():
        if name in value:
            yield from _misfits(item.annotation, value[name], f"{place}.{name}")
        elif item.is_required():
            yield f"{place}.{name}: missing ({kind.__name__})"
    for name in value.keys() - known.keys():
        yield f"{place}.{name}: unknown to {kind.__name__}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
