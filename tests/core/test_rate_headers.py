"""The API's rate-limit headers, read strictly: whole numbers, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.rate_headers import LIMITERS, Reading, read_commitment, read_rate_headers

NOTHING = Reading(None, None)
STANDARD = {
    b"anthropic-ratelimit-requests-limit": b"1000",
    b"anthropic-ratelimit-requests-remaining": b"998",
    b"anthropic-ratelimit-requests-reset": b"2026-11-21T00:00:05Z",
    b"anthropic-ratelimit-input-tokens-limit": b"2000000",
    b"anthropic-ratelimit-input-tokens-remaining": b"1893000",
    b"anthropic-ratelimit-output-tokens-limit": b"400000",
    b"anthropic-ratelimit-output-tokens-remaining": b"399000",
    b"anthropic-ratelimit-tokens-limit": b"2400000",
    b"anthropic-ratelimit-tokens-remaining": b"2292000",
}
FAST = {
    b"anthropic-ratelimit-requests-limit": b"20000",
    b"anthropic-ratelimit-requests-remaining": b"19999",
    b"anthropic-fast-input-tokens-limit": b"2000000",
    b"anthropic-fast-input-tokens-remaining": b"1929000",
    b"anthropic-fast-output-tokens-limit": b"400000",
}


def test_the_headers_of_a_standard_call():
    """§8.4: three limiters.  Remaining tokens are rounded to the thousand, so the truth may be 500 above; requests are
    exact."""
    assert read_rate_headers(STANDARD) == (
        Reading(1000, 998, 1.5), Reading(2_000_000, 1_893_500, 107_000, 500),
        Reading(400_000, 399_500, 1_000, 500),
    )  # fmt: skip


def test_a_full_bucket_is_not_more_than_full():
    """§8.4: rounding leaves 500 open, but never beyond the limit itself."""
    full = STANDARD | {b"anthropic-ratelimit-input-tokens-remaining": b"2000000"}

    assert read_rate_headers(full)[1] == Reading(2_000_000, 2_000_000, 0, 500)


def test_the_headers_of_a_fast_call():
    """§8.4: the token headers have other names; the request headers are the same."""
    assert read_rate_headers(FAST, fast=True) == (
        Reading(20_000, 19_999, 0.5), Reading(2_000_000, 1_929_500, 71_000, 500), Reading(400_000, None),
    )  # fmt: skip


def test_the_headers_of_the_other_mode_say_nothing():
    """A standard call's answer says nothing of the fast pool."""
    assert read_rate_headers(STANDARD, fast=True)[1:] == (NOTHING, NOTHING)
    assert read_rate_headers(FAST)[1:] == (NOTHING, NOTHING)


def test_b12_missing_headers_say_nothing():
    """B12: the last good ones stay in force."""
    assert read_rate_headers({}) == (NOTHING,) * len(LIMITERS)


@pytest.mark.parametrize(
    "value",
    [b"", b"-5", b"+5", b"1.5", b"1e6", b"nan", b"inf", b"1 000", b"1,000", b"0x10", b"lots", b"1000; w=60",
     "٧".encode(), b"\xb2", b"9" * 16],
)  # fmt: skip
def test_b12_garbled_headers_say_nothing(value):
    """B12: garbled, negative, absurd."""
    garbled = dict.fromkeys(STANDARD, value)

    assert read_rate_headers(garbled) == (NOTHING,) * len(LIMITERS)


@pytest.mark.parametrize("reset", [b"1999-01-01T00:00:00Z", b"2999-01-01T00:00:00Z", b"soon", b""])
def test_b14_reset_times_are_not_believed_at_all(reset):
    """B14: a skewed clock, ours or theirs, cannot hurt what is never read.  When a limit is full again follows from its
    rate; how long to wait, `retry-after` says in seconds."""
    skewed = STANDARD | {name: reset for name in STANDARD if name.endswith(b"-reset")}

    assert read_rate_headers(skewed) == read_rate_headers(STANDARD)


@given(st.dictionaries(st.sampled_from([*STANDARD, *FAST]), st.binary(max_size=20)), st.booleans())
def test_no_header_breaks_the_reader(headers, fast):
    """Whatever it says: a count of 0 or more, or nothing."""
    for reading in read_rate_headers(headers, fast=fast):
        assert reading.limit is None or reading.limit >= 0
        assert reading.remaining is None or reading.remaining >= 0


@pytest.mark.parametrize(
    ("date", "reset", "full_in_s"),
    [
        (b"Sat, 21 Nov 2026 00:00:00 GMT", b"2026-11-21T00:00:05Z", 5),
        (b"Sat, 21 Nov 2026 03:00:00 GMT", b"2026-11-21T03:00:05Z", 5),
        (b"Sat, 21 Nov 2026 00:00:00 GMT", b"2026-11-20T00:00:05Z", 0),
        (b"Sat, 21 Nov 2026 00:00:00 GMT", b"2026-11-22T00:00:05Z", 60),
        (b"Sat, 21 Nov 2026 00:00:00 GMT", b"soon", None),
        (b"now", b"2026-11-21T00:00:05Z", None),
        (b"Sat, 21 Nov 2026 00:00:00 GMT", b"2026-11-21T00:00:05", None),
        (None, b"2026-11-21T00:00:05Z", None),
    ],
    ids=["plain", "another-clock", "past", "far", "nonsense", "bad-date", "no-zone", "no-date"],
)
def test_b14_without_remaining_the_reset_tells_by_the_apis_own_clock(date, reset, full_in_s):
    """B14: whatever our clock says, and never more than one window."""
    headers = {b"anthropic-ratelimit-requests-limit": b"1000", b"anthropic-ratelimit-requests-reset": reset}
    if date is not None:
        headers[b"date"] = date

    assert read_rate_headers(headers)[0] == Reading(1000, None, full_in_s=full_in_s)


def test_a_priority_commitment_is_read_from_headers_of_its_own():
    """§8.4, the example of the documentation; most answers have none."""
    told = {
        b"anthropic-priority-input-tokens-limit": b"10000",
        b"anthropic-priority-input-tokens-remaining": b"9618",
        b"anthropic-priority-input-tokens-reset": b"2025-01-12T23:11:59Z",
        b"anthropic-priority-output-tokens-limit": b"10000",
        b"anthropic-priority-output-tokens-remaining": b"6000",
    }

    commitment = read_commitment(told)

    assert commitment is not None
    assert [(each.limit, each.missing) for each in commitment] == [(10_000, 382), (10_000, 4_000)]
    assert read_commitment({}) is None
