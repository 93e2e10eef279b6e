"""What differs between two texts that should be the same, and what it is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.volatile import ADVICE, Change, Volatile, change_between, parts_of

CASES = [
    (Volatile.TIMESTAMP, "2026-11-21T19:24:05Z", "2026-11-21T19:24:06Z", "####-##-##a##:##:##a"),
    (Volatile.TIMESTAMP, "2026-11-21 09:24", "2026-11-22 10:01", "####-##-## ##:##"),
    (Volatile.TIMESTAMP, "Saturday, 21 November 2026, 19:24", "Sunday, 22 November 2026, 19:24", None),
    (Volatile.TIMESTAMP, "1795290000", "1795290017", "##########"),
    (Volatile.TIMESTAMP, "1795290000123", "1795290017001", "#############"),
    (Volatile.DATE, "2026-11-21", "2026-11-22", "####-##-##"),
    (Volatile.DATE, "21/11/2026", "22/11/2026", "##/##/####"),
    (Volatile.DATE, "Nov 21, 2026", "Nov 22, 2026", "aaa ##, ####"),
    (Volatile.TIME, "19:24:05", "19:24:06", "##:##:##"),
    (Volatile.TIME, "7:24 PM", "7:25 PM", "#:## aa"),
    (Volatile.UUID, "0b1f7c1e-93a5-4f6e-8f3e-2f0c8c7f1a11", "9c1f7c1e-93a5-4f6e-8f3e-2f0c8c7f1a11", None),
    (Volatile.RANDOM_ID, "req9f86d081884c7d65", "reqa65d15d6c15b0f00", None),
    (Volatile.TICKET, "OPS-1841", "OPS-1842", "aaa-####"),
    (Volatile.TICKET, "#1841", "#1842", "#####"),
    (Volatile.DEVICE, "ams-core-sw07", "ams-core-sw11", "aaa-aaaa-aa##"),
    (Volatile.DEVICE, "10.20.0.7", "10.20.0.9", "##.##.#.#"),
    (Volatile.DEVICE, "srv12.plant.example", "srv13.plant.example", None),
    (Volatile.COUNTER, "17", "18", "##"),
    (Volatile.COUNTER, "9", "10", "##"),
    (Volatile.TEXT, "Ana", "Bo", ""),
]


@pytest.mark.parametrize(("kind", "before", "after", "shape"), CASES)
def test_what_changes_is_called_what_it_is(kind, before, after, shape):
    """In the middle of a sentence, as in a template; the shape has none of its letters and digits."""
    change = change_between(
        f"You help the plant. Now: {before}. Be brief.", f"You help the plant. Now: {after}. Be brief."
    )

    assert change is not None
    assert change.kind == kind
    if shape is not None:
        assert change.shape == shape


def test_equal_texts_do_not_differ():
    assert change_between("the same", "the same") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'), ("printers, laptops, phones", "phones, printers, laptops")],
)
def test_the_same_parts_in_another_order_are_an_order(before, after):
    change = change_between(before, after)

    assert change is not None
    assert change.kind is Volatile.ORDER


def test_other_spaces_are_whitespace_only():
    assert change_between("a  b\nc", "a b\nc") == Change(Volatile.WHITESPACE, 2, "")


def test_the_first_of_several_differences_is_named():
    """What stands behind it is lost to the cache anyway."""
    change = change_between("call 17 at 2026-11-21T10:00:00Z", "call 18 at 2026-11-21T11:00:00Z")

    assert change is not None
    assert (change.kind, change.at) == (Volatile.COUNTER, 5)


@given(st.text(), st.text())
def test_any_two_texts_have_a_first_difference_and_their_words_are_not_repeated(before, after):
    change = change_between(before, after)

    assert (change is None) == (before == after)
    if change is not None:
        assert 0 <= change.at <= min(len(before), len(after))
        assert not any(letter.isdigit() or (letter.isalpha() and letter != "a") for letter in change.shape)


def test_each_kind_comes_with_what_to_do():
    assert ADVICE.keys() == set(Volatile)


def test_parts_stand_in_the_order_of_the_cache_without_markers():
    document = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
            {"role": "assistant", "content": "hello"},
        ],
        "system": [{"type": "text", "text": "be brief"}],
        "tools": [{"name": "look", "input_schema": {}, "cache_control": {"type": "ephemeral"}}],
    }

    assert parts_of(document) == [
        ("tools[0]", '{"name":"look","input_schema":{}}'),
        ("system[0]", "be brief"),
        ("messages[0].content[0]", "hi"),
        ("messages[1]", "hello"),
    ]
