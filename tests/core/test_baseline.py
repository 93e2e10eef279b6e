"""What an hour should cost: like the same hour of days of its kind; and when it is out of line.

The world of these tests: 26 weeks of hours with noise, workdays with a shape of day, quiet weekends, two shutdown weeks
at a fifth and two audit weeks at two and a half times a workday.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from statistics import median

import pytest

from headgate.core.baseline import Baseline, Judgement
from headgate.core.day_class import DayClasses, DaySpan
from headgate.core.forecast import HOUR_MS

MONDAY = date(2026, 1, 5)
WEEKS = 26
USD = 10**12
SHUTDOWNS, AUDITS = (8, 19), (12, 22)
LEVEL = {"workday": 1.0, "weekend": 0.3, "shutdown": 0.2, "audit": 2.5}


def week(number: int, name: str) -> DaySpan:
    return DaySpan(MONDAY + timedelta(weeks=number), MONDAY + timedelta(weeks=number, days=6), name)


CLASSES = DayClasses(
    spans=(*(week(each, "shutdown") for each in SHUTDOWNS), *(week(each, "audit") for each in AUDITS)),
    likes={"weekend": 0.3, "shutdown": 0.2, "audit": 2.5},
)


def hour_of(day: date, hour: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp()) // 3600


def ordinary(seed: int) -> dict[int, int]:
    """Pico-dollars of each hour: about 100 dollars in a busy one, scattered by 8 %."""
    rng = Random(seed)
    costs = {}
    for number in range(WEEKS * 7):
        day = MONDAY + timedelta(days=number)
        for hour in range(24):
            shape = 1.0 if 8 <= hour < 18 else 0.25
            costs[hour_of(day, hour)] = round(100 * USD * shape * LEVEL[CLASSES.of(day)] * rng.gauss(1, 0.08))
    return costs


def judged(costs: dict[int, int], hour: int, *, ten_minutes: int | None = None) -> Judgement:
    """At the begin of `hour`, by what was known then."""
    known = {each: pico for each, pico in costs.items() if each < hour}
    pace = costs[hour - 1] // 6 if ten_minutes is None else ten_minutes
    its = Baseline(known, CLASSES, known_ms=hour_of(MONDAY) * HOUR_MS, floor=5 * USD)
    return its.judge(hour * HOUR_MS, pace)


def doubled_from(costs: dict[int, int], first: int, hours: int = 24) -> dict[int, int]:
    return costs | {hour: costs[hour] * 2 for hour in range(first, first + hours)}


def hours_until_noticed(costs: dict[int, int], first: int) -> int | None:
    """Closed hours of a rise that began at `first`."""
    return next((after for after in range(1, 7) if judged(costs, first + after).rise > 1), None)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_out_of_line_in_half_a_year_of_ordinary_noise(seed: int):
    """Entering and leaving shutdowns and audits is not a rise, whatever the weekday before was like.  The first four
    weeks are there to be learned from."""
    costs = ordinary(seed)
    whole = Baseline(costs, CLASSES, known_ms=hour_of(MONDAY) * HOUR_MS, floor=5 * USD)
    first, last = hour_of(MONDAY + timedelta(weeks=4)), hour_of(MONDAY + timedelta(weeks=WEEKS))

    out = [hour for hour in range(first, last) if (its := whole.judge(hour * HOUR_MS, 0)).rise > 0 or its.fallen]

    assert out == []


@pytest.mark.parametrize("number", SHUTDOWNS)
@pytest.mark.parametrize("weekday", [0, 2, 4])
def test_a_doubling_inside_a_shutdown_is_noticed_within_two_hours(number: int, weekday: int):
    """Though in dollars it is still far below a workday.  Also in the first shutdown there ever was."""
    first = hour_of(MONDAY + timedelta(weeks=number, days=weekday), 10)

    assert hours_until_noticed(doubled_from(ordinary(1), first), first) in (1, 2)


@pytest.mark.parametrize("number", AUDITS)
def test_a_doubling_of_an_audit_week_is_noticed_within_two_hours(number: int):
    first = hour_of(MONDAY + timedelta(weeks=number, days=3), 9)

    assert hours_until_noticed(doubled_from(ordinary(1), first), first) in (1, 2)


def weekly_offset(costs: dict[int, int], hour: int) -> bool:
    """The control: the median of the same hour of four weeks, and nothing known of calendars."""
    past = [costs[hour - back * 168] for back in range(1, 5)]
    return costs[hour] > 1.5 * median(past)


def test_a_detector_that_only_looks_a_week_back_fails_on_the_same_weeks():
    """It alarms on entering an audit, and sleeps through the doubling in a shutdown: the calendar is what decides."""
    costs = ordinary(1)
    audit = hour_of(MONDAY + timedelta(weeks=AUDITS[0]), 10)
    first = hour_of(MONDAY + timedelta(weeks=SHUTDOWNS[0], days=2), 10)
    risen = doubled_from(costs, first)

    assert weekly_offset(costs, audit)
    assert not any(weekly_offset(risen, first + after) for after in range(6))


def test_ten_minutes_at_six_times_the_hour_are_noticed_at_once():
    costs = ordinary(1)
    hour = hour_of(MONDAY + timedelta(weeks=6), 11)

    assert judged(costs, hour, ten_minutes=100 * USD).by == "now"


def test_a_day_that_creeps_ahead_is_noticed_before_it_is_over():
    """No hour of it is out of line by itself: every second one is."""
    costs = ordinary(1)
    day = MONDAY + timedelta(weeks=6, days=1)
    crept = costs | {hour_of(day, hour): costs[hour_of(day, hour)] * 3 for hour in range(8, 18, 2)}

    assert [judged(crept, hour_of(day, 17)).by] == ["day"]


def test_traffic_that_is_lost_is_told_too():
    costs = ordinary(1)
    first = hour_of(MONDAY + timedelta(weeks=6), 10)
    lost = costs | {first: 0, first + 1: 0}

    assert judged(lost, first + 2).fallen
    assert not judged(lost, first + 1).fallen


def test_cents_are_never_out_of_line():
    """An hour that costs less than the floor more than expected is nobody's alarm."""
    cents = {hour: pico // 1_000 for hour, pico in ordinary(1).items()}
    first = hour_of(MONDAY + timedelta(weeks=6), 10)

    assert judged(doubled_from(cents, first), first + 2).rise == 0


def test_what_was_an_incident_is_not_learned():
    """Three weeks of doubled days would become what is expected; marked as incidents they do not."""
    costs = ordinary(1)
    days = [MONDAY + timedelta(days=back) for back in range(14, 35)]
    risen = costs | {hour_of(day, hour): 2 * costs[hour_of(day, hour)] for day in days for hour in range(24)}
    hour = hour_of(MONDAY + timedelta(days=35), 10)
    known = {each: pico for each, pico in risen.items() if each < hour}
    terms = {"known_ms": hour_of(MONDAY) * HOUR_MS, "floor": USD}

    learned = Baseline(known, CLASSES, **terms).expected(hour)
    kept = Baseline(known, CLASSES, **terms, incidents=frozenset(days)).expected(hour)

    assert learned is not None
    assert kept is not None
    assert learned.baseline == pytest.approx(200 * USD, rel=0.1)
    assert kept.baseline == pytest.approx(100 * USD, rel=0.1)


def test_growth_is_carried_over_to_kinds_of_day_that_are_rare():
    """A workday costs half as much again as at the last audit: so will the audit."""
    costs = ordinary(1)
    grown = {
        hour: round(pico * (1.5 if hour > hour_of(MONDAY + timedelta(weeks=14)) else 1)) for hour, pico in costs.items()
    }
    hour = hour_of(MONDAY + timedelta(weeks=AUDITS[1], days=1), 10)
    known = {each: pico for each, pico in grown.items() if each < hour_of(MONDAY + timedelta(weeks=AUDITS[1]))}

    its = Baseline(known, CLASSES, known_ms=hour_of(MONDAY) * HOUR_MS, floor=USD).expected(hour)

    assert its is not None
    assert its.baseline == pytest.approx(1.5 * 250 * USD, rel=0.1)


def test_nothing_known_is_nothing_expected():
    now = hour_of(MONDAY, 12)
    its = Baseline({now - 1: 50 * USD}, CLASSES, known_ms=hour_of(MONDAY) * HOUR_MS, floor=USD)

    assert its.judge(now * HOUR_MS, 10 * USD) == Judgement(None)
