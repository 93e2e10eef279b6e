"""How long operations of stores take, told to whoever counts.  Real time: they wait for real disks, on real threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

__all__ = ["Took", "nobody", "timed"]

Took = Callable[[str, float], None]
"""Told that an operation has taken so many seconds, in the thread that did it."""


def nobody(op: str, seconds: float) -> None:
    """Whom stores tell until somebody counts."""


@contextmanager
def timed(tell: Took, op: str) -> Iterator[None]:
    """Tell how long the block takes, however it ends."""
    if tell is nobody:
        yield
        return
    began_s = perf_counter()
    try:
        yield
    finally:
        tell(op, perf_counter() - began_s)
