"""Strings that match a regular expression, of the kind that JSON schemas may hold (claude-api.md §12).

Read are literals, `.`, classes, `\\d \\w \\s` and their opposites, groups, alternatives, quantifiers and anchors.  What
structured outputs do not take (look-around, back-references, word boundaries, properties, repetition without measure)
is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from string import ascii_letters, digits, punctuation
from typing import NamedTuple

__all__ = ["UnsupportedPattern", "matching"]

MOST_REPEATS = 1_000
"""A larger count in `{n,m}` is refused: the documentation excludes large ranges and gives no figure."""
MOST_CHARS = 20_000
"""Longer texts than this are not drawn, however the repetitions are nested."""
MOST_DEPTH = 30
EXTRA_REPEATS = 4
"""How many times more than it must `*`, `+` or `{n,}` repeats at most."""

_WORD = ascii_letters + digits + "_"
_PRINTABLE = _WORD + " " + punctuation
_CLASSES = {"d": digits, "w": _WORD, "s": " "}
_CLASSES |= {
    name.upper(): "".join(char for char in _PRINTABLE if char not in chars) for name, chars in _CLASSES.items()
}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_HEX = {"x": 2, "u": 4}

_Draw = Callable[[Random], str]


class _Part(NamedTuple):
    """What draws a part of the text, and the most characters that it draws."""

    draw: _Draw
    size: int


class UnsupportedPattern(ValueError):
    """The message says which part cannot be read."""


def matching(pattern: str) -> _Draw:
    """A function that draws strings, each of which matches `pattern` as a whole.

    Raises:
        UnsupportedPattern: the pattern holds something outside the subset, or is no pattern at all.
    """
    reader = _Reader(pattern)
    part = reader.alternatives(0)
    if not reader.done:
        raise UnsupportedPattern("a `)` that was never opened")
    return part.draw


class _Reader:
    """Recursive descent; one method for each level of binding."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at >= len(self._pattern)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        if self.done:
            raise UnsupportedPattern("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _skip(self, text: str) -> bool:
        found = self._pattern.startswith(text, self._at)
        if found:
            self._at += len(text)
        return found

    def alternatives(self, depth: int) -> _Part:
        if depth > MOST_DEPTH:
            raise UnsupportedPattern("groups nested too deeply")
        choices = [self._sequence(depth)]
        while self._skip("|"):
            choices.append(self._sequence(depth))
        if len(choices) == 1:
            return choices[0]
        return _Part(lambda rng: rng.choice(choices).draw(rng), max(part.size for part in choices))

    def _sequence(self, depth: int) -> _Part:
        parts: list[_Part] = []
        while not self.done and self._peek() not in "|)":
            part = self._atom(depth)
            if part is not None:
                parts.append(self._repeated(part))
        return _Part(lambda rng: "".join(part.draw(rng) for part in parts), _bounded(sum(part.size for part in parts)))

    def _atom(self, depth: int) -> _Part | None:
        char = self._take()
        match char:
            case "^" | "$":
                return None
            case "(":
                return self._group(depth)
            case "[":
                return _one_of(self._class())
            case ".":
                return _one_of(_WORD)
            case "\\":
                return _one_of(self._escaped())
            case "*" | "+" | "?":
                raise UnsupportedPattern("a quantifier with nothing before it")
        return _one_of(char)

    def _group(self, depth: int) -> _Part:
        if self._skip("?") and not self._skip(":"):
            named = (self._skip("P<") or self._skip("<")) and self._peek() not in ("=", "!", "")
            end = self._pattern.find(">", self._at)
            if not named or end < 0:
                raise UnsupportedPattern("look-around")
            self._at = end + 1
        inner = self.alternatives(depth + 1)
        if not self._skip(")"):
            raise UnsupportedPattern("a `(` that is never closed")
        return inner

    def _repeated(self, part: _Part) -> _Part:
        least, most = 1, 1
        match self._peek():
            case "*":
                least, most = 0, EXTRA_REPEATS
            case "+":
                least, most = 1, 1 + EXTRA_REPEATS
            case "?":
                least, most = 0, 1
            case "{":
                counted = self._counts()
                if counted is None:
                    return part
                least, most = counted
            case _:
                return part
        self._at += 1
        _ = self._skip("?") or self._skip("+")
        return _Part(
            lambda rng: "".join(part.draw(rng) for _ in range(rng.randint(least, most))), _bounded(part.size * most)
        )

    def _counts(self) -> tuple[int, int] | None:
        """The bounds in `{n,m}`, up to its closing brace; None where the brace is just a character."""
        end = self._pattern.find("}", self._at)
        low, comma, high = self._pattern[self._at + 1 : end].partition(",") if end > 0 else ("", "", "")
        if not (low.isascii() and low.isdigit()) or (high and not (high.isascii() and high.isdigit())):
            return None
        if max(len(low), len(high)) > len(str(MOST_REPEATS)) or max(int(low), int(high or 0)) > MOST_REPEATS:
            raise UnsupportedPattern("a repetition of more than a thousand")
        least = int(low)
        most = int(high) if high else least + EXTRA_REPEATS if comma else least
        if most < least:
            raise UnsupportedPattern("a repetition whose bounds are the wrong way round")
        self._at = end
        return least, most

    def _escaped(self) -> str:
        """The characters that an escape stands for; the backslash is behind us."""
        char = self._take()
        if char in "bB":
            raise UnsupportedPattern("word boundaries")
        if char in "123456789k":
            raise UnsupportedPattern("back-references")
        if char in _HEX:
            return self._code_point(_HEX[char])
        known = _CLASSES.get(char) or _CONTROLS.get(char)
        if known is None and char.isalnum():
            raise UnsupportedPattern(f"the escape \\{char}")
        return known or char

    def _code_point(self, size: int) -> str:
        told = self._pattern[self._at : self._at + size]
        try:
            char = chr(int(told, 16)) if len(told) == size else ""
        except ValueError:
            char = ""
        if not char or 0xD800 <= ord(char) <= 0xDFFF:
            raise UnsupportedPattern("a code point that is none")
        self._at += size
        return char

    def _class(self) -> str:
        """The characters between brackets; ranges are cut to their first hundred."""
        negated = self._skip("^")
        chars = ""
        first = True
        while first or self._peek() != "]":
            first = False
            part = self._class_member()
            if len(part) == 1 and self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                part = _range(part, self._class_member())
            chars += part
        self._at += 1
        if negated:
            chars = "".join(char for char in _PRINTABLE if char not in chars)
        if not chars:
            raise UnsupportedPattern("a class without characters")
        return chars

    def _class_member(self) -> str:
        char = self._take()
        if char != "\\":
            return char
        if self._skip("b"):
            return "\b"
        return self._escaped()


def _range(first: str, last: str) -> str:
    if len(last) != 1 or ord(last) < ord(first):
        raise UnsupportedPattern("a range that is none")
    most = min(ord(last), ord(first) + 100)
    return "".join(chr(code) for code in range(ord(first), most + 1) if not 0xD800 <= code <= 0xDFFF)


def _bounded(size: int) -> int:
    if size > MOST_CHARS:
        raise UnsupportedPattern("repetitions that multiply")
    return size


def _one_of(chars: str) -> _Part:
    if not chars:
        raise UnsupportedPattern("a class without characters")
    return _Part((lambda rng: chars) if len(chars) == 1 else (lambda rng: rng.choice(chars)), 1)
