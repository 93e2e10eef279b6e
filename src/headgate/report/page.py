"""What a report consists of, whoever shows it: figures, sentences, and sections of a table or of bars.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headgate.report.next_steps import Step

__all__ = ["Bar", "Figure", "Page", "Section"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One of a row of columns."""

    label: str
    height: float
    """From 0 to 1."""
    mark: float | None
    """Where it should end, on the same scale."""
    words: str
    odd: bool
    """Out of line."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    title: str
    note: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    right: Sequence[int] = ()
    """Columns of numbers."""
    bars: Sequence[Bar] = ()
    shares: Sequence[float] = ()
    """Of each row, how much it has of the whole or of what it may: from 0 to 1, drawn where that can be done."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the numbers that are looked at first."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Page:
    """The report, ready to be shown."""

    title: str
    figures: Sequence[Figure]
    summary: Sequence[str]
    """The same in sentences."""
    remarks: Sequence[str]
    """The last of these sentences: what no figure says."""
    sections: Sequence[Section]
    steps: Sequence[Step]
