"""The text without what was found in it: whole, or as it comes.

A text is read in blocks that lie at fixed places in it, each with what stands before and behind it in sight.  So the
result does not depend on the pieces in which the text came, the work is linear, and no step holds the interpreter for
long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.families import FAMILIES
from headgate.safety.scrub.finding import Family, Finding, Window
from headgate.safety.scrub.view import fold

__all__ = ["Placeholders", "Scrubber", "find", "scrub"]

BLOCK = 32_768
MARGIN_BEFORE = 256
MARGIN_BEHIND = 8_192
"""The longest secret that is found whole: more than a private RSA key of 4096 bits."""


def scrub(text: str, placeholders: Placeholders | None = None, families: Sequence[Family] = FAMILIES) -> str:
    """`text` with placeholders such as `[email]` for personal data and secrets.  One value has one placeholder: the
    second address of a text is `[email-2]`, wherever it stands, and also in other texts that are given the same
    `placeholders`."""
    scrubber = Scrubber(placeholders, families)
    return scrubber.feed(text) + scrubber.close()


def find(text: str, families: Sequence[Family] = FAMILIES) -> list[Finding]:
    """Where in `text` what is, in order, without overlaps."""
    found: list[Finding] = []
    done = 0
    for start in range(0, max(1, len(text)), BLOCK):
        begin = max(0, start - MARGIN_BEFORE)
        window = text[begin : start + BLOCK + MARGIN_BEHIND]
        end = min(len(window), start - begin + BLOCK)
        for where, _ in _in_window(window, start - begin, end, families):
            finding = Finding(max(done, where.start + begin), where.end + begin, where.type)
            if finding.end > finding.start:
                found.append(finding)
                done = finding.end
    return found


class Placeholders:
    """Names for what is taken out.  One for a text, or for texts that belong together; forgotten with them: nothing
    leads back from a placeholder to a value."""

    def __init__(self) -> None:
        self._names: dict[tuple[FindingType, str], str] = {}
        self._values: Counter[FindingType] = Counter()
        self.counts: Counter[FindingType] = Counter()
        """How often what was found."""

    def name(self, type: FindingType, value: str) -> str:
        self.counts[type] += 1
        name = self._names.get((type, value))
        if name is None:
            self._values[type] = number = self._values[type] + 1
            name = self._names[type, value] = f"[{type}]" if number == 1 else f"[{type}-{number}]"
        return name


class Scrubber:
    """Takes a text in pieces and gives it back scrubbed, a block later.

    Whatever the pieces, what `feed` and `close` return is together what `scrub` makes of the whole.
    """

    def __init__(self, placeholders: Placeholders | None = None, families: Sequence[Family] = FAMILIES) -> None:
        self.placeholders = placeholders or Placeholders()
        self._families = families
        self._held = ""
        """From `MARGIN_BEFORE` before the next block on."""
        self._more: list[str] = []
        self._more_length = 0
        self._before = 0
        """Where in `_held` the next block begins."""
        self._done = 0
        """Up to where in `_held` the text is given out: behind the block's begin, if a finding reaches into it."""

    def feed(self, piece: str) -> str:
        """Take `piece`; returns what is certain by now."""
        self._more.append(piece)
        self._more_length += len(piece)
        if len(self._held) + self._more_length < self._before + BLOCK + MARGIN_BEHIND:
            return ""
        self._gather()
        given: list[str] = []
        while len(self._held) >= self._before + BLOCK + MARGIN_BEHIND:
            given.append(self._block())
        return "".join(given)

    def close(self) -> str:
        """The text is over; returns the rest of it."""
        self._gather()
        given: list[str] = []
        while self._before < len(self._held):
            given.append(self._block())
        return "".join(given)

    def _gather(self) -> None:
        self._held = "".join((self._held, *self._more))
        self._more, self._more_length = [], 0

    def _block(self) -> str:
        """Scrub the next block, and let go of what is before it."""
        held = self._held
        end = min(len(held), self._before + BLOCK)
        window = held[: self._before + BLOCK + MARGIN_BEHIND]
        pieces: list[str] = []
        at = self._done
        for where, value in _in_window(window, self._before, end, self._families):
            if where.start >= at:
                pieces += (window[at : where.start], self.placeholders.name(where.type, value))
            at = max(at, where.end)
        if at < end:
            pieces.append(window[at:end])
            at = end
        let_go = max(0, end - MARGIN_BEFORE)
        self._held = held[let_go:]
        self._before = end - let_go
        self._done = at - let_go
        return "".join(pieces)


class _Found(NamedTuple):
    where: Finding
    value: str
    """As it reads, so that one value in two disguises is one."""


def _in_window(window: str, start: int, end: int, families: Sequence[Family]) -> list[_Found]:
    """The findings that begin in `window[start:end]`, overlapping ones joined: the first family of them names it."""
    view = fold(window)
    look = Window(view.text, view.position(start), view.position(end))
    found = [
        (finding.start, finding.end, rank, finding.type)
        for rank, family in enumerate(families)
        for finding in family(look)
    ]
    found.sort()
    joined: list[tuple[int, int, int, FindingType]] = []
    for begin, to, rank, type in found:
        if joined and begin < joined[-1][1]:
            before, until, best, named = joined[-1]
            rank, type = min((rank, type), (best, named))
            joined[-1] = (before, max(until, to), rank, type)
        else:
            joined.append((begin, to, rank, type))
    return [
        _Found(Finding(view.origin(begin), view.origin(to), type), view.text[begin:to].casefold())
        for begin, to, _, type in joined
    ]
