"""A process holds inside what it was granted: in all accounts of a call, or in none (INV-01, INV-02, G02, G03)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.core.budget import AccountKey, Budget
from headgate.core.grants import Account, Ask, give_back, grant_of, take, undo


def account(granted: int = 100, name: str = "a") -> Account:
    found = Account(Budget(name=name, cap_pico=1000, window="session", refuse_pico=1000), AccountKey(name, "", "-"))
    found.granted = granted
    return found


def test_g02_a_hold_is_in_all_accounts_or_in_none():
    """G02: the third of three has too little, so nothing is set aside in the first two."""
    key, team, org = account(100), account(100), account(5)

    assert take({key: 10, team: 10, org: 10}) is None
    assert (key.held, team.held, org.held) == (0, 0, 0)


def test_a_hold_takes_from_every_account():
    """Each is charged in full."""
    key, org = account(100), account(50)

    take({key: 10, org: 10})

    assert (key.free, org.free) == (90, 40)


def test_a_hold_that_is_settled_frees_what_it_did_not_cost():
    """What was spent stays in the grant until it is told."""
    one = account(100)
    hold = take({one: 60})
    assert hold is not None

    hold.settle({one: 15})

    assert (one.held, one.spent, one.free) == (0, 15, 85)


def test_inv_02_a_hold_is_settled_once():
    """INV-02: whoever comes second changes nothing."""
    one = account(100)
    hold = take({one: 60})
    assert hold is not None
    hold.settle({one: 15})

    hold.settle({one: 60})

    assert (one.held, one.spent) == (0, 15)


def test_a_hold_grows_in_all_accounts_or_in_none():
    """A further attempt: the second account has no room for it."""
    one, two = account(100), account(50)
    hold = take({one: 40, two: 40})
    assert hold is not None

    assert hold.raise_to({one: 60, two: 60}) is False
    assert (one.held, two.held) == (40, 40)


def test_a_hold_never_shrinks_by_being_raised():
    """To less than it is: nothing happens."""
    one = account(100)
    hold = take({one: 40})
    assert hold is not None

    assert hold.raise_to({one: 10})
    assert one.held == 40


def test_g03_what_costs_more_than_was_held_is_settled_in_full():
    """G03: the grant is overdrawn, and nothing more is held until it is made up for."""
    one = account(100)
    hold = take({one: 90})
    assert hold is not None

    hold.settle({one: 130})

    assert one.free == -30
    assert take({one: 1}) is None


def test_what_is_given_back_cannot_be_held_meanwhile():
    """The grant is smaller before its store has heard of it."""
    one = account(100)
    hold = take({one: 30})
    assert hold is not None

    report = give_back(one, keep=0)

    assert (report.spent, report.keeps, report.had) == (0, 30, 100)
    assert take({one: 1}) is None


def test_what_could_not_be_told_is_as_it_was():
    """The store failed: nothing of it has happened."""
    one = account(100)
    hold = take({one: 30})
    assert hold is not None
    hold.settle({one: 130})
    report = give_back(one, keep=0)

    undo(one, report)

    assert (one.granted, one.spent, one.settled) == (100, 130, 0)


def test_a_store_grants_less_on_top_the_less_is_left():
    """With plenty what is wished for, near the end what is needed, beyond it nothing."""

    def granted(settled: int) -> int | None:
        return grant_of(Ask(AccountKey("a", "", "-"), limit=1000, need=10, most=60), settled, 0)

    assert [granted(settled) for settled in (0, 500, 980, 990, 991)] == [60, 40, 10, 10, None]


def test_what_is_spent_already_is_granted_whatever_is_left():
    """A stream that outgrew what was held for it."""
    assert grant_of(Ask(AccountKey("a", "", "-"), limit=10, need=5, most=5, force=True), 10, 0) == 5


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=30))
def test_whatever_happens_a_grant_covers_what_is_held_and_spent(calls: list[tuple[int, int, bool]]):
    """INV-01 in one process: as long as no call costs more than was held for it."""
    one = account(100)
    under_way = []
    for amount, cost, ends in calls:
        hold = take({one: amount})
        if hold is not None:
            under_way.append((hold, min(amount, cost)))
        if ends and under_way:
            hold, cost = under_way.pop(0)
            hold.settle({one: cost})
        assert one.spent + one.held <= one.granted
