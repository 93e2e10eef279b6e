"""What may be staked on the cache."""

from __future__ import annotations

from random import Random

import pytest

from headgate.core.cache_stakes import ALLOWED, CacheStakes


def asked(stakes, *, begin_s=0, seconds=3_600, cost=1_000.0):
    """A prompt every second."""
    for second in range(begin_s, begin_s + seconds):
        stakes.prompt(cost, float(second))


def test_at_first_a_hundredth_of_what_was_asked_may_be_staked():
    """So however it goes, the first hour costs less than that more."""
    stakes = CacheStakes()

    asked(stakes, seconds=60)

    assert stakes.room == pytest.approx(60_000 * ALLOWED)


def test_what_comes_back_may_be_staked_again_but_nothing_is_put_aside():
    """Riches of this hour must not be lost in the next one."""
    stakes = CacheStakes()
    asked(stakes)
    room = stakes.room

    stakes.add(-room)
    stakes.add(1e9)
    asked(stakes, begin_s=3_600, seconds=1)

    assert stakes.room == pytest.approx(room, rel=0.03)


def test_what_is_lost_counts_for_an_hour():
    """Then it is no more part of any hour that is to come."""
    stakes = CacheStakes()
    asked(stakes)
    stakes.add(-stakes.room)

    asked(stakes, begin_s=3_600, seconds=3_500)
    before = stakes.room
    asked(stakes, begin_s=7_100, seconds=200)

    assert before == pytest.approx(0.0, abs=0.01 * 36_000)
    assert stakes.room == pytest.approx(36_000, rel=0.02)


def test_when_traffic_ebbs_so_does_the_room():
    """The hour to come will be measured by what is asked in it."""
    stakes = CacheStakes()
    asked(stakes)

    asked(stakes, begin_s=3_600, seconds=1_200, cost=10.0)

    assert stakes.room < 0.2 * 36_000


@pytest.mark.parametrize("seed", range(20))
def test_whoever_stakes_only_what_there_is_room_for_never_lost_a_hundredth_of_the_last_hour(seed):
    """Even if every stake is lost from some time on, after any past."""
    rng = Random(seed)
    stakes = CacheStakes()
    lost: list[float] = []
    costs: list[float] = []
    for second in range(9_000):
        costs.append(rng.uniform(0, 2_000))
        stakes.prompt(costs[-1], float(second))
        stake = max(0.0, stakes.room) * rng.random()
        back = rng.uniform(0, 3 * stake) if second < 4_000 else 0.0
        stakes.add(-stake)
        stakes.add(back)
        lost.append(stake - back)
        assert sum(lost[-3_600:]) <= 0.0101 * sum(costs[-3_660:]), f"seed {seed}, second {second}"
