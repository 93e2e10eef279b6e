"""What a dashboard is: panels, each with the question that it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headgate.alerts.expr import Expr

__all__ = ["Dashboard", "Line", "Panel", "Unit"]

Unit = Literal["share", "seconds", "usd", "count", "per_second", "bytes", "state"]


@dataclass(frozen=True)
class Line:
    """A line for each set of labels that its answer has."""

    expr: Expr
    legend: str
    """`{workflow}` is the value of the label."""


@dataclass(frozen=True)
class Panel:
    """A question, and the lines that answer it."""

    title: str
    question: str
    unit: Unit
    lines: tuple[Line, ...]
    threshold: float | None = None
    """Where it begins to be bad, drawn as a line."""
    rare: bool = False
    """On a good day there is nothing to show."""


@dataclass(frozen=True)
class Dashboard:
    """Panels that are looked at together."""

    id: str
    title: str
    panels: tuple[Panel, ...]
