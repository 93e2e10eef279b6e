"""The stretches of time that a budget is for.  Pure: the instant is an argument, the time zone came from outside.

Hours, days, weeks and months are those of a clock on a wall in the zone: a day runs from local midnight to local
midnight, so it has 23 hours where clocks are put forward and 25 where they are put back.  A window is known by its name
on the calendar and not by the instant at which it begins, so new time zone data move its borders and not its money.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple, get_args

__all__ = ["WINDOWS", "Calendar", "Span", "WindowKind"]

WindowKind = Literal["call", "session", "hour", "day", "week", "month"]
WINDOWS: tuple[str, ...] = get_args(WindowKind)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_HOUR_MS = 3_600_000
_DAY = timedelta(days=1)


class Span(NamedTuple):
    """One window: from `start_ms` up to, not including, `end_ms`, in Unix milliseconds."""

    name: str
    """Such as `2026-11-25`, `2026-W48`, `2026-11`; of an hour its begin in UTC, since a local hour may come twice."""
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours, days, weeks (from Monday) or months of one time zone, which leave no instant out and have none
    twice."""

    kind: Literal["hour", "day", "week", "month"]
    zone: tzinfo

    def span(self, unix_ms: int) -> Span:
        """The window that holds the instant `unix_ms`."""
        if self.kind == "hour":
            return self._hour(unix_ms)
        first = self._first(_local(unix_ms, self.zone).date())
        # Where clocks are changed at midnight, the date they show may be one that has not begun or is over already.
        while unix_ms < self._midnight_ms(first):
            first = self._first(first - _DAY)
        while unix_ms >= (end_ms := self._midnight_ms(self._next(first))):
            first = self._next(first)
        return Span(self._name(first), self._midnight_ms(first), end_ms)

    def _hour(self, unix_ms: int) -> Span:
        """From one full hour of the local clock to the next, or to the moment at which it is changed."""
        offset_ms = self._offset_ms(unix_ms)
        start_ms = (unix_ms + offset_ms) // _HOUR_MS * _HOUR_MS - offset_ms
        end_ms = start_ms + _HOUR_MS
        if self._offset_ms(start_ms) != offset_ms:
            start_ms = self._changed_ms(start_ms, unix_ms)
        if self._offset_ms(end_ms) != offset_ms:
            end_ms = self._changed_ms(unix_ms, end_ms)
        return Span(f"{_EPOCH + start_ms * _MS:%Y-%m-%dT%H:%MZ}", start_ms, end_ms)

    def _changed_ms(self, before_ms: int, after_ms: int) -> int:
        """The first instant in between that has the offset of `after_ms`."""
        offset_ms = self._offset_ms(after_ms)
        while after_ms - before_ms > 1:
            middle_ms = (before_ms + after_ms) // 2
            if self._offset_ms(middle_ms) == offset_ms:
                after_ms = middle_ms
            else:
                before_ms = middle_ms
        return after_ms

    def _offset_ms(self, unix_ms: int) -> int:
        offset = _local(unix_ms, self.zone).utcoffset()
        assert offset is not None
        return offset // _MS

    def _midnight_ms(self, day: date) -> int:
        """The beginning of a local day; where clocks jump over midnight, the instant at which they do."""
        return (datetime(day.year, day.month, day.day, tzinfo=self.zone).astimezone(UTC) - _EPOCH) // _MS

    def _first(self, day: date) -> date:
        """The first day of the window that `day` is in."""
        if self.kind == "week":
            return day - timedelta(days=day.weekday())
        return day.replace(day=1) if self.kind == "month" else day

    def _next(self, first: date) -> date:
        """The first day of the window after the one that begins on `first`."""
        if self.kind == "week":
            return first + 7 * _DAY
        return (first.replace(day=28) + 4 * _DAY).replace(day=1) if self.kind == "month" else first + _DAY

    def _name(self, first: date) -> str:
        if self.kind == "week":
            year, week, _ = first.isocalendar()
            return f"{year}-W{week:02}"
        return f"{first:%Y-%m}" if self.kind == "month" else first.isoformat()


def _local(unix_ms: int, zone: tzinfo) -> datetime:
    return (_EPOCH + unix_ms * _MS).astimezone(zone)
