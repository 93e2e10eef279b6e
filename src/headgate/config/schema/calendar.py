"""`[calendar]`: which days are like which."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CalendarConfig", "DayKindConfig"]


@dataclass(frozen=True, kw_only=True)
class DayKindConfig:
    """A kind of day that is not like others, such as `[calendar.kinds.shutdown]`."""

    days: tuple[str, ...] = ()
    """Dates, such as `"2026-12-24"` or, with both ends, `"2026-12-24..2027-01-02"`.  Those of the calendar's file come
    on top."""
    like: float = 1.0
    """What such a day costs in parts of a workday, for as long as none has been seen: 0.2 for a shutdown, 2.5 for an
    audit."""


@dataclass(frozen=True, kw_only=True)
class CalendarConfig:
    """Which days can be compared with which, so that a shutdown or an audit is no alarm and a rise inside one is."""

    time_zone: str = "UTC"
    """Whose days, such as `Europe/Amsterdam`."""
    weekend: tuple[str, ...] = ("Sat", "Sun")
    """Of `Mon`, `Tue`, `Wed`, `Thu`, `Fri`, `Sat`, `Sun`."""
    file: str | None = None
    """A calendar as other programs export it (iCalendar, `.ics`): its whole-day events whose category or title is a
    kind's name are days of that kind."""
    kinds: dict[str, DayKindConfig] = field(default_factory=dict)
    """Of day, by name.  Where two claim a day, the one that is written first has it."""
