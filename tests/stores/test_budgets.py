"""What every store of budgets does: what is settled and granted together never passes the limit, and what a process
leaves behind counts as spent (INV-01, INV-02, F01, G02)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headgate.core.budget import AccountKey, is_whole
from headgate.core.corrected import Corrected
from headgate.core.grants import Ask, Report
from headgate.errors import LedgerError
from headgate.stores.base import BudgetStore
from headgate.stores.memory import MemoryBudgets
from headgate.stores.sqlite import budgets
from headgate.stores.sqlite.budgets import SqliteBudgets

KEY = AccountKey("day", "ada", "2026-11-25")
ORG = AccountKey("org", "", "2026-11")
LEASE_MS = 1000

Processes = Callable[[str], BudgetStore]


@pytest.fixture(params=["memory", "sqlite"])
def process(request, tmp_path: Path):
    """The same budgets as a process of some name sees them."""
    if request.param == "memory":
        yield MemoryBudgets().shared_as
        return
    stores = []

    def open_as(name: str) -> BudgetStore:
        stores.append(SqliteBudgets(tmp_path / "budgets.db", name))
        return stores[-1]

    yield open_as
    for store in stores:
        store.close()


def ask(need: int, *, limit: int = 100, key: AccountKey = KEY, most: int = 0, force: bool = False) -> Ask:
    return Ask(key, limit, need, max(need, most), force=force)


def draw(store: BudgetStore, *asks: Ask, now_ms: int = 0) -> tuple[int, ...]:
    return store.draw(asks, now_ms, now_ms + LEASE_MS).granted


def report(store: BudgetStore, spent: int, keeps: int, had: int, *, now_ms: int = 0):
    return store.report([Report(KEY, spent, keeps, had)], now_ms, now_ms + LEASE_MS)[0]


def test_inv_01_no_more_is_granted_than_there_is(process: Processes):
    """INV-01: the grants of all processes and what is settled, together."""
    one, two = process("one"), process("two")
    draw(one, ask(60))

    assert draw(two, ask(41)) == ()
    assert draw(two, ask(40)) == (40,)


def test_g02_all_accounts_are_granted_or_none(process: Processes):
    """G02: the second has too little, so the first is as it was."""
    one = process("one")
    draw(one, ask(95, key=ORG))

    drawn = one.draw([ask(10), ask(10, key=ORG)], 0, LEASE_MS)

    assert (drawn.granted, drawn.short) == ((), ORG)
    assert [(state.settled, state.granted) for state in one.look([KEY, ORG], 0)] == [(0, 0), (0, 95)]


def test_what_is_settled_is_spent_and_the_rest_of_the_grant_is_free(process: Processes):
    """The grant of 60 ends as 25 spent."""
    one, two = process("one"), process("two")
    draw(one, ask(60))

    state = report(one, spent=25, keeps=0, had=60)

    assert (state.settled, state.granted, state.lost) == (25, 0, False)
    assert draw(two, ask(75)) == (75,)


def test_what_was_kept_of_a_grant_is_not_free(process: Processes):
    """Calls are under way on it."""
    one, two = process("one"), process("two")
    draw(one, ask(60))
    report(one, spent=10, keeps=30, had=60)

    assert draw(two, ask(61)) == ()
    assert draw(two, ask(60)) == (60,)


def test_g03_what_was_spent_beyond_the_grant_is_settled_in_full(process: Processes):
    """G03: it is above the limit, shows, and nothing more is granted."""
    one = process("one")
    draw(one, ask(60))

    state = report(one, spent=130, keeps=0, had=60)

    assert state.settled == 130
    assert draw(one, ask(1)) == ()


def test_f01_the_grant_of_a_process_that_died_counts_as_spent_once_its_lease_is_over(process: Processes):
    """F01: not before, since it may only be slow."""
    one, two = process("one"), process("two")
    draw(one, ask(60))

    assert two.look([KEY], LEASE_MS)[0].others == 60
    assert draw(two, ask(40), now_ms=LEASE_MS + 1) == (40,)
    assert (two.look([KEY], 0)[0].settled, two.look([KEY], 0)[0].others) == (60, 0)
    assert (one.ran_out, two.ran_out) == (0, 1)


def test_a_lease_that_is_renewed_goes_on(process: Processes):
    """A report with nothing to tell."""
    one, two = process("one"), process("two")
    draw(one, ask(60))
    report(one, spent=0, keeps=60, had=60, now_ms=LEASE_MS)

    draw(two, ask(1), now_ms=LEASE_MS + 1)

    assert two.look([KEY], 0)[0].others == 60


def test_corrections_are_settled_once_however_often_they_are_told(process: Processes):
    """What is told is all of them, so far.  An account is never below nothing."""
    one = process("one")
    draw(one, ask(60))
    report(one, spent=25, keeps=0, had=60)

    settled = []
    for pico in (7, 7, 10, -30):
        process("command").correct([Corrected(KEY, pico, 10**15)], 0)
        settled.append(one.look([KEY], 0)[0].settled)

    assert settled == [32, 32, 35, 0]


def test_corrections_count_against_the_limit(process: Processes):
    """Also of an account of which nothing was known."""
    process("command").correct([Corrected(KEY, 90, 10**15)], 0)

    assert draw(process("one"), ask(11)) == ()
    assert draw(process("one"), ask(10)) == (10,)


def test_budgets_of_an_older_version_are_brought_up_to_date(tmp_path: Path):
    """With all that is in them."""
    path = tmp_path / "budgets.db"
    store = SqliteBudgets(path, "one")
    draw(store, ask(60))
    report(store, spent=25, keeps=0, had=60)
    store.close()
    with closing(apsw.Connection(str(path))) as db:
        db.execute("ALTER TABLE accounts DROP COLUMN corrected")
        db.pragma("user_version", 1)

    store = SqliteBudgets(path, "two")

    assert [state.settled for state in store.accounts(0)] == [25]
    store.close()


def test_who_comes_back_after_its_lease_is_told_that_its_grant_is_gone(process: Processes):
    """INV-02: it was counted as spent in full, so what was spent of it is not counted again."""
    one, two = process("one"), process("two")
    draw(one, ask(60))
    draw(two, ask(1), now_ms=LEASE_MS + 1)

    state = report(one, spent=25, keeps=35, had=60, now_ms=LEASE_MS + 2)

    assert (state.lost, state.settled, state.granted) == (True, 60, 0)


def test_what_was_spent_beyond_a_lost_grant_is_counted(process: Processes):
    """Only as much as the grant was counted already."""
    one, two = process("one"), process("two")
    draw(one, ask(60))
    draw(two, ask(1), now_ms=LEASE_MS + 1)

    assert report(one, spent=75, keeps=0, had=60, now_ms=LEASE_MS + 2).settled == 75


def test_others_hear_that_somebody_was_short(process: Processes):
    """So that they give back what they do not use; after two seconds nobody asks for it any more."""
    one, two = process("one"), process("two")
    draw(one, ask(60))
    draw(two, ask(50), now_ms=10)

    assert one.look([KEY], 20)[0].wanted
    assert not one.look([KEY], 2_020)[0].wanted


def test_what_is_being_spent_already_is_granted_beyond_the_limit(process: Processes):
    """A stream that outgrew its hold."""
    one = process("one")
    draw(one, ask(100))

    assert draw(one, ask(20, force=True)) == (20,)
    assert one.look([KEY], 0)[0].granted == 120


def test_g15_a_threshold_is_announced_once(process: Processes):
    """G15: by whichever process comes first, and not again after a correction."""
    one, two = process("one"), process("two")
    draw(one, ask(1))

    assert [one.announce(KEY, 1), two.announce(KEY, 1), two.announce(KEY, 2)] == [True, False, True]


def test_accounts_are_listed_until_their_window_is_over(process: Processes):
    """What `headgate budget` shows: settled, held, and when it begins anew."""
    one = process("one")
    one.draw([Ask(KEY, 100, 60, 60, end_ms=500)], 0, LEASE_MS)

    assert [(state.key, state.granted, state.end_ms) for state in one.accounts(499)] == [(KEY, 60, 500)]
    assert one.accounts(500) == []


def test_changes_are_a_chain(process: Processes):
    """Who, when, what; a row that was altered or taken out shows."""
    one, two = process("one"), process("two")
    one.change("day", "usd", "5.00", "ada", 10)
    two.change("day", "usd", None, "bob", 20)

    rows = one.changes()

    assert [(row.number, row.value, row.actor, row.made_ms) for row in rows] == [
        (1, "5.00", "ada", 10),
        (2, None, "bob", 20),
    ]
    assert is_whole(rows)
    assert not is_whole(rows[1:])
    assert not is_whole([rows[0]._replace(value="50.00"), rows[1]])
    assert one.changes(after=1) == rows[1:]


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["draw", "tell", "die", "wait"]), st.integers(0, 60)), max_size=40
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_processes_do_the_limit_holds_and_nothing_real_is_lost(steps, tmp_path_factory):
    """INV-01 after every step, whoever dies when; and what the books say is at least what was really spent."""
    shared = MemoryBudgets()
    stores: dict[str, BudgetStore] = {name: shared.shared_as(name) for name in "abc"}
    grants = dict.fromkeys("abc", 0)
    born = dict.fromkeys("abc", 0)
    now_ms, really_spent = 0, 0
    for name, step, amount in steps:
        if step == "wait":
            now_ms += amount * 50
        elif step == "die":  # what it had is lost to it; a successor has another name
            really_spent += min(amount, grants[name])
            born[name] += 1
            stores[name], grants[name] = shared.shared_as(f"{name}{born[name]}"), 0
        elif step == "draw":
            got = stores[name].draw([ask(amount, most=amount * 2)], now_ms, now_ms + LEASE_MS)
            grants[name] = got.states[0].granted
        else:
            spent = min(amount, grants[name])
            really_spent += spent
            state = stores[name].report(
                [Report(KEY, spent, grants[name] - spent, grants[name])], now_ms, now_ms + LEASE_MS
            )[0]
            grants[name] = state.granted

        state = stores[name].look([KEY], now_ms)[0]
        assert state.settled + state.others + state.granted <= 100
        assert really_spent <= state.settled + state.others + state.granted


def test_what_could_not_be_written_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """AL-18 is told of it: calls that ask for money are refused meanwhile."""
    monkeypatch.setattr(budgets, "BUSY_TIMEOUT_MS", 1)
    with (
        closing(SqliteBudgets(tmp_path / "budgets.db", "one")) as store,
        closing(apsw.Connection(str(tmp_path / "budgets.db"))) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="locked by another program"):
            store.announce(KEY, 1)
        other.execute("ROLLBACK")
        store.announce(KEY, 1)

        assert store.errors == {"write": 1}
