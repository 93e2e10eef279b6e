"""A report as receivers get it: whole for mail, what matters most for a chat, as JSON for a program."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from headgate.report.document import facts_of
from headgate.report.facts import DayReport
from headgate.report.html import html_of
from headgate.report.markdown import markdown_of
from headgate.report.words import page_of

__all__ = ["Letter", "letter_of"]


class Letter(NamedTuple):
    """One day's report, in each of its forms."""

    day: str
    """YYYY-MM-DD."""
    at_ms: int
    """When it was written, in Unix milliseconds."""
    title: str
    brief: tuple[str, ...]
    """Plain sentences: what it cost, and what to do next."""
    markdown: str
    html: str
    facts: bytes
    """JSON."""


def letter_of(report: DayReport, at_ms: int) -> Letter:
    page = page_of(report)
    steps = (f"{step.why} {step.command}" for step in page.steps)
    facts = msgspec.json.encode(facts_of(report))
    return Letter(
        report.day.isoformat(), at_ms, page.title, (*page.summary, *steps), markdown_of(page), html_of(page), facts
    )
