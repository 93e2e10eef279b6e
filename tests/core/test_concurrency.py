"""How many calls may be under way: less after refusals, more again with every good answer."""

from __future__ import annotations

from math import inf

import pytest

from headgate.core.concurrency import FORGET_S, Concurrency


def after(kind: str, under_way: int = 100, now_s: float = 10.0) -> Concurrency:
    """One that has met its first trouble."""
    concurrency = Concurrency()
    concurrency.ended(kind, under_way, now_s)
    return concurrency


def test_there_is_no_limit_before_the_first_trouble():
    """And nothing to pay for one."""
    concurrency = Concurrency()
    for _ in range(1000):
        concurrency.ended("ok", 500, 0.0)

    assert (concurrency.limit, concurrency.has_room(10**9)) == (inf, True)


@pytest.mark.parametrize(("kind", "limit"), [("overloaded", 70), ("limited", 90), ("failing", inf), ("ramp", inf),
                                             ("neutral", inf)])  # fmt: skip
def test_refusals_lower_what_was_really_under_way(kind, limit):
    """529 by three tenths, 429 by a tenth; nothing else says that we are too many."""
    assert after(kind).limit == limit


def test_one_burst_of_refusals_is_one_lesson():
    """At most once a second, and never for calls that went before the last cut."""
    concurrency = after("overloaded")

    for _ in range(30):
        concurrency.ended("overloaded", 70, 10.5)
        concurrency.ended("overloaded", 70, 15.0, began_s=9.0)

    assert concurrency.limit == 70


def test_it_never_falls_below_one():
    """Somebody must find out that the trouble is over."""
    concurrency = Concurrency()
    for now_s in range(0, 200, 2):
        concurrency.ended("overloaded", 1, float(now_s))

    assert (concurrency.limit, concurrency.has_room(0), concurrency.has_room(1)) == (1.0, True, False)


def test_one_stray_429_costs_no_throughput():
    """A tenth of a round of answers later everything is as it was."""
    concurrency = after("limited")

    for _ in range(10):
        concurrency.ended("ok", 90, 11.0)

    assert concurrency.has_room(99)


def test_it_grows_by_one_a_round_beyond_the_level_of_the_last_trouble():
    """Careful where it went wrong."""
    concurrency = after("overloaded", 10)
    for _ in range(3):
        concurrency.ended("ok", 7, 11.0)
    before = concurrency.limit

    for _ in range(10):
        concurrency.ended("ok", 10, 11.0)

    assert concurrency.limit == pytest.approx(before + 1, abs=0.1)


def test_it_does_not_grow_while_few_are_under_way():
    """What was never tried proves nothing."""
    concurrency = after("overloaded")

    for _ in range(100):
        concurrency.ended("ok", 3, 11.0)

    assert concurrency.limit == 70


def test_it_is_forgotten_after_ten_quiet_minutes():
    """The next trouble starts from what is under way then."""
    concurrency = after("overloaded", 3)

    concurrency.ended("ok", 2, 11.0 + FORGET_S)

    assert concurrency.limit == inf


@pytest.mark.parametrize(("before", "limit"), [(0, 4), (10, 4), (400, 42.5)])
def test_after_an_outage_it_begins_with_few_and_doubles_with_every_round(before, limit):
    """B01: no thundering release, and no long wait either."""
    concurrency = Concurrency()
    if before:
        concurrency.ended("overloaded", before, 0.0)

    concurrency.begin_slowly(60.0)
    assert concurrency.limit == limit
    for _ in range(int(limit)):
        concurrency.ended("ok", int(limit), 62.0)

    assert concurrency.limit == pytest.approx(limit * 2 if before != 10 else 8, abs=4)


@pytest.mark.parametrize("capacity", [10, 20, 100])
def test_it_settles_where_the_backend_bears_it(capacity):
    """A backend that refuses all above its capacity: few refusals, and most of the capacity used."""
    concurrency, refused, served, now_s = Concurrency(), 0, 0, 0.0
    concurrency.ended("overloaded", 3 * capacity, now_s)

    for _ in range(400):  # rounds of ten seconds, each filled up to the limit
        now_s += 10.0
        under_way = int(min(concurrency.limit, 10 * capacity))
        for place in range(under_way):
            kind = "ok" if place < capacity else "overloaded"
            refused += kind == "overloaded"
            served += kind == "ok"
            concurrency.ended(kind, under_way, now_s, began_s=now_s - 1.0)

    assert served > 0.8 * 400 * capacity
    assert refused < 0.1 * served + 100
