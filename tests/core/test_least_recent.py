"""What is kept for names that others choose."""

from __future__ import annotations

from headgate.core.least_recent import LeastRecent


def test_the_longest_unused_is_forgotten_first():
    """Used is asked for, not made."""
    kept = LeastRecent[str, str](2, in_use=lambda _: False)
    kept.keep("a", "A")
    kept.keep("b", "B")

    kept.get("a")
    kept.keep("c", "C")

    assert [kept.get(name) for name in "abc"] == ["A", None, "C"]


def test_what_is_in_use_is_never_forgotten():
    """Rather it holds more than it should."""
    kept = LeastRecent[str, str](2, in_use={"A", "B"}.__contains__)

    for name in "abcd":
        kept.keep(name, name.upper())

    assert list(kept) == ["A", "B", "D"]


def test_who_needs_to_know_is_told_what_goes():
    """A connection wants to be closed."""
    gone: list[str] = []
    kept = LeastRecent[str, str](1, in_use=lambda _: False, forget=gone.append)

    for name in "abc":
        kept.keep(name, name.upper())

    assert gone == ["A", "B"]
