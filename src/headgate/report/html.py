"""A page as HTML, for a browser and for mail: one file, no script, nothing from elsewhere.

Mail programs know little of style sheets: colours stand in the file as they are, and what is drawn is made of table
cells with their sizes and colours as attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from headgate.core.printable import no_formula
from headgate.report.page import Bar, Figure, Page, Section

__all__ = ["html_of"]

_HIGH_PX = 120
_HOURS = 24
"""Bars of a day that is not over are as wide as those of one that is."""
_MARK_PX = 2
_METER_PX = 96
_COLOURS = {"fill": "#0b62b8", "odd": "#b3261e", "track": "#e4e6ea", "mark": "#1b1f24"}
_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem; color: #1b1f24; background: #ffffff;
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; }
p, dt, .note, th { color: #57606a; }
p { margin: .25rem 0; }
ul { margin: .25rem 0; padding-left: 1.25rem; }
dl { margin: 0; border-top: 1px solid #d0d7de; border-bottom: 1px solid #d0d7de; padding: .5rem 0; }
dl div { display: inline-block; vertical-align: top; width: 9rem; padding: .25rem 1rem .25rem 0; }
dt, .note { font-size: 13px; }
dd { margin: 0; }
.value { font-size: 1.4rem; font-weight: 600; line-height: 1.3; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #d0d7de; text-align: left; vertical-align: top; }
th { font-size: 13px; font-weight: normal; }
.n, code { white-space: nowrap; }
.n { text-align: right; }
.bars { table-layout: fixed; }
.bars table { width: 100%; }
.bars th, .bars td { border: 0; padding: 0 1px; font-size: 11px; text-align: center; vertical-align: bottom; }
.bars table td, .meter td { border: 0; padding: 0; font-size: 0; line-height: 0; }
.fill { background: #0b62b8; } .odd { background: #b3261e; } .track { background: #e4e6ea; }
.mark { background: #1b1f24; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .92em; }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0f1419; }
  p, dt, .note, th { color: #9aa5b1; }
  dl, th, td { border-color: #30363d; }
  .fill { background: #62a8f0; } .odd { background: #ff8a80; } .track { background: #2a2f37; }
  .mark { background: #e6edf3; }
}
"""


def html_of(page: Page) -> str:
    """The page as one HTML document."""
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    title = escape(page.title)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>"
    yield from _figures(page.figures)
    yield from (f"<p>{escape(line)}</p>" for line in page.remarks)
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


def _figures(figures: Sequence[Figure]) -> Iterator[str]:
    yield "<dl>"
    for each in figures:
        yield f"<div><dt>{escape(each.name)}</dt>"
        yield f'<dd class="value">{escape(each.value)}</dd><dd class="note">{escape(each.note)}</dd></div>'
    yield "</dl>"


def _list(items: Sequence[str]) -> Iterator[str]:
    yield "<ul>"
    yield from (f"<li>{item}</li>" for item in items)
    yield "</ul>"


def _table(section: Section) -> Iterator[str]:
    yield "<table>\n<thead>"
    yield _row("th", section.head, section, "<td></td>" if section.shares else "")
    yield "</thead>\n<tbody>"
    drawn = [f"<td>{_meter(share)}</td>" for share in section.shares] or [""] * len(section.rows)
    yield from (_row("td", row, section, meter) for row, meter in zip(section.rows, drawn, strict=True))
    yield "</tbody>\n</table>"


def _row(tag: str, cells: Sequence[str], section: Section, drawn: str) -> str:
    """With what is drawn behind the first cell."""
    kind = ' scope="col"' if tag == "th" else ""
    numbers = (' class="n"' if column in section.right else "" for column in range(len(cells)))
    told = [
        f"<{tag}{kind}{number}>{escape(no_formula(cell))}</{tag}>" for number, cell in zip(numbers, cells, strict=True)
    ]
    return f"<tr>{told[0]}{drawn}{''.join(told[1:])}</tr>"


def _meter(share: float) -> str:
    """How much of a whole, as a line."""
    full = round(min(1.0, max(0.0, share)) * _METER_PX)
    parts = (("odd" if share > 1 else "fill", full), ("track", _METER_PX - full))
    cells = "".join(_cell(kind, width_px, 8) for kind, width_px in parts if width_px)
    return f'<table class="meter" role="presentation"><tr>{cells}</tr></table>'


def _bars(bars: Sequence[Bar]) -> Iterator[str]:
    yield f'<table class="bars" width="{min(100, round(100 * len(bars) / _HOURS))}%">\n<tbody>\n<tr>'
    yield from (f'<td title="{escape(bar.words)}" aria-label="{escape(bar.words)}">{_column(bar)}</td>' for bar in bars)
    yield "</tr>\n<tr>"
    yield from (f'<th scope="col">{escape(bar.label)}</th>' for bar in bars)
    yield "</tr>\n</tbody>\n</table>"


def _column(bar: Bar) -> str:
    """From the top: the mark and the way down to the bar, or the bar with the mark inside it."""
    kind = "odd" if bar.odd else "fill"
    high = round(bar.height * _HIGH_PX)
    parts = [(kind, high)]
    if bar.mark is not None:
        mark = round(bar.mark * _HIGH_PX)
        line = ("mark", _MARK_PX)
        parts = [line, ("", mark - high), (kind, high)] if mark >= high else [(kind, high - mark), line, (kind, mark)]
    rows = "".join(f"<tr>{_cell(kind, None, height_px)}</tr>" for kind, height_px in parts if height_px)
    return f'<table role="presentation">{rows}</table>' if rows else ""


def _cell(kind: str, width_px: int | None, height_px: int) -> str:
    """One coloured patch; of no kind, a gap."""
    width = f' width="{width_px}"' if width_px is not None else ""
    colour = f' class="{kind}" bgcolor="{_COLOURS[kind]}"' if kind else ""
    return f'<td{colour}{width} height="{height_px}"></td>'
