"""OTLP's messages, written as bytes (opentelemetry-proto 1.10: trace/v1, metrics/v1, common/v1, resource/v1).

A span is written when its call ends, by appending to bytes: classes made from the `.proto` files take ten times as long
for it, which is more than all else that a call needs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

__all__ = [
    "Value",
    "attribute",
    "field",
    "fixed64",
    "low_cardinality",
    "packed_doubles",
    "packed_fixed64",
    "varint_field",
]

Value = str | bool | int | float | Sequence[str]
"""Of an attribute."""

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


def field(number: int, content: bytes) -> bytes:
    """A field that has a length: a message, bytes or text."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


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
    head = _key(key)
    content = _any(value)
    size = len(head) + len(content) + (2 if len(content) < 128 else 3)
    return _tag(number) + _varint(size) + head + b"\x12" + _varint(len(content)) + content


@lru_cache(maxsize=4096)
def low_cardinality(number: int, key: str, value: Value) -> bytes:
    """The same, of a value that comes again and again."""
    return attribute(number, key, value)


def attributes(number: int, values: Mapping[str, Value]) -> bytes:
    return b"".join([attribute(number, key, value) for key, value in values.items()])


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
