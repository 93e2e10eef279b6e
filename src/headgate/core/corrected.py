"""What corrections of the ledger add to the accounts of budgets.  Pure.

A correction names a day and a model, and nobody whose calls they were.  So those budgets take it that cover every call
or go by the model, for a day, a week or a month: in the window that has the most of the UTC day.  What calls of unknown
usage were expected to cost was charged when they ended, so a correction adds what is beyond that, or takes off.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from headgate.core.budget import AccountKey, Budget, Who
from headgate.core.reconcile import Correction, Place

__all__ = ["LONGEST_DAYS", "Corrected", "corrected"]

LONGEST_DAYS = 32
"""A correction of an earlier day is in no window that is not over."""
_NOON = timedelta(hours=12)


class Corrected(NamedTuple):
    """All that the corrections so far add to one account."""

    key: AccountKey
    pico: int
    end_ms: int


def corrected(
    budgets: Iterable[Budget], corrections: Iterable[tuple[Place, Correction]], now_ms: int
) -> list[Corrected]:
    """The accounts that `corrections` are in, of windows that are not over.

    Args:
        corrections: all that were ever made, of the last `LONGEST_DAYS` at least.
    """
    sums: dict[AccountKey, Corrected] = {}
    made = [(place, _noon_ms(place.day), (its.cost_pico or 0) - its.unconfirmed_pico) for place, its in corrections]
    for budget in budgets:
        calendar = budget.calendar
        if calendar is None or calendar.kind == "hour" or not _goes_by_model_alone(budget):
            continue
        window = calendar.span(now_ms)
        for place, noon_ms, pico in made:
            who = Who(model=place.model or None)
            if not window.start_ms <= noon_ms < window.end_ms or not budget.covers(who):
                continue
            for split in budget.split(who):
                key = AccountKey(budget.name, split, window.name)
                so_far = sums.get(key) or Corrected(key, 0, window.end_ms)
                sums[key] = so_far._replace(pico=so_far.pico + pico)
    return list(sums.values())


def _goes_by_model_alone(budget: Budget) -> bool:
    return {*budget.per, *(scope for scope, _ in budget.only)} <= {"model"}


def _noon_ms(day: str) -> int:
    return int((datetime.fromisoformat(day).replace(tzinfo=UTC) + _NOON).timestamp() * 1000)
