"""A notification in words.  What others named stays in its line and steers nothing."""

from __future__ import annotations

from collections.abc import Iterator

from headgate.alerts.notification import Notification
from headgate.clock import utc
from headgate.core.printable import printable

__all__ = ["body_lines", "cut", "headline", "one_line"]


def headline(told: Notification) -> str:
    """One line for a subject or a pager."""
    state = {
        "firing": told.severity,
        "repeat": f"{told.severity}, still",
        "acknowledged": "taken",
        "resolved": "resolved",
        "test": "test",
    }[told.kind]
    which = ", ".join(f"{name} {value}" for name, value in sorted(told.labels.items()))
    return one_line(f"[{state}] {told.title}" + (f" ({which})" if which else ""))


def body_lines(told: Notification) -> Iterator[str]:
    """What is wrong, what that means, what to do; a line each."""
    yield one_line(told.text)
    if told.kind != "resolved":
        yield one_line(told.means)
    yield from (f"- {one_line(detail)}" for detail in told.details)
    if told.kind in ("firing", "repeat"):
        yield f"Next: {one_line(told.next)}"
        yield f"Runbook: headgate alerts explain {told.rule}"
    yield f"Since {utc(told.started_ms):%Y-%m-%d %H:%M} UTC, seen by {one_line(told.instance)}"


def one_line(text: str) -> str:
    """Without line ends, control characters, and marks that turn the direction of text."""
    return printable(text)


def cut(text: str, most: int) -> str:
    """At most `most` characters of it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
