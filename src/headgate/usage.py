"""What an answer used, and what else Headgate needs to know of it.

Anthropic's fields are disjoint and stay so: `input`, `cache_read`, `cache_write_5m` and `cache_write_1h` never overlap;
sums are derived (claude-api.md §4).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from headgate.records import AttemptRecord, BatchItemRecord

__all__ = ["Hop", "Iteration", "MessageFacts", "Usage"]


class Iteration(msgspec.Struct, eq=False):
    """One sampling pass of a request (`usage.iterations[]`): its own counts, and its own model where the API names
    it."""

    type: str
    model: str | None
    usage: Usage


class Usage(msgspec.Struct, eq=False):
    """Token counts of one answer, and what else its price depends on."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    thinking: int = 0
    """Part of `output`."""
    web_searches: int = 0
    web_fetches: int = 0
    code_executions: int = 0
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: list[Iteration] = []
    anomalies: list[str] = []
    """Names of the fields whose value was no count and was therefore not taken."""

    @property
    def prompt(self) -> int:
        """The size of the prompt: everything that went in, cached or not."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def counted_input(self) -> int:
        """What the input limit counts: cache reads are free (§8.1)."""
        return self.input + self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> Usage:
        """The counts over all passes of the request, where the API lists several (§4: a compaction is not in the counts
        at the top)."""
        if not self.iterations:
            return self
        return _sum(iteration.usage for iteration in self.iterations)

    @property
    def own(self) -> Usage:
        """The counts over the passes of the model that was asked for: without those that took over from it, and without
        its advisor."""
        if not self.iterations:
            return self
        return _sum(iteration.usage for iteration in self.iterations if iteration.type not in _OTHERS)

    def by_model(self, unnamed: str) -> dict[str, Usage]:
        """The counts of each model's passes, in the order they ran; `unnamed` is the model of those that name none."""
        parts: dict[str, list[Usage]] = {}
        for iteration in self.iterations:
            parts.setdefault(iteration.model or unnamed, []).append(iteration.usage)
        return {model: _sum(of_model) for model, of_model in parts.items()}

    def write_to(self, record: AttemptRecord | BatchItemRecord) -> None:
        """Put the token counts of all passes into a record."""
        total = self.total
        record.input_tokens = total.input
        record.output_tokens = total.output
        record.cache_read_tokens = total.cache_read
        record.cache_write_5m_tokens = total.cache_write_5m
        record.cache_write_1h_tokens = total.cache_write_1h


_OTHERS = frozenset(("fallback_message", "advisor_message"))


def _sum(parts: Iterable[Usage]) -> Usage:
    total = Usage()
    for part in parts:
        total.input += part.input
        total.output += part.output
        total.cache_read += part.cache_read
        total.cache_write_5m += part.cache_write_5m
        total.cache_write_1h += part.cache_write_1h
    return total


class Hop(NamedTuple):
    """What one model used of a request: its own limits count it (§5.2, §8.1)."""

    model: str
    counted_input: int
    output: int
    cache_read: int


class MessageFacts(msgspec.Struct, eq=False):
    """What Headgate needs to know of an answer."""

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    refusal_category: str | None = None
    has_content: bool = False
    fallback_triggers: list[tuple[str | None, str | None]] = []
    """For each `fallback` block: the model that declined, and the category."""
    compacted: bool = False
    """It holds a summary, which is a pass of its own."""
    usage: Usage | None = None
    cache_miss: tuple[str, int] | None = None
    """Where the API was asked to say it: what changed since an earlier answer, and how many tokens were therefore not
    read from the cache (§9.9)."""

    def hops(self, requested: str) -> list[Hop]:
        """What each model used, in the order they ran: several where a server-side fallback handed over (§5.2).  A pass
        that does not name its model ran on the one that was asked for.  None if nothing is known of what was used."""
        usage = self.usage
        if usage is None:
            return []
        if not usage.iterations:
            return [Hop(self.model or requested, usage.counted_input, usage.output, usage.cache_read)]
        parts = usage.by_model(requested)
        return [Hop(model, part.counted_input, part.output, part.cache_read) for model, part in parts.items()]
