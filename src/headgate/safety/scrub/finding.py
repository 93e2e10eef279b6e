"""What a rule finds, and the piece of text it looks at.

A family of rules is a function from a `Window` to what begins in it.  All that a rule looks at around a place is
bounded, so that the whole is linear in the length of the text; and it looks twice only where a cheap sign says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from headgate.safety.finding_type import FindingType
from headgate.safety.scrub.view import fold

__all__ = ["SPACELESS", "Context", "Family", "Finding", "Window"]

BEFORE = 48
"""Characters before a match in which a word of its context counts."""
BEHIND = 16
SPACELESS = "\u0e00"
"""From here on in Unicode scripts often have no spaces between words, so that a letter before says nothing."""


class Finding(NamedTuple):
    """`text[start:end]` is of type `type`."""

    start: int
    end: int
    type: FindingType


class Context:
    """Words near which a match means more.  A word must begin where no letter stands before; one that is given with `|`
    behind it must also end there.  Case does not matter."""

    def __init__(self, *words: str) -> None:
        folded = [fold(word.lower()).text for word in words]
        self.stems = tuple(word.rstrip("|") for word in folded)
        spaced = [word for word in folded if word < SPACELESS]
        parts = [_pattern_of(word) for word in folded if word >= SPACELESS]
        parts.append(rf"(?<![^\W\d_])(?:{'|'.join(map(_pattern_of, spaced))})")
        self.pattern = re.compile("|".join(parts))


def _pattern_of(word: str) -> str:
    return re.escape(word.rstrip("|")) + (r"(?![^\W\d_])" if word.endswith("|") else "")


class Window:
    """A piece of text: findings are those that begin in `text[start:end]`; the rest is there to look around."""

    __slots__ = ("_spoken", "digit_starts", "end", "lower", "start", "text")

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text = text
        self.start = start
        self.end = end
        lower = text.lower()
        self.lower = lower if len(lower) == len(text) else text
        """For patterns in which case does not matter; places are the same."""
        self._spoken: dict[Context, bool] = {}
        self.digit_starts = [found.start() for found in self._within(_DIGITS, text)]
        """Where digits begin that follow something else."""

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """Matches that begin in the window, as written."""
        return self._within(pattern, self.text)

    def matches_lower(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """The same, in lower case."""
        return self._within(pattern, self.lower)

    def at_digits(self, pattern: re.Pattern[str], *, before: int = 0, lower: bool = False) -> Iterator[re.Match[str]]:
        """Matches that begin where digits begin, or `before` characters earlier; in order, without overlaps."""
        text = self.lower if lower else self.text
        done = 0
        for start in self.digit_starts:
            if start - before >= done:
                found = pattern.match(text, start - before)
                if found is not None:
                    yield found
                    done = found.end()

    def says(self, stems: Iterable[str]) -> bool:
        """Whether any of `stems`, in lower case, is somewhere in the text: the cheap question before a dear one."""
        lower = self.lower
        return any(stem in lower for stem in stems)

    def announces(self, context: Context, at: int, reach: int = BEFORE) -> bool:
        """Whether a word of `context` stands shortly before `at`."""
        return self._speaks(context) and context.pattern.search(self.lower, max(0, at - reach), at) is not None

    def follows(self, context: Context, at: int, reach: int = BEHIND) -> bool:
        """Whether a word of `context` stands shortly behind `at`."""
        end = min(len(self.lower), at + reach)
        return self._speaks(context) and context.pattern.search(self.lower, at, end) is not None

    def _speaks(self, context: Context) -> bool:
        """Whether a word of `context` is anywhere: asked once of a text."""
        spoken = self._spoken.get(context)
        if spoken is None:
            spoken = self._spoken[context] = self.says(context.stems)
        return spoken

    def _within(self, pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
        end = self.end
        for found in pattern.finditer(text, self.start):
            if found.start() >= end:
                return
            yield found


Family = Callable[[Window], Iterable[Finding]]

_DIGITS = re.compile(r"\d+")
