"""The token bucket: permits that refill steadily, and debts that must be worked off."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.bucket import Bucket


def test_a_new_bucket_is_full():
    """What it can hold may go at once."""
    bucket = Bucket(10, 2, now_s=100)

    assert bucket.refill(100) == 10


def test_permits_come_back_at_the_rate_up_to_the_capacity():
    """Continuous, as the API's own buckets (§8.1)."""
    bucket = Bucket(10, 2, now_s=0)
    bucket.take(10)

    assert [bucket.refill(now_s) for now_s in (0.5, 1, 3, 5, 60)] == [1, 2, 6, 10, 10]


def test_the_wait_is_the_time_until_the_permits_are_there():
    """Nothing of it is guessed."""
    bucket = Bucket(10, 2, now_s=0)
    bucket.take(9)

    assert bucket.wait_s(5, now_s=0) == 2.0
    assert bucket.wait_s(5, now_s=1.5) == 0.5
    assert bucket.wait_s(5, now_s=2) == 0.0


def test_more_than_fits_waits_for_a_full_bucket_and_leaves_a_debt():
    """It would wait for ever otherwise; what follows pays for it."""
    bucket = Bucket(10, 2, now_s=0)
    bucket.take(4)

    assert bucket.wait_s(25, now_s=0) == 2.0
    assert bucket.wait_s(25, now_s=2) == 0.0
    bucket.take(25)
    assert bucket.wait_s(1, now_s=2) == 8.0


def test_what_is_given_back_never_overfills():
    """What no longer fits is lost at once, whoever takes next and whenever."""
    bucket = Bucket(10, 2, now_s=0)
    bucket.take(5)

    bucket.take(-50)
    bucket.take(8)

    assert bucket.refill(0) == 2


@pytest.mark.parametrize(("capacity", "level"), [(4, 4), (20, 8)])
def test_a_new_capacity_keeps_what_fits(capacity, level):
    """A higher limit gives nothing at once; a lower one takes what no longer fits."""
    bucket = Bucket(10, 2, now_s=0)
    bucket.take(2)

    bucket.resize(capacity, 5, now_s=0)

    assert (bucket.refill(0), bucket.refill_per_s) == (level, 5)


@pytest.mark.parametrize(("said", "level"), [(3, 3), (8, 8), (12, 8)])
def test_who_knows_better_can_only_lower_the_level(said, level):
    """What the API says is left is an upper bound: our own calls are on their way to it."""
    bucket = Bucket(10, 2, now_s=0)
    bucket.take(2)

    bucket.cap_level(said, now_s=0)

    assert bucket.refill(0) == level


def test_a_bucket_that_does_not_refill_waits_for_ever():
    """And says so, instead of dividing by zero."""
    bucket = Bucket(1, 0, now_s=0)
    bucket.take(1)

    assert bucket.wait_s(1, now_s=5) == inf


@given(
    st.floats(0.1, 1e6), st.floats(1e-3, 1e6), st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=30)
)  # fmt: skip
def test_who_waits_as_told_finds_the_permits(capacity, rate, steps):
    """For needs that fit: `holds` after `wait_s`, whatever was taken before, and never less than the rate allows."""
    bucket = Bucket(capacity, rate, now_s=0)
    now_s = taken = 0.0
    for gap_s, share in steps:
        need = share * capacity
        now_s += gap_s
        now_s += bucket.wait_s(need, now_s)
        assert bucket.wait_s(need, now_s) * rate <= 1e-5
        bucket.take(need)
        taken += need
        assert taken <= (capacity + now_s * rate) * (1 + 1e-9) + 1e-4
