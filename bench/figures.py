"""A figure and what is to be reached, how numbers are shown, and tables on a page of the documentation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

__all__ = ["Figure", "percent", "ratio", "say", "seconds", "times", "whole", "write_tables"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A line of the table: one metric over all worlds whose name begins with one of `of`, the worst against a goal."""

    title: str
    of: tuple[str, ...]
    metric: str
    goal: float
    at_most: bool = True
    shown: Callable[[float], str]
    of_all: bool = False
    """Means nothing where calls were given up."""

    @property
    def reach(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.shown(self.goal)}"

    def worst(self, values: Sequence[float]) -> float:
        return max(values) if self.at_most else min(values)

    def met(self, values: Sequence[float]) -> bool:
        worst = self.worst(values)
        return worst <= self.goal if self.at_most else worst >= self.goal


def percent(value: float) -> str:
    return f"{value * 100:.2f} %" if value < 0.05 else f"{value * 100:.1f} %"


def ratio(value: float) -> str:
    return f"{value:.3f}"


def seconds(value: float) -> str:
    if value == inf:
        return "never"
    return f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def whole(value: float) -> str:
    return f"{value:,.0f}"


def times(value: float) -> str:
    return f"{value:.2f}"


def write_tables(page: Path, by: str, tables: Mapping[str, Sequence[str]]) -> None:
    """Put the tables that there are into the page, each between its marks, which say that `by` writes them."""
    text = page.read_text(encoding="utf-8")
    for mark, lines in tables.items():
        if lines:
            text = _put(text, page.name, f"<!-- {mark}: written by {by} -->\n", f"<!-- end of {mark} -->", lines)
    page.write_text(text, encoding="utf-8")


def _put(text: str, page: str, begin: str, end: str, lines: Sequence[str]) -> str:
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise SystemExit(f"{page} has no place for {begin.strip()}")
    table = "\n".join(lines)
    return f"{before}{begin}{table}\n{end}{after}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
