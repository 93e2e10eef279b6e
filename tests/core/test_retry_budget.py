"""How much a failing upstream is asked again: a share of what is in flight, and never more than a few beside it."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from headgate.core.retry_budget import RetryBudget


def with_calls(in_flight: int, **options: float) -> RetryBudget:
    """So many calls under way whose first attempts have just come back."""
    budget = RetryBudget(**options)
    for _ in range(in_flight):
        budget.begun()
        budget.came_back(0.0)
    return budget


@pytest.mark.parametrize(("in_flight", "retries"), [(1, 3), (10, 3), (18, 3), (24, 4), (120, 20), (1200, 200)])
def test_inv_06_retries_are_a_fifth_of_the_others_in_flight_and_three_at_least(in_flight, retries):
    """RA1, Envoy's arithmetic."""
    budget = with_calls(in_flight)

    taken = sum(budget.take(0.0) for _ in range(in_flight * 2 + 10))

    assert taken == retries


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.5, 0.75, 0.99])
def test_ra6_of_ten_thousand_failures_the_share_is_retried(share):
    """RA6, the shape of Finagle's own test: a frozen clock, ten thousand requests, plus or minus one."""
    budget = RetryBudget(share=share, floor=1, floor_per_window=0)
    retried = 0

    for _ in range(10_000):
        budget.begun()
        budget.came_back(0.0)
        if budget.take(0.0):
            retried += 1
            budget.give_back()
        budget.ended()

    assert abs(retried - 10_000 * share) <= 1


def test_an_idle_hour_buys_no_storm():
    """Credit lasts ten seconds, however much there was."""
    budget = with_calls(1000)

    taken = 0
    for _ in range(500):
        if budget.take(3600.0):
            taken += 1
            budget.give_back()

    assert taken == 10


def test_short_retries_do_not_multiply_beside_long_streams():
    """A hundred streams go on for minutes while new calls fail at once: what counts is how many attempts came back."""
    budget = with_calls(100)
    retried = 0

    for tick in range(600):  # a minute with five failing calls a second, each retried as often as allowed
        now_s = 20 + tick / 10
        if tick % 2 == 0:
            budget.came_back(now_s)
        for _ in range(3):
            if budget.take(now_s):
                retried += 1
                budget.give_back()

    assert retried <= 70


def test_a_retry_that_is_over_makes_room():
    """Nobody need wait for time to pass."""
    budget = with_calls(5)
    for _ in range(3):
        budget.take(0.0)

    waits = [budget.wait_s(0.0)]
    budget.give_back()
    waits.append(budget.wait_s(0.0))

    assert waits == [inf, 0.0]


def test_where_the_window_is_full_it_is_said_when_to_ask_again():
    """At the next full second, when the oldest may have been forgotten."""
    budget = with_calls(5)
    for _ in range(10):
        budget.take(0.25)
        budget.give_back()

    assert budget.wait_s(0.25) == 0.75
    assert budget.wait_s(9.5) == 0.5
    assert budget.wait_s(10.0) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_inv_06_both_bounds_hold_at_every_instant(seed):
    """RA1: random calls, random failures: sampled after every step."""
    rng = Random(seed)
    budget = RetryBudget()
    now_s, retrying, firsts, retries = 100.0, 0, [], []

    for _ in range(5_000):
        now_s += rng.expovariate(20)
        step = rng.random()
        if step < 0.5:
            budget.begun()
            budget.came_back(now_s)
            firsts.append(now_s)
        elif step < 0.7 and budget.in_flight > budget.retrying:
            budget.ended()
        elif step < 0.9 and budget.in_flight > budget.retrying and budget.take(now_s):
            retrying += 1
            retries.append(now_s)
            assert retrying <= max(3, 0.2 * budget.in_flight), f"seed {seed}"
            recent = sum(int(at_s) > int(now_s) - 10 for at_s in retries)
            assert recent <= 10 or len(retries) <= 0.2 * len(firsts) + 10, f"seed {seed}"
        elif retrying:
            retrying -= 1
            budget.give_back()
