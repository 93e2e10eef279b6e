"""When a lane is open: the clock on the wall of its time zone decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.opening_hours import OpeningHours

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = ("Mon-Fri 20:00-06:00", "Sat,Sun 00:00-24:00")
HOUR_S = 3600.0


def hours(*lines: str, holidays: tuple[str, ...] = (), zone: ZoneInfo = BERLIN) -> OpeningHours:
    return OpeningHours.parse(lines, zone, holidays)


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    """Unix milliseconds of a time on the wall."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "closed_h"),
    [
        ("2026-11-23T19:59", 1 / 60),  # a Monday
        ("2026-11-23T20:00", 0),
        ("2026-11-24T05:59", 0),
        ("2026-11-24T06:00", 14),
        ("2026-11-28T07:00", 0),  # Saturday, all day
        ("2026-11-30T00:00", 20),  # Monday: Sunday's window is over, and its own has not begun
    ],
)
def test_a_lane_is_closed_until_its_next_window_begins(now, closed_h):
    """Beginnings belong to a window, ends do not; a window that passes midnight belongs to the day it began on."""
    assert hours(*NIGHTS).closed_for_s(at(now)) == pytest.approx(closed_h * HOUR_S)


def test_milliseconds_count():
    """Whoever sleeps for what it says wakes up when it is open."""
    assert hours(*NIGHTS).closed_for_s(at("2026-11-23T19:59:59.250")) == pytest.approx(0.75)


def test_a_lane_is_open_until_no_window_covers_it_any_more():
    """Friday's night ends in Saturday, which goes over into Sunday without a break."""
    assert hours(*NIGHTS).open_for_s(at("2026-11-27T21:00")) == (3 + 48) * HOUR_S
    assert hours(*NIGHTS).open_for_s(at("2026-11-27T12:00")) == 0
    assert hours("00:00-24:00").open_for_s(at("2026-11-27T12:00")) == inf


@pytest.mark.parametrize(
    ("night", "open_h"),
    [("2026-03-28T20:00", 9), ("2026-10-24T20:00", 11), ("2026-11-21T20:00", 10)],
    ids=["clocks go forward", "clocks go back", "an ordinary night"],
)
def test_a_night_is_as_long_as_the_clocks_make_it(night, open_h):
    """From 20:00 to 06:00 on the wall, whatever happens to the clocks in between."""
    nightly = hours("20:00-06:00")

    assert nightly.open_for_s(at(night)) == open_h * HOUR_S
    assert nightly.closed_for_s(at(night) + open_h * 3_600_000) == 14 * HOUR_S


@pytest.mark.parametrize(("day", "closed_h"), [("2026-03-28T06:00", 13), ("2026-10-24T06:00", 15)])
def test_a_day_is_as_long_as_the_clocks_make_it(day, closed_h):
    """The wait for an evening on the other side of a change counts the hour that is lost or won."""
    nextday = (datetime.fromisoformat(day) + timedelta(days=1)).weekday()
    name = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[nextday]

    assert hours(f"{name} 20:00-21:00").closed_for_s(at(day)) == (closed_h + 24) * HOUR_S


def test_a_window_that_the_clocks_leap_over_does_not_happen():
    """On 29 March 2026 no clock in Berlin shows 02:30."""
    assert hours("02:00-03:00").closed_for_s(at("2026-03-29T01:59")) == pytest.approx(23 * HOUR_S + 60)


def test_a_window_that_begins_in_the_leap_opens_when_the_clock_has_leapt():
    """The clock goes from 02:00 to 03:00, which lies in the window."""
    assert hours("02:30-04:00").closed_for_s(at("2026-03-29T01:59")) == pytest.approx(60)


def test_a_window_in_the_hour_that_comes_twice_is_open_twice():
    """On 25 October 2026 clocks in Berlin show 02:15 twice."""
    short = hours("02:00-02:30")

    assert short.closed_for_s(at("2026-10-25T02:15")) == 0
    assert short.closed_for_s(at("2026-10-25T02:30")) == HOUR_S / 2
    assert short.closed_for_s(at("2026-10-25T02:15", fold=1)) == 0
    assert short.closed_for_s(at("2026-10-25T02:30", fold=1)) == 23.5 * HOUR_S


def test_a_holiday_has_the_windows_of_a_sunday():
    """Christmas Day 2026 is a Friday; the evening before still lasts until its end, and the evening of it does not
    begin."""
    closed = hours("Mon-Fri 20:00-06:00", "Sun 10:00-12:00", holidays=("2026-12-25",))

    assert closed.closed_for_s(at("2026-12-25T05:00")) == 0
    assert closed.closed_for_s(at("2026-12-25T06:00")) == 4 * HOUR_S
    assert closed.closed_for_s(at("2026-12-25T11:00")) == 0
    assert closed.closed_for_s(at("2026-12-25T20:00")) == 38 * HOUR_S  # Sunday at ten


def test_the_same_instant_is_open_in_one_zone_and_closed_in_another():
    """Hours are those of the lane's own time zone."""
    now = at("2026-11-23T12:00", ZoneInfo("UTC"))

    assert hours("21:00-22:00", zone=ZoneInfo("Asia/Tokyo")).closed_for_s(now) == 0
    assert hours("21:00-22:00").closed_for_s(now) == 8 * HOUR_S


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (hours("Mon-Fri 08:00-18:00"), hours("20:00-06:00"), False),
        (hours("Mon-Fri 08:00-18:00"), hours("18:00-08:00"), False),  # an end is no time at which it is open
        (hours("Mon-Fri 08:00-18:00"), hours(*NIGHTS), False),
        (hours("Sun 23:00-02:00"), hours("Mon 01:00-03:00"), True),
        (hours("Mon-Fri 08:00-18:00"), hours("20:00-06:00", zone=ZoneInfo("America/Los_Angeles")), True),
        (hours("06:00-06:30", zone=ZoneInfo("UTC")), hours("08:00-08:30"), True),  # in summer only
        (hours("Mon 08:00-18:00", holidays=("2026-01-12",)), hours("Mon 09:00-10:00"), True),
    ],
)
def test_hours_meet_if_there_is_a_time_in_both(one, other, meet):
    """Whichever is asked; holidays are not what a week is like."""
    assert (one.meet(other), other.meet(one)) == (meet, meet)


def test_a_lane_whose_days_are_all_holidays_does_not_open():
    """`inf`, and not a search without an end."""
    mondays = tuple(str(datetime(2026, 11, 23) + timedelta(weeks=week))[:10] for week in range(60))

    assert hours("Mon 10:00-11:00", holidays=mondays).closed_for_s(at("2026-11-22T12:00")) == inf


@pytest.mark.parametrize(
    ("line", "days"),
    [
        ("Mon 08:00-09:00", {0}),
        ("mon,WED 08:00-09:00", {0, 2}),
        ("Fri-Mon 08:00-09:00", {4, 5, 6, 0}),
        ("Mon-Tue, Sat 08:00-09:00", {0, 1, 5}),
        ("08:00-09:00", {0, 1, 2, 3, 4, 5, 6}),
    ],
)
def test_days_are_named_one_by_one_or_from_to(line, days):
    """Also over the end of the week."""
    assert {day for day, windows in enumerate(hours(line).windows) if windows} == days


@pytest.mark.parametrize(
    "line",
    ["", "Mon", "Mo 08:00-09:00", "Mon 8:00-9:00", "Mon 08:00-25:00", "Mon 24:00-02:00", "Mon-Wed-Fri 08:00-09:00",
     "Mon, 08:00-09:00", "Mon 08:60-09:00", "Mon 08:00 - 09:00", "x" * 100],
)  # fmt: skip
def test_what_is_no_window_is_refused_with_one_that_is(line):
    """The remedy stands in the message."""
    with pytest.raises(ValueError, match='must look like "Mon-Fri 20:00-06:00"'):
        hours(line)


def test_a_window_of_no_length_is_refused():
    """It could mean never or always."""
    with pytest.raises(ValueError, match='write "00:00-24:00" for a whole day'):
        hours("Mon 08:00-08:00")


@given(
    now=st.datetimes(datetime(2026, 3, 1), datetime(2026, 11, 30)),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    begin=st.integers(0, 1439),
    length=st.integers(1, 1440),
)
def test_it_is_open_when_the_clock_says_so_and_not_a_minute_before(now, zone, begin, length):
    """Checked against the clock itself, in zones with whole, half and no summer hours."""
    end = (begin + length) % 1440
    zone_ = ZoneInfo(zone)
    daily = hours(f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}" if end != begin else "00:00-24:00",
                  zone=zone_)  # fmt: skip

    def shows(unix_ms: int) -> bool:
        wall = datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone(zone_)
        minute = wall.hour * 60 + wall.minute
        return begin == end or (begin <= minute < end if begin < end else minute >= begin or minute < end)

    now_ms = int(now.replace(second=0, microsecond=0, tzinfo=UTC).timestamp() * 1000)
    wait_s = daily.closed_for_s(now_ms)

    minutes = range(0, int(wait_s * 1000), 60_000)
    assert not any(shows(now_ms + later) for later in minutes)
    assert shows(now_ms + int(wait_s * 1000))
    assert (daily.open_for_s(now_ms) > 0) == (wait_s == 0)
