"""Answers that are kept: for whom, how many, how long."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from headgate.core.memo import ENTRY_BYTES, Memo, request_key


def key(text: str) -> bytes:
    return request_key(["caller"], {"text": text})


def test_the_last_answer_is_the_one_that_is_given():
    memo = Memo(10_000)
    memo.keep(key("a"), b"first", 0)
    memo.keep(key("a"), b"second", 1)

    answer = memo.recall(key("a"), 2, 1000)

    assert answer == (b"second", 1)


def test_an_answer_is_given_to_those_who_take_it_that_old():
    """How old it may be is for who asks to say: a fallback takes an older one than a memo."""
    memo = Memo(10_000)
    memo.keep(key("a"), b"old", 0)

    assert [memo.recall(key("a"), 60.1, most) for most in (60, 61)] == [None, (b"old", 0)]


def test_the_longest_unused_go_first_when_room_is_short():
    memo = Memo(16 * (ENTRY_BYTES + 10))
    for name in "abcdefghijklmnop":
        memo.keep(key(name), b"0123456789", 0)
    memo.recall(key("a"), 1, 1000)

    memo.keep(key("q"), b"0123456789", 2)

    assert [name for name in "abq" if memo.recall(key(name), 3, 1000)] == ["a", "q"]


def test_an_answer_that_is_large_for_the_room_is_not_kept():
    """It would push out too many others; and the old one is not the last any more."""
    memo = Memo(10_000)
    memo.keep(key("a"), b"small", 0)

    memo.keep(key("a"), b"x" * 2000, 1)

    assert memo.recall(key("a"), 2, 1000) is None


def test_what_still_arrives_takes_its_room_from_the_longest_unused():
    """Bytes are bytes; it is given back when the answer is there, or does not come."""
    memo = Memo(16 * (ENTRY_BYTES + 10))
    for name in "abcdefghijklmnop":
        memo.keep(key(name), b"0123456789", 0)

    held = memo.hold(2 * (ENTRY_BYTES + 10))

    assert (held, memo.recall(key("b"), 1, 1000), memo.recall(key("c"), 1, 1000)) == (True, None, (b"0123456789", 0))


def test_what_still_arrives_never_drives_out_more_than_half():
    """An answer that is here is worth more than one that may come."""
    memo = Memo(10_000)

    tried = [memo.hold(2_500) for _ in range(3)]
    memo.let_go(2_500)

    assert (tried, memo.hold(2_500), memo.bytes) == ([True, True, False], True, 5_000)


def test_inv_19_memory_is_bounded_whatever_is_kept():
    """And what it says it holds is what it holds."""
    memo, rng = Memo(50_000), random.Random(4)
    for number in range(2000):
        memo.keep(key(str(rng.randrange(300))), bytes(rng.randrange(7000)), number / 10)
        assert memo.bytes <= 50_000

    held = [memo.recall(key(str(number)), 200, 1000) for number in range(300)]

    assert memo.bytes == sum(len(answer.body) + ENTRY_BYTES for answer in held if answer is not None)


# -- which requests are the same ---------------------------------------------------------------------------------------


def test_the_order_of_fields_and_how_it_is_delivered_do_not_make_another_request():
    """A stream and a whole answer say the same; `metadata` says who asks, which the scope does."""
    one = request_key(["a"], {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True})
    metadata = {"user_id": "u"}
    two = request_key(["a"], {"messages": [{"content": "x", "role": "user"}], "metadata": metadata, "model": "m"})

    assert one == two


def test_j12_whatever_else_differs_makes_another_request():
    document = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    others = [
        document | {"model": "n"},
        document | {"max_tokens": 2},
        document | {"messages": [{"role": "user", "content": "y"}]},
        document | {"temperature": 0},
    ]

    assert len({request_key(["a"], each) for each in [document, *others]}) == 5


def test_j12_inv_24_callers_never_share_an_answer():
    """Nor can a part of one's scope be mistaken for a part of another's."""
    scopes = [["a"], ["b"], ["a", None], ["a", ""], ["", "a"], [None, "a"], ["a\x00"], ["a", "b"], ["ab", ""]]

    assert len({request_key(scope, {"model": "m"}) for scope in scopes}) == len(scopes)


_NAMES = st.sampled_from(["", "a", "b", "ab", "a" * 20, "a" * 20 + "b", '","', "\x00", "null", "[]"])
_SCOPES = st.lists(st.none() | _NAMES, min_size=3, max_size=3)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NAMES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner)
)
_DOCUMENTS = st.dictionaries(st.sampled_from(["model", "max_tokens", "messages", "system"]), _VALUES)


@given(_SCOPES, _DOCUMENTS, _SCOPES, _DOCUMENTS)
def test_j12_two_keys_are_equal_only_if_scope_and_request_are(scope, document, other_scope, other_document):
    """Nothing is cut off, and no part of one value can pass for a part of the next."""
    same = (scope, document) == (other_scope, other_document)

    assert (request_key(scope, document) == request_key(other_scope, other_document)) is same
