"""Why spending changed: the parts add up, and each names one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.cost_change import FACTORS, Used, changes

SUPPORT = Used(
    "support", "sonnet", calls=100, attempts=100, tokens=1e6, cached_tokens=6e5, input_tokens=8e5, cost_pico=1e12
)
amounts = st.floats(1, 1e6)


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (SUPPORT._replace(calls=200, attempts=200, tokens=2e6, cost_pico=2e12), "calls"),
        (SUPPORT._replace(attempts=200, tokens=2e6, cost_pico=2e12), "attempts"),
        (SUPPORT._replace(tokens=2e6, cost_pico=2e12), "tokens"),
        (SUPPORT._replace(cached_tokens=0, cost_pico=2e12), "price"),
    ],
)
def test_a_doubling_by_one_factor_is_all_that_factor(after: Used, reason: str):
    (change,) = changes([SUPPORT], [after])

    assert change.reason == reason
    assert change.parts == pytest.approx({name: 1e12 if name == reason else 0.0 for name in FACTORS})


@given(st.tuples(*[amounts] * 4), st.tuples(*[amounts] * 4), st.floats(0.01, 10))
def test_parts_add_up_to_the_change(one: tuple[float, ...], other: tuple[float, ...], scale: float):
    def used(calls: float, retried: float, tokens: float, pico: float) -> Used:
        return Used("w", "m", calls, calls * retried, tokens, 0, tokens, pico)

    for change in changes([used(*one)], [used(*other)], scale=scale):
        assert sum(change.parts.values()) == pytest.approx(change.pico, rel=1e-6, abs=1e-6)


def test_what_is_new_and_what_is_gone_is_all_calls():
    agents = SUPPORT._replace(workflow="agents")

    told = {change.workflow: change.parts["calls"] for change in changes([SUPPORT], [agents])}

    assert told == {"support": -1e12, "agents": 1e12}


def test_the_largest_change_is_told_first_and_none_is_not_told():
    small = SUPPORT._replace(workflow="small")

    told = changes(
        [SUPPORT, small, SUPPORT._replace(workflow="same")],
        [SUPPORT._replace(cost_pico=0), small._replace(cost_pico=1.1e12), SUPPORT._replace(workflow="same")],
    )

    assert [change.workflow for change in told] == ["support", "small"]


def test_the_cached_share_of_both_spans_is_told():
    (change,) = changes([SUPPORT], [SUPPORT._replace(cached_tokens=8e4, cost_pico=2e12)])

    assert (change.cached_share_before, change.cached_share_after) == (0.75, 0.1)


def test_a_longer_span_before_is_scaled():
    """A week before against a day now: a seventh of it is what the day is compared with."""
    week = SUPPORT._replace(calls=700, attempts=700, tokens=7e6, cost_pico=7e12)

    assert changes([week], [SUPPORT], scale=1 / 7) == []
