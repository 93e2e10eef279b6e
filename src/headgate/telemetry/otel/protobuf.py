"""OTLP's messages, written as bytes (opentelemetry-proto 1.10: trace/v1, metrics/v1, common/v1, resource/v1).

A span is written when its call ends, by appending to bytes: classes made from the `.proto` files take ten times as long
for it, which is more than all else that a call needs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

__all__ = [
    "Key",
    "Value",
    "attribute",
    "attributes",
    "double",
    "field",
    "fixed64",
    "head",
    "packed_doubles",
    "packed_fixed64",
    "varint_field",
]

Value = str | bool | int | float | Sequence[str]
"""Of an attribute."""

MOST_SHORT = 65
"""Ids and names are shorter."""

_LENGTHS = [bytes((length,)) for length in range(128)]
_double = struct.Struct("<d").pack
_fixed64 = struct.Struct("<Q").pack


def _varint(value: int) -> bytes:
    if value < 128:
        return _LENGTHS[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def head(number: int, size: int) -> bytes:
    """What stands before a field that has a length: a message, bytes or text."""
    return _varint(number << 3 | 2) + _varint(size)


def field(number: int, content: bytes) -> bytes:
    """A field that has a length."""
    return head(number, len(content)) + content


def varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def fixed64(number: int, value: int) -> bytes:
    return _varint(number << 3 | 1) + _fixed64(value)


def double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + _double(value)


def packed_fixed64(number: int, values: Iterable[int]) -> bytes:
    return field(number, b"".join([_fixed64(value) for value in values]))


def packed_doubles(number: int, values: Iterable[float]) -> bytes:
    return field(number, b"".join([_double(value) for value in values]))


def attribute(number: int, key: str, value: Value) -> bytes:
    """A `KeyValue`, as the field of that number of whatever has it."""
    content = _any(value)
    pair = _key(key) + b"\x12" + _varint(len(content)) + content
    return _tag(number) + _varint(len(pair)) + pair


def attributes(number: int, values: Mapping[str, Value]) -> bytes:
    return b"".join([attribute(number, key, value) for key, value in values.items()])


class Key:
    """An attribute that many messages have: all that comes before its value is written once, for values of any size."""

    __slots__ = ("_double", "_integers", "_name", "_number", "_texts")

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name

        def before(content: bytes, size: int) -> bytes:
            """Before a value whose `AnyValue` begins with `content` and has `size` more bytes."""
            pair = _key(name) + b"\x12" + _varint(len(content) + size) + content
            return _tag(number) + _varint(len(pair) + size) + pair

        self._double = before(b"\x21", 8)
        self._integers = [before(b"\x18", size) for size in range(11)]
        self._texts = [before(b"\x0a" + _varint(size), size) for size in range(MOST_SHORT)]

    def double(self, value: float) -> bytes:
        return self._double + _double(value)

    def integer(self, value: int) -> bytes:
        """Not a negative one."""
        digits = _varint(value)
        return self._integers[len(digits)] + digits

    def text(self, value: str) -> bytes:
        content = value.encode("utf-8", "replace")
        if len(content) < MOST_SHORT:
            return self._texts[len(content)] + content
        return attribute(self._number, self._name, value)


@lru_cache(maxsize=16)
def _tag(number: int) -> bytes:
    return _varint(number << 3 | 2)


@lru_cache(maxsize=256)
def _key(key: str) -> bytes:
    return field(1, key.encode())


def _any(value: Value) -> bytes:
    """An `AnyValue`."""
    if isinstance(value, str):
        return field(1, value.encode("utf-8", "replace"))
    if isinstance(value, bool):
        return varint_field(2, value)
    if isinstance(value, int):
        return varint_field(3, value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return double(4, value)
    return field(5, b"".join([field(1, _any(each)) for each in value]))
