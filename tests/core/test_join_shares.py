"""Who bears what of a request that several calls share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.core.join_shares import apportioned, usage_shares
from headgate.usage import Usage

counts = st.integers(0, 200_000)


@given(total=st.integers(0, 10**15), weights=st.lists(counts, min_size=1, max_size=32).filter(any))
def test_parts_add_up_and_are_as_the_weights(total, weights):
    """To the last unit, and none is off by a whole one."""
    parts = apportioned(total, weights)

    assert sum(parts) == total
    whole = sum(weights)
    assert all(abs(part * whole - total * weight) < whole for part, weight in zip(parts, weights, strict=True))


def test_what_has_no_weights_is_shared_evenly():
    """Of an attempt that nobody got an answer from."""
    assert apportioned(10, [0, 0, 0]) == [4, 3, 3]


@given(
    kinds=st.tuples(counts, counts, counts, counts, counts),
    calls=st.lists(st.tuples(st.integers(1, 16_000), st.integers(0, 4_000)), min_size=2, max_size=32),
    request_bytes=st.integers(100, 200_000),
)
def test_every_token_of_every_kind_is_somebodys(kinds, calls, request_bytes):
    """Whatever the sizes are."""
    whole = Usage(*kinds)

    shares = usage_shares(whole, request_bytes, [own for own, _ in calls], [answer for _, answer in calls])

    for kind in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"):
        assert sum(getattr(share, kind) for share in shares) == getattr(whole, kind)


def test_each_bears_its_own_text_and_an_equal_part_of_the_rest():
    """400 bytes in common and 600 of their own are 1,000 tokens: 200 and 500, 200 and 100."""
    one, two = usage_shares(Usage(input=1_000), 1_000, [500, 100], [1, 1])

    assert (one.input, two.input) == (700, 300)


def test_what_the_prompt_cache_has_is_common_to_all():
    """Only the end of a prompt differs, and that is in no cache."""
    one, two = usage_shares(Usage(input=400, cache_read=600), 1_000, [300, 100], [1, 1])

    assert (one.cache_read, two.cache_read) == (300, 300)
    assert (one.input, two.input) == (300, 100)


def test_who_gets_the_longer_answer_bears_more_of_the_output():
    """And who got none, none of it."""
    shares = usage_shares(Usage(output=90), 100, [10, 10, 10], [20, 10, 0])

    assert [share.output for share in shares] == [60, 30, 0]
