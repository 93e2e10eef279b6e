"""What answers under way have written, and will write."""

from __future__ import annotations

import pytest

from headgate.core.emission import Emission


def known(tokens_per_s: float = 50.0) -> Emission:
    """One that has seen an answer."""
    emission = Emission()
    emission.ended(500.0, 1.0, 500.0 / tokens_per_s)
    return emission


def test_what_is_written_is_missing_until_it_has_refilled():
    """As in the API's bucket."""
    emission = known()
    emission.wrote(300.0, 100.0, 0.0)
    emission.wrote(0.0, 100.0, 2.0)

    assert emission.missing == 100.0


def test_headers_bound_what_is_counted():
    """They are rounded, and true: what is counted exactly only has to lie within."""
    emission = known()
    emission.wrote(300.0, 100.0, 0.0)
    emission.hear(1_000.0, 500.0, 0.0, 100.0, 0.0)

    assert (emission.missing, emission.most) == (500.0, 1_500.0)


def test_the_more_answers_are_under_way_the_more_headers_count():
    """How far each has come is a guess; enough of them, and the middle of what headers leave open is the best one."""
    emission = known()
    emission.wrote(300.0, 100.0, 0.0)
    found = []
    for answers in (0, 4, 100):
        emission.missing = 300.0
        emission.hear(1_000.0, 500.0, emission.doubt(answers), 100.0, 0.0)
        found.append(emission.missing)

    assert found == [500.0, 700.0, 1_000.0]


def test_no_debt_is_ahead_where_less_is_written_than_refills():
    """However much the answers will have written in the end."""
    assert known().ahead([(10_000.0, 0.0)] * 2, 100.0) == 0.0


def test_what_is_written_faster_than_it_refills_will_be_missing():
    """A third of what is left, where the bucket refills two thirds of it meanwhile."""
    assert known().ahead([(500.0, 100.0)] * 3, 100.0) == pytest.approx(400.0)
