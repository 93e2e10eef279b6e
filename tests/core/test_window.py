"""Windows of a budget are those of the calendar in a named time zone (faults G05, G06)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.window import Calendar, Span

ZONES = [
    "UTC", "Europe/Amsterdam", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Chatham", "Australia/Lord_Howe",
    "America/Havana", "Africa/Casablanca", "Pacific/Apia", "Asia/Tehran",
]  # fmt: skip
HOUR_MS = 3_600_000


def ms(text: str) -> int:
    """Unix milliseconds of an ISO instant."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def span(kind: str, zone: str, at: str) -> Span:
    return Calendar(kind, ZoneInfo(zone)).span(ms(at))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Amsterdam", "2026-03-29", 23),
        ("Europe/Amsterdam", "2026-10-25", 25),
        ("Europe/Amsterdam", "2026-11-25", 24),
        ("Pacific/Chatham", "2026-04-05", 25),
        ("Pacific/Chatham", "2026-09-27", 23),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/Sao_Paulo", "2018-02-17", 25),
        ("America/Sao_Paulo", "2026-11-25", 24),
        ("Asia/Kolkata", "2026-03-29", 24),
    ],
)
def test_g05_a_day_runs_from_local_midnight_to_local_midnight(zone: str, day: str, hours: float):
    """G05: never 24 hours from whenever; also where clocks are changed at midnight itself."""
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone))

    found = span("day", zone, noon.isoformat())

    assert (found.name, (found.end_ms - found.start_ms) / HOUR_MS) == (day, hours)


def test_a_day_in_amsterdam_begins_at_its_own_midnight():
    """22:00 UTC in summer, 23:00 in winter."""
    found = span("day", "Europe/Amsterdam", "2026-10-25T12:00+00:00")

    assert (found.start_ms, found.end_ms) == (ms("2026-10-24T22:00+00:00"), ms("2026-10-25T23:00+00:00"))


@pytest.mark.parametrize(
    ("month", "days"),
    [("2026-02", 28), ("2028-02", 29), ("2026-04", 30), ("2026-12", 31)],
)
def test_g06_a_month_has_its_own_length(month: str, days: int):
    """G06: 28 to 31 days, the leap day, the end of the year."""
    found = span("month", "UTC", f"{month}-15T00:00+00:00")

    assert (found.name, (found.end_ms - found.start_ms) // (24 * HOUR_MS)) == (month, days)


@pytest.mark.parametrize(
    ("at", "name"),
    [
        ("2026-12-31T12:00+00:00", "2026-W53"),
        ("2027-01-03T12:00+00:00", "2026-W53"),
        ("2027-01-04T00:00+00:00", "2027-W01"),
    ],
)
def test_a_week_begins_on_monday_and_has_the_year_of_its_thursday(at: str, name: str):
    """ISO 8601; a week over the end of the year is one week."""
    assert span("week", "UTC", at).name == name


def test_hours_are_full_hours_of_the_local_clock():
    """In a zone of half hours they begin at half past, in UTC."""
    found = span("hour", "Asia/Kolkata", "2026-11-25T10:40+00:00")

    assert found == ("2026-11-25T10:30Z", ms("2026-11-25T10:30+00:00"), ms("2026-11-25T11:30+00:00"))


def test_the_hour_that_comes_twice_is_two_windows():
    """When clocks are put back, two hours have the same name on the wall."""
    first = span("hour", "Europe/Amsterdam", "2026-10-25T00:30+00:00")
    second = span("hour", "Europe/Amsterdam", "2026-10-25T01:30+00:00")

    assert first.end_ms == second.start_ms
    assert first.name != second.name


@given(
    zone=st.sampled_from(ZONES),
    kind=st.sampled_from(("hour", "day", "week", "month")),
    at=st.datetimes(datetime(2005, 1, 2), datetime(2037, 12, 1)),
)
def test_windows_follow_each_other_without_gap_or_overlap(zone: str, kind: str, at: datetime):
    """Every instant is in exactly one window, whatever is done to clocks."""
    calendar = Calendar(kind, ZoneInfo(zone))  # type: ignore[arg-type]
    at_ms = int(at.replace(tzinfo=UTC).timestamp() * 1000)

    found = calendar.span(at_ms)

    assert found.start_ms <= at_ms < found.end_ms
    assert calendar.span(found.start_ms) == found
    assert calendar.span(found.end_ms - 1) == found
    assert calendar.span(found.end_ms).start_ms == found.end_ms
