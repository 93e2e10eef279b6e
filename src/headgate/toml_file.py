"""A TOML file with the line of every setting in it, so that an error can say where to look and what was meant."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["TomlFile", "Where", "dotted", "nearest", "read_toml"]

Where = tuple[str | int, ...]
"""The place of a setting: keys, and numbers in lists of tables."""


@dataclass(frozen=True, slots=True)
class TomlFile:
    """What a file says."""

    name: str
    """As messages call it."""
    values: dict[str, Any]
    lines: Mapping[Where, int]

    def at(self, where: Where) -> str:
        """`FILE:LINE` of a setting, of the first thing in it, or of the nearest table around it whose line is known."""
        for length in range(len(where), 0, -1):
            inside = [line for place, line in self.lines.items() if place[:length] == where[:length]]
            if inside:
                return f"{self.name}:{min(inside)}"
        return f"{self.name}:1"


def read_toml(path: Path) -> TomlFile:
    """Read a file.

    Raises:
        ValueError: it cannot be read, or is no TOML; the message names the file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return TomlFile(str(path), tomllib.loads(text), _lines(text))
    except OSError as problem:
        raise ValueError(f"{path}: cannot be read: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:  # the first also where it is no UTF-8, or a number is too long
        raise ValueError(f"{path}: not TOML: {problem}") from None


def dotted(where: Where) -> str:
    """`phase[0].weather`: how people write a place."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (f'"{part}"' if "." in part else part)
    return text


def nearest(wrong: str, known: Mapping[str, str]) -> str:
    """The end of a message about `wrong`.  `known`: names that there are, and how they are written in full."""
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"; did you mean {known[close[0]]!r}?" if close else f"; known here are {', '.join(sorted(known.values()))}"


_HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _lines(text: str) -> dict[Where, int]:
    """The line of each table and key.  tomllib does not tell; this reads what people write, not all of TOML."""
    lines: dict[Where, int] = {}
    table: Where = ()
    counts: dict[Where, int] = {}

    def numbered(names: list[str]) -> Where:
        """`names`, with the number of the last table in every list on the way."""
        where: Where = ()
        for name in names:
            where = (*where, name)
            if where in counts:
                where = (*where, counts[where])
        return where

    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            *above, last = [part.strip("\"'") for part in _PART.findall(header[2])] or [""]
            table = (*numbered(above), last)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault((*table, *(part.strip("\"'") for part in _PART.findall(key[1]))), number)
    return lines
