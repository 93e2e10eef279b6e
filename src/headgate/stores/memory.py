"""Stores in memory: for tests and for runs in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from headgate.clock import utc_day
from headgate.core.budget import AccountKey, Change, chained
from headgate.core.corrected import Corrected
from headgate.core.grants import NEVER_MS, WANTED_MS, Ask, Drawn, Report, State, grant_of
from headgate.core.spent import Earlier
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, OpenAttempt, Resource
from headgate.stores.base import LedgerState
from headgate.stores.timing import Took, nobody

__all__ = ["MemoryBudgets", "MemoryLedger"]


class MemoryLedger:
    """Keeps records in lists; `open` holds the attempts that began and did not end."""

    def __init__(self) -> None:
        self.took: Took = nobody
        self.calls: list[CallRecord] = []
        self.attempts: list[AttemptRecord] = []
        self.batch_items: dict[tuple[str, str], BatchItemRecord] = {}
        self.resources: dict[str, Resource] = {}
        self.open: dict[tuple[str, int], OpenAttempt] = {}

    def begin(self, attempt: OpenAttempt) -> None:
        self.open[attempt.call_id, attempt.attempt] = attempt

    def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        self.calls.append(call)
        for attempt in attempts:
            self.attempts.append(attempt)
            self.open.pop((attempt.call_id, attempt.attempt), None)

    def record_batch_items(self, items: Sequence[BatchItemRecord]) -> None:
        for item in items:
            self.batch_items.setdefault((item.batch_id, item.custom_id), item)

    def remember(self, resource: Resource) -> None:
        self.resources.setdefault(resource.id, resource)

    async def owner(self, resource_id: str) -> Resource | None:
        return self.resources.get(resource_id)

    def state(self) -> LedgerState:
        oldest = next(iter(self.open.values()), None)
        return LedgerState(len(self.open), oldest.started_ms if oldest is not None else None)

    async def spent_between(self, since_ms: int, until_ms: int) -> list[Earlier]:
        return [
            Earlier(call.user, call.session, utc_day(call.started_ms), call.cost_pico)
            for call in self.calls
            if since_ms <= call.started_ms < until_ms and call.cost_pico and (call.user or call.session)
        ]

    async def flush(self) -> None:
        return

    async def close(self) -> None:
        return


@dataclass(slots=True)
class _Account:
    reported: int = 0
    corrected: int = 0
    told: int = 0
    wanted_ms: int = -WANTED_MS
    end_ms: int = NEVER_MS
    grants: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By process: the amount, and until when it is leased."""

    @property
    def settled(self) -> int:
        return max(0, self.reported + self.corrected)


class MemoryBudgets:
    """What is spent of budgets, in memory.  `shared_as` is the same for another process."""

    def __init__(self) -> None:
        self.immediate = True
        self.took: Took = nobody
        self.ran_out = 0
        self.errors: Counter[str] = Counter()
        self._process = "one"
        self._accounts: dict[AccountKey, _Account] = {}
        self._changes: list[Change] = []

    def shared_as(self, process: str) -> MemoryBudgets:
        other = MemoryBudgets()
        other._process, other._accounts, other._changes = process, self._accounts, self._changes
        return other

    def draw(self, asks: Sequence[Ask], now_ms: int, until_ms: int) -> Drawn:
        granted: list[int] = []
        short = None
        for ask in asks:
            account = self._reaped(ask.key, ask.end_ms, now_ms)
            more = grant_of(ask, account.settled, sum([amount for amount, _ in account.grants.values()]))
            if more is None:
                account.wanted_ms = now_ms
                short = short or ask.key
            else:
                granted.append(more)
        if short is None:
            for ask, more in zip(asks, granted, strict=True):
                account = self._accounts[ask.key]
                account.grants[self._process] = (account.grants.get(self._process, (0, 0))[0] + more, until_ms)
        states = [self._state(ask.key, now_ms) for ask in asks]
        return Drawn(tuple(granted) if short is None else (), states, short)

    def report(self, reports: Sequence[Report], now_ms: int, until_ms: int) -> list[State]:
        states = []
        for report in reports:
            account = self._reaped(report.key, report.end_ms, now_ms)
            lost = report.had > 0 and self._process not in account.grants
            account.reported += max(0, report.spent - report.had) if lost else report.spent
            account.grants.pop(self._process, None)
            if report.keeps and not lost:
                account.grants[self._process] = (report.keeps, until_ms)
            states.append(self._state(report.key, now_ms)._replace(lost=lost))
        return states

    def look(self, keys: Sequence[AccountKey], now_ms: int) -> list[State]:
        return [self._state(key, now_ms) for key in keys]

    def announce(self, key: AccountKey, threshold: int) -> bool:
        account = self._accounts.setdefault(key, _Account())
        first = not account.told & threshold
        account.told |= threshold
        return first

    def accounts(self, now_ms: int) -> list[State]:
        return [self._state(key, now_ms) for key, account in self._accounts.items() if account.end_ms > now_ms]

    def correct(self, corrected: Sequence[Corrected], now_ms: int) -> None:
        for key, pico, end_ms in corrected:
            self._accounts.setdefault(key, _Account(end_ms=end_ms)).corrected = pico

    def change(self, budget: str, setting: str, value: str | None, actor: str, now_ms: int) -> Change:
        before = self._changes[-1] if self._changes else None
        number = before.number + 1 if before else 1
        change = chained(before.digest if before else "", Change(number, budget, setting, value, actor, now_ms, ""))
        self._changes.append(change)
        return change

    def changes(self, after: int = 0) -> list[Change]:
        return self._changes[after:]

    def close(self) -> None:
        return

    def _reaped(self, key: AccountKey, end_ms: int, now_ms: int) -> _Account:
        """The account, with grants of others that ran out counted as spent."""
        account = self._accounts.setdefault(key, _Account(end_ms=end_ms))
        for process, (amount, until_ms) in list(account.grants.items()):
            if until_ms < now_ms and process != self._process:
                account.reported += amount
                self.ran_out += 1
                del account.grants[process]
        return account

    def _state(self, key: AccountKey, now_ms: int) -> State:
        account = self._accounts.get(key) or _Account()
        own = account.grants.get(self._process, (0, 0))[0]
        others = sum([amount for amount, _ in account.grants.values()]) - own
        wanted = now_ms - account.wanted_ms < WANTED_MS
        return State(key, account.settled, others, own, wanted, told=account.told, end_ms=account.end_ms)
