"""What this process holds of the accounts that it shares with others, and the store that grants it.

Calls hold inside what was granted, in memory.  Where that is too little, one conditional transaction over all accounts
of the call draws more; what was spent is told a few times a second, and what nobody uses is given back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from headgate.clock import Clock
from headgate.core.budget import AccountKey, Budget
from headgate.core.grants import NEVER_MS, Account, Ask, Drawn, Hold, give_back, heard, undo
from headgate.core.price import usd
from headgate.core.rate_card import PICO
from headgate.engine.money_waiters import MoneyWaiters
from headgate.errors import LedgerError, Unavailable
from headgate.events import Reason
from headgate.stores.base import BudgetStore

__all__ = ["LEASE_MS", "GrantDesk"]

log = logging.getLogger("headgate.budgets")

LEASE_MS = 60_000
"""A process that does not renew its grants for so long is taken for dead, and what it left counts as spent."""
FLUSH_S = 0.25
"""What was spent is told the store this often, while there is anything to tell or to give back."""
IDLE_S = 2.0
"""What was granted and is not used for so long is given back."""
CHUNK = 32
"""So many calls like the one that asks may go on what it draws, if plenty is left."""
ACCOUNTS_KEPT = 65_536
"""Callers choose the names of users and sessions: beyond it those without a hold are forgotten, and looked up anew."""
WARN, SLOW, REFUSE = 1, 2, 4
"""Thresholds, as they are announced."""
THRESHOLDS = {WARN: "warn", SLOW: "slow", REFUSE: "refuse"}

T = TypeVar("T")


class GrantDesk:
    """Lives on one event loop."""

    def __init__(self, store: BudgetStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._accounts: dict[AccountKey, Account] = {}
        self._active: dict[Account, int] = {}
        """With a grant or something to tell: until when it is leased."""
        self.waiters = MoneyWaiters(None if store.immediate else FLUSH_S)
        self._turn = asyncio.Lock()
        """Held while the store is asked, so that it hears of everything in order."""
        self._thread: ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.on_announced: Callable[[Account, str], None] | None = None
        """Told when an account has passed `warn`, `slow` or `refuse`: once in a window, by one process."""
        self._known = {state.key: state for state in store.accounts(clock.unix_ms())}

    def account(self, budget: Budget, key: AccountKey, end_ms: int) -> Account:
        """The account, which may be new."""
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(budget, key, end_ms)
            known = self._known.pop(key, None)
            if known is not None:
                heard(account, known)
        account.budget = budget
        return account

    def accounts(self) -> list[Account]:
        """Those that this process knows."""
        return list(self._accounts.values())

    def make_room(self) -> bool:
        """Forget accounts that nobody uses, if there are too many; whether that was so."""
        if len(self._accounts) < ACCOUNTS_KEPT:
            return False
        self._known.clear()
        for key, account in list(self._accounts.items()):
            if account not in self._active and not account.held and not account.waiting:
                del self._accounts[key]
        return True

    # -- holding ------------------------------------------------------------------------------------------------

    async def draw(self, hold: Hold, wanted: Mapping[Account, int], *, force: bool = False) -> Account | None:
        """Raise `hold` to `wanted`, drawing on the store for what is missing.  Returns None, or the account that has
        too little.

        Args:
            force: whether there is enough or not.

        Raises:
            Unavailable: the store cannot be asked, so nothing may be spent.
        """
        self._note(wanted)  # they must not be forgotten meanwhile
        if not self._store.immediate:
            return await self._finish(self._drawn(hold, wanted, force))
        return self._draw_at_once(hold, wanted, force)

    async def _drawn(self, hold: Hold, wanted: Mapping[Account, int], force: bool) -> Account | None:
        async with self._turn:
            # Again, if somebody has taken meanwhile what was free before.
            while not (hold.closed or hold.raise_to(wanted)):
                now_ms = self._clock.unix_ms()
                asks = self._asks(hold, wanted, force)
                drawn = await self._in_thread(self._store.draw, asks, now_ms, now_ms + LEASE_MS)
                if (short := self._take_in(drawn, now_ms + LEASE_MS)) is not None:
                    return short
        return None

    def _draw_at_once(self, hold: Hold, wanted: Mapping[Account, int], force: bool) -> Account | None:
        if hold.raise_to(wanted):
            return None
        short = self._take_in(
            self._store.draw(self._asks(hold, wanted, force), self._clock.unix_ms(), NEVER_MS), NEVER_MS
        )
        if short is None:
            hold.raise_to(wanted)
        return short

    def _asks(self, hold: Hold, wanted: Mapping[Account, int], force: bool) -> list[Ask]:
        return [
            Ask(account.key, account.limit, lack, lack + CHUNK * wanted[account], account.end_ms, force)
            for account, lack in hold.short(wanted)
        ]

    def _take_in(self, drawn: Drawn, until_ms: int) -> Account | None:
        """What the store granted.  Returns the account that has too little, if one has."""
        now_s = self._clock.now_s()
        for state in drawn.states:
            account = self._accounts[state.key]
            heard(account, state)
            # What is too little for us may be enough for others.
            account.used_s = now_s if drawn.short is None else -IDLE_S
            if account.granted:
                self._note((account,))
                self._active[account] = until_ms
        return self._accounts[drawn.short] if drawn.short is not None else None

    def grow(self, hold: Hold, wanted: Mapping[Account, int]) -> None:
        """Hold what is being spent already, whether there is room or not, and have others know soon."""
        hold.raise_to(wanted, force=True)
        if any(account.free < 0 for account in wanted):
            if self._store.immediate:
                self._draw_at_once(hold, hold.parts, force=True)
            else:
                self.start(self._grown(hold))

    async def _grown(self, hold: Hold) -> None:
        try:
            await self._drawn(hold, hold.parts, force=True)
        except Unavailable:
            return  # it is in the log, and settled in the end all the same

    def settle(self, hold: Hold, costs: Mapping[Account, int]) -> None:
        """A call is over, and cost so much in each account."""
        hold.settle(costs)
        self._note(hold.parts)
        for account in hold.parts:
            budget = account.budget
            spent = account.settled + account.spent
            if budget.warn_pico is not None and spent >= budget.warn_pico and not account.told & WARN:
                self._announce(account, WARN)
            if budget.slow_pico is not None and spent >= budget.slow_pico and not account.told & SLOW:
                self._announce(account, SLOW)
            if account.waiting:
                self.waiters.wake(account)

    def _note(self, accounts: Collection[Account]) -> None:
        """There may be something to tell the store of these."""
        active = self._active
        for account in accounts:
            if account not in active:
                active[account] = 0
        if self._timer is None and accounts and not self._store.immediate and not self._closing:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush_soon)

    def charge(self, accounts: Sequence[Account], pico: int) -> None:
        """Something was spent for which nothing was held."""
        self.settle(Hold(dict.fromkeys(accounts, 0)), dict.fromkeys(accounts, pico))

    def has_room(self, wanted: Mapping[Account, int]) -> None:
        """Somebody has got what it wanted, or waits no more: there may be enough for the next."""
        for account in wanted:
            if account.waiting:
                self.waiters.wake(account)

    # -- telling ------------------------------------------------------------------------------------------------

    def refused(self, account: Account) -> None:
        """A call was refused for want of money."""
        if not account.told & REFUSE:
            self._announce(account, REFUSE)

    def _announce(self, account: Account, threshold: int) -> None:
        account.told |= threshold
        if self._store.immediate:
            if self._store.announce(account.key, threshold):
                self._say(account, threshold)
        else:
            self.start(self._announced(account, threshold))

    async def _announced(self, account: Account, threshold: int) -> None:
        try:
            if await self._in_thread(self._store.announce, account.key, threshold):
                self._say(account, threshold)
        except Unavailable:
            account.told &= ~threshold

    def _say(self, account: Account, threshold: int) -> None:
        _say(account, threshold)
        if self.on_announced is not None:
            self.on_announced(account, THRESHOLDS[threshold])

    def _flush_soon(self) -> None:
        self._timer = None
        self.start(self._flush())

    async def _flush(self) -> None:
        with suppress(Unavailable):  # it is tried again, and whoever wants to draw is told
            await self.flush()
        if self._active and self._timer is None and not self._closing:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush_soon)

    async def flush(self, *, all_of_it: bool = False) -> None:
        """Tell the store what was spent, and give back what is not used; with `all_of_it`, all that is free."""
        async with self._turn:
            now_s, now_ms = self._clock.now_s(), self._clock.unix_ms()
            told = []
            for account, leased_ms in list(self._active.items()):
                if not (account.granted or account.spent or account.held):
                    del self._active[account]
                    continue
                idle = all_of_it or now_s - account.used_s >= IDLE_S or now_ms >= account.end_ms
                if idle or account.spent or leased_ms - now_ms < LEASE_MS // 2:
                    told.append((account, give_back(account, 0 if idle else account.free)))
            if not told:
                return
            until_ms = NEVER_MS if self._store.immediate else now_ms + LEASE_MS
            try:
                states = await self.run(self._store.report, [report for _, report in told], now_ms, until_ms)
            except BaseException:
                for account, report in told:
                    undo(account, report)
                raise
            for (account, _), state in zip(told, states, strict=True):
                # What was spent or held meanwhile is not in what the store says.
                heard(account, state)
                if state.wanted:
                    account.used_s = -IDLE_S
                self._active[account] = until_ms

    async def close(self) -> None:
        """Tell what is left to tell, and give back all grants."""
        self._closing = True
        self.waiters.close()
        if self._timer is not None:
            self._timer.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        try:
            await self.flush(all_of_it=True)
        except Unavailable as problem:
            log.error("%s", problem)
        if self._thread is not None:
            self._thread.shutdown()
        self._store.close()

    # -- the store's thread -------------------------------------------------------------------------------------

    async def run(self, ask: Callable[..., T], *arguments: Any) -> T:
        if self._store.immediate:
            return ask(*arguments)
        return await self._finish(self._in_thread(ask, *arguments))

    async def _in_thread(self, ask: Callable[..., T], *arguments: Any) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="headgate-budgets")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, ask, *arguments)
        except LedgerError as problem:
            log.error("%s", problem)
            raise Unavailable(
                "the store of budgets cannot be read or written, so nothing is spent; its owner finds the cause in "
                "Headgate's log.",
                reason=Reason.LEDGER_UNAVAILABLE,
                status=503,
                retry_after_s=5.0,
            ) from None

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns.  It goes on to its end if whoever waits for it leaves: the store has been asked."""
        return await asyncio.shield(self.start(work))

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; nobody else must hear of it


def _say(account: Account, threshold: int) -> None:
    """One line for those who run Headgate: once in a window for each threshold."""
    key, budget = account.key, account.budget
    whose = f" of {_shown(account)}" if key.who else ""
    places = 2 if budget.cap_pico >= PICO else 6
    spent, cap = [f"${usd(pico):.{places}f}" for pico in (account.really_spent, budget.cap_pico)]
    if threshold == REFUSE:
        log.warning("budget %s%s, %s: calls are refused, %s of %s spent", key.budget, whose, key.window, spent, cap)
    else:
        share = 100 * account.really_spent // budget.cap_pico
        what = f", from now on {budget.slow}" if threshold == SLOW else ""
        log.warning("budget %s%s, %s: %s of %s spent (%d %%)%s", key.budget, whose, key.window, spent, cap, share, what)


def _shown(account: Account) -> str:
    """Whose money it is.  People are not named in a log; `headgate budget` names them."""
    people = [scope for scope in account.budget.per if scope in ("user", "session")]
    return f"one {' and '.join(people)}" if people else account.key.who
