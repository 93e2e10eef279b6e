"""What may be spent: the budgets in force, and which accounts a call is charged to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from headgate.call import Call
from headgate.clock import Clock
from headgate.config.budgets import budget_of, shares_of
from headgate.config.schema import BudgetConfig
from headgate.core.budget import NOBODY, SCOPES, AccountKey, Budget, Change, Who, changed, who_of
from headgate.core.grants import NEVER_MS, Account, State
from headgate.engine.grant_desk import GrantDesk
from headgate.errors import Unavailable
from headgate.records import CallRecord
from headgate.stores.base import BudgetStore

__all__ = ["Budgets", "Cover"]

log = logging.getLogger("headgate.budgets")

CHANGES_EVERY_S = 1.0
COVERS_KEPT = 8_192


class Cover(NamedTuple):
    """The accounts that calls of one kind are charged to, until a window of one of them ends."""

    accounts: tuple[Account, ...]
    until_ms: int
    strict: bool
    """One of the budgets is."""
    own: tuple[Budget, ...]
    """Budgets that every call has for itself."""


class Budgets:
    """Lives on one event loop."""

    def __init__(
        self,
        settings: Mapping[str, BudgetConfig],
        store: BudgetStore,
        clock: Clock,
        *,
        same_model: Callable[[str], str] = str,
        can_slow: Callable[[str], bool] = bool,
    ) -> None:
        """
        Args:
            same_model: the one name of a model that has several.
            can_slow: whether there is that lane or model, `lane:NAME` or `model:NAME`; for live changes.
        """
        self._store = store
        self._clock = clock
        self._same_model = same_model
        self._can_slow = can_slow
        self._configured = {name: budget_of(name, its).knowing(same_model) for name, its in settings.items()}
        self._shares = {name: shares_of(its) for name, its in settings.items()}
        self._changes: list[Change] = []
        self._looked_s = clock.now_s()
        self._kind_of = _kinds_by(self._configured.values())
        self._covers: dict[object, Cover] = {}
        self.desk = GrantDesk(store, clock)
        """Where calls hold."""
        self.budgets: dict[str, Budget] = {}
        """As in force now, live changes included."""
        self._slows = False
        """Whether one of them can slow a call."""
        self._take_changes(store.changes())

    async def close(self) -> None:
        """Tell the store what is left to tell, and give back all grants."""
        await self.desk.close()

    @property
    def by_model(self) -> bool:
        """Whether some budget covers a call by the model that it asks."""
        return any(budget.by_model for budget in self.budgets.values())

    # -- which accounts -----------------------------------------------------------------------------------------

    def cover(self, record: CallRecord) -> Cover:
        """The accounts that a call is charged to, now."""
        kind = self._kind_of(record)
        cover = self._covers.get(kind)
        now_ms = self._clock.unix_ms()
        if cover is not None and now_ms < cover.until_ms:
            return cover
        if len(self._covers) >= COVERS_KEPT:
            self._covers.clear()
        cover = self._covers[kind] = self._new_cover(self._who(record), now_ms)
        return cover

    def _who(self, record: CallRecord) -> Who:
        return who_of(record, self._same_model(record.model) if record.model is not None else None)

    def _new_cover(self, who: Who, now_ms: int) -> Cover:
        accounts: list[Account] = []
        own: list[Budget] = []
        until_ms = NEVER_MS
        if self.desk.make_room():
            self._covers.clear()  # they hold accounts that may be forgotten now
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
                accounts.append(self.desk.account(budget, AccountKey(budget.name, split, window), end_ms))
        budgets = [*(account.budget for account in accounts), *own]
        return Cover(tuple(accounts), until_ms, any(budget.strict for budget in budgets), tuple(own))

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
        if not self._slows:
            return None
        for account in self.cover(call.record).accounts:
            budget = account.budget
            if budget.slow_pico is not None and account.known >= budget.slow_pico:
                return budget.slow
        return None

    async def states(self) -> list[State]:
        """Every account whose window is not over, as the store knows it.

        Raises:
            Unavailable: it cannot be asked.
        """
        return await self.desk.run(self._store.accounts, self._clock.unix_ms())

    def _changed(self, name: str, changes: Sequence[Change]) -> Budget:
        budget = changed(self._configured[name], self._shares[name], changes)
        if budget.slow is not None and not self._can_slow(budget.slow):
            raise ValueError(f"there is nothing called {budget.slow!r}; slow must be lane:NAME or model:NAME")
        return budget

    def _take_changes(self, changes: list[Change]) -> None:
        if changes or not self.budgets:
            self._changes += changes
            for name, budget in self._configured.items():
                try:
                    self.budgets[name] = self._changed(name, self._changes)
                except ValueError as problem:
                    log.error("budget %s: a change cannot be taken: %s", name, problem)
                    self.budgets.setdefault(name, budget)
            self._slows = any(budget.slow_pico is not None for budget in self.budgets.values())
            self._covers.clear()
            for account in self.desk.accounts():
                account.budget = self.budgets.get(account.key.budget, account.budget)
            self.desk.waiters.wake_all()

    def look_for_changes(self) -> Awaitable[None] | None:
        """Have live changes of other processes taken in, if that was not done within the last second.  To be waited
        for where there is something to wait for: or else the first call after a change would still go by the old."""
        now_s = self._clock.now_s()
        if now_s - self._looked_s < CHANGES_EVERY_S:
            return None
        self._looked_s = now_s
        if not self._store.immediate:
            return asyncio.shield(self.desk.start(self._look()))
        self._take_changes(self._store.changes(len(self._changes)))
        return None

    async def _look(self) -> None:
        try:
            self._take_changes(await self.desk.run(self._store.changes, len(self._changes)))
        except Unavailable:
            return  # whoever wants to spend is told


_FIELDS = {scope: "tags" if scope == "tag" else scope for scope in SCOPES}
"""Of a call's record, what tells each scope."""


def _kinds_by(budgets: Iterable[Budget]) -> Callable[[CallRecord], object]:
    """What tells apart the calls that `budgets` treat differently: of sessions, say, only where one asks for them."""
    asked: set[str] = set()
    for budget in budgets:
        asked.update(budget.per, (scope for scope, _ in budget.only))
        if budget.window == "session":
            asked.add("session")
    fields = [_FIELDS[scope] for scope in SCOPES if scope in asked]
    return attrgetter(*fields) if fields else _all_alike


def _all_alike(record: CallRecord) -> object:
    return None
