"""What Claude's prompt cache probably holds for one pool (claude-api.md §9).

Pure: time is an argument, in seconds on any clock that never goes back.  The API keeps an entry per marker, readable
once the response of the request that writes it begins, for a lifetime that counts from the start of the last request
that used it.  What we sent, and what became of it, therefore tells what a call will find, as long as nobody else
uses the account with the same prompts, and then it errs on the cold side.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from math import inf

from headgate.core.prefix import Prefix

__all__ = ["LEAST_SAVED_TOKENS", "LONGEST_WRITE_S", "PREFIXES_KEPT", "PrefixHeat"]

LEAST_SAVED_TOKENS = 1024
"""A write that saves a follower less is not worth waiting for."""
LONGEST_WRITE_S = 60.0
"""A request that has not begun to answer by then is not waited for, nor is one whose end nobody told."""
PREFIXES_KEPT = 20_000


class _Entry:
    """`until_s` is -inf until it has been written."""

    __slots__ = ("sent_s", "ttl_s", "until_s", "writers")

    def __init__(self, ttl_s: float, now_s: float) -> None:
        self.ttl_s = ttl_s
        self.sent_s = now_s
        self.until_s = -inf
        self.writers = 0


class PrefixHeat:
    """Remembers which beginnings were sent, and whether they can be read yet."""

    def __init__(self, *, kept: int = PREFIXES_KEPT) -> None:
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._kept = kept
        self._on_readable: Callable[[Sequence[Prefix]], None] = _nobody
        self._on_failed: Callable[[Sequence[Prefix]], None] = _nobody

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def known(self) -> Container[int]:
        """Digests of what is, is being or has been written."""
        return self._entries

    def watch(
        self, on_readable: Callable[[Sequence[Prefix]], None], on_failed: Callable[[Sequence[Prefix]], None]
    ) -> None:
        """Tell the one queue that orders by heat which beginnings have become readable, and of which a write that
        somebody may wait for has failed."""
        self._on_readable = on_readable
        self._on_failed = on_failed

    # -- what becomes of requests ---------------------------------------------------------------------------------

    def sent(self, prefixes: Sequence[Prefix], now_s: float) -> None:
        """A request with these beginnings is on its way."""
        entries = self._entries
        read = False
        for prefix in reversed(prefixes):
            digest = prefix[0]  # by number: there may be dozens, of which few are known
            entry = entries.get(digest)
            if entry is not None and entry.until_s > now_s:
                read = True
            elif read or not prefix.marked:
                continue  # what it reads is not written in pieces
            elif entry is None:
                entry = entries[digest] = _Entry(prefix.ttl_s, now_s)
                entry.writers = 1
                if len(entries) > self._kept:
                    entries.popitem(last=False)
            else:
                entry.writers += 1
            entry.sent_s = now_s
            entries.move_to_end(digest)

    def begun(self, prefixes: Sequence[Prefix], now_s: float) -> None:
        """Its answer begins: what it wrote can be read from now on, and what its markers found lives on."""
        fresh: list[Prefix] = []
        read = looking = False
        for prefix in reversed(prefixes):
            marked = prefix[3]
            looking = looking or marked
            entry = self._entries.get(prefix[0])
            if entry is None:
                continue
            if marked and entry.writers:
                entry.writers -= 1
            if entry.until_s > now_s:
                if looking:
                    entry.until_s = max(entry.until_s, entry.sent_s + entry.ttl_s)
                    looking = False
                read = True
            elif marked and not read:
                entry.ttl_s = prefix.ttl_s
                entry.until_s = entry.sent_s + entry.ttl_s
                fresh.append(prefix)
        if fresh:
            self._on_readable(fresh)

    def failed(self, prefixes: Sequence[Prefix], now_s: float) -> None:
        """It came to nothing before its answer began: it has written nothing."""
        lost: list[Prefix] = []
        for prefix in prefixes:
            entry = self._entries.get(prefix.digest)
            if entry is None or not entry.writers or not prefix.marked:
                continue
            entry.writers -= 1
            if not entry.writers and entry.until_s <= now_s:
                del self._entries[prefix.digest]
                lost.append(prefix)
        if lost:
            self._on_failed(lost)

    # -- what a call would find -----------------------------------------------------------------------------------

    def readable(self, digest: int, now_s: float) -> bool:
        entry = self._entries.get(digest)
        return entry is not None and entry.until_s > now_s

    def readable_of(self, prefixes: Sequence[Prefix], now_s: float) -> list[Prefix]:
        """Those of these beginnings that the cache holds."""
        entries = self._entries
        return [
            prefix for prefix in prefixes if (found := entries.get(prefix[0])) is not None and found.until_s > now_s
        ]

    def served(self, prefixes: Sequence[Prefix], now_s: float) -> float:
        """Tokens of a prompt with these beginnings that the cache will give."""
        entries = self._entries
        for digest, tokens, _, _ in reversed(prefixes):
            entry = entries.get(digest)
            if entry is not None and entry.until_s > now_s:
                return tokens
        return 0.0

    def being_written(self, prefixes: Sequence[Prefix], now_s: float) -> bool:
        """Whether a call with these beginnings had better wait for one that is under way."""
        return self.write_of(prefixes, now_s) is not None

    def write_of(self, prefixes: Sequence[Prefix], now_s: float) -> Prefix | None:
        """The beginning that is being written and that saves enough against what can be read already."""
        written: Prefix | None = None
        entries = self._entries
        for prefix in reversed(prefixes):
            if written is not None and written.tokens - prefix.tokens >= LEAST_SAVED_TOKENS:
                return written
            entry = entries.get(prefix[0])
            if entry is None:
                continue
            if entry.until_s > now_s:
                return None
            if written is None and entry.writers and now_s - entry.sent_s < LONGEST_WRITE_S:
                written = prefix
        return written if written is not None and written.tokens >= LEAST_SAVED_TOKENS else None


def _nobody(prefixes: Sequence[Prefix]) -> None:
    pass
