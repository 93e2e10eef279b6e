"""What an hour should cost, by hours of the past that it can be compared with, and whether this one is out of line.
Pure.

Compared are days of the same kind (`day_class`): a shutdown week with shutdown weeks, an audit with audits.  The median
of them is what is expected, so that a few odd days move nothing; the band around it is as wide as they really scatter.
Where a kind is new, its days' totals stand in, and where it has no day at all, a share of a workday that the operator
named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from statistics import median
from typing import Literal, NamedTuple

from headgate.core.day_class import WORKDAY, DayClasses
from headgate.core.forecast import HOUR_MS

__all__ = ["Baseline", "Expected", "Judgement"]

LEAST_DAYS = 4
"""Of the same kind, to compare hour by hour; with fewer, by the day."""
MOST_DAYS = 12
LOOK_BACK_DAYS = 400
"""Kinds of day that come once a year find the last time."""
LEVEL_DAYS = 28
"""The level that growth is measured by is the median workday of so many days."""
MOST_GROWTH = 2.0
"""However much more a workday costs than back then, or less."""
SCATTER = 4 * 1.4826
"""Four standard deviations, of which the median absolute deviation is 1 / 1.4826 where noise is normal."""
LEAST_BAND = 0.25
"""Of what is expected."""
DAY_RISE = 1.5
"""A day may run so far ahead of what is expected of it."""
FAST_RISE = 5.0
"""Ten minutes at this multiple of the hour do not wait for the hour's end."""
FALL = 0.2
"""Less than this share of what is expected, and traffic is lost, or metering is broken."""


class Expected(NamedTuple):
    """Pico-dollars of an hour."""

    baseline: float
    band: float
    by: Literal["hours", "days", "workdays"]
    """Hours of its own kind of day, such days' totals, or a share of a workday."""


class Judgement(NamedTuple):
    """How an instant stands against what was expected."""

    hour: Expected | None
    """Of the hour that runs; None while nothing is known."""
    rise: float = 0.0
    """How many bands spending lies above what is expected; 0 while it is in line."""
    by: Literal["hours", "day", "now"] | None = None
    """What tells so: two closed hours, the day so far, or the last ten minutes."""
    fallen: bool = False
    """Two closed hours cost next to nothing where much was expected."""


class Baseline:
    """Knows what hours cost, and expects.

    Args:
        by_hour: pico-dollars by hours since 1970 (UTC); an hour that is not there cost nothing.
        known_ms: since when they tell everything, in Unix milliseconds.
        floor: pico-dollars an hour that nobody need be told about.
        incidents: days that nothing is to be learned from.
    """

    def __init__(
        self,
        by_hour: Mapping[int, int],
        classes: DayClasses,
        *,
        known_ms: int,
        floor: int,
        incidents: Collection[date] = (),
    ) -> None:
        self._by_hour = by_hour
        self._classes = classes
        self._floor = floor
        self._incidents = incidents
        self._costs: dict[date, dict[int, float]] = defaultdict(lambda: defaultdict(float))
        for hour, pico in by_hour.items():
            day, hour_of_day = classes.at(hour * HOUR_MS)
            self._costs[day][hour_of_day] += pico
        self._first = classes.at(known_ms)[0] + timedelta(days=1)
        """The first day that is known whole."""
        self._levels: dict[date, float | None] = {}
        self._alike: dict[tuple[date, str], list[date]] = {}

    def expected(self, hour: int) -> Expected | None:
        """What an hour since 1970 should cost; None if nothing like it is known."""
        day, hour_of_day = self._classes.at(hour * HOUR_MS)
        name = self._classes.of(day)
        its = self._by_kind(day, hour_of_day, name)
        if its is None and name != WORKDAY:
            workday = self._by_kind(day, hour_of_day, WORKDAY)
            if workday is not None:
                share = self._classes.likes.get(name, 1.0)
                its = Expected(workday.baseline * share, workday.band * share, "workdays")
        if its is None:
            return None
        return its._replace(band=max(its.band, LEAST_BAND * its.baseline, self._floor))

    def judge(self, now_ms: int, last_ten_minutes: int) -> Judgement:
        """Where spending stands; `last_ten_minutes` is in pico-dollars."""
        hour = now_ms // HOUR_MS
        running = self.expected(hour)
        before = [(self._by_hour.get(each, 0), self.expected(each)) for each in (hour - 1, hour - 2)]
        closed = [(pico, its) for pico, its in before if its is not None]
        if running is None or len(closed) < len(before):
            return Judgement(running)
        fallen = all(self._floor < its.baseline and pico < FALL * its.baseline for pico, its in closed)
        over = min((pico - its.baseline) / its.band for pico, its in closed)
        if over > 1:
            return Judgement(running, over, "hours")
        ahead = self._day_ahead(hour)
        if ahead > 1:
            return Judgement(running, ahead, "day")
        pace = 6.0 * last_ten_minutes
        if pace > FAST_RISE * running.baseline and pace > running.baseline + running.band:
            return Judgement(running, (pace - running.baseline) / running.band, "now")
        return Judgement(running, fallen=fallen)

    def _day_ahead(self, hour: int) -> float:
        """How many bands the closed hours of the day that `hour` is in lie above half as much again as is expected."""
        day = self._classes.at(hour * HOUR_MS)[0]
        spent = expected = band = 0.0
        for each in range(hour - 1, hour - 26, -1):
            if self._classes.at(each * HOUR_MS)[0] != day:
                break
            its = self.expected(each)
            if its is None:
                return 0.0
            spent += self._by_hour.get(each, 0)
            expected += its.baseline
            band = max(band, its.band)
        return (spent - DAY_RISE * expected) / band if band else 0.0

    def _by_kind(self, day: date, hour_of_day: int, name: str) -> Expected | None:
        days = self._days_like(day, name)
        if not days:
            return None
        if len(days) >= LEAST_DAYS:
            hours = [self._costs[each][hour_of_day] * self._growth(each, day) for each in days]
            return _around_median(hours, "hours")
        share = self._share_of_day(day, hour_of_day)
        totals = [sum(self._costs[each].values()) * self._growth(each, day) * share for each in days]
        return _around_median(totals, "days")

    def _days_like(self, day: date, name: str) -> list[date]:
        """The latest days before `day` that can be compared, the last one first."""
        found = self._alike.get((day, name))
        if found is None:
            found = self._alike[day, name] = []
            each = day
            while len(found) < MOST_DAYS and each > max(self._first, day - timedelta(days=LOOK_BACK_DAYS)):
                each -= timedelta(days=1)
                if self._classes.of(each) == name and each not in self._incidents:
                    found.append(each)
        return found

    def _share_of_day(self, day: date, hour_of_day: int) -> float:
        """The part of a workday that falls into this hour; an even part, while no workday is known."""
        days = self._days_like(day, WORKDAY)
        whole = sum(sum(self._costs[each].values()) for each in days)
        return sum(self._costs[each][hour_of_day] for each in days) / whole if whole else 1 / 24

    def _growth(self, then: date, day: date) -> float:
        """What a workday costs now for each dollar that it cost then; days of the last weeks show it themselves."""
        if (day - then).days <= LEVEL_DAYS:
            return 1.0
        before, now = self._level(then), self._level(day)
        if not before or not now:
            return 1.0
        return min(max(now / before, 1 / MOST_GROWTH), MOST_GROWTH)

    def _level(self, day: date) -> float | None:
        if day not in self._levels:
            days = (day - timedelta(days=back) for back in range(1, LEVEL_DAYS + 1))
            totals = [
                sum(self._costs[each].values())
                for each in days
                if each >= self._first and self._classes.of(each) == WORKDAY and each not in self._incidents
            ]
            self._levels[day] = median(totals) if len(totals) >= LEAST_DAYS else None
        return self._levels[day]


def _around_median(values: list[float], by: Literal["hours", "days"]) -> Expected:
    middle = median(values)
    return Expected(middle, SCATTER * median(abs(value - middle) for value in values), by)
