"""Examples of what a metric counts that its labels may not hold: ids of calls, addresses.  A few, the largest."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from headgate.telemetry.metrics.catalogue import Metric

__all__ = ["KEPT", "Exemplar", "Exemplars"]

KEPT = 3
"""Of each series."""


class Exemplar(NamedTuple):
    """One example."""

    metric: str
    label: str
    """The value of the metric's first label; empty if it has none."""
    what: str
    amount: float


class Exemplars:
    """The largest of each series since they were last taken.  There are no more series than labels have values."""

    def __init__(self) -> None:
        self._kept: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)

    def note(self, metric: Metric, label: str, what: str, amount: float) -> None:
        """Keep it, if it is one of the largest.

        Args:
            label: as it stands in the series, so that there are only so many.
        """
        its = self._kept[metric.name, label]
        its[what] = max(amount, its.get(what, amount))
        if len(its) > KEPT:
            del its[min(its, key=its.__getitem__)]

    def take(self) -> list[Exemplar]:
        """All there are; they are forgotten here."""
        kept, self._kept = self._kept, defaultdict(dict)
        return [
            Exemplar(metric, label, what, amount)
            for (metric, label), its in kept.items()
            for what, amount in its.items()
        ]
