"""When a lane is open, by the clock on a wall.  Pure: the instant is an argument, the time zone came from outside.

A lane is open while a clock in its zone shows a time in one of its windows.  So on the night when clocks are put back
a window from 20:00 to 06:00 lasts eleven hours, and nine when they are put forward.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from math import inf

__all__ = ["OpeningHours"]

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SUNDAY = 6
DAY_S = 86_400
WEEK_MS = 7 * DAY_S * 1000
_MONDAYS = (datetime(2026, 1, 12, tzinfo=UTC), datetime(2026, 7, 13, tzinfo=UTC))
FARTHEST_DAYS = 400
"""No one looks further ahead: a year, and the longest row of holidays."""

_LINE = re.compile(r"(?:(?P<days>[A-Za-z, -]+?)\s+)?(?P<from>\d\d:\d\d)-(?P<to>\d\d:\d\d)")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """Windows of a week.  A window belongs to the day on which it begins, also where it ends on the next."""

    windows: tuple[tuple[tuple[int, int], ...], ...]
    """By weekday, Monday first: beginnings and ends, in seconds after midnight.  An end may lie in the next day."""
    zone: tzinfo
    holidays: frozenset[date]
    """Days that have the windows of a Sunday instead of their own."""

    @classmethod
    def parse(cls, lines: Sequence[str], zone: tzinfo, holidays: Sequence[str] = ()) -> OpeningHours:
        """Read windows such as `Mon-Fri 20:00-06:00`, `Sat,Sun 00:00-24:00`, or `22:00-05:00` for every day.

        Args:
            holidays: dates such as `2026-12-25`.

        Raises:
            ValueError: one cannot be read; says which, and how to write it.
        """
        windows: list[list[tuple[int, int]]] = [[] for _ in DAYS]
        for line in lines:
            days, begin_s, end_s = _window(line)
            for day in days:
                windows[day].append((begin_s, end_s))
        return cls(tuple(tuple(sorted(day)) for day in windows), zone, frozenset(_day(text) for text in holidays))

    def closed_for_s(self, unix_ms: int) -> float:
        """Seconds until it opens; 0 is open, `inf` not within a year."""
        for begin_ms, end_ms, offset_ms in self._stretches(unix_ms):
            opens_ms = self._opens_ms(begin_ms + offset_ms, end_ms + offset_ms)
            if opens_ms is not None:
                return (opens_ms - offset_ms - unix_ms) / 1000
        return inf

    def open_for_s(self, unix_ms: int) -> float:
        """Seconds until it closes; 0 is closed, `inf` not within a year."""
        for begin_ms, end_ms, offset_ms in self._stretches(unix_ms):
            at_ms = begin_ms + offset_ms
            while at_ms < end_ms + offset_ms:
                covered_ms = self._covered_ms(at_ms)
                if covered_ms is None:
                    return (at_ms - offset_ms - unix_ms) / 1000
                at_ms = covered_ms
        return inf

    def meet(self, other: OpeningHours) -> bool:
        """Whether both are ever open at the same time, in a week of winter or of summer, holidays aside."""
        ours, theirs = replace(self, holidays=frozenset()), replace(other, holidays=frozenset())
        return any(_meet(ours, theirs, int(monday.timestamp() * 1000)) for monday in _MONDAYS)

    def _stretches(self, unix_ms: int) -> Iterator[tuple[int, int, int]]:
        """From now on, stretches of time in which the clocks are not changed: begin, end, and what the clock on the
        wall is ahead of UTC.  All in milliseconds."""
        begin_ms, offset_ms = unix_ms, self._offset_ms(unix_ms)
        for _ in range(FARTHEST_DAYS):
            end_ms = begin_ms + DAY_S * 1000
            next_offset_ms = self._offset_ms(end_ms)
            if next_offset_ms != offset_ms:
                change_ms = self._change_ms(begin_ms, end_ms, offset_ms)
                yield begin_ms, change_ms, offset_ms
                yield change_ms, end_ms, next_offset_ms
            else:
                yield begin_ms, end_ms, offset_ms
            begin_ms, offset_ms = end_ms, next_offset_ms

    def _change_ms(self, before_ms: int, after_ms: int, offset_ms: int) -> int:
        """The instant between the two at which the clocks leave `offset_ms`; that is a whole second."""
        low_s, high_s = before_ms // 1000, after_ms // 1000 + 1
        while high_s - low_s > 1:
            middle_s = (low_s + high_s) // 2
            if self._offset_ms(middle_s * 1000) == offset_ms:
                low_s = middle_s
            else:
                high_s = middle_s
        return min(max(high_s * 1000, before_ms), after_ms)

    def _offset_ms(self, unix_ms: int) -> int:
        offset = datetime.fromtimestamp(unix_ms // 1000, UTC).astimezone(self.zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds() * 1000)

    def _opens_ms(self, wall_ms: int, until_ms: int) -> int | None:
        """The first time on the wall within the two that lies in a window, if one does."""
        for begin_ms, end_ms in self._windows(wall_ms, until_ms):
            if begin_ms < until_ms and end_ms > wall_ms:
                return max(begin_ms, wall_ms)
        return None

    def _covered_ms(self, wall_ms: int) -> int | None:
        """The latest end of the windows that `wall_ms` lies in, or None if it lies in none."""
        ends = [end_ms for begin_ms, end_ms in self._windows(wall_ms, wall_ms) if begin_ms <= wall_ms < end_ms]
        return max(ends, default=None)

    def _windows(self, wall_ms: int, until_ms: int) -> Iterator[tuple[int, int]]:
        """Windows from the day before `wall_ms` to the day of `until_ms`, those that begin first before others."""
        for number in range(wall_ms // (DAY_S * 1000) - 1, until_ms // (DAY_S * 1000) + 1):
            day = _EPOCH + timedelta(days=number)
            midnight_ms = number * DAY_S * 1000
            for begin_s, end_s in self.windows[SUNDAY if day in self.holidays else day.weekday()]:
                yield midnight_ms + begin_s * 1000, midnight_ms + end_s * 1000


def _meet(one: OpeningHours, other: OpeningHours, begin_ms: int) -> bool:
    at_ms = begin_ms
    while at_ms < begin_ms + WEEK_MS:
        closed_s = one.closed_for_s(at_ms) or other.closed_for_s(at_ms)
        if not closed_s:
            return True
        at_ms += round(min(closed_s * 1000, WEEK_MS))
    return False


def _window(line: str) -> tuple[list[int], int, int]:
    """The days of a line, and the seconds between which it is open."""
    found = _LINE.fullmatch(line.strip())
    begin_s, end_s = (_seconds(found["from"]), _seconds(found["to"])) if found else (None, None)
    days = _days(found["days"]) if found else []
    if begin_s is None or end_s is None or not days or begin_s == DAY_S:
        raise ValueError(f'{line!r} must look like "Mon-Fri 20:00-06:00", "Sat,Sun 00:00-24:00" or "22:00-05:00"')
    if begin_s == end_s:
        raise ValueError(f'{line!r} begins when it ends; write "00:00-24:00" for a whole day')
    return days, begin_s, end_s if end_s > begin_s else end_s + DAY_S


def _seconds(text: str) -> int | None:
    if not _TIME.fullmatch(text):
        return None
    return int(text[:2]) * 3600 + int(text[3:]) * 60


def _days(text: str | None) -> list[int]:
    """Weekdays by number; all where none are named, none where one is not a day."""
    if text is None:
        return list(range(7))
    named: set[int] = set()
    for part in text.split(","):
        ends = [DAYS.index(name) for day in part.split("-") if (name := day.strip().capitalize()) in DAYS]
        if len(ends) != part.count("-") + 1 or len(ends) > 2:
            return []
        first, last = ends[0], ends[-1]
        named.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return sorted(named)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'{text!r} must be a date, such as "2026-12-25"') from None
