"""What answers under way have written, and will write."""

from __future__ import annotations

import pytest

from headgate.core.emission import Emission

REFILL = 100.0


def known(tokens_per_s: float = 50.0) -> Emission:
    """One that has seen an answer."""
    emission = Emission()
    emission.ended(500.0, 500.0, 500.0 / tokens_per_s, 1, REFILL, 0.0)
    return emission


def test_what_is_written_is_missing_until_it_has_refilled():
    """As in the API's bucket."""
    emission = known()
    emission.wrote(300.0, REFILL, 0.0)
    emission.wrote(0.0, REFILL, 2.0)

    assert emission.missing == 100.0


def test_headers_bound_what_is_counted():
    """They are rounded, and true: what is counted exactly only has to lie within."""
    emission = known()
    emission.wrote(300.0, REFILL, 0.0)
    emission.hear(1_000.0, 500.0, REFILL, 0.0)

    assert (emission.missing, emission.most) == (500.0, 1_500.0)


def test_what_headers_have_put_right_is_not_put_right_again():
    """The only answer under way had written more than was counted, and headers told so before it ended."""
    emission = known()
    emission.wrote(300.0, REFILL, 0.0)
    emission.hear(1_000.0, 500.0, REFILL, 0.0)
    emission.ended(300.0, 500.0, 10.0, 1, REFILL, 0.0)

    assert emission.missing == 500.0


def test_the_wait_for_an_answer_is_told_from_its_writing():
    """Answers come whole: two seconds and a hundredth for each token, by answers of different length."""
    emission = Emission()
    for number in range(200):
        tokens = 100.0 + 400.0 * (number % 3)
        emission.ended(tokens, tokens, 2.0 + tokens / 100.0, 1, REFILL, 0.0)

    assert emission.wait_s == pytest.approx(2.0, rel=0.2)
    assert emission.tokens_per_s == pytest.approx(100.0, rel=0.1)


def test_answers_of_one_length_are_written_from_the_beginning():
    """Nothing tells how long they wait."""
    emission = Emission()
    for _ in range(200):
        emission.ended(200.0, 200.0, 4.0, 1, REFILL, 0.0)

    assert (emission.wait_s, emission.tokens_per_s) == (pytest.approx(0.0), pytest.approx(50.0))


def test_doubt_is_what_answers_turned_out_wrong_by():
    """Each by a tenth: of four that have written a hundred tokens each, two standard deviations are forty."""
    emission = Emission()
    for _ in range(200):
        emission.ended(100.0, 110.0, 2.0, 1, REFILL, 0.0)
    emission.spread = 4 * 100.0**2

    assert emission.doubt() == pytest.approx(40.0, rel=0.01)


def test_a_refusal_adds_to_the_doubt_and_calls_that_go_take_it_off():
    """So that few calls are refused however odd the answers are."""
    emission = known()
    emission.ended(100.0, 110.0, 2.0, 1, REFILL, 0.0)
    emission.spread = 100.0**2
    usual = emission.doubt()
    emission.refused()
    shy = emission.doubt()
    for _ in range(1_001):
        emission.sent()

    assert shy == pytest.approx(1.25 * usual)
    assert emission.doubt() == pytest.approx(usual, rel=0.001)


def test_no_debt_is_ahead_where_less_is_written_than_refills():
    """However much the answers will have written in the end."""
    emission = known()
    emission.left, emission.writing = 20_000.0, 2

    assert emission.ahead(REFILL) == 0.0


def test_what_is_written_faster_than_it_refills_will_be_missing():
    """A third of what is left, where the bucket refills two thirds of it meanwhile."""
    emission = known()
    emission.left, emission.writing = 1_200.0, 3

    assert emission.ahead(REFILL) == pytest.approx(400.0)
