"""What the prompt cache saved, and what it could have saved, in exact pico-dollars.  Pure.

`saved` compares what each answer cost with what it would have cost with every cached token at the input price; a write
that nothing read makes it negative, and a request that only fills the cache is paid for out of it.  `could` plays the
calls again as if the part that all calls of a system prompt share were marked for five minutes: what is shared is not
known, so it is taken to be the shortest of their prompts, and the figure is a bound, not a promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from headgate.core.price import PriceBook
from headgate.usage import MessageFacts, Usage

__all__ = ["Advice", "CachedCall", "advise"]

LIFETIME_MS = 300_000
"""Of a marker without a `ttl` (claude-api.md §9.2)."""


class CachedCall(NamedTuple):
    """One answered attempt, as the ledger has it."""

    workflow: str
    model: str
    system_hash: str | None
    day: date
    """UTC."""
    started_ms: int
    usage: Usage
    cost_pico: int
    only_fills: bool = False
    """It asked for no answer (`max_tokens: 0`): without a cache there would be none of it."""


@dataclass(slots=True)
class Advice:
    """Of one workflow; money in pico-dollars."""

    workflow: str
    calls: int = 0
    prompt_tokens: int = 0
    read_tokens: int = 0
    written_tokens: int = 0
    cost_pico: int = 0
    saved_pico: int = 0
    could_pico: int = 0
    """At most, beyond what was saved; 0 where caching would not pay."""
    too_short: int = 0
    """Calls whose whole prompt is below what their model caches."""
    unshared: int = 0
    """Calls whose system prompt no other call had: nothing of theirs can be cached as they are."""


@dataclass(slots=True)
class _Shared:
    """Calls with the same system prompt, to the same model."""

    day: date
    times_ms: list[int] = field(default_factory=list)
    shortest: int = 1 << 62


def advise(calls: Iterable[CachedCall], prices: PriceBook, least_tokens: Callable[[str], int]) -> list[Advice]:
    """What caching saved and could save, by workflow, the one with most to gain first.

    Args:
        calls: in the order in which they began.
        least_tokens: of a model, the shortest prompt that it caches.
    """
    found: dict[str, Advice] = {}
    shared: dict[tuple[str, str, str], _Shared] = {}
    for call in calls:
        advice = found.setdefault(call.workflow, Advice(call.workflow))
        usage = call.usage
        advice.cost_pico += call.cost_pico
        if call.only_fills:
            advice.saved_pico -= call.cost_pico
            continue
        advice.calls += 1
        advice.prompt_tokens += usage.prompt
        advice.read_tokens += usage.cache_read
        advice.written_tokens += usage.cache_write_5m + usage.cache_write_1h
        if usage.cache_read or usage.cache_write_5m or usage.cache_write_1h:
            advice.saved_pico += _uncached_pico(call, prices) - call.cost_pico
        if usage.prompt < least_tokens(call.model):
            advice.too_short += 1
        elif call.system_hash is not None:
            of = shared.setdefault((call.workflow, call.model, call.system_hash), _Shared(call.day))
            of.times_ms.append(call.started_ms)
            of.day = call.day
            of.shortest = min(of.shortest, usage.prompt)
    for (workflow, model, _), of in shared.items():
        found[workflow].could_pico += max(0, _saving_pico(of, model, prices))
        found[workflow].unshared += len(of.times_ms) == 1
    for advice in found.values():
        advice.could_pico = max(0, advice.could_pico - max(0, advice.saved_pico))
    return sorted(found.values(), key=lambda advice: (-advice.could_pico, -advice.cost_pico, advice.workflow))


def _uncached_pico(call: CachedCall, prices: PriceBook) -> int:
    """What it would have cost with every token of the prompt at the input price."""
    usage = call.usage
    plain = Usage(
        input=usage.prompt, output=usage.output, service_tier=usage.service_tier, speed=usage.speed,
        inference_geo=usage.inference_geo,
    )  # fmt: skip
    uncached, same = (_price(call.model, call.day, each, prices) for each in (plain, usage))
    return call.cost_pico if uncached is None or same is None else call.cost_pico + uncached - same


def _saving_pico(shared: _Shared, model: str, prices: PriceBook) -> int:
    """Marked for five minutes, what all have in common costs so much less."""
    tokens = shared.shortest
    plain, written, read = (
        _price(model, shared.day, usage, prices)
        for usage in (Usage(input=tokens), Usage(cache_write_5m=tokens), Usage(cache_read=tokens))
    )
    if plain is None or written is None or read is None:
        return 0
    hits = sum(later - earlier <= LIFETIME_MS for earlier, later in pairwise(shared.times_ms))
    return hits * (plain - read) - (len(shared.times_ms) - hits) * (written - plain)


def _price(model: str, day: date, usage: Usage, prices: PriceBook) -> int | None:
    return prices.charge(MessageFacts(model=model, usage=usage), model=model, day=day).pico
