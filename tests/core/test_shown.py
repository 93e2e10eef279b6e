"""Amounts as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headgate.core.shown import dollars, took


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
