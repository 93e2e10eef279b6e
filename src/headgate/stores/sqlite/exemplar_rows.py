"""What the telemetry file knows of examples: ids of calls and addresses behind a metric, for a day."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from headgate.telemetry.metrics.exemplars import Exemplar

__all__ = ["exemplars_since", "write_exemplars"]

KEPT_MS = 86_400_000

_LARGEST = """
    SELECT label, what, max(amount) FROM exemplars WHERE metric = ? AND ifnull(label = ?, 1) AND at_ms >= ?
    GROUP BY label, what ORDER BY 3 DESC, label, what LIMIT ?
"""


def write_exemplars(db: apsw.Connection, at_ms: int, exemplars: Iterable[Exemplar]) -> None:
    """Of now; those of yesterday are forgotten."""
    db.execute("DELETE FROM exemplars WHERE at_ms < ?", (at_ms - KEPT_MS,))
    rows = [(metric, label, at_ms, what, amount) for metric, label, what, amount in exemplars]
    db.executemany("INSERT INTO exemplars VALUES (?, ?, ?, ?, ?)", rows)


def exemplars_since(db: apsw.Connection, metric: str, label: str | None, since_ms: int, *, most: int) -> list[Exemplar]:
    """The largest of a metric's, largest first.

    Args:
        label: of the series that is meant; None: of all.
    """
    rows: list[Any] = db.execute(_LARGEST, (metric, label, since_ms, most)).fetchall()
    return [Exemplar(metric, *row) for row in rows]
