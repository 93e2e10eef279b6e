"""Samples of metrics in the telemetry file: one row for each time and process, packed, so that a sample of thousands of
series is one small write.  Which series they are is written once for as long as they stay the same."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import apsw
import msgspec

__all__ = ["Key", "Row", "forget_samples", "read_samples", "write_samples"]

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A metric and its labels."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Key, ...]).decode

_READ = """
    SELECT at_ms, instance, layout, packed FROM samples
    WHERE step_ms = ? AND at_ms BETWEEN ? AND ? AND instance <> ? ORDER BY at_ms, instance
"""


class Row(NamedTuple):
    """What a process had at one time."""

    at_ms: int
    instance: str
    samples: list[tuple[str, tuple[tuple[str, str], ...], float]]


def write_samples(
    db: apsw.Connection, step_ms: int, at_ms: int, instance: str, keys: tuple[Key, ...], values: Sequence[float]
) -> None:
    """Write down a value for each key."""
    layout, packed = _layout(keys)
    if not db.execute("SELECT 1 FROM layouts WHERE digest = ?", (layout,)).fetchone():
        db.execute("INSERT INTO layouts VALUES (?, ?)", (layout, packed))
    row = (step_ms, at_ms, instance, layout, zlib.compress(array("d", values).tobytes(), 1))
    db.execute("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?)", row)


@lru_cache(maxsize=8)
def _layout(keys: tuple[Key, ...]) -> tuple[bytes, bytes]:
    told = _encode(keys)
    return sha256(told).digest()[:16], zlib.compress(told)


def read_samples(
    db: apsw.Connection,
    step_ms: int,
    from_ms: int,
    to_ms: int,
    wanted: Callable[[str], bool] = lambda name: True,
    *,
    but: str = "",
) -> Iterator[Row]:
    """What was written of a time, both its ends included, oldest first.

    Args:
        wanted: says of a metric whether it is asked for.
        but: a process whose own rows are left out.
    """
    layouts: dict[bytes, list[tuple[int, Key]]] = {}
    for at_ms, instance, layout, packed in db.execute(_READ, (step_ms, from_ms, to_ms, but)):
        chosen = layouts.get(layout)
        if chosen is None:
            found = db.execute("SELECT packed FROM layouts WHERE digest = ?", (layout,)).fetchone()
            keys = _decode(zlib.decompress(found[0])) if found else ()
            chosen = layouts[layout] = [(index, key) for index, key in enumerate(keys) if wanted(key[0])]
        values = array("d")
        values.frombytes(zlib.decompress(packed))
        yield Row(at_ms, instance, [(*key, values[index]) for index, key in chosen])


def forget_samples(db: apsw.Connection, step_ms: int, before_ms: int) -> None:
    """Delete what is older."""
    db.execute("DELETE FROM samples WHERE step_ms = ? AND at_ms < ?", (step_ms, before_ms))
    if db.changes():
        db.execute("DELETE FROM layouts WHERE digest NOT IN (SELECT DISTINCT layout FROM samples)")
