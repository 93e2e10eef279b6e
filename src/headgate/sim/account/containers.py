"""Container hours of code execution: billed by the month and the organisation, not by the request (claude-api.md §12).

Whoever runs code has its container for five minutes at least, and the time of one container counts once however many
requests share it.  Free beside the web tools of 2026; else a price an hour beyond the free hours of the month.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from typing import Any

from headgate.clock import utc
from headgate.sim.account.invoice import PICO_PER_USD, usd
from headgate.sim.facts import FACTS

__all__ = ["Containers"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MOST_OPEN = 10_000
"""Containers remembered; beyond it the oldest is taken to be over."""
_FREED_BY = re.compile(r"web_(search|fetch)_(\d{8})")
_FREED_SINCE = "20260209"


class Containers:
    """What all organisations used of them."""

    def __init__(self, told_late_s: float = 0.0) -> None:
        """Days are told of so many seconds late."""
        self._late_ms = told_late_s * 1000
        self._fresh: deque[tuple[int, str, int]] = deque()
        """What no day tells of yet: when it was, whose, milliseconds."""
        self._until_ms: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._used_ms: Counter[tuple[str, int, int]] = Counter()
        self._days: dict[str, Counter[int]] = {}
        """Milliseconds by organisation and day since 1970."""

    def use(self, organisation: str, container_id: str, tools: Any, now_ms: int) -> None:
        """Code ran in a container during a request with `tools`."""
        if _is_free(tools):
            return
        until_ms = now_ms + FACTS.server_tools.code_execution.minimum_billed_minutes * 60_000
        key = organisation, container_id
        begun_ms = max(now_ms, self._until_ms.pop(key, 0))
        self._until_ms[key] = max(begun_ms, until_ms)
        if len(self._until_ms) > MOST_OPEN:
            self._until_ms.popitem(last=False)
        today, used_ms = utc(now_ms), max(0, until_ms - begun_ms)
        self._used_ms[organisation, today.year, today.month] += used_ms
        self._fresh.append((now_ms, organisation, used_ms))
        self._catch_up(now_ms)

    def cost_pico(self, organisation: str, year: int, month: int) -> int:
        """What the month costs, in whole pico-dollars, the last one begun rounded up."""
        return _cost_pico(self._used_ms[organisation, year, month])

    def _catch_up(self, now_ms: int) -> None:
        while self._fresh and self._fresh[0][0] + self._late_ms <= now_ms:
            at_ms, organisation, used_ms = self._fresh.popleft()
            self._days.setdefault(organisation, Counter())[at_ms // DAY_MS] += used_ms

    def cost_by_day(self, organisation: str, now_ms: int) -> dict[int, int]:
        """Day since 1970 → what that day added to the cost of its month, whose free hours come first."""
        self._catch_up(now_ms)
        used_ms: Counter[tuple[int, int]] = Counter()
        costs = {}
        for day, more_ms in sorted(self._days.get(organisation, Counter()).items()):
            date = utc(day * DAY_MS)
            before = _cost_pico(used_ms[date.year, date.month])
            used_ms[date.year, date.month] += more_ms
            costs[day] = _cost_pico(used_ms[date.year, date.month]) - before
        return costs

    def told(self) -> dict[str, Any]:
        """For `GET /sim/books`; on no request's bill, so not in the sums there."""
        cost_pico = sum(self.cost_pico(*month) for month in self._used_ms)
        hours = sum(self._used_ms.values()) / HOUR_MS
        return {"container_hours": round(hours, 6), "cost_pico": cost_pico, "cost_usd": usd(cost_pico)}


def _cost_pico(used_ms: int) -> int:
    prices = FACTS.server_tools.code_execution
    billed_ms = used_ms - prices.free_hours_per_org_month * HOUR_MS
    return max(0, -(-billed_ms * int(prices.usd_per_container_hour * PICO_PER_USD) // HOUR_MS))


def _is_free(tools: Any) -> bool:
    kinds = (str(tool.get("type")) for tool in tools or ())
    found = (_FREED_BY.fullmatch(kind) for kind in kinds)
    return any(match[2] >= _FREED_SINCE for match in found if match is not None)
