"""`[prices]`: what models cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PricesConfig"]


@dataclass(frozen=True, kw_only=True)
class PricesConfig:
    """What tokens cost."""

    file: str | None = None
    """Your own price rows, in the format of `headgate prices --toml`; they win over the ones that ship."""
    unknown_model: Literal["refuse", "record"] = "refuse"
    """A model without a price row is refused, or sent and recorded with an error instead of a cost; never as free."""
