"""Amounts as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headgate.core.shown import age, counted, dollars, percent, took


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        ("0", "$0.00"),
        ("1234567.891", "$1,234,567.89"),
        ("1", "$1.00"),
        ("0.1083237", "$0.1083"),
        ("0.0011", "$0.001100"),
        ("0.0000111", "$0.000011"),
        ("0.000000000001", "$0.0000000000010"),
        ("-0.5", "-$0.5000"),
    ],
)
def test_dollars_keep_the_digits_that_matter(usd: str, shown: str):
    """An answer that costs a thousandth of a cent does not cost nothing."""
    assert dollars(Decimal(usd)) == shown
    assert dollars(float(usd)) == shown


@pytest.mark.parametrize(
    ("ms", "shown"), [(0, "0 ms"), (44.2, "44 ms"), (1000, "1.0 s"), (118_200, "118.2 s"), (356_703, "6 min")]
)
def test_what_took_milliseconds_did_not_take_no_time(ms: float, shown: str):
    assert took(ms) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0 %"), (0.283, "28.3 %"), (0.0123456, "1.23 %"), (0.01, "1 %"), (0.5, "50 %"), (1, "100 %"),
        (-0.064, "-6.4 %"), (1.05, "105 %"), (12.345, "1,234 %"), (0.00052, "0.052 %"), (0.000001, "under 0.001 %"),
        (0.9999, "over 99.9 %"), (float("nan"), "-"),
    ],
)  # fmt: skip
def test_a_share_is_told_in_one_form_everywhere(share: float, shown: str):
    """Three digits that say something; a little is not nothing, and nearly all is not all."""
    assert percent(share) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 s"), (34.4, "34 s"), (119, "119 s"), (120, "2 min"),
                                                (7200, "2 h"), (172_800, "2 days")])  # fmt: skip
def test_a_span_of_time_is_told_in_a_unit_of_which_there_are_two(seconds: float, shown: str):
    assert age(seconds) == shown


@pytest.mark.parametrize(("number", "shown"), [(0, "0 calls"), (1, "1 call"), (1200, "1,200 calls")])
def test_one_is_no_plural(number: int, shown: str):
    assert counted(number, "call") == shown
