"""How far budgets are, for a monitor: caps, what is settled and what is held, in Prometheus' text format.

A scope is a configured budget.  Of one that is split (`per`) it is its fullest account, which says whether somebody is
near the end and not who: names come from callers, and would make as many series as they like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from headgate.core.budget import Budget
from headgate.core.grants import Account
from headgate.core.price import usd

__all__ = ["MOST_SCOPES", "budget_gauges"]

MOST_SCOPES = 64
"""Budgets beyond these are summed up as `other`."""
_GAUGES = (
    ("headgate_budget_cap_usd", "What a budget allows in its window."),
    ("headgate_budget_settled_usd", "What is spent of it in the current window; of one that is split, the fullest."),
    ("headgate_budget_held_usd", "What is set aside of it for calls under way and for other processes; likewise."),
)


def budget_gauges(budgets: Mapping[str, Budget], accounts: Iterable[Account], now_ms: int) -> bytes:
    """The three gauges of every budget, out of the accounts whose window is not over."""
    fullest: dict[str, Account] = {}
    for account in accounts:
        name = account.key.budget
        if account.end_ms <= now_ms:
            continue
        if name not in fullest or account.known > fullest[name].known:
            fullest[name] = account
    rows: dict[tuple[str, str], list[int]] = {}
    for number, (name, budget) in enumerate(budgets.items()):
        found = fullest.get(name)
        spent, held = (0, 0) if found is None else (found.really_spent, found.others + found.held)
        labels = (name, budget.window) if number < MOST_SCOPES else ("other", "")
        row = rows.setdefault(labels, [0, 0, 0])
        for index, pico in enumerate((budget.cap_pico, spent, held)):
            row[index] += pico
    return "".join(f"{line}\n" for line in _lines(rows)).encode()


def _lines(rows: Mapping[tuple[str, str], list[int]]) -> Iterator[str]:
    for index, (gauge, help_) in enumerate(_GAUGES):
        yield f"# HELP {gauge} {help_}"
        yield f"# TYPE {gauge} gauge"
        for (scope, window), row in rows.items():
            yield f'{gauge}{{scope="{scope}",window="{window}"}} {float(usd(row[index])):.12g}'
