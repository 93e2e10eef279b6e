"""The price book: the exact price of an answer in integer pico-dollars (10^-12 USD), from dated rows.

Every dimension of claude-api.md §13: input, output, cache writes by lifetime, cache reads by the model's own factor,
length bands, batch, geography, fast mode, sampling passes of other models, web searches.  What the book does not know
is a problem that is named, never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from headgate.core.price_rows import PriceRow
from headgate.core.rate_card import PICO, RateCard, Rates
from headgate.usage import MessageFacts, Usage

__all__ = ["Charge", "PriceBook", "usd", "usd_text"]

LARGEST_PICO = 2**63 - 1
"""About nine million dollars, and the largest integer of the ledger: no single answer costs that much."""

BILLED_REFUSALS_SINCE = date(2026, 9, 24)
BILLED_REFUSALS = frozenset(("bio", "frontier_llm", "reasoning_extraction"))
"""A refusal before any output is free but for these categories, which are billed again since that day (§5.2)."""


class Charge(msgspec.Struct, frozen=True):
    """The price of one answer."""

    pico: int | None
    """Pico-dollars; None if any part of it could not be priced."""
    row: str | None
    """The id of the row of the model that answered."""
    problem: str | None = None
    """What the book does not know, for example `geo:eu`."""
    parts: tuple[tuple[str, int], ...] = ()
    """Where several models took part: what each of them cost; the one that answered also bears the tools."""


class _Unknown(Exception):
    """A dimension that the book does not price."""


_Terms = tuple[str, date, str | None, str | None, str | None]
"""Model, day, service tier, speed, geography."""


class PriceBook(RateCard):
    """The price of answers."""

    def __init__(
        self, rows: dict[str, list[PriceRow]], aliases: dict[str, str], web_search: Sequence[PriceRow]
    ) -> None:
        super().__init__(rows, aliases, web_search)
        self._flat: dict[_Terms, tuple[str, Rates]] = {}
        """A row's id and its rates, where they are the same for a prompt of any length."""

    def charge(
        self,
        facts: MessageFacts,
        *,
        model: str,
        day: date,
        requested_geo: str | None = None,
        request: Mapping[str, Any] | None = None,
    ) -> Charge:
        """The price of an answer.

        Args:
            facts: what the answer said; its usage must be there.
            model: the one to price by where the answer does not name its own.
            day: UTC, of the request.
            requested_geo: `inference_geo` of the request, for answers that do not repeat it.
            request: the request itself, for the speed of models that declined: an answer tells that of the last only.
        """
        usage = facts.usage
        if usage is None:
            return Charge(None, None, "usage")
        answered = facts.model or model
        geo = requested_geo if usage.inference_geo in _GEO_UNTOLD else usage.inference_geo
        flat = self._flat.get((answered, day, usage.service_tier, usage.speed, geo))
        if flat is not None and facts.stop_reason != "refusal" and _is_one_pass(usage):
            flat_row_id, rates = flat
            return _charge(_at_rates(usage, rates), flat_row_id)
        row = self.find(answered, day)
        row_id = row.id if row else None
        if usage.anomalies and (unknown_count := next((a for a in usage.anomalies if a in _BILLED_COUNTS), None)):
            return Charge(None, row_id, f"usage:{unknown_count}")
        try:
            if facts.stop_reason == "refusal" and not facts.has_content and not _billed(facts.refusal_category, day):
                return Charge(0, row_id)
            if usage.iterations:
                parts = self._iterations(facts, usage, answered, day, requested_geo, request)
            else:
                parts = {answered: self._tokens(usage, usage, answered, day, requested_geo)}
            parts[answered] = parts.get(answered, 0) + self._server_tools(usage, day)
        except _Unknown as unknown:
            return Charge(None, row_id, str(unknown))
        charge = _charge(sum(parts.values()), row_id)
        return (
            charge
            if len(parts) == 1 or charge.pico is None
            else msgspec.structs.replace(charge, parts=_split(parts, charge.pico))
        )

    def expected(
        self, model: str, day: date, input_tokens: int, output_tokens: int, *, fast: bool = False, us: bool = False
    ) -> Charge:
        """What an attempt will probably cost whose tokens are only estimated: all input at the dearest of its rates, a
        write for an hour, since nothing tells how it is split.  No bound: an answer may be longer than those before it.

        Args:
            fast: `speed: fast` was asked for.
            us: `inference_geo: us` was asked for.
        """
        row = self.find(model, day)
        if row is None:
            return Charge(None, None, _no_row(model))
        if (fast and row.fast is None) or (us and row.us is None):
            return Charge(None, row.id, "speed:fast" if fast and row.fast is None else "geo:us")
        rates = self._rates_of(row, len(row.bands) - 1, False, fast, us)
        return _charge(input_tokens * max(rates[0], *rates[2:]) + output_tokens * rates[1], row.id)

    def of_sums(self, model: str, day: date, usage: Usage, prompt_tokens: tuple[int, int]) -> Charge:
        """The price of what many requests used together, or of a difference between such sums, which may be negative.

        Args:
            prompt_tokens: no prompt was smaller or larger.  If prices differ in between, it is that of the smallest,
                and the charge has the problem `band`.
        """
        row = self.find(model, day)
        row_id = row.id if row is not None else None
        smallest, largest = prompt_tokens
        try:
            has_tokens = usage.prompt or usage.output or usage.cache_read
            tokens = self._tokens(usage, usage, model, day, None, prompt=smallest) if row or has_tokens else 0
            charge = _charge(tokens + self._server_tools(usage, day), row_id)
        except _Unknown as unknown:
            return Charge(None, row_id, str(unknown))
        if row is not None and any(smallest <= band.over < largest for band in row.bands[1:]):
            return msgspec.structs.replace(charge, problem="band")
        return charge

    def _iterations(
        self,
        facts: MessageFacts,
        usage: Usage,
        answered: str,
        day: date,
        requested_geo: str | None,
        request: Mapping[str, Any] | None,
    ) -> dict[str, int | Fraction]:
        """The passes of one request, each at the price of its own model, by model; a hop that declined before output is
        free."""
        free = self._declined_unbilled(facts, answered, day)
        parts: dict[str, int | Fraction] = {}
        for iteration in usage.iterations:
            kind, name, part = iteration.type, iteration.model, iteration.usage
            # An advisor is another model; so may be the hop of a fallback.
            needs_name = kind == "advisor_message" or (kind == "message" and facts.fallback_triggers)
            if kind not in _ITERATIONS or (name is None and needs_name):
                raise _Unknown(f"iteration:{kind}" if _printable(kind) else "iteration")
            name = name or answered
            parts.setdefault(name, 0)
            if part.output == 0 and kind in _HOPS and self._canonical(name) in free:
                continue
            last = request is None or self._canonical(name) == self._canonical(answered)
            fast = None if last else self._asked_fast(name, request or {}, day)
            parts[name] += self._tokens(part, usage, name, day, requested_geo, fast)
        return parts

    def _asked_fast(self, model: str, request: Mapping[str, Any], day: date) -> bool:
        """Whether a model that declined ran in fast mode: as its entry of `fallbacks` says, else as the request does,
        where the model has one (§5.2)."""
        speed = request.get("speed")
        entries = request.get("fallbacks")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping) and self._canonical(str(entry.get("model"))) == self._canonical(model):
                speed = entry.get("speed", speed)
        row = self.find(model, day)
        return speed == "fast" and row is not None and row.fast is not None

    def _declined_unbilled(self, facts: MessageFacts, answered: str, day: date) -> set[str]:
        """The models of a server-side fallback whose hop, if it declined before output, is free (§4, §5.2).  A block
        names the first of them as the caller did, maybe by its alias."""
        last = self._canonical(answered)
        free = {
            self._canonical(declined)
            for declined, category in facts.fallback_triggers
            if declined is not None and self._canonical(declined) != last and not _billed(category, day)
        }
        if facts.stop_reason == "refusal" and not _billed(facts.refusal_category, day):
            free.add(last)
        return free

    def _tokens(
        self,
        part: Usage,
        whole: Usage,
        model: str,
        day: date,
        requested_geo: str | None,
        asked_fast: bool | None = None,
        *,
        prompt: int | None = None,
    ) -> int | Fraction:
        """One pass, at the speed of the answer unless it is known to have been asked for another; `prompt` is its size
        where `part` is more than one."""
        row = self.find(model, day)
        if row is None:
            raise _Unknown(_no_row(model))
        tier = whole.service_tier
        if tier not in (None, "standard", "batch"):
            raise _Unknown(f"service_tier:{tier}" if _printable(tier) else "service_tier")
        fast = whole.speed == "fast" if asked_fast is None else asked_fast
        if whole.speed not in (None, "standard", "fast") or (fast and row.fast is None):
            raise _Unknown(f"speed:{whole.speed}" if _printable(whole.speed or "") else "speed")
        geo = requested_geo if whole.inference_geo in _GEO_UNTOLD else whole.inference_geo
        us = geo == "us"
        if geo not in (None, "global", "us") or (us and row.us is None):
            raise _Unknown(f"geo:{geo}" if _printable(geo or "") else "geo")
        if tier == "batch" and (row.batch is None or fast):
            raise _Unknown("batch")
        prompt = part.prompt if prompt is None else prompt
        band = 0
        for index, candidate in enumerate(row.bands):
            if prompt > candidate.over:
                band = index
        rates = self._rates_of(row, band, tier == "batch", fast, us)
        if len(row.bands) == 1 and asked_fast is None:
            self._flat[model, day, tier, whole.speed, geo] = (row.id, rates)
        return _at_rates(part, rates)

    def _server_tools(self, usage: Usage, day: date) -> int | Fraction:
        if usage.code_executions and not (usage.web_searches or usage.web_fetches):
            # Free beside the 2026 web tools, else billed by container hours, which no answer tells (§12).
            raise _Unknown("code_execution")
        if not usage.web_searches:
            return 0
        for row in self._web_search:
            if row.covers(day):
                return usage.web_searches * Fraction(row.bands[0].input) * PICO / 1000
        raise _Unknown("web_search")


def usd(pico: int) -> Decimal:
    """Exact US dollars."""
    return Decimal(pico).scaleb(-12)


def usd_text(pico: int) -> str:
    """Exact US dollars with twelve places, such as `0.001060000000`."""
    if pico < 0:
        return "-" + usd_text(-pico)
    dollars, rest = divmod(pico, PICO)
    return f"{dollars}.{rest:012}"


_BILLED_COUNTS = frozenset(
    ("usage", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
     "cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "iterations", "server_tool_use",
     "web_search_requests", "code_execution_requests", "service_tier", "speed", "inference_geo")
)  # fmt: skip
"""Anomalies that leave unknown what is billed.  (A total that fell leaves the higher one.)"""
_ITERATIONS = frozenset(("message", "compaction", "advisor_message", "fallback_message"))
_HOPS = frozenset(("message", "fallback_message"))

_GEO_UNTOLD = (None, "not_available")
"""Values of an answer's geography that leave it to the request."""


def _is_one_pass(usage: Usage) -> bool:
    """Whether only its tokens are billed, all at the same rates: so it is for nearly every call."""
    return not (usage.iterations or usage.web_searches or usage.code_executions or usage.anomalies)


def _at_rates(part: Usage, rates: Rates) -> int | Fraction:
    input_, output, write_5m, write_1h, read = rates
    return (
        part.input * input_
        + part.output * output
        + part.cache_write_5m * write_5m
        + part.cache_write_1h * write_1h
        + part.cache_read * read
    )


def _charge(total: int | Fraction, row_id: str | None) -> Charge:
    pico = total if isinstance(total, int) else _round(total)
    return Charge(pico, row_id) if pico <= LARGEST_PICO else Charge(None, row_id, "too_large")


def _split(parts: dict[str, int | Fraction], pico: int) -> tuple[tuple[str, int], ...]:
    """`pico` by model, in whole pico-dollars; what rounding leaves over goes to the last."""
    *before, last = [(model, int(part)) for model, part in parts.items()]
    return (*before, (last[0], pico - sum(part for _, part in before)))


def _billed(category: str | None, day: date) -> bool:
    return category in BILLED_REFUSALS and day >= BILLED_REFUSALS_SINCE


def _round(total: Fraction) -> int:
    """To whole pico-dollars, halves up.  Only a price finer than a pico-dollar a token makes this matter."""
    return (2 * total.numerator + total.denominator) // (2 * total.denominator)


def _no_row(model: str) -> str:
    return f"model:{model}" if _printable(model) else "model"


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and len(text) <= 64
