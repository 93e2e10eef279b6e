"""What kind of day a date is: a workday, a weekend, a shutdown, an audit.  Pure: the calendar is an argument.

What is ordinary on one kind of day is an alarm on another, so whatever is compared with the past is compared with days
of its own kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo

__all__ = ["DAYS", "WEEKEND", "WORKDAY", "DayClasses", "DaySpan", "days_of_ics", "parse_days"]

WORKDAY = "workday"
WEEKEND = "weekend"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONGEST_DAYS = 1_000
"""Of a span; a longer one is a typing error."""


@dataclass(frozen=True, slots=True)
class DaySpan:
    """Days from `first` to `last`, both included, of one kind."""

    first: date
    last: date
    name: str


@dataclass(frozen=True, slots=True)
class DayClasses:
    """Tells the kind of a date, by the clock of `zone`."""

    zone: tzinfo = UTC
    weekend: frozenset[int] = frozenset((5, 6))
    """Weekdays, Monday is 0."""
    spans: tuple[DaySpan, ...] = ()
    """Where two overlap, the earlier one in this order counts."""
    likes: Mapping[str, float] = field(default_factory=dict)
    """By kind: what it is expected to be like in parts of a workday, while no day of it is known."""

    def of(self, day: date) -> str:
        for span in self.spans:
            if span.first <= day <= span.last:
                return span.name
        return WEEKEND if day.weekday() in self.weekend else WORKDAY

    def at(self, unix_ms: int) -> tuple[date, int]:
        """The date, and the hour of the day, that the clock shows."""
        shown = datetime.fromtimestamp(unix_ms // 1000, UTC).astimezone(self.zone)
        return shown.date(), shown.hour


def parse_days(text: str, name: str) -> DaySpan:
    """Read `2026-12-24`, or `2026-12-24..2027-01-02` with both ends included.

    Raises:
        ValueError: it cannot be read; says how to write it.
    """
    first_text, to, last_text = text.partition("..")
    try:
        first = date.fromisoformat(first_text.strip())
        last = date.fromisoformat(last_text.strip()) if to else first
    except ValueError:
        raise ValueError(f'{text!r} must be a date, or two such as "2026-12-24..2027-01-02"') from None
    if not 0 <= (last - first).days <= LONGEST_DAYS:
        raise ValueError(f"{text!r} ends before it begins, or is longer than {LONGEST_DAYS} days")
    return DaySpan(first, last, name)


def days_of_ics(text: str, names: Sequence[str]) -> list[DaySpan]:
    """The whole-day events of an iCalendar file (RFC 5545) whose category or summary is one of `names`, in any case.

    Raises:
        ValueError: such an event repeats by a rule, or has no date that can be read.
    """
    wanted = {name.casefold(): name for name in names}
    found = []
    for event in _events(text):
        said = [*event.get("CATEGORIES", "").split(","), event.get("SUMMARY", "")]
        name = next((wanted[word] for each in said if (word := each.strip().casefold()) in wanted), None)
        if name is None:
            continue
        what = f"event {event.get('SUMMARY') or name!r}"
        if "RRULE" in event:
            raise ValueError(f"{what} repeats by a rule; export the calendar with its events one by one")
        first = _ics_date(event.get("DTSTART", ""), what)
        # RFC 5545: the end is the day after the last; an event without an end is one day long.
        last = _ics_date(event["DTEND"], what) - timedelta(days=1) if "DTEND" in event else first
        found.append(DaySpan(first, max(first, last), name))
    return found


def _events(text: str) -> Iterator[dict[str, str]]:
    """The properties of each event, by name and without their parameters."""
    unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    event: dict[str, str] | None = None
    for line in unfolded.split("\n"):
        head, _, value = line.partition(":")
        name = head.partition(";")[0].upper()
        if name == "BEGIN" and value.strip().upper() == "VEVENT":
            event = {}
        elif name == "END" and value.strip().upper() == "VEVENT" and event is not None:
            yield event
            event = None
        elif event is not None:
            event.setdefault(name, value.strip())


def _ics_date(text: str, what: str) -> date:
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError:
        raise ValueError(f"{what} has no date such as 20261224") from None
