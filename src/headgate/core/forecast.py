"""What will have been spent by the end of a day or month.  Pure.

Simple on purpose, and it says what it goes by: where two weeks of the past are known, the hours to come are taken to be
like the same hours of those weeks, and the range is from the cheapest of them to the dearest; else spending is taken to
go on as it has since the window began, and the range is from nothing more to every hour like the dearest so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["HOUR_MS", "WEEKS", "Forecast", "forecast"]

HOUR_MS = 3_600_000
WEEK_HOURS = 168
WEEKS = 4
"""So many are looked at, if there are as many."""
LEAST_WEEKS = 2
"""One tells nothing of a range."""


class Forecast(NamedTuple):
    """Pico-dollars by the end of the window, what is spent already included."""

    expected: int
    low: int
    high: int
    by: Literal["weeks", "rate"]
    """What it goes by: the same hours of earlier weeks, or the rate since the window began."""
    weeks: int = 0


def forecast(
    spent: int, by_hour: Mapping[int, int], *, now_ms: int, start_ms: int, end_ms: int, known_ms: int
) -> Forecast:
    """What is spent by `end_ms` of a window that began at `start_ms`.

    Args:
        spent: in the window, until now.
        by_hour: what was spent in each hour since 1970, of which there need be no more than `WEEKS` weeks.
        known_ms: since when `by_hour` tells everything.
    """
    to_come = _to_come(now_ms, end_ms)
    now_hour = now_ms // HOUR_MS
    weeks = min(WEEKS, (now_hour + known_ms // -HOUR_MS) // WEEK_HOURS)
    if weeks >= LEAST_WEEKS:
        totals = []
        for number in range(weeks):
            total = 0.0
            for hour, share in to_come:
                back = (hour - now_hour) // WEEK_HOURS + 1 + number
                total += share * by_hour.get(hour - back * WEEK_HOURS, 0)
            totals.append(spent + round(total))
        return Forecast(sum(totals) // weeks, min(totals), max(totals), "weeks", weeks)
    left_h = sum(share for _, share in to_come)
    since_ms = max(start_ms, known_ms)
    passed_h = max((now_ms - since_ms) / HOUR_MS, 1.0)
    hours = range(since_ms // HOUR_MS, now_ms // HOUR_MS + 1)
    dearest = max(max((by_hour.get(hour, 0) for hour in hours), default=0), spent / passed_h)
    return Forecast(spent + round(spent / passed_h * left_h), spent, spent + round(dearest * left_h), "rate")


def _to_come(now_ms: int, end_ms: int) -> list[tuple[int, float]]:
    """The hours from now to the end, each with the share of it that is still to come."""
    hours = []
    while now_ms < end_ms:
        hour = now_ms // HOUR_MS
        upto_ms = min(end_ms, (hour + 1) * HOUR_MS)
        hours.append((hour, (upto_ms - now_ms) / HOUR_MS))
        now_ms = upto_ms
    return hours
