"""What the declaration of a metric says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["OTHER", "PICO", "Label", "Metric"]

OTHER = "other"
"""Stands for values beyond those that a label may have."""
PICO = 1e-12
"""Money is added up in whole pico-dollars."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Label:
    """What tells the series of a metric apart."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    """All that there are, beside `other`; empty: those that are configured, and the first that come."""
    first_come: int = 0
    """How many may come, where values are not closed."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Metric:
    """One metric, in Prometheus' sense: base units, and the unit last in the name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[Label, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets, each inclusive."""
    unit: str = ""
    """As OpenTelemetry writes it (UCUM), where the name does not end in one."""
    scale: float = 1.0
    """What one of the unit that is added up is in the unit that is told: money is added up in whole pico-dollars."""
    born_with: Label | None = None
    """A series comes into being together with those of this label's other values, at zero.  What comes into being at
    one has, for whoever computes a rate, never grown."""
