"""What a workload's prompts would cost, if the planner marked them: in seconds, without the rest of the engine.

The cache is exact (claude-api.md §9): entries of markers only, twenty borders back from each, lifetimes from the start
of a request, and what a request writes can be read at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import NamedTuple

from headgate.core.body import Ttl
from headgate.core.cache_plan import Keep, Terms
from headgate.core.prefix import LOOK_BACK, TTL_S, Border
from headgate.core.prompt_cache import Planner

__all__ = ["Asked", "ExactCache", "Played", "play"]

BYTES_PER_TOKEN = 3.2
LEAD_S = 20.0
"""So long before a lifetime ends it is renewed."""


class Asked(NamedTuple):
    """A prompt: its blocks, each with its tokens.  Equal names are equal blocks."""

    at_s: float
    workflow: str
    blocks: Sequence[Hashable]
    tokens: Sequence[int]


class Played(NamedTuple):
    """What became of one; costs in the price of a token of input."""

    at_s: float
    tokens: int
    """What it would have cost without a cache; 0 for a request that only keeps something alive."""
    cost: float
    markers: list[tuple[int, Ttl]]
    read: int


class Split(NamedTuple):
    """Tokens of a prompt by how they are charged."""

    read: int
    written_5m: int
    written_1h: int
    fresh: int


class ExactCache:
    """Claude's prompt cache."""

    def __init__(self, *, least_tokens: int) -> None:
        self._least = least_tokens
        self._entries: dict[Hashable, tuple[float, float]] = {}
        """Lifetime, and until when."""

    def request(
        self, borders: Sequence[Hashable], sizes: Sequence[int], markers: Sequence[tuple[int, float]], now_s: float
    ) -> Split:
        """A request with these markers: border and lifetime.  `sizes` are the tokens up to each border."""
        found: list[int] = []
        for marker, _ in markers:
            for at in range(marker, max(-1, marker - LOOK_BACK), -1):
                if self._entries.get(borders[at], (0.0, now_s))[1] > now_s:
                    found.append(at)
                    break
        for at in found:
            ttl_s, until_s = self._entries[borders[at]]
            self._entries[borders[at]] = ttl_s, max(until_s, now_s + ttl_s)
        read = sizes[max(found)] if found else 0
        for_an_hour = written = read
        for at, ttl_s in markers:
            if sizes[at] > read and sizes[at] >= self._least:
                self._entries[borders[at]] = ttl_s, now_s + ttl_s
                written = sizes[at]
                for_an_hour = written if ttl_s == TTL_S["1h"] else for_an_hour
        return Split(read, written - for_an_hour, for_an_hour - read, sizes[-1] - written)


class _Kept(NamedTuple):
    due_s: float
    keep: Keep
    borders: list[int]
    sizes: list[int]
    markers: list[tuple[int, float]]


def play(asked: Sequence[Asked], terms: Terms, *, keeps_alive: bool = True) -> list[Played]:
    """Every prompt at its time, marked as the planner says."""
    planner, cache = Planner(keeps_alive=keeps_alive), ExactCache(least_tokens=terms.least_tokens)
    played: list[Played] = []
    waiting: deque[_Kept] = deque()
    for at_s, workflow, blocks, tokens in asked:
        while waiting and waiting[0].due_s <= at_s:
            played += _kept_alive(waiting.popleft(), planner, cache, terms)
        sizes = list(accumulate(tokens))
        ids = list(accumulate(blocks, lambda before, block: hash((before, block)), initial=0))[1:]
        borders = [
            Border(border, round(size * BYTES_PER_TOKEN + 1), "messages", 0, at)
            for at, (border, size) in enumerate(zip(ids, sizes, strict=True))
        ]
        plan = planner.plan(workflow, borders, terms, tokens_per_byte=1 / BYTES_PER_TOKEN, now_s=at_s)
        markers = [(border.block, ttl) for border, ttl in plan.markers]
        split = cache.request(ids, sizes, [(at, TTL_S[ttl]) for at, ttl in markers], at_s)
        planner.answered(plan, read=split.read, written_5m=split.written_5m, written_1h=split.written_1h)
        played.append(Played(at_s, sizes[-1], _cost(split, terms), markers, split.read))
        if plan.keep is not None:
            marks = [(at, TTL_S[ttl]) for at, ttl in markers]
            waiting.append(_Kept(at_s + TTL_S["5m"] - LEAD_S, plan.keep, ids, sizes, marks))
    return played


def _kept_alive(kept: _Kept, planner: Planner, cache: ExactCache, terms: Terms) -> list[Played]:
    """A request that reads what is to be kept, if it has not been used since and is worth it."""
    due_s, keep, borders, sizes, markers = kept
    part = planner.worth_renewing(keep, due_s) if keep.node.until_s - LEAD_S <= due_s + 1.0 else None
    if part is None:
        return []
    end = part.border.block + 1
    split = cache.request(borders[:end], sizes[:end], [each for each in markers if each[0] < end], due_s)
    written = split.written_5m + split.written_1h
    planner.renewed(part, terms, due_s, read=split.read, written=written, fresh=split.fresh)
    return [Played(due_s, 0, _cost(split, terms), [], split.read)]


def _cost(split: Split, terms: Terms) -> float:
    return (
        terms.read * split.read
        + terms.write_5m * split.written_5m
        + terms.write_1h * split.written_1h
        + terms.input * split.fresh
    ) / terms.input
