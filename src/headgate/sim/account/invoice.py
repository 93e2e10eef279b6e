"""What Anthropic would bill: the price rules of claude-api.md §4, §5.2 and §13, from the sheet's own rows.

Written without a look at Headgate's meter, because the two are compared to the pico-dollar.  Money is whole
pico-dollars (10^-12 USD): a dollar per million tokens is a million of them per token, and every price of the sheet,
with every factor that can apply, is a whole number of them.  A request is priced by the rows of the day it began (UTC).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from headgate.sim.facts import FACTS, Band, FastMode, Model

__all__ = ["PICO_PER_USD", "Terms", "Usage", "price_by_kind", "price_pico", "refusal_is_free", "sum_of", "usd"]

PICO_PER_USD = 10**12
_PICO_PER_TOKEN = 10**6
"""Pico-dollars per token that make a dollar per million tokens."""

SONNET_5_5_READ_CUT = date(2026, 10, 7)
"""§0: cache reads on it went from 0.1x to 0.05x of input.  The sheet holds the row of today."""
REFUSALS_BILLED_AGAIN = date(2026, 9, 24)
BILLED_REFUSALS = frozenset({"bio", "frontier_llm", "reasoning_extraction"})
"""§0: since that day a refusal before any output costs again in these categories."""


@dataclass(slots=True)
class Usage:
    """Billed amounts of one request, disjoint as in the API's usage (§4)."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0

    @property
    def prompt(self) -> int:
        """The length that decides the price band (§13)."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def add(self, more: Usage) -> None:
        """Add up; only amounts add up, a price does not follow from the sum."""
        self.input += more.input
        self.output += more.output
        self.cache_read += more.cache_read
        self.cache_write_5m += more.cache_write_5m
        self.cache_write_1h += more.cache_write_1h
        self.web_searches += more.web_searches


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which conditions a request is billed.  `batch` and `fast` exclude each other (§13)."""

    model: Model
    day: date
    batch: bool = False
    fast: bool = False
    us: bool = False
    priority: bool = False
    """Served by a commitment that was paid in advance; what that costs is told apart from this price."""


@dataclass(frozen=True, slots=True)
class _Rates:
    """Pico-dollars per token."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int


def price_pico(usage: Usage, terms: Terms) -> int:
    """The price of `usage` in pico-dollars.

    Web searches cost the same everywhere: geography multiplies token prices only (§13), and a search in a batch is
    priced as one outside, as the documentation of the tool says.
    """
    band = _band_number(terms.model, usage.prompt)
    rates = _rates(terms.model.id, band, terms.day, terms.batch, terms.fast, terms.us)
    return (
        usage.input * rates.input
        + usage.output * rates.output
        + usage.cache_read * rates.cache_read
        + usage.cache_write_5m * rates.cache_write_5m
        + usage.cache_write_1h * rates.cache_write_1h
        + usage.web_searches * _SEARCH_PICO
    )


def price_by_kind(usage: Usage, terms: Terms) -> dict[str, int]:
    """As `price_pico`, by the field of `Usage` that each part of it is for."""
    rates = _rates(
        terms.model.id, _band_number(terms.model, usage.prompt), terms.day, terms.batch, terms.fast, terms.us
    )
    return {
        "input": usage.input * rates.input,
        "output": usage.output * rates.output,
        "cache_read": usage.cache_read * rates.cache_read,
        "cache_write_5m": usage.cache_write_5m * rates.cache_write_5m,
        "cache_write_1h": usage.cache_write_1h * rates.cache_write_1h,
        "web_searches": usage.web_searches * _SEARCH_PICO,
    }


def sum_of(usages: Sequence[Usage]) -> Usage:
    """All of them together; one alone is itself."""
    if len(usages) == 1:
        return usages[0]
    total = Usage()
    for usage in usages:
        total.add(usage)
    return total


def refusal_is_free(category: str | None, day: date) -> bool:
    """Whether a refusal before any output costs nothing (§5.2); after output, what was said is billed as ever."""
    return category not in BILLED_REFUSALS or day < REFUSALS_BILLED_AGAIN


def usd(pico: int) -> str:
    """Dollars as an exact decimal string of twelve places."""
    return f"{Decimal(pico).scaleb(-12):.12f}"


def _whole(value: Decimal) -> int:
    if value != int(value):
        raise ArithmeticError(f"{value} pico-dollars is not a whole number")
    return int(value)


_SEARCH_PICO = _whole(FACTS.server_tools.web_search_usd_per_1000 * PICO_PER_USD / 1000)


def _band_number(model: Model, prompt: int) -> int:
    """Which row a prompt of that length is billed by, output included; only Haiku 5.5 has more than one (§13)."""
    for number, band in enumerate(model.price_bands):
        if band.prompt_tokens_up_to is None or prompt <= band.prompt_tokens_up_to:
            return number
    raise LookupError(f"no price band of {model.id} covers {prompt} tokens")


@lru_cache(maxsize=1024)
def _rates(model_id: str, band_number: int, day: date, batch: bool, fast: bool, us: bool) -> _Rates:
    """One row with every factor applied; worked out once a day for each kind of request."""
    model = FACTS.by_name[model_id]
    row = model.price_bands[band_number]
    if fast:
        prices = _fast_row(model.fast_mode, model_id)
    elif batch:
        prices = _batch_row(row)
    else:
        prices = (row.input, row.output, row.cache_read, row.cache_write_5m, row.cache_write_1h)
    if model_id == "claude-sonnet-5-5" and day < SONNET_5_5_READ_CUT:
        before = row.input * FACTS.price_modifiers.cache_read_default
        prices = (*prices[:2], before * FACTS.price_modifiers.batch if batch else before, *prices[3:])
    factor = model.multipliers.inference_geo_us if us else None
    return _Rates(*(_whole(price * (factor or 1) * _PICO_PER_TOKEN) for price in prices))


def _batch_row(row: Band) -> tuple[Decimal, ...]:
    return (
        row.batch_input,
        row.batch_output,
        row.batch_cache_read,
        row.batch_cache_write_5m,
        row.batch_cache_write_1h,
    )


def _fast_row(fast: FastMode | None, model_id: str) -> tuple[Decimal, ...]:
    if fast is None:
        raise LookupError(f"{model_id} has no fast mode to bill")
    return (fast.input, fast.output, fast.cache_read, fast.cache_write_5m, fast.cache_write_1h)
