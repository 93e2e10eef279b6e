"""The rows of the price book: what a model costs, and from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

__all__ = ["KINDS", "Band", "PriceRow"]

KINDS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
"""Of tokens, each with a price of its own."""


@dataclass(frozen=True, slots=True)
class Band:
    """Prices that hold when the prompt has more than `over` tokens; US dollars per million tokens, as in the book."""

    over: int
    input: Decimal
    output: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What a model costs from `valid_from` up to, not including, `valid_to`."""

    model: str
    valid_from: date | None
    valid_to: date | None
    bands: tuple[Band, ...]
    """By rising `over`; the whole request is priced by the band its prompt falls in."""
    batch: Decimal | None
    """Factor for Message Batches; None: not offered."""
    us: Decimal | None
    """Factor for `inference_geo: us`; None: not offered."""
    fast: Decimal | None
    """Factor for `speed: fast`; None: not offered."""
    source: str
    file: str
    id: str
    """Model and first day: what the ledger notes beside a cost."""

    def covers(self, day: date) -> bool:
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day < self.valid_to)
