"""A page as Markdown.  What callers named is text and stays text: it makes no link, no table and no HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headgate.core.printable import no_formula, printable
from headgate.report.page import Bar, Page, Section

__all__ = ["markdown_of"]

_SYNTAX = re.compile(r"[\\`*\[\]<>#|~&]|\b_|_\b|(?<=www)\.|:(?=//)")
"""What could begin emphasis, code, a link, a tag or a cell.  An underscore inside a word begins nothing."""
_FULL = 20
"""Characters of the longest bar."""


def markdown_of(page: Page) -> str:
    """The page, for a chat, a wiki or a terminal."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {_text(page.title)}"
    yield ""
    yield from (f"- {_text(line)}" for line in page.summary)
    if page.steps:
        yield from ("", "## What to do next", "")
        yield from (f"- {_text(step.why)} `{_code(step.command)}`" for step in page.steps)
    for section in page.sections:
        yield from ("", f"## {_text(section.title)}", "")
        if section.note:
            yield from (_text(section.note), "")
        if section.bars:
            yield from _bars(section.bars)
        else:
            yield from _table(section)


def _table(section: Section) -> Iterator[str]:
    yield _row([_text(cell) for cell in section.head])
    yield _row(["---:" if column in section.right else "---" for column in range(len(section.head))])
    for row in section.rows:
        yield _row([_text(no_formula(cell)) for cell in row])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bars(bars: Sequence[Bar]) -> Iterator[str]:
    yield "```text"
    for bar in bars:
        full = round(bar.height * _FULL)
        yield f"{('#' * full).ljust(_FULL)} {'!' if bar.odd else ' '} {_code(bar.words)}"
    yield "```"


def _text(text: str) -> str:
    return _SYNTAX.sub(r"\\\g<0>", printable(text))


def _code(text: str) -> str:
    return printable(text).replace("`", "'")
