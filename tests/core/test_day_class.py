"""The kind of a day: by the calendar, else by the weekday."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from headgate.core.day_class import DayClasses, DaySpan, days_of_ics, parse_days

FRIDAY = date(2026, 12, 18)
SHUTDOWN = DaySpan(date(2026, 12, 24), date(2027, 1, 3), "shutdown")


def test_a_day_without_an_entry_is_a_workday_or_a_weekend():
    assert [DayClasses().of(date(2026, 12, day)) for day in (18, 19, 20, 21)] == [
        "workday", "weekend", "weekend", "workday",
    ]  # fmt: skip


def test_the_weekend_is_where_its_people_live():
    assert DayClasses(weekend=frozenset((4, 5))).of(FRIDAY) == "weekend"


def test_both_ends_of_a_span_belong_to_it():
    classes = DayClasses(spans=(SHUTDOWN,))

    assert [classes.of(date(2026, 12, day)) for day in (23, 24, 31)] == ["workday", "shutdown", "shutdown"]
    assert classes.of(date(2027, 1, 3)) == "shutdown"
    assert classes.of(date(2027, 1, 4)) == "workday"


def test_of_two_that_overlap_the_first_counts():
    holiday = DaySpan(date(2026, 12, 25), date(2026, 12, 25), "holiday")

    assert DayClasses(spans=(holiday, SHUTDOWN)).of(date(2026, 12, 25)) == "holiday"


def test_days_begin_at_midnight_of_their_zone():
    """23:30 UTC of the 17th is half past midnight of the 18th in Berlin."""
    classes = DayClasses(zone=ZoneInfo("Europe/Berlin"))

    assert classes.at(1_797_550_200_000) == (FRIDAY, 0)


@pytest.mark.parametrize("text", ["24.12.2026", "2026-12-24..", "2026-12-24..2026-12-23", "2026-01-01..2036-01-01", ""])
def test_what_is_no_span_of_days_is_told_how_to_be_written(text: str):
    with pytest.raises(ValueError, match=r"must be a date|ends before it begins"):
        parse_days(text, "shutdown")


ICS = """BEGIN:VCALENDAR\r
BEGIN:VEVENT\r
SUMMARY:Factory closed, see\r
  intranet\r
CATEGORIES:Plant,Shutdown\r
DTSTART;VALUE=DATE:20261224\r
DTEND;VALUE=DATE:20270104\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:audit\r
DTSTART;VALUE=DATE:20261109\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:Yoga\r
DTSTART:20261110T170000Z\r
RRULE:FREQ=WEEKLY\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_a_span_is_read_with_both_ends():
    assert parse_days("2026-12-24 .. 2027-01-03", "shutdown") == SHUTDOWN


def test_an_exported_calendar_names_its_days_by_category_or_title():
    """The end that the file gives is the day after; other people's events are nothing to us."""
    assert days_of_ics(ICS, ["shutdown", "audit"]) == [SHUTDOWN, DaySpan(date(2026, 11, 9), date(2026, 11, 9), "audit")]


def test_an_event_that_repeats_by_a_rule_is_refused_by_name():
    with pytest.raises(ValueError, match="'Yoga' repeats by a rule"):
        days_of_ics(ICS, ["yoga"])


def test_an_event_without_a_date_is_refused_by_name():
    with pytest.raises(ValueError, match="'audit' has no date"):
        days_of_ics(ICS.replace("DTSTART;VALUE=DATE:20261109", "DTSTART:soon"), ["audit"])
