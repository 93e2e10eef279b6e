"""Who breaks the prompt cache, and with what: named from the calls that a workflow really makes.

A workflow's tools and system prompt should be the same in every call.  Where a part of them has new text in most calls,
nothing from there on can ever be read from the cache (claude-api.md §9).  A part that changes back and forth between
versions that were seen before is not volatile: each of them can be cached.  Pure; prompts are kept in memory only, to
be compared with the next call's, and what is told of them has none of their words.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from headgate.core.volatile import ADVICE, Change, Volatile, change_between, parts_of

__all__ = ["API_REASONS", "Finding", "Miss", "PrefixLint"]

CALLS = 20
"""So many of a workflow's last calls are judged."""
LEAST = 3
"""Fewer changes than this may be a new version of the prompt."""
SHARE = 0.5
"""Of the calls that were judged: what changes in fewer of them is not volatile."""
WORKFLOWS = 200
"""The longest unused are forgotten."""
VERSIONS = 64
"""Remembered of each part, by digest."""
LARGEST_BYTES = 512 * 1024
"""Larger requests are not kept to be compared."""
THOROUGH_EVERY = 8
"""Equal dictionaries may have their keys in another order, which only their text shows: looked at now and then."""


class Finding(NamedTuple):
    """A part of a workflow's prompt that keeps it from being cached."""

    workflow: str
    part: str
    """A path into the request: `system[0]`."""
    kind: Volatile
    at: int
    """Characters of the part before it."""
    shape: str
    """What stands there, without its words: `####-##-## ##:##`."""
    calls: int
    """The workflow's last calls that were looked at."""
    changed: int
    """Those of them in which it was new."""
    lost_bytes: int
    """Of the tools and the system prompt, what stands behind it and so cannot be read from the cache either."""

    @property
    def advice(self) -> str:
        return ADVICE[self.kind]


class _New(NamedTuple):
    """What a call has that none had before."""

    part: str
    change: Change
    behind: int


class _Workflow:
    def __init__(self) -> None:
        self.tools: Any = None
        self.system: Any = None
        self.parts: list[tuple[str, str]] | None = None
        self.seen: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self.last: deque[_New | None] = deque(maxlen=CALLS)
        self.unread = 0
        """Calls since one was read whole."""
        self.suspect = 0
        """So many more are read whole, since one of them had something new."""


class Miss(NamedTuple):
    """What the API itself says of a workflow's misses (§9.9)."""

    workflow: str
    reason: str
    """One of `API_REASONS`."""
    calls: int
    lost_tokens: int
    """Estimated by the API: not read from the cache, over all those calls."""


API_REASONS = ("model_changed", "system_changed", "tools_changed", "messages_changed")


class PrefixLint:
    """What was seen of each workflow's calls."""

    def __init__(self) -> None:
        self._workflows: OrderedDict[str, _Workflow] = OrderedDict()
        self._misses: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def observe_miss(self, workflow: str, reason: str, tokens: int) -> None:
        """The API says why a call of `workflow` did not read so many tokens from the cache.  What names no change of
        the prompt is no news."""
        if reason in API_REASONS:
            calls, lost = self._misses.pop((workflow, reason), (0, 0))
            self._misses[workflow, reason] = calls + 1, lost + tokens
            if len(self._misses) > WORKFLOWS:
                self._misses.popitem(last=False)

    def misses(self) -> list[Miss]:
        """What the API has said since the start, the costliest first."""
        told = [Miss(*key, *sums) for key, sums in self._misses.items()]
        return sorted(told, key=lambda miss: -miss.lost_tokens)

    def observe(self, workflow: str, document: dict[str, Any], size: int) -> None:
        """A call of `workflow` asks for `document`, of `size` bytes."""
        if size > LARGEST_BYTES:
            return
        known = self._workflows.get(workflow)
        if known is None:
            known = self._workflows[workflow] = _Workflow()
            if len(self._workflows) > WORKFLOWS:
                self._workflows.popitem(last=False)
        else:
            self._workflows.move_to_end(workflow)
        tools, system = document.get("tools"), document.get("system")
        known.unread += 1
        if not known.suspect and known.unread < THOROUGH_EVERY and system == known.system and tools == known.tools:
            known.last.append(None)
            return
        known.unread = 0
        known.tools, known.system = tools, system
        parts = parts_of({"tools": tools, "system": system})
        new = _new_in(known, parts)
        known.last.append(new)
        known.suspect = CALLS if new is not None else max(0, known.suspect - 1)
        known.parts = parts

    def findings(self) -> list[Finding]:
        """What keeps prompts from being cached, the costliest first."""
        found = [finding for name, known in self._workflows.items() for finding in _findings_of(name, known)]
        return sorted(found, key=lambda finding: -finding.lost_bytes * finding.changed)


def _new_in(known: _Workflow, parts: list[tuple[str, str]]) -> _New | None:
    """The first part that no call had before; remembers all of them."""
    before = dict(known.parts or ())
    first: _New | None = None
    for at, (name, text) in enumerate(parts):
        version = (name, blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        if version in known.seen:
            known.seen.move_to_end(version)
            continue
        known.seen[version] = None
        if len(known.seen) > VERSIONS:
            known.seen.popitem(last=False)
        if first is None and known.parts is not None:
            change = change_between(before.get(name, ""), text) or Change(Volatile.TEXT, 0, "")
            first = _New(name, change, len(text) - change.at + sum(len(later) for _, later in parts[at + 1 :]))
    return first


def _findings_of(workflow: str, known: _Workflow) -> Iterator[Finding]:
    news = [new for new in known.last if new is not None]
    for part, changed in Counter(new.part for new in news).items():
        if changed < LEAST or changed < SHARE * len(known.last):
            continue
        kinds = Counter(new.change.kind for new in news if new.part == part)
        kind = max(kinds, key=lambda kind: kinds[kind])
        last = next(new for new in reversed(news) if new.part == part and new.change.kind is kind)
        yield Finding(workflow, part, kind, last.change.at, last.change.shape, len(known.last), changed, last.behind)
