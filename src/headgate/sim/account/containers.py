"""Container hours of code execution: billed by the month and the organisation, not by the request (claude-api.md §12).

Whoever runs code has its container for five minutes at least, and the time of one container counts once however many
requests share it.  Free beside the web tools of 2026; else a price an hour beyond the free hours of the month.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from typing import Any

from headgate.clock import utc
from headgate.sim.account.invoice import PICO_PER_USD, usd
from headgate.sim.facts import FACTS

__all__ = ["Containers"]

HOUR_MS = 3_600_000
MOST_OPEN = 10_000
"""Containers remembered; beyond it the oldest is taken to be over."""
_FREED_BY = re.compile(r"web_(search|fetch)_(\d{8})")
_FREED_SINCE = "20260209"


class Containers:
    """What all organisations used of them."""

    def __init__(self) -> None:
        self._until_ms: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._used_ms: Counter[tuple[str, int, int]] = Counter()

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
        today = utc(now_ms)
        self._used_ms[organisation, today.year, today.month] += max(0, until_ms - begun_ms)

    def cost_pico(self, organisation: str, year: int, month: int) -> int:
        """What the month costs, in whole pico-dollars, the last one begun rounded up."""
        prices = FACTS.server_tools.code_execution
        billed_ms = self._used_ms[organisation, year, month] - prices.free_hours_per_org_month * HOUR_MS
        return max(0, -(-billed_ms * int(prices.usd_per_container_hour * PICO_PER_USD) // HOUR_MS))

    def told(self) -> dict[str, Any]:
        """For `GET /sim/books`; on no request's bill, so not in the sums there."""
        cost_pico = sum(self.cost_pico(*month) for month in self._used_ms)
        hours = sum(self._used_ms.values()) / HOUR_MS
        return {"container_hours": round(hours, 6), "cost_pico": cost_pico, "cost_usd": usd(cost_pico)}


def _is_free(tools: Any) -> bool:
    kinds = (str(tool.get("type")) for tool in tools or ())
    found = (_FREED_BY.fullmatch(kind) for kind in kinds)
    return any(match[2] >= _FREED_SINCE for match in found if match is not None)
