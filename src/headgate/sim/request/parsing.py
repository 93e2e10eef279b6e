"""JSON as the API takes it: valid, and not nested without end."""

from __future__ import annotations

from typing import Any

from msgspec import DecodeError, Raw
from msgspec.json import decode

from headgate.sim.errors import invalid

__all__ = ["parsed"]

MOST_DEPTH = 200
"""What stands deeper is refused here, once for all that hash, compare and count it later: how deep a value may be for
them would depend on the stack they happen to run on.  The API's own bound is not known."""


def parsed(raw: bytes | Raw, what: str = "The request body") -> Any:
    """The value of `raw`.

    Raises:
        ApiError: 400 if it is not JSON, or nested too deeply.
    """
    try:
        value = decode(raw)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid(f"{what} is not valid JSON.") from None
    text = bytes(raw)
    if text.count(b"[") + text.count(b"{") > MOST_DEPTH and _is_deeper(value, MOST_DEPTH):
        raise invalid(f"{what} is nested too deeply.")
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects stand in each other more than `depth` times."""
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
