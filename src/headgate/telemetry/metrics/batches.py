"""Finished calls, counted some at a time.

A call adds to two dozen series that nothing else on its way looks at.  Done for many in a row that stays in the
processor's caches and costs a third: so what is told is kept until there is enough of it, or somebody reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headgate.core.estimate import EstimateObserver
from headgate.records import AttemptRecord, CallRecord

__all__ = ["Batches"]

ENOUGH = 64
"""Of what is told, which is twice for most calls: the event loop stands still while it is counted."""


class Counting(EstimateObserver, Protocol):
    """Counts finished calls, and how good estimates were.  Never raises."""

    def call_over(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None: ...


class Batches:
    """Stands before `counting`, to which it tells the same in the same order.  Whoever reads has it `flush` first."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._told: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def call_over(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        """A call has ended, or was refused; its record is complete."""
        self._keep(self._counting.call_over, (call, attempts))

    def estimate_error(self, pool: str, expected: tuple[float, float], actual: tuple[float, float]) -> None:
        """An answer is whole: the input and output tokens it was admitted for, and those that the limits counted."""
        self._keep(self._counting.estimate_error, (pool, expected, actual))

    def prompt_counted(self, outcome: str) -> None:
        """The API was asked to count a large prompt: `counted`, `failed` or `timeout`."""
        self._keep(self._counting.prompt_counted, (outcome,))

    def flush(self) -> None:
        told, self._told = self._told, []
        for tell, what in told:
            tell(*what)

    def _keep(self, tell: Callable[..., None], what: tuple[Any, ...]) -> None:
        self._told.append((tell, what))
        if len(self._told) >= ENOUGH:
            self.flush()
