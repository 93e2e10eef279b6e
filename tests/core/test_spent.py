"""What users and sessions have spent."""

from __future__ import annotations

from datetime import date

from headgate.core.spent import Earlier, Spent

TODAY, TOMORROW = date(2026, 11, 25), date(2026, 11, 26)


def test_a_user_begins_anew_every_day_and_a_session_does_not():
    """One is for a daily allowance, the other for a conversation."""
    spent = Spent()
    spent.add("ada", "s", 5, TODAY)
    spent.add("ada", "s", 3, TODAY)
    spent.add("ada", "s", 2, TOMORROW)

    assert (spent.of_user("ada", TOMORROW), spent.of_session("s")) == (2, 10)
    assert spent.of_user("bob", TOMORROW) == spent.of_user("ada", date(2026, 11, 27)) == 0


def test_those_quiet_for_longest_are_forgotten():
    """Callers choose the names."""
    spent = Spent(kept=2)
    for name in ("a", "b", "a", "c"):
        spent.add(name, name, 1, TODAY)

    assert [spent.of_user(name, TODAY) for name in "abc"] == [2, 0, 1]
    assert [spent.of_session(name) for name in "abc"] == [2, 0, 1]


def test_what_was_spent_before_is_told_on_top():
    """A session goes on from yesterday, a user does not."""
    spent = Spent()
    spent.add("ada", "s", 1, TOMORROW)
    spent.recall([Earlier("ada", "s", TODAY, 10), Earlier("ada", "s", TOMORROW, 100)], TOMORROW)

    assert (spent.of_user("ada", TOMORROW), spent.of_session("s")) == (101, 111)
