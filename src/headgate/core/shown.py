"""Amounts as people read them.  Pure.  What is not zero is never shown as zero: where exact amounts are wanted, there
is JSON."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite

__all__ = ["age", "counted", "dollars", "percent", "took"]

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


def age(seconds: float) -> str:
    """A span of time in the largest unit of which there are two at least: `34 s`, `50 min`, `3 days`."""
    for unit, long_s in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * long_s:
            return f"{seconds / long_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def percent(share: float) -> str:
    """`28.3 %`, `1 %`, `120 %`: three digits that say something.  What is not all is never shown as all."""
    size = abs(share) * 100
    if not isfinite(size):
        return "-"
    if 0 < size < 0.001:
        return "under 0.001 %"
    if 99.95 <= share * 100 < 100:
        return "over 99.9 %"
    return f"{share * 100:,.0f} %" if size >= 100 else f"{share * 100:.3g} %"


def counted(number: int, noun: str) -> str:
    """`1 call`, `3 calls`, `1,200 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
