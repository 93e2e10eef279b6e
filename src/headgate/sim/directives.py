"""How directives are written: `name`, `name=value`, several with `;` between them, in a header or inside `[[sim: …]]`.

Nothing here knows what any of them means; that stands in `vocabulary.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

__all__ = ["OPEN", "choice", "directives_in", "number", "rejoined", "seconds", "signed", "split", "text"]

OPEN, CLOSE = "[[sim:", "]]"
MOST_MS = 3_600_000


def directives_in(said: str) -> list[str]:
    """The contents of every `[[sim: …]]` in `said`; one that is never closed is just text."""
    found = []
    begin = said.find(OPEN)
    while begin >= 0:
        begin += len(OPEN)
        # Brackets inside JSON do not close it, unless the JSON itself is never closed: then it is told so.
        closes = (at for at, _ in _outside(said, begin) if said.startswith(CLOSE, at))
        end = next(closes, said.find(CLOSE, begin))
        if end < 0:
            break
        found.append(said[begin:end])
        begin = said.find(OPEN, end)
    return found


def split(source: str) -> list[str]:
    """Cut at `;` and `,`, but not inside JSON braces, brackets or quotes."""
    cuts = [at for at, char in _outside(source, 0) if char in ";,"]
    parts = [source[begin + 1 : end] for begin, end in pairwise([-1, *cuts, len(source)])]
    return [part.strip() for part in parts if part.strip()]


def _outside(said: str, begin: int) -> Iterator[tuple[int, str]]:
    """The characters of `said` from `begin` on that stand outside braces, brackets and quotes, with their places.
    A bracket that closes what was never opened is outside."""
    depth, quoted, escaped = 0, False, False
    for at in range(begin, len(said)):
        char = said[at]
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "{[":
            depth += 1
        elif char in "}]" and depth:
            depth -= 1
        elif not depth:
            yield at, char


# -- values; each raises ValueError for one that cannot be ------------------------------------------------------------


def number(value: str, most: int) -> int:
    """From 0 to `most`."""
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > most:
        raise ValueError
    return int(value)


def signed(value: str, most: int) -> int:
    return -number(value[1:], most) if value.startswith("-") else number(value.removeprefix("+"), most)


def seconds(value: str) -> float:
    """Written in milliseconds."""
    return number(value, MOST_MS) / 1000


def choice(value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError
    return value


def text(value: str) -> str:
    """Any text that can stand in a header, so that nonsense can be asked for too; quotes around it are dropped."""
    plain = rejoined(value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)
    if not plain.isprintable():
        raise ValueError
    return plain


def rejoined(value: str) -> str:
    """Text that came in a header, whose bytes were read one by one, as the UTF-8 that it may have been."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
