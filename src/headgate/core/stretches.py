"""A prompt by what is expected of its parts: stretches of it that are judged alike.

What was seen before is judged by how often and how long ago, and by how much follows it that is new: a talk that goes
on, or the same rules over another document.  What was not is judged by where it stands.  Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from headgate.core.prefix import TTL_S, Border
from headgate.core.reuse import Context, Rates, Segment

__all__ = ["Seen", "Stretch", "Stretches", "growth_of"]

_FIRST: Rates = (0.02, 0.04, 0.08, 0.04, 0.02, 0.03)
"""What is guessed of a beginning that was never seen: below what pays, so that it must show first."""
_SEEN: Rates = (0.08, 0.14, 0.28, 0.04, 0.02, 0.03)
"""And of one that was: what came twice comes a third time with a chance of 0.43 within five minutes (the conversations
of traces: 0.36 to 0.6)."""
_SEEN_LONG_AGO: Rates = (0.03, 0.05, 0.12, 0.04, 0.04, 0.06)
_TRUST_AFTER = 20.0
"""So many observations weigh as much as the guess."""
_CAREFUL_TRUST_AFTER = 8.0
_LONG_AGO, _LONGER_AGO = 2, 3
CONTEXTS_KEPT = 4_096
"""Workflow names come from callers: the least used are forgotten."""


class Seen(Protocol):
    """A border that was seen."""

    times: int
    last_s: float


class Stretch(NamedTuple):
    """Borders that are judged alike."""

    segment: Segment
    last: int
    """The last of them."""

    @property
    def seen(self) -> bool:
        return self.segment.overall is not None


_Found = tuple[Context, Context | None]
"""The context of a kind of stretch; and of what was seen, the one of all that was seen so often."""


class Stretches:
    """Finds them, and knows the contexts of all kinds."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[object, ...], _Found] = OrderedDict()
        self._wide: OrderedDict[tuple[object, ...], Context] = OrderedDict()

    def of(
        self,
        workflow: str,
        borders: Sequence[Border],
        known: Sequence[Seen],
        *,
        total: int,
        growth: int,
        now_s: float,
    ) -> list[Stretch]:
        """Those of a prompt of which the borders in `known`, the first ones, were seen before.

        Args:
            total: bytes of the whole prompt.
            growth: `growth_of` what is new of it.
        """
        found: list[Stretch] = []
        begin, end = 0, len(borders) - 1
        kind: tuple[object, ...] | None = None
        for at, node in enumerate(known):
            times, ago_s = node.times, now_s - node.last_s
            this = (
                workflow,
                times if times < 3 else 3 if times < 6 else 6,
                0 if ago_s < 100.0 else 1 if ago_s < TTL_S["5m"] else _LONG_AGO if ago_s < 600.0 else _LONGER_AGO,
                growth,
            )
            if this != kind:
                if kind is not None:
                    begin = self._add(found, kind, begin, borders[at - 1].size, at - 1)
                kind = this
        first = len(known)
        if kind is not None:
            begin = self._add(found, kind, begin, borders[first - 1].size, first - 1)
        if first > end:
            return found
        follows, size = first > 0, total.bit_length()
        last = end - 1
        while last >= first and borders[last].part == "messages":
            last -= 1
        if last >= first:
            begin = self._add(found, (workflow, "instructions", follows, size), begin, borders[last].size, last)
        if end - 1 > last and end - 1 >= first:
            begin = self._add(found, (workflow, "history", follows, size), begin, borders[end - 1].size, end - 1)
        self._add(found, (workflow, "end", follows, growth), begin, borders[end].size, end)
        return found

    def _add(self, found: list[Stretch], kind: tuple[object, ...], begin: int, end: int, last: int) -> int:
        contexts = self._found.get(kind)
        if contexts is None:
            contexts = self._found[kind] = self._contexts(kind)
            if len(self._found) > CONTEXTS_KEPT:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(kind)
        found.append(Stretch(Segment(contexts[0], begin, end, overall=contexts[1]), last))
        return end

    def _contexts(self, kind: tuple[object, ...]) -> _Found:
        workflow, what, how, _ = kind
        if isinstance(what, str):  # where it stands, if it was never seen
            wide = self._wider((workflow, what, how), _FIRST, _CAREFUL_TRUST_AFTER, careful=True)
            return Context(wide, strength=_CAREFUL_TRUST_AFTER, careful=True), None
        long_ago = how in (_LONG_AGO, _LONGER_AGO)
        wide = self._wider((workflow, what, long_ago), _SEEN_LONG_AGO if long_ago else _SEEN, _TRUST_AFTER)
        overall = self._wider((workflow, what), _SEEN, _TRUST_AFTER, careful=True)
        return Context(wide, strength=_TRUST_AFTER, careful=False), overall

    def _wider(self, key: tuple[object, ...], guess: Rates, strength: float, *, careful: bool = False) -> Context:
        context = self._wide.get(key)
        if context is None:
            context = self._wide[key] = Context(guess, strength=strength, careful=careful)
            if len(self._wide) > CONTEXTS_KEPT:
                self._wide.popitem(last=False)
        return context


def growth_of(fresh_bytes: int) -> int:
    """What is new: a question, a longer one, or a document."""
    return 0 if fresh_bytes < 4_000 else 1 if fresh_bytes < 12_000 else 2
