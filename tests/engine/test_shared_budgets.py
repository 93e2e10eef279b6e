"""Budgets that processes share through a file: restarts, locks, leases, and what one gives back to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from headgate.clock import SystemClock
from headgate.config.schema import BudgetConfig
from headgate.core.grants import Account, Ask, Hold
from headgate.engine.budgets import Budgets
from headgate.engine.grant_desk import LEASE_MS
from headgate.errors import Unavailable
from headgate.records import CallRecord
from headgate.stores.sqlite import budgets as sqlite_budgets
from headgate.stores.sqlite.budgets import SqliteBudgets

DOLLAR = 10**12
RECORD = CallRecord(call_id="call", started_ms=0, kind="messages", workflow="chat", lane="standard", model="m")
SETTINGS = {"b": BudgetConfig(usd="1.00", mode="strict")}


@asynccontextmanager
async def process(folder: Path, name: str, settings: dict[str, BudgetConfig] | None = None) -> AsyncIterator[Budgets]:
    """The budgets as one process has them, which ends in good order."""
    budgets = Budgets(settings or SETTINGS, SqliteBudgets(folder / "budgets.db", name), SystemClock())
    try:
        yield budgets
    finally:
        await budgets.close()


def change(folder: Path, setting: str, value: str) -> None:
    """As `headgate budget set` does, from a process of its own."""
    store = SqliteBudgets(folder / "budgets.db", "command")
    store.change("b", setting, value, "ada", 0)
    store.close()


async def a_second_later(budgets: Budgets) -> None:
    """They look for changes now and then, when calls come."""
    budgets._looked_s -= 2
    looking = budgets.look_for_changes()
    assert looking is not None
    await looking


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    asyncio.run(main())


def account_of(budgets: Budgets) -> Account:
    return budgets.cover(RECORD).accounts[0]


async def spend(budgets: Budgets, amount: int) -> bool:
    """Whether there was room for it."""
    account, hold = account_of(budgets), Hold({})
    short = await budgets.desk.draw(hold, {account: amount})
    budgets.desk.settle(hold, {account: amount} if short is None else {})
    return short is None


def test_what_was_spent_is_known_after_a_restart(tmp_path: Path):
    """And nothing that was only granted: a process that ends in good order gives it back."""

    async def scene() -> None:
        async with process(tmp_path, "one") as one:
            assert await spend(one, DOLLAR // 4)
        async with process(tmp_path, "two") as two:
            assert account_of(two).known == DOLLAR // 4
            assert not await spend(two, DOLLAR * 3 // 4 + 1)
            assert await spend(two, DOLLAR * 3 // 4)

    run(scene)


def test_f05_a_lock_of_somebody_else_stops_new_grants_and_not_what_was_granted(tmp_path: Path, monkeypatch):
    """503 in bounded time; money that is not counted is not spent."""
    monkeypatch.setattr(sqlite_budgets, "BUSY_TIMEOUT_MS", 50)

    async def scene() -> None:
        async with process(tmp_path, "one") as one:
            assert await spend(one, DOLLAR // 1000)
            foreign = apsw.Connection(str(tmp_path / "budgets.db"))
            foreign.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable) as caught:
                await spend(one, DOLLAR // 2)
            assert (caught.value.status, caught.value.reason) == (503, "ledger_unavailable")
            assert account_of(one).held == 0
            assert await spend(one, DOLLAR // 1000)
            foreign.execute("ROLLBACK")
            assert await spend(one, DOLLAR // 2)

    run(scene)


def test_a_caller_that_leaves_while_money_is_drawn_leaves_nothing_held(tmp_path: Path):
    """What the store has granted meanwhile is free for others."""

    async def scene() -> None:
        async with process(tmp_path, "one") as one:
            account, hold = account_of(one), Hold({})
            task = asyncio.ensure_future(one.desk.draw(hold, {account: DOLLAR}))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            one.desk.settle(hold, {})

            assert await spend(one, DOLLAR)
            assert account.held == 0

    run(scene)


def test_what_one_does_not_use_another_gets(tmp_path: Path):
    """The first holds nothing any more, but was granted more than it needed."""

    async def scene() -> None:
        async with process(tmp_path, "one") as one, process(tmp_path, "two") as two:
            assert await spend(one, DOLLAR // 100)
            account, hold = account_of(two), Hold({})
            wanted = {account: DOLLAR * 99 // 100}
            tries = 0
            while await two.desk.draw(hold, wanted) is not None:
                tries = await two.desk.waiters.come_free(account, 30.0, tries)
            two.desk.settle(hold, {})

            assert account_of(one).free == 0

    run(scene)


def test_a_process_whose_lease_ran_out_goes_on_and_counts_too_much_rather_than_too_little(tmp_path: Path):
    """It was stopped for longer than its lease; another process has counted its grant as spent."""

    async def scene() -> None:
        async with process(tmp_path, "one") as one:
            account = account_of(one)
            assert await spend(one, DOLLAR // 10)
            granted = account.granted
            other = SqliteBudgets(tmp_path / "budgets.db", "two")
            late_ms = one._clock.unix_ms() + 2 * LEASE_MS
            other.draw([Ask(account.key, DOLLAR, 0, 0)], late_ms, late_ms)
            await one.desk.flush()

            assert (account.settled, account.granted) == (granted, 0)
            assert await spend(one, DOLLAR // 10)
            await one.desk.flush(all_of_it=True)
            assert other.look([account.key], late_ms)[0].settled == granted + DOLLAR // 10
            other.close()

    run(scene)


def test_a_change_is_in_force_a_second_later(tmp_path: Path):
    """What is spent stays spent."""

    async def scene() -> None:
        async with process(tmp_path, "one") as one:
            assert not await spend(one, 2 * DOLLAR)
            change(tmp_path, "usd", "5.00")
            await a_second_later(one)

            assert await spend(one, 2 * DOLLAR)

    run(scene)


def test_a_change_that_is_none_here_leaves_the_budget_as_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Another process may have other lanes.  It is said."""

    async def scene() -> None:
        async with process(tmp_path, "one") as one:
            one._can_slow = lambda to: to == "lane:bulk"
            change(tmp_path, "slow", "lane:night")
            await a_second_later(one)
            assert one.budgets["b"].slow is None
            change(tmp_path, "slow", "lane:bulk")
            await a_second_later(one)
            assert one.budgets["b"].slow == "lane:bulk"

    run(scene)

    assert "budget b: a change cannot be taken: there is nothing called 'lane:night'" in caplog.text


def test_accounts_are_listed_with_what_is_settled_and_held(tmp_path: Path):
    """For `headgate budget`: of all processes, and until when the window lasts."""

    async def scene() -> None:
        settings = {"b": BudgetConfig(usd="1.00", window="day", per=("workflow",))}
        async with process(tmp_path, "one", settings) as one:
            hold = Hold({})
            await spend(one, 5)
            await one.desk.draw(hold, {account_of(one): 7})
            await one.desk.flush()
            now_ms = one._clock.unix_ms()
            looking = SqliteBudgets(tmp_path / "budgets.db", "command")
            (state,) = looking.accounts(now_ms)
            looking.close()

            assert (state.key.budget, state.key.who, state.settled) == ("b", "chat", 5)
            assert state.others >= 7
            assert state.end_ms > now_ms
            one.desk.settle(hold, {})

    run(scene)
