"""What no scheduler can beat, and the two orders it is compared with."""

from __future__ import annotations

from functools import lru_cache

import pytest

from headgate.replay.bounds import fifo, fluid_bound_s, forced_input, prefix_order
from headgate.replay.workload import Workload, from_trace
from support.traces import row, workload_of

MINUTE = (60, 60_000, 6_000)
"""One request, a thousand tokens in and a hundred out a second."""


@lru_cache
def shipped(name: str) -> Workload:
    return from_trace(name)


def test_a_burst_passes_a_full_bucket_and_the_rest_at_its_rate(tmp_path):
    """Ninety requests at once through a bucket of sixty: half a minute."""
    asks = workload_of(tmp_path, *[row(0, 10, 1) for _ in range(90)]).asks

    assert fluid_bound_s(asks, MINUTE, 60) == 30
    assert fluid_bound_s(asks, MINUTE, 10) == 80


def test_the_bound_is_never_before_the_last_arrival(tmp_path):
    """Whatever the limits."""
    asks = workload_of(tmp_path, row(0, 10, 1), row(500, 10, 1)).asks

    assert fluid_bound_s(asks, MINUTE, 60) == 500


def test_the_limit_that_is_short_decides(tmp_path):
    """Output here: 12,000 tokens, of which a minute's worth is there at first."""
    asks = workload_of(tmp_path, *[row(0, 10, 3_000) for _ in range(4)]).asks

    assert fluid_bound_s(asks, MINUTE, 60) == 60


def test_a_call_larger_than_the_bucket_widens_it(tmp_path):
    """The orders let it through on a full bucket, and the bound must hold for them too."""
    asks = workload_of(tmp_path, row(0, 30_000), row(0, 1_000)).asks

    assert fluid_bound_s(asks, MINUTE, 1) == 1
    assert fifo(asks, MINUTE, 1).makespan_s == pytest.approx(30)


def test_with_an_ideal_cache_a_shared_beginning_is_paid_once(tmp_path):
    """By the first that comes with it."""
    asks = workload_of(tmp_path, row(0, 1_024, blocks=[1, 2], block_tokens=512),
                       row(1, 1_200, blocks=[1, 2, 3], block_tokens=512),
                       row(2, 600, blocks=[1, 4], block_tokens=512)).asks  # fmt: skip

    assert forced_input(asks) == [1_024, 176, 88]


FOUND = {
    # trace, limits: bound_s, fifo_s, fifo_mean_wait_s
    ("azure-code", (60, 100_000, 20_000)): (7017.7, 7017.7, 2546.31),
    ("azure-chat", (60, 100_000, 20_000)): (10051.3, 10051.3, 4012.85),
    ("servegen-tenants", (1_000, 450_000, 90_000)): (5195.3, 5195.3, 1543.96),
    ("servegen-tenants", (60, 100_000, 20_000)): (27211.2, 27389.5, 12549.94),
    ("mooncake-synthetic", (1_000, 450_000, 90_000)): (3078.3, 3078.3, 1217.94),
}
"""As trace_stats.py, the yardstick that came with the public traces, prints them for the same slices
(--limit x=60,100000,20000, 2026-11-21)."""


@pytest.mark.parametrize(("name", "limits"), FOUND)
def test_bound_and_first_come_agree_with_the_yardstick(name, limits):
    """Without a cache."""
    asks = shipped(name).asks
    order = fifo(asks, limits, 60)

    assert fluid_bound_s(asks, limits, 60) == pytest.approx(FOUND[name, limits][0], abs=0.06)
    assert (order.makespan_s, order.mean_wait_s) == pytest.approx(FOUND[name, limits][1:], abs=0.06)


CACHED = {
    # trace: bound_s, fifo_s, its share from the cache, prefix order_s, its share
    "mooncake-chat": (6346.5, 8717.3, 0.1056, 6588.9, 0.3225),
    "mooncake-synthetic": (2066.1, 2822.5, 0.0815, 2228.4, 0.2708),
}
"""From the same, --limit x=1000,450000,90000."""


@pytest.mark.parametrize("name", CACHED)
def test_with_a_cache_they_agree_with_the_yardstick_too(name):
    """The bound with an ideal one, the orders with one of five minutes."""
    asks, limits = shipped(name).asks, (1_000, 450_000, 90_000)
    bound_s = fluid_bound_s(asks, limits, 60, cached=True)
    first_come, by_prefix = fifo(asks, limits, 60, cached=True), prefix_order(asks, limits, 60)

    found = (bound_s, first_come.makespan_s, first_come.cached_share, by_prefix.makespan_s, by_prefix.cached_share)
    assert found == pytest.approx(CACHED[name], abs=0.06)
    assert (found[2], found[4]) == pytest.approx((CACHED[name][2], CACHED[name][4]), abs=0.0001)
