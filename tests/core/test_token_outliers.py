"""A call with more than twice its workflow's average."""

from __future__ import annotations

from random import Random

import pytest

from headgate.core.token_outliers import STEP_MS, TokenOutliers

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def after(*tokens: int, workflow: str = "w", at_ms: int = 0) -> TokenOutliers:
    """What is known after these calls."""
    known = TokenOutliers()
    for each in tokens:
        known.is_outlier(workflow, each, at_ms)
    return known


@pytest.mark.parametrize(("tokens", "outlier"), [(200, False), (201, True)])
def test_more_than_twice_the_average_is_an_outlier(tokens, outlier):
    assert after(*[100] * 30).is_outlier("w", tokens, 0) is outlier


def test_nothing_is_an_outlier_of_too_few():
    assert not after(*[100] * 29).is_outlier("w", 1_000_000, 0)


def test_a_call_is_not_among_those_it_is_compared_with():
    """Among 30 others it would raise the average to where it just fits."""
    known = after(*[100] * 30)

    assert [known.is_outlier("w", 206, 0) for _ in range(2)] == [True, True]


def test_each_workflow_has_an_average_of_its_own():
    known = after(*[100] * 30)

    assert not known.is_outlier("other", 1_000, 0)


def test_one_in_a_hundred_does_not_raise_the_average():
    """Enormous calls now and then stay outliers, however enormous they are."""
    rng = Random(1)
    usual = [rng.randint(80, 120) for _ in range(500)]
    known = after(*usual)

    found = [known.is_outlier("w", 1_000_000 if not number % 200 else 100, 0) for number in range(1_000)]

    assert sum(found) == 5
    assert known.is_outlier("w", 230, 0)


def test_what_has_become_usual_is_no_outlier_any_more():
    """The average follows within a week."""
    known = after(*[100] * 100)

    found = [known.is_outlier("w", 300, hour * HOUR_MS) for hour in range(10 * 24)]

    assert found[0]
    assert not any(found[-24:])


def test_what_is_a_week_old_is_forgotten():
    known = after(*[100] * 50)
    known.is_outlier("w", 100, 7 * DAY_MS - 1)

    assert not known.is_outlier("w", 1_000, 7 * DAY_MS)


def test_j17_a_clock_that_is_set_back_forgets_nothing():
    known = after(*[100] * 30, at_ms=5 * STEP_MS)

    assert known.is_outlier("w", 300, 0)


def test_a_call_without_tokens_is_none():
    assert not after(*[100] * 30).is_outlier("w", 0, 0)
