"""What will have been spent by the end of a window: like the same hours of earlier weeks, else at the rate so far."""

from __future__ import annotations

from headgate.core.forecast import HOUR_MS, Forecast, forecast

WEEK = 168
NOW = 3_000 * WEEK  # in hours since 1970; hour 0 of a week of its own


def told(
    spent: int = 0, by_hour: dict[int, int] | None = None, *, now=NOW, start=NOW, end=NOW + 10, known=0
) -> Forecast:
    ms = {"now_ms": now, "start_ms": start, "end_ms": end, "known_ms": known}
    return forecast(spent, by_hour or {}, **{name: int(hours * HOUR_MS) for name, hours in ms.items()})


def test_hours_to_come_are_like_the_same_hours_of_earlier_weeks():
    """The expected is their mean, the range from the cheapest week to the dearest."""
    by_hour = {NOW - week * WEEK + 3: cost for week, cost in enumerate((10, 20, 30, 40), 1)}

    assert told(5, by_hour, known=NOW - 4 * WEEK) == Forecast(5 + 25, 5 + 10, 5 + 40, "weeks", 4)


def test_other_hours_of_the_week_tell_nothing():
    by_hour = {NOW - week * WEEK + hour: 1_000 for week in (1, 2) for hour in (-1, 10, 24)}

    assert told(5, by_hour, known=NOW - 2 * WEEK) == Forecast(5, 5, 5, "weeks", 2)


def test_no_more_weeks_are_used_than_the_ledger_has():
    by_hour = {NOW - week * WEEK + 3: 10 for week in (1, 2)}

    assert told(0, by_hour, known=NOW - 2.5 * WEEK) == Forecast(10, 10, 10, "weeks", 2)


def test_a_month_to_come_takes_each_week_again():
    """Beyond a week ahead there is no hour a week before that has been yet: the last one that has is taken."""
    by_hour = {NOW - week * WEEK + 3: 10 for week in (1, 2)}

    assert told(0, by_hour, end=NOW + 3 * WEEK, known=NOW - 2 * WEEK).expected == 30


def test_of_the_hour_that_has_begun_only_the_rest_is_to_come():
    by_hour = {NOW - week * WEEK: 100 for week in (1, 2)}

    assert told(0, by_hour, now=NOW + 0.75, known=NOW - 2 * WEEK).expected == 25


def test_with_less_than_two_weeks_spending_goes_on_as_it_has():
    """In a range from nothing more to every hour like the dearest."""
    by_hour = {NOW: 10, NOW + 1: 30}

    assert told(40, by_hour, now=NOW + 2, known=NOW - WEEK) == Forecast(40 + 160, 40, 40 + 240, "rate")


def test_a_ledger_that_began_later_than_the_window_tells_the_rate_since_then():
    assert told(40, {NOW + 8: 40}, now=NOW + 9, known=NOW + 8).expected == 80


def test_the_first_minutes_do_not_foretell_a_fortune():
    """A rate is measured over an hour at least."""
    assert told(60, {NOW: 60}, now=NOW + 1 / 60, end=NOW + 24, known=NOW).high < 60 * 25


def test_nothing_spent_is_nothing_foretold():
    assert told(known=NOW) == Forecast(0, 0, 0, "rate")


def test_at_the_end_nothing_is_to_come():
    assert told(7, {NOW + 3: 7}, now=NOW + 10, known=NOW - 9 * WEEK)[:3] == (7, 7, 7)
