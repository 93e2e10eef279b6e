"""Requests a minute for each of any number of names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.quota import RequestQuota


def taken(quota: RequestQuota, name: str, times: int, now_s: float = 0.0) -> int:
    """How many of `times` requests it lets `name` have at once."""
    got = 0
    for _ in range(times):
        if not quota.wait_s(name, now_s):
            quota.take(name, now_s)
            got += 1
    return got


def test_a_minutes_worth_may_go_at_once_and_no_more():
    """The next waits for the time in which one is earned."""
    quota = RequestQuota(per_minute=10)

    assert taken(quota, "ada", 30) == 10
    assert quota.wait_s("ada", 0.0) == pytest.approx(6.0)


def test_what_it_says_is_what_it_takes():
    """Who comes back after the wait it was told is let in; who comes sooner is not."""
    quota = RequestQuota(per_minute=10)
    taken(quota, "ada", 10)
    wait_s = quota.wait_s("ada", 2.5)

    assert quota.wait_s("ada", 2.5 + wait_s - 0.01) > 0
    assert quota.wait_s("ada", 2.5 + wait_s) == 0


def test_names_do_not_share():
    """One that has used up its own takes nothing from another."""
    quota = RequestQuota(per_minute=1)
    taken(quota, "ada", 5)

    assert quota.wait_s("bob", 0.0) == 0


def test_what_is_given_back_can_be_taken_again():
    """A request that was not sent."""
    quota = RequestQuota(per_minute=2)
    taken(quota, "ada", 2)

    quota.give_back("ada")

    assert taken(quota, "ada", 5) == 1


def test_giving_back_what_is_forgotten_is_nothing():
    """Its minute is over."""
    quota = RequestQuota(per_minute=2)

    quota.give_back("ada")

    assert taken(quota, "ada", 5) == 2


def test_inv_19_names_whose_minute_is_over_are_not_kept():
    """Callers choose the names."""
    quota = RequestQuota(per_minute=60)

    for number in range(10_000):
        quota.take(f"user-{number}", now_s=number * 0.1)

    assert quota.known <= 20


def test_inv_19_a_flood_of_names_is_bounded():
    """The quietest are forgotten, and begin anew."""
    quota = RequestQuota(per_minute=1, kept=100)

    for number in range(10_000):
        quota.take(f"user-{number}", now_s=0.0)

    assert quota.known == 100
    assert quota.wait_s("user-9999", 0.0) > 0


@given(
    per_minute=st.integers(1, 100),
    gaps_s=st.lists(st.floats(0, 20), min_size=1, max_size=300),
)
def test_over_any_stretch_of_time_nobody_gets_more(per_minute, gaps_s):
    """A minute's worth, and what the stretch earns."""
    quota = RequestQuota(per_minute)
    now_s, at_s = 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        if not quota.wait_s("ada", now_s):
            quota.take("ada", now_s)
            at_s.append(now_s)

    for first in range(0, len(at_s), 7):
        for last in range(first, len(at_s)):
            earned = (at_s[last] - at_s[first]) * per_minute / 60
            assert last - first + 1 <= per_minute + earned + 1e-3
