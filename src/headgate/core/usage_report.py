"""What the Usage and Cost API says of an account, day by day (claude-api.md §13), read without trusting it.

Days are UTC.  Money is integer pico-dollars, out of decimal strings of cents.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import NamedTuple, TypeVar

import msgspec

__all__ = ["LONG_PROMPT", "Billed", "Counts", "Terms", "Used", "read_cost_page", "read_usage_page"]

LONG_PROMPT = 200_000
"""Longer prompts are told apart (`context_window`)."""
_PICO_PER_CENT = Decimal(10**10)
_MOST_CENTS = Decimal(10**12)

T = TypeVar("T")


class Counts(NamedTuple):
    """What is billed by the piece, disjoint."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0

    def plus(self, more: Sequence[int]) -> Counts:
        return Counts._make(mine + other for mine, other in zip(self, more, strict=True))

    def minus(self, other: Sequence[int]) -> Counts:
        return Counts._make(mine - its for mine, its in zip(self, other, strict=True))


class Terms(NamedTuple):
    """What the price of a token depends on besides its model and kind."""

    tier: str = "standard"
    fast: bool = False
    us: bool = False
    long: bool = False
    """The prompt had more than `LONG_PROMPT` tokens."""


class Used(NamedTuple):
    """One line of the usage report."""

    day: str
    model: str
    api_key_id: str | None
    terms: Terms
    counts: Counts


class Billed(NamedTuple):
    """One line of the cost report."""

    day: str
    what: str
    """The model; of what is not for tokens its type, such as `code_execution`."""
    pico: int


# -- reading -----------------------------------------------------------------------------------------------------------


class _Writes(msgspec.Struct):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class _Tools(msgspec.Struct):
    web_search_requests: int = 0


class _Used(msgspec.Struct):
    model: str | None = None
    api_key_id: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    uncached_input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation: _Writes | None = None
    server_tool_use: _Tools | None = None


class _Billed(msgspec.Struct):
    amount: str
    currency: str = "USD"
    model: str | None = None
    cost_type: str | None = None


class _UsedDay(msgspec.Struct):
    starting_at: str
    results: list[_Used]


class _BilledDay(msgspec.Struct):
    starting_at: str
    results: list[_Billed]


class _UsagePage(msgspec.Struct):
    data: list[_UsedDay]
    next_page: str | None = None


class _CostPage(msgspec.Struct):
    data: list[_BilledDay]
    next_page: str | None = None


def read_usage_page(body: bytes) -> tuple[list[Used], str | None]:
    """The lines of a page of the usage report, and the cursor of the next.

    Raises:
        ValueError: it is no such page.
    """
    page = _decoded(body, _UsagePage)
    lines = []
    for day in page.data:
        for its in day.results:
            writes, tools = its.cache_creation or _Writes(), its.server_tool_use or _Tools()
            counts = Counts(
                its.uncached_input_tokens, its.output_tokens, its.cache_read_input_tokens,
                writes.ephemeral_5m_input_tokens, writes.ephemeral_1h_input_tokens, tools.web_search_requests,
            )  # fmt: skip
            if min(counts) < 0:
                raise ValueError("its report has a count below 0")
            terms = Terms(
                its.service_tier or "standard", its.speed == "fast", its.inference_geo == "us",
                its.context_window not in (None, "0-200k"),
            )  # fmt: skip
            lines.append(Used(_day(day.starting_at), its.model or "", its.api_key_id, terms, counts))
    return lines, page.next_page


def read_cost_page(body: bytes) -> tuple[list[Billed], str | None]:
    """The lines of a page of the cost report, and the cursor of the next.

    Raises:
        ValueError: it is no such page, or not in US dollars.
    """
    page = _decoded(body, _CostPage)
    lines = [
        Billed(_day(day.starting_at), its.model or its.cost_type or "other", _pico(its))
        for day in page.data
        for its in day.results
    ]
    return lines, page.next_page


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as problem:
        raise ValueError(f"it is no usage or cost report: {problem}") from None


def _day(stamp: str) -> str:
    return date.fromisoformat(stamp[:10]).isoformat()


def _pico(line: _Billed) -> int:
    if line.currency != "USD":
        raise ValueError("its costs are not in US dollars")
    try:
        cents = Decimal(line.amount)
        if abs(cents) < _MOST_CENTS:  # of what is not a number this is an InvalidOperation too
            return int((cents * _PICO_PER_CENT).to_integral_value())
    except InvalidOperation:
        pass
    raise ValueError("its costs are no decimal numbers")
