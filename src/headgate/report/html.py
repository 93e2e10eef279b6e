"""A page as HTML, for a browser and for mail: one file, no script, nothing from elsewhere, bars made of table cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from headgate.core.printable import no_formula
from headgate.report.words import Bar, Page, Section

__all__ = ["html_of"]

_HIGH_PX = 120
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a; --line: #d0d7de; --bar: #0b62b8;
        --odd: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0f1419; --soft: #9aa5b1; --line: #30363d; --bar: #62a8f0; --odd: #ff8a80; }
}
body { margin: 0 auto; max-width: 78rem; padding: 1.5rem 1rem; color: var(--ink); background: var(--paper);
       font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; }
p, caption { color: var(--soft); margin: .25rem 0; text-align: left; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left;
         white-space: nowrap; }
.n { text-align: right; }
table.bars td { border: 0; padding: 0 2px; vertical-align: bottom; text-align: center; }
table.bars th { border: 0; padding: 0; text-align: center; font-weight: normal; color: var(--soft); }
table.bars div { width: 1.4rem; margin: 0 auto; background: var(--bar); }
table.bars div.odd { background: var(--odd); }
table.bars div.mark { height: 2px; background: var(--ink); }
table.bars div.gap { background: none; }
code { font-family: ui-monospace, monospace; }
"""


def html_of(page: Page) -> str:
    """The page as one HTML document."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    title = escape(page.title)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>"
    yield from _list([escape(line) for line in page.summary])
    if page.steps:
        yield "<h2>What to do next</h2>"
        yield from _list([f"{escape(step.why)} <code>{escape(step.command)}</code>" for step in page.steps])
    for section in page.sections:
        yield f"<h2>{escape(section.title)}</h2>"
        if section.note:
            yield f"<p>{escape(section.note)}</p>"
        yield '<div class="wide">'
        yield from _bars(section.bars) if section.bars else _table(section)
        yield "</div>"
    yield "</main>\n</body>\n</html>"


def _list(items: Sequence[str]) -> Iterator[str]:
    yield "<ul>"
    yield from (f"<li>{item}</li>" for item in items)
    yield "</ul>"


def _table(section: Section) -> Iterator[str]:
    yield "<table>\n<thead>"
    yield _row("th", section.head, section)
    yield "</thead>\n<tbody>"
    yield from (_row("td", row, section) for row in section.rows)
    yield "</tbody>\n</table>"


def _row(tag: str, cells: Sequence[str], section: Section) -> str:
    kind = ' scope="col"' if tag == "th" else ""
    numbers = (' class="n"' if column in section.right else "" for column in range(len(cells)))
    told = (
        f"<{tag}{kind}{number}>{escape(no_formula(cell))}</{tag}>" for number, cell in zip(numbers, cells, strict=True)
    )
    return f"<tr>{''.join(told)}</tr>"


def _bars(bars: Sequence[Bar]) -> Iterator[str]:
    yield '<table class="bars">\n<tbody>\n<tr>'
    yield from (f'<td title="{escape(bar.words)}" aria-label="{escape(bar.words)}">{_column(bar)}</td>' for bar in bars)
    yield "</tr>\n<tr>"
    yield from (f'<th scope="col">{escape(bar.label)}</th>' for bar in bars)
    yield "</tr>\n</tbody>\n</table>"


def _column(bar: Bar) -> str:
    """From the top: the mark and the way down to the bar, or the bar with the mark inside it."""
    kind = ' class="odd"' if bar.odd else ""
    high = round(bar.height * _HIGH_PX)
    if bar.mark is None:
        return f'<div{kind} style="height:{high}px"></div>'
    mark = round(bar.mark * _HIGH_PX)
    line = '<div class="mark"></div>'
    if mark >= high:
        return f'{line}<div class="gap" style="height:{mark - high}px"></div><div{kind} style="height:{high}px"></div>'
    return f'<div{kind} style="height:{high - mark}px"></div>{line}<div{kind} style="height:{mark}px"></div>'
