"""The accounts of this process: which of them a call is charged to, and what may still be held in them.

Calls hold inside what this process was granted, in memory.  Where that is too little, one conditional transaction over
all accounts of the call draws more from the store; what was spent is told it a few times a second, and what nobody uses
is given back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from headgate.call import Call
from headgate.clock import Clock
from headgate.config.budgets import budget_of
from headgate.config.schema import BudgetConfig
from headgate.core.budget import NOBODY, AccountKey, Budget, Change, Who, changed
from headgate.core.grants import NEVER_MS, Account, Ask, Drawn, Hold, State, give_back, heard, undo
from headgate.core.price import PICO, usd
from headgate.errors import LedgerError, Unavailable
from headgate.events import Reason
from headgate.records import CallRecord
from headgate.stores.base import BudgetStore

__all__ = ["Budgets", "Cover"]

log = logging.getLogger("headgate.budgets")

LEASE_MS = 60_000
"""A process that does not renew its grants for so long is taken for dead, and what it left counts as spent."""
FLUSH_S = 0.25
"""What was spent is told the store this often, while there is anything to tell or to give back."""
IDLE_S = 2.0
"""What was granted and is not used for so long is given back."""
CHUNK = 32
"""So many calls like the one that asks may go on what it draws, if plenty is left."""
CHANGES_EVERY_S = 1.0
ACCOUNTS_KEPT = 65_536
COVERS_KEPT = 8_192
"""Callers choose the names of users and sessions: beyond it those without a hold are forgotten, and looked up anew."""
WOKEN = 8
"""When money comes free, so many calls that wait look whether it is enough for them."""
WARN, SLOW, REFUSE = 1, 2, 4
"""Thresholds, as they are announced."""

T = TypeVar("T")


class Cover(NamedTuple):
    """The accounts that calls of one kind are charged to, until a window of one of them ends."""

    accounts: tuple[Account, ...]
    until_ms: int
    strict: bool
    """One of them is."""
    smooth: bool
    """One of them is."""
    own: tuple[Budget, ...]
    """Budgets that every call has for itself."""


class Budgets:
    """What may be spent.  Lives on one event loop."""

    def __init__(
        self,
        settings: Mapping[str, BudgetConfig],
        store: BudgetStore,
        clock: Clock,
        *,
        same_model: Callable[[str], str] = str,
    ) -> None:
        """`same_model` is the one name of a model that has several."""
        self._store = store
        self._clock = clock
        self._same_model = same_model
        self._configured = {name: budget_of(name, its) for name, its in settings.items()}
        self._shares = {
            name: {"warn_at": its.warn_at, "slow_at": its.slow_at, "refuse_at": its.refuse_at}
            for name, its in settings.items()
        }
        self._changes: list[Change] = []
        self._looked_s = clock.now_s()
        self._accounts: dict[AccountKey, Account] = {}
        self._active: dict[Account, int] = {}
        """With a grant or something to tell: until when it is leased."""
        self._covers: dict[tuple[str | None, ...], Cover] = {}
        self._waiters: dict[Account, deque[asyncio.Future[int]]] = {}
        self._polls: dict[Account, asyncio.TimerHandle] = {}
        self._turn = asyncio.Lock()
        """Held while the store is asked, so that it hears of everything in order."""
        self._thread: ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.budgets: dict[str, Budget] = {}
        """As in force now, live changes included."""
        self._take_changes(store.changes())
        now_ms = clock.unix_ms()
        self._known = {state.key: state for state in store.accounts(now_ms)}

    # -- which accounts -----------------------------------------------------------------------------------------

    def cover(self, record: CallRecord) -> Cover:
        """The accounts that a call is charged to, now."""
        key = (
            record.team, record.caller_key, record.user, record.session, record.workflow, record.model, record.tags,
        )  # fmt: skip
        cover = self._covers.get(key)
        now_ms = self._clock.unix_ms()
        if cover is not None and now_ms < cover.until_ms:
            return cover
        if len(self._covers) >= COVERS_KEPT:
            self._covers.clear()
        cover = self._covers[key] = self._new_cover(self._who(record), now_ms)
        return cover

    def _who(self, record: CallRecord) -> Who:
        return Who(
            record.team, record.caller_key, record.user, record.session, record.workflow,
            self._same_model(record.model) if record.model is not None else None,
            tuple(record.tags.split(",")) if record.tags else (),
        )  # fmt: skip

    def _new_cover(self, who: Who, now_ms: int) -> Cover:
        accounts: list[Account] = []
        own: list[Budget] = []
        until_ms = NEVER_MS
        for budget in self.budgets.values():
            if not budget.covers(who):
                continue
            if budget.window == "call" or (budget.window == "session" and who.session is None):
                own.append(budget)
                continue
            window, end_ms = NOBODY, NEVER_MS
            if budget.calendar is not None:
                window, _, end_ms = budget.calendar.span(now_ms)
            until_ms = min(until_ms, end_ms)
            for split in budget.split(who):
                accounts.append(self._account(budget, AccountKey(budget.name, split, window), end_ms))
        budgets = [*(account.budget for account in accounts), *own]
        strict = any(budget.strict for budget in budgets)
        smooth = any(not budget.strict for budget in budgets)
        return Cover(tuple(accounts), until_ms, strict, smooth, tuple(own))

    def _account(self, budget: Budget, key: AccountKey, end_ms: int) -> Account:
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= ACCOUNTS_KEPT:
                self._forget()
            account = self._accounts[key] = Account(budget, key, end_ms)
            known = self._known.pop(key, None)
            if known is not None:
                heard(account, known)
        account.budget = budget
        return account

    def _forget(self) -> None:
        self._covers.clear()
        self._known.clear()
        for key, account in list(self._accounts.items()):
            if account not in self._active and not account.held and not account.waiting:
                del self._accounts[key]

    def strict_for(self, record: CallRecord) -> Budget | None:
        """A strict budget that may cover a call of which the model is not known."""
        who = self._who(record)
        for budget in self.budgets.values():
            named = next((value for scope, value in budget.only if scope == "model"), None)
            if budget.strict and budget.covers(who._replace(model=named)):
                return budget
        return None

    # -- what they say ------------------------------------------------------------------------------------------

    def slowdown(self, call: Call) -> str | None:
        """`lane:NAME` or `model:NAME`, where a budget that covers `call` has passed its threshold for that."""
        for account in self.cover(call.record).accounts:
            budget = account.budget
            if budget.slow is not None and budget.slow_pico is not None and account.known >= budget.slow_pico:
                return budget.slow
        return None

    def open_accounts(self) -> list[Account]:
        """The accounts that this process knows."""
        return list(self._accounts.values())

    async def states(self) -> list[tuple[Budget | None, State]]:
        """Every account whose window is not over, with its budget (None: it is not configured any more)."""
        await self.flush()
        states = await self._run(self._store.accounts, self._clock.unix_ms())
        return [(self.budgets.get(state.key.budget), state) for state in states]

    async def change(self, budget: str, setting: str, value: str | None, actor: str) -> Change:
        """Change a setting of a budget for all processes, and write down who did.

        Raises:
            ValueError: there is no such budget or setting, or it cannot have that value.
        """
        if budget not in self._configured:
            raise ValueError(f"there is no budget {budget!r}")
        if setting not in ("usd", "mode", "warn_at", "slow_at", "slow", "refuse_at"):
            raise ValueError(f"{setting!r} cannot be changed while Headgate runs")
        tried = Change(0, budget, setting, value, actor, 0, "")
        changed(self._configured[budget], self._shares[budget], [*self._changes, tried])
        made = await self._run(self._store.change, budget, setting, value, actor, self._clock.unix_ms())
        self._take_changes(await self._run(self._store.changes, len(self._changes)))
        return made

    def _take_changes(self, changes: list[Change]) -> None:
        if changes or not self.budgets:
            self._changes += changes
            for name, budget in self._configured.items():
                try:
                    self.budgets[name] = changed(budget, self._shares[name], self._changes)
                except ValueError as problem:
                    log.error("budget %s: a change cannot be taken: %s", name, problem)
                    self.budgets.setdefault(name, budget)
            self._covers.clear()
            for account in self._accounts.values():
                account.budget = self.budgets.get(account.key.budget, account.budget)
            self._wake_all()

    # -- holding ------------------------------------------------------------------------------------------------

    async def draw(self, hold: Hold, wanted: Mapping[Account, int], *, force: bool = False) -> Account | None:
        """Raise `hold` to `wanted`, drawing on the store for what is missing.  Returns None, or the account that has
        too little.

        Args:
            force: whether there is enough or not.

        Raises:
            Unavailable: the store cannot be asked, so nothing may be spent.
        """
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
                self._note(account)
                self._active[account] = until_ms
        return self._accounts[drawn.short] if drawn.short is not None else None

    def grow(self, hold: Hold, wanted: Mapping[Account, int]) -> None:
        """Hold what is being spent already, whether there is room or not, and have others know soon."""
        hold.raise_to(wanted, force=True)
        if any(account.free < 0 for account in wanted):
            if self._store.immediate:
                self._draw_at_once(hold, hold.parts, force=True)
            else:
                self._start(self._grown(hold))

    async def _grown(self, hold: Hold) -> None:
        try:
            await self._drawn(hold, hold.parts, force=True)
        except Unavailable:
            return  # it is in the log, and settled in the end all the same

    def settle(self, hold: Hold, costs: Mapping[Account, int]) -> None:
        """A call is over, and cost so much in each account."""
        hold.settle(costs)
        for account in hold.parts:
            self._note(account)
            budget = account.budget
            spent = account.settled + account.spent
            if budget.warn_pico is not None and spent >= budget.warn_pico and not account.told & WARN:
                self._announce(account, WARN)
            if budget.slow_pico is not None and spent >= budget.slow_pico and not account.told & SLOW:
                self._announce(account, SLOW)
            if account.waiting:
                self._wake(account)

    def _note(self, account: Account) -> None:
        """There may be something to tell the store."""
        if account not in self._active:
            self._active[account] = 0
        if self._timer is None and not self._store.immediate and not self._closing:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush_soon)

    # -- waiting ------------------------------------------------------------------------------------------------

    def must_wait(self, hold: Hold, wanted: Mapping[Account, int]) -> Account | None:
        """An account in which others wait already, and of which too little is left as far as is known: asking the store
        would not help."""
        for account, amount in wanted.items():
            if account.waiting and amount - hold.parts.get(account, 0) > account.rest:
                return account
        return None

    async def come_free(self, account: Account, longest_s: float, tries: int) -> int:
        """Return when money may have come free in `account`, or after `longest_s`.

        Args:
            tries: what this returned before to the same call, 0 at first.
        """
        if tries:
            self._wake(account, tries)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()
        queue = self._waiters.setdefault(account, deque())
        queue.append(waiter)
        account.waiting += 1
        if not self._store.immediate and account not in self._polls:
            self._polls[account] = loop.call_later(FLUSH_S, self._poll, account)
        timer = loop.call_later(longest_s, _wake, waiter, WOKEN)
        try:
            return await waiter
        finally:
            timer.cancel()
            account.waiting -= 1
            if waiter in queue:
                queue.remove(waiter)
            elif waiter.cancelled():
                self._wake(account)  # its turn is another's
            if not queue:
                self._waiters.pop(account, None)

    def _poll(self, account: Account) -> None:
        """Another process may have given something back: one of those who wait looks."""
        del self._polls[account]
        if account.waiting:
            self._wake(account, WOKEN - 1)
            self._polls[account] = asyncio.get_running_loop().call_later(FLUSH_S, self._poll, account)

    def _wake(self, account: Account, tries: int = 0) -> None:
        """Have the next in turn look.  If what is free is too little for it, one behind it may need less: a few are
        asked."""
        queue = self._waiters.get(account)
        while queue and tries < WOKEN:
            waiter = queue.popleft()
            if not waiter.done():
                waiter.set_result(tries + 1)
                return

    def has_room(self, wanted: Mapping[Account, int]) -> None:
        """Somebody has got what it wanted, or waits no more: there may be enough for the next."""
        for account in wanted:
            if account.waiting:
                self._wake(account)

    def _wake_all(self) -> None:
        for account in list(self._waiters):
            self._wake(account)

    # -- telling ------------------------------------------------------------------------------------------------

    def refused(self, account: Account) -> None:
        """A call was refused for want of money."""
        if not account.told & REFUSE:
            self._announce(account, REFUSE)

    def _announce(self, account: Account, threshold: int) -> None:
        account.told |= threshold
        if self._store.immediate:
            if self._store.announce(account.key, threshold):
                _say(account, threshold)
        else:
            self._start(self._announced(account, threshold))

    async def _announced(self, account: Account, threshold: int) -> None:
        try:
            if await self._in_thread(self._store.announce, account.key, threshold):
                _say(account, threshold)
        except Unavailable:
            account.told &= ~threshold

    def look_for_changes(self) -> None:
        """Have live changes of other processes taken in, now and then."""
        now_s = self._clock.now_s()
        if now_s - self._looked_s >= CHANGES_EVERY_S:
            self._looked_s = now_s
            if self._store.immediate:
                self._take_changes(self._store.changes(len(self._changes)))
            else:
                self._start(self._look())

    async def _look(self) -> None:
        try:
            self._take_changes(await self._in_thread(self._store.changes, len(self._changes)))
        except Unavailable:
            return  # whoever wants to spend is told

    def _flush_soon(self) -> None:
        self._timer = None
        self._start(self._flush())

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
            for account, leased_ms in self._active.items():
                idle = all_of_it or now_s - account.used_s >= IDLE_S or now_ms >= account.end_ms
                if idle or account.spent or leased_ms - now_ms < LEASE_MS // 2:
                    told.append((account, give_back(account, 0 if idle else account.free)))
            if not told:
                return
            until_ms = NEVER_MS if self._store.immediate else now_ms + LEASE_MS
            try:
                states = await self._run(self._store.report, [report for _, report in told], now_ms, until_ms)
            except BaseException:
                for account, report in told:
                    undo(account, report)
                raise
            for (account, _), state in zip(told, states, strict=True):
                # What was spent or held meanwhile is not in what the store says.
                heard(account, state)
                if state.wanted:
                    account.used_s = -IDLE_S
                if account.granted or account.spent or account.held:
                    self._active[account] = until_ms
                else:
                    del self._active[account]

    async def close(self) -> None:
        """Tell what is left to tell, and give back all grants."""
        self._closing = True
        for timer in (self._timer, *self._polls.values()):
            if timer is not None:
                timer.cancel()
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

    async def _run(self, ask: Callable[..., T], *arguments: Any) -> T:
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
        return await asyncio.shield(self._start(work))

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; nobody else must hear of it


def _wake(waiter: asyncio.Future[int], tries: int) -> None:
    if not waiter.done():
        waiter.set_result(tries)


def _say(account: Account, threshold: int) -> None:
    """One line for those who run Headgate: once in a window for each threshold."""
    key, budget = account.key, account.budget
    whose = f" of {key.who}" if key.who else ""
    places = 2 if budget.cap_pico >= PICO else 6
    spent, cap = [f"${usd(pico):.{places}f}" for pico in (account.really_spent, budget.cap_pico)]
    if threshold == REFUSE:
        log.warning("budget %s%s, %s: calls are refused, %s of %s spent", key.budget, whose, key.window, spent, cap)
    else:
        share = 100 * account.really_spent // budget.cap_pico
        what = f", from now on {budget.slow}" if threshold == SLOW and budget.slow is not None else ""
        log.warning("budget %s%s, %s: %s of %s spent (%d %%)%s", key.budget, whose, key.window, spent, cap, share, what)
