"""What Claude's prompt cache probably holds for one pool (claude-api.md §9).

Pure: time is an argument, in seconds on any clock that never goes back.  The API keeps an entry per marker, readable
once the response of the request that writes it begins, for a lifetime that counts from the start of the last request
that used it.  What we sent, and what became of it, therefore tells what a call will find, as long as nobody else
uses the account with the same prompts, and then it errs on the cold side.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from math import inf

from headgate.core.prefix import Prefix

__all__ = ["LEAST_SAVED_TOKENS", "LONGEST_WRITE_S", "PREFIXES_KEPT", "Entry", "PrefixHeat"]

LEAST_SAVED_TOKENS = 1024
"""A write that saves a follower less is not worth waiting for."""
LONGEST_WRITE_S = 60.0
"""A request that has not begun to answer by then is not waited for, nor is one whose end nobody told."""
PREFIXES_KEPT = 20_000
NOTHING_SEEN: tuple[Sequence[Prefix], float, float] = ((), -inf, 0.0)


class Entry:
    """Of a beginning that a request writes.  `until_s` is -inf until it has been written."""

    __slots__ = ("sent_s", "ttl_s", "until_s", "writers")

    def __init__(self, ttl_s: float, now_s: float) -> None:
        self.ttl_s = ttl_s
        self.sent_s = now_s
        self.until_s = -inf
        self.writers = 1


class PrefixHeat:
    """Remembers which beginnings were sent, and whether they can be read yet."""

    def __init__(self, *, kept: int = PREFIXES_KEPT) -> None:
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._kept = kept
        self._seen = NOTHING_SEEN
        """Whose prompt was looked at last, when, and what of it can be read: one that follows nobody is asked next for
        its needs."""
        self._on_readable: Callable[[Sequence[Prefix]], None] = _nobody
        self._on_failed: Callable[[Sequence[Prefix]], None] = _nobody

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Mapping[int, Entry]:
        """What is, is being or has been written, by digest."""
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
        self._seen = NOTHING_SEEN
        entries = self._entries
        get = entries.get
        read = False
        for prefix in reversed(prefixes):
            digest = prefix[0]  # by number: there may be dozens, of which few are known
            entry = get(digest)
            if entry is None:
                if prefix[3] and not read:  # what it reads is not written in pieces
                    entries[digest] = Entry(prefix[2], now_s)
                    if len(entries) > self._kept:
                        entries.popitem(last=False)
                continue
            if entry.until_s > now_s:
                read = True
            elif prefix[3] and not read:
                entry.writers += 1
            else:
                continue
            entry.sent_s = now_s
            entries.move_to_end(digest)

    def begun(self, prefixes: Sequence[Prefix], now_s: float) -> None:
        """Its answer begins: what it wrote can be read from now on, and what its markers found lives on."""
        self._seen = NOTHING_SEEN
        get = self._entries.get
        fresh: list[Prefix] = []
        read = looking = False
        for prefix in reversed(prefixes):
            marked = prefix[3]
            if marked:
                looking = True
            entry = get(prefix[0])
            if entry is None:
                continue
            if marked and entry.writers:
                entry.writers -= 1
            if entry.until_s > now_s:
                if looking:
                    lives_s = entry.sent_s + entry.ttl_s
                    if lives_s > entry.until_s:
                        entry.until_s = lives_s
                    looking = False
                read = True
            elif marked and not read:
                entry.ttl_s = prefix[2]
                entry.until_s = entry.sent_s + entry.ttl_s
                fresh.append(prefix)
        if fresh:
            self._on_readable(fresh)

    def failed(self, prefixes: Sequence[Prefix], now_s: float) -> None:
        """It came to nothing before its answer began: it has written nothing."""
        self._seen = NOTHING_SEEN
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

    def served(self, prefixes: Sequence[Prefix], now_s: float) -> float:
        """Tokens of a prompt with these beginnings that the cache will give."""
        seen = self._seen
        if seen[0] is prefixes and seen[1] == now_s:
            return seen[2]
        get = self._entries.get
        for prefix in reversed(prefixes):
            entry = get(prefix[0])
            if entry is not None and entry.until_s > now_s:
                return prefix[1]
        return 0.0

    def being_written(self, prefixes: Sequence[Prefix], now_s: float) -> bool:
        """Whether a call with these beginnings had better wait for one that is under way."""
        return self.write_of(prefixes, now_s) is not None

    def write_of(self, prefixes: Sequence[Prefix], now_s: float) -> Prefix | None:
        """The beginning that is being written and that saves enough against what can be read already."""
        get = self._entries.get
        written: Prefix | None = None
        for prefix in reversed(prefixes):
            entry = get(prefix[0])
            if entry is None:
                continue
            if written is not None and written[1] - prefix[1] >= LEAST_SAVED_TOKENS:
                return written
            if entry.until_s > now_s:
                self._seen = (prefixes, now_s, prefix[1])
                return None
            if written is None and entry.writers and now_s - entry.sent_s < LONGEST_WRITE_S:
                written = prefix
        self._seen = (prefixes, now_s, 0.0)
        return written if written is not None and written[1] >= LEAST_SAVED_TOKENS else None


def _nobody(prefixes: Sequence[Prefix]) -> None:
    pass
