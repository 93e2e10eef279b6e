"""Claude's prompt cache: which part of a prompt is read, which is written, and for how long (claude-api.md §9).

Times are monotonic seconds, handed in.  Nothing here knows prices; the invoice turns the split into money.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

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
    entries: list[tuple[bytes, int]] = field(default_factory=list)
    """What the request writes, if it comes to that: prefix and lifetime in seconds."""
    started_s: float = 0.0


class PromptCache:
    """All entries of the simulated API, keyed by a hash over workspace, model, speed and prefix.

    `look_up` at the start of a request, `write` when its response begins: until then nobody else can hit what it
    writes, so identical requests side by side all pay for the write (§9.8).
    """

    def __init__(self, entries: int) -> None:
        self._most = entries
        self._entries: dict[bytes, _Entry] = {}

    def look_up(self, prompt: Prompt, scope: str, model: Model, now_s: float) -> CacheSplit:
        """Split `prompt` into read, written and fresh tokens; what is read lives on from now (§9.2).

        Args:
            scope: whose cache it is: workspace and speed; the model is added here.
        """
        split = CacheSplit(prompt.tokens, started_s=now_s)
        markers = prompt.markers
        if not markers:
            return split
        digests = _digests(prompt, f"{scope}\0{model.id}")
        hit = self._read(prompt, digests, now_s)
        read = prompt.ends[hit] if hit is not None else 0
        paid_1h = paid = read
        for marker in markers:
            end = prompt.ends[marker.at]
            if end <= read or end < model.min_cacheable_tokens:
                continue
            split.entries.append((digests[marker.at], marker.ttl_s))
            paid = end
            if marker.ttl_s == TTL_S["1h"]:
                paid_1h = end
        split.read = read
        # A, B and C of §9.2: read A, write (B - A) for an hour and (C - B) for five minutes.
        split.write_1h = paid_1h - read
        split.write_5m = paid - paid_1h
        split.fresh = prompt.tokens - paid
        return split

    def _read(self, prompt: Prompt, digests: dict[int, bytes], now_s: float) -> int | None:
        """The furthest block with a live entry within reach of a marker.  Every marker's own find is refreshed."""
        best = None
        for marker in prompt.markers:
            for at in range(marker.at, max(-1, marker.at - FACTS.other_limits.cache_lookback_blocks), -1):
                entry = self._entries.get(digests[at])
                if entry is not None and entry.expires_s > now_s:
                    entry.expires_s = now_s + entry.ttl_s
                    best = at if best is None else max(best, at)
                    break
        return best

    def write(self, split: CacheSplit, now_s: float) -> None:
        """Make what a request wrote usable; its lifetime counts from the request's start, not from now."""
        for digest, ttl_s in split.entries:
            self._entries.pop(digest, None)  # written anew, it moves to the young end
            self._entries[digest] = _Entry(ttl_s, split.started_s + ttl_s)
        if len(self._entries) > self._most:
            self._shrink(now_s)

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


def _digests(prompt: Prompt, scope: str) -> dict[int, bytes]:
    """The hash of the prefix up to each block that a look-up may ask for; one pass over the prompt."""
    reach = FACTS.other_limits.cache_lookback_blocks
    wanted = {at for marker in prompt.markers for at in range(max(0, marker.at - reach + 1), marker.at + 1)}
    running = blake2b(scope.encode(), digest_size=16)
    digests = {}
    for at, material in enumerate(prompt.material(prompt.markers[-1].at)):
        running.update(material)
        if at in wanted:
            digests[at] = running.digest()
    return digests
