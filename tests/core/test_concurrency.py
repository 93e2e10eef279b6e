"""How many calls may be under way: less after refusals, more again with every good answer."""

from __future__ import annotations

from math import inf
from random import Random

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


def test_it_never_falls_below_a_few():
    """One long answer would hold up everybody."""
    concurrency = Concurrency()
    for now_s in range(0, 1000, 2):
        concurrency.ended("overloaded", int(min(9, concurrency.limit)), float(now_s))

    assert (concurrency.limit, concurrency.has_room(7), concurrency.has_room(8)) == (8.0, True, False)


def test_one_stray_429_costs_no_throughput():
    """A tenth of a round of answers later everything is as it was."""
    concurrency = after("limited")

    for _ in range(10):
        concurrency.ended("ok", 90, 11.0)

    assert concurrency.has_room(99)


def test_it_grows_by_one_a_round_beyond_the_level_of_the_last_trouble():
    """Careful where it went wrong."""
    concurrency = after("overloaded", 100)
    while concurrency.limit < concurrency.good:
        concurrency.ended("ok", 80, 11.0)
    before = concurrency.limit

    for _ in range(int(before)):
        concurrency.ended("ok", int(before), 11.0)

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


@pytest.mark.parametrize(("before", "limit"), [(0, 8), (20, 8), (400, 42.5)])
def test_after_an_outage_it_begins_with_few_and_doubles_with_every_round(before, limit):
    """B01: no thundering release, and no long wait either."""
    concurrency = Concurrency()
    if before:
        concurrency.ended("overloaded", before, 0.0)

    concurrency.begin_slowly(60.0)
    assert concurrency.limit == limit
    for _ in range(int(limit)):
        concurrency.ended("ok", int(limit), 62.0)

    assert concurrency.limit == pytest.approx(limit * 2, abs=1)


@pytest.mark.parametrize("capacity", [20, 100])
def test_it_settles_where_the_backend_bears_it(capacity):
    """A backend that refuses all above its capacity: few refusals, and most of the capacity used."""
    concurrency, refused, served, now_s = Concurrency(), 0, 0, 0.0

    for _ in range(400):  # rounds of ten seconds, each filled up to the limit
        under_way = int(min(concurrency.limit, 1.8 * capacity))
        kinds = ["ok"] * min(under_way, capacity) + ["overloaded"] * max(0, under_way - capacity)
        Random(1).shuffle(kinds)
        for kind in kinds:
            concurrency.ended(kind, under_way, now_s + 10.0, began_s=now_s)
        served += kinds.count("ok")
        refused += kinds.count("overloaded")
        now_s += 10.1

    assert served > 0.8 * 400 * capacity
    assert refused < 0.2 * served


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_b02_refusals_that_come_whatever_we_send_do_not_drive_it_down(share):
    """B02: an API that refuses every third call of everybody's: half of what was under way is still tried."""
    rng, concurrency = Random(1), Concurrency()

    lowest = inf
    for tick in range(6000):
        kind = "overloaded" if rng.random() < share else "ok"
        concurrency.ended(kind, int(min(concurrency.limit, 100)), tick / 10)
        lowest = min(lowest, concurrency.limit)

    assert lowest >= 50
