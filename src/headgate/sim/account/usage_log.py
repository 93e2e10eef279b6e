"""What was used, by the minute and by everything that reports of the Admin API can tell apart (claude-api.md §13).

Lines are added as they come and summed up when somebody looks, or when many have come.  Times are unix milliseconds,
money is pico-dollars.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from headgate.sim.account.access import Caller
from headgate.sim.account.invoice import Terms, Usage, price_by_kind

__all__ = ["LONG_CONTEXT_TOKENS", "Dimensions", "Sum", "UsageLog"]

LONG_CONTEXT_TOKENS = 200_000
"""Prompts up to here are told as `0-200k`, longer ones as `200k-1M`."""
MINUTE_MS = 60_000
MOST_PENDING = 4_096


class Dimensions(NamedTuple):
    """What usage can be told apart by; the names are those of the API's `group_by`."""

    api_key_id: str
    workspace_id: str
    model: str
    service_tier: str
    context_window: str
    inference_geo: str
    speed: str


@dataclass(slots=True)
class Sum:
    """Usage, and what each kind of it cost."""

    usage: Usage = field(default_factory=Usage)
    cost_pico: Counter[str] = field(default_factory=Counter)


class UsageLog:
    """All usage of all organisations; the oldest minutes go when there are too many."""

    def __init__(self, minutes: int) -> None:
        self._most = minutes
        self._pending: list[tuple[int, Caller, Terms, Usage, int]] = []
        self._minutes: dict[str, dict[int, dict[Dimensions, Sum]]] = {}

    def add(self, at_ms: int, caller: Caller, terms: Terms, usage: Usage, cost_pico: int) -> None:
        """Note what one pass used; `usage` must not change afterwards."""
        self._pending.append((at_ms, caller, terms, usage, cost_pico))
        if len(self._pending) >= MOST_PENDING:
            self._sum_up()

    def minutes(self, organisation: str) -> dict[int, dict[Dimensions, Sum]]:
        """Minutes since 1970 → what was used in them."""
        self._sum_up()
        return self._minutes.get(organisation, {})

    def _sum_up(self) -> None:
        for at_ms, caller, terms, usage, cost_pico in self._pending:
            minutes = self._minutes.setdefault(caller.organisation, {})
            sums = minutes.setdefault(at_ms // MINUTE_MS, {})
            dimensions = _dimensions(caller, terms, usage)
            total = sums.get(dimensions)
            if total is None:
                total = sums[dimensions] = Sum()
            total.usage.add(usage)
            if cost_pico:
                by_kind = price_by_kind(usage, terms)
                # What a price rule beyond the single kinds takes off or adds is told with the input.
                by_kind["input"] += cost_pico - sum(by_kind.values())
                total.cost_pico.update(by_kind)
        self._pending.clear()
        for minutes in self._minutes.values():
            for minute in sorted(minutes)[: max(0, len(minutes) - self._most)]:
                del minutes[minute]


def _dimensions(caller: Caller, terms: Terms, usage: Usage) -> Dimensions:
    geographies = terms.model.multipliers.inference_geo_us is not None
    return Dimensions(
        caller.key_id,
        caller.workspace,
        terms.model.id,
        "batch" if terms.batch else "priority" if terms.priority else "standard",
        "0-200k" if usage.prompt <= LONG_CONTEXT_TOKENS else "200k-1M",
        ("us" if terms.us else "global") if geographies else "not_available",
        "fast" if terms.fast else "standard",
    )
