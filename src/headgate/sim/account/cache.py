"""Claude's prompt cache: which part of a prompt is read, which is written, and for how long (claude-api.md §9).

Times are monotonic seconds, handed in.  Nothing here knows prices; the invoice turns the split into money.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from headgate.sim.facts import FACTS, Model
from headgate.sim.request.prompt import TTL_S, Prompt

__all__ = ["CacheSplit", "PromptCache"]


@dataclass(slots=True)
class CacheSplit:
    """How one prompt meets the cache.  `fresh` tokens are what the API calls `input_tokens`."""

    fresh: int
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    entries: list[tuple[bytes, int, int]] = field(default_factory=list)
    """What the request writes, if it comes to that: prefix, lifetime in seconds, tokens of the prefix."""
    model: str = ""
    started_s: float = 0.0
    hit: bytes | None = None
    """What it reads: the prefix of the furthest live entry."""
    found: list[bytes] = field(default_factory=list)
    """The live entry that each marker found; all of them live on."""


@dataclass(slots=True)
class Tally:
    """What became of one prefix: the truth that usage fields only tell the sum of."""

    model: str
    tokens: int
    ttl_s: int
    writes: int = 0
    reads: int = 0

    def told(self, digest: bytes) -> dict[str, Any]:
        return {
            "key": digest.hex(),
            "model": self.model,
            "tokens": self.tokens,
            "ttl_s": self.ttl_s,
            "writes": self.writes,
            "reads": self.reads,
            "tokens_read": self.tokens * self.reads,
        }


class PromptCache:
    """All entries of the simulated API, keyed by a hash over workspace, model, speed and prefix.

    `look_up` at the start of a request, `use` once it is let in, `write` when its response begins: until then nobody
    else can hit what it writes, so identical requests side by side all pay for the write (§9.8).
    """

    def __init__(self, entries: int) -> None:
        self._most = entries
        self._entries: dict[bytes, _Entry] = {}
        self._tallies: OrderedDict[bytes, Tally] = OrderedDict()

    def look_up(self, prompt: Prompt, scope: str, model: Model, now_s: float) -> CacheSplit:
        """Split `prompt` into read, written and fresh tokens.  Nothing changes yet: a limit may still refuse it.

        Args:
            scope: whose cache it is: workspace and speed; the model is added here.
        """
        split = CacheSplit(prompt.tokens, started_s=now_s)
        markers = prompt.markers
        if not markers:
            return split
        digests = _digests(prompt, f"{scope}\0{model.id}", _within_reach(prompt))
        hit = self._find(prompt, digests, split, now_s)
        read = prompt.ends[hit] if hit is not None else 0
        paid_1h = paid = read
        for marker in markers:
            end = prompt.ends[marker.at]
            if end <= read or end < model.min_cacheable_tokens:
                continue
            split.entries.append((digests[marker.at], marker.ttl_s, end))
            paid = end
            if marker.ttl_s == TTL_S["1h"]:
                paid_1h = end
        split.model = model.id
        split.read = read
        # A, B and C of §9.2: read A, write (B - A) for an hour and (C - B) for five minutes.
        split.write_1h = paid_1h - read
        split.write_5m = paid - paid_1h
        split.fresh = prompt.tokens - paid
        return split

    def _find(self, prompt: Prompt, digests: dict[int, bytes], split: CacheSplit, now_s: float) -> int | None:
        """The furthest block with a live entry within reach of a marker."""
        best = None
        for marker in prompt.markers:
            for at in range(marker.at, max(-1, marker.at - FACTS.other_limits.cache_lookback_blocks), -1):
                entry = self._entries.get(digests[at])
                if entry is not None and entry.expires_s > now_s:
                    split.found.append(digests[at])
                    if best is None or at > best:
                        best, split.hit = at, digests[at]
                    break
        return best

    def use(self, split: CacheSplit) -> None:
        """The request was let in: what its markers found lives on from its start (§9.2)."""
        for digest in split.found:
            entry = self._entries.get(digest)
            if entry is not None:
                entry.expires_s = max(entry.expires_s, split.started_s + entry.ttl_s)
        if split.hit is not None and split.hit in self._tallies:
            self._tallies[split.hit].reads += 1

    def told(self) -> list[dict[str, Any]]:
        """What was written and read, entry by entry, those that are gone included; the oldest first."""
        return [tally.told(digest) for digest, tally in self._tallies.items()]

    def extend(self, split: CacheSplit, prompt: Prompt, scope: str, model: Model) -> None:
        """A request whose server tools run in a loop caches on its way, for five minutes whatever its markers say, if
        it uses caching at all (§4): everything up to the loop, which is then written and not fresh."""
        last = len(prompt.blocks) - 1
        if not prompt.markers or not split.fresh or prompt.tokens < model.min_cacheable_tokens:
            return
        split.entries.append((_digests(prompt, f"{scope}\0{model.id}", {last})[last], TTL_S["5m"], prompt.tokens))
        split.write_5m += split.fresh
        split.fresh = 0

    def write(self, split: CacheSplit, now_s: float) -> None:
        """Make what a request wrote usable; its lifetime counts from the request's start, not from now."""
        for digest, ttl_s, tokens in split.entries:
            self._entries.pop(digest, None)  # written anew, it moves to the young end
            self._entries[digest] = _Entry(ttl_s, split.started_s + ttl_s)
            tally = self._tallies.get(digest)
            if tally is None:
                tally = self._tallies[digest] = Tally(split.model, tokens, ttl_s)
            tally.writes += 1
        if len(self._entries) > self._most:
            self._shrink(now_s)
        while len(self._tallies) > self._most:
            self._tallies.popitem(last=False)

    def _shrink(self, now_s: float) -> None:
        self._entries = {digest: entry for digest, entry in self._entries.items() if entry.expires_s > now_s}
        if len(self._entries) > self._most:
            # A tenth more than needed, so that a full cache is not swept at every write.
            for digest in list(self._entries)[: len(self._entries) - self._most * 9 // 10]:
                del self._entries[digest]


@dataclass(slots=True)
class _Entry:
    ttl_s: int
    expires_s: float


def _within_reach(prompt: Prompt) -> set[int]:
    """The blocks that a look-up may ask for: 20 positions back from each marker, itself counted (§9.1)."""
    reach = FACTS.other_limits.cache_lookback_blocks
    return {at for marker in prompt.markers for at in range(max(0, marker.at - reach + 1), marker.at + 1)}


def _digests(prompt: Prompt, scope: str, wanted: set[int]) -> dict[int, bytes]:
    """The hash of the prefix up to each block of `wanted`; one pass over the prompt."""
    running = blake2b(scope.encode(), digest_size=16)
    digests = {}
    for at, material in enumerate(prompt.material(max(wanted))):
        running.update(material)
        if at in wanted:
            digests[at] = running.digest()
    return digests
