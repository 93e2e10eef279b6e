"""Amounts as people read them.  Pure.  What is not zero is never shown as zero: where exact amounts are wanted, there
is JSON."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["dollars", "took"]

LEAST = 0.00001
"""Of which six places still show two digits."""


def dollars(usd: Decimal | float) -> str:
    """`$12.30`; of less than a dollar four places, of less than a cent six, and of less than those the first two digits
    that are not zero."""
    size = abs(float(usd))
    digits = 4 if 0.01 <= size < 1 else 6 if LEAST <= size < 0.01 else 2
    if 0 < size < LEAST:
        digits = 1 - Decimal(str(size)).adjusted()
    return f"{'-' if usd < 0 else ''}${abs(usd):,.{digits}f}"


def took(ms: float) -> str:
    """How long something took: `44 ms`, `7.0 s`, `6 min`."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s" if ms < 120_000 else f"{ms / 60_000:.0f} min"
