"""What is kept for names that others choose."""

from __future__ import annotations

from headgate.core.least_recent import LeastRecent


def test_the_longest_unused_is_forgotten_first():
    """Used is asked for, not made."""
    kept = LeastRecent[str, list[str]](2, lambda name: [name], in_use=lambda _: False)
    first, _, again, _ = kept["a"], kept["b"], kept["a"], kept["c"]

    assert (list(kept), again is first) == ([["a"], ["c"]], True)


def test_what_is_in_use_is_never_forgotten():
    """Rather it holds more than it should."""
    busy: set[str] = {"a", "b"}
    kept = LeastRecent[str, str](2, lambda name: name, in_use=busy.__contains__)

    for name in "abc":
        kept[name]

    assert list(kept) == ["a", "b", "c"]


def test_who_made_it_is_told_what_goes():
    """A connection wants to be closed."""
    gone: list[str] = []
    kept = LeastRecent[str, str](1, lambda name: name, in_use=lambda _: False, forget=gone.append)

    for name in "abc":
        kept[name]

    assert gone == ["a", "b"]
