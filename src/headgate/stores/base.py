"""What the engine asks of its stores.  They keep what they are given; ids and times come from above."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from headgate.core.budget import AccountKey, Change
from headgate.core.corrected import Corrected
from headgate.core.grants import Ask, Drawn, Report, State
from headgate.core.spent import Earlier
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, OpenAttempt, Resource
from headgate.stores.timing import Took

__all__ = ["BudgetStore", "Ledger", "LedgerState"]


class LedgerState(NamedTuple):
    """How a ledger is doing."""

    open_attempts: int = 0
    """Begun and not recorded."""
    oldest_open_ms: int | None = None
    """When the first of them began, in Unix milliseconds."""
    backlog_bytes: int = 0
    """Taken, and not committed yet."""
    journal_errors: int = 0
    """Writes that failed, ever: to the journal."""
    commit_errors: int = 0
    """Likewise: to the database."""
    recovered: int = 0
    """Calls that a process left open that is no more; this one has booked them."""


class Ledger(Protocol):
    """The record of what was spent.

    `begin` and `record` return without waiting for a disk; what they took survives a crash of the process from then on.
    """

    took: Took
    """Told how long its operations take."""

    def begin(self, attempt: OpenAttempt) -> None:
        """An attempt is about to be sent.

        Raises:
            Unavailable: it cannot be written down, so it must not be sent.
        """
        ...

    def record(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None:
        """A call is over.  Never raises: the money is spent, and the caller has the answer."""
        ...

    def record_batch_items(self, items: Sequence[BatchItemRecord]) -> None:
        """Results of a Message Batch were seen.  One seen before is not recorded again."""
        ...

    def remember(self, resource: Resource) -> None:
        """The API now keeps something for one credential."""
        ...

    async def owner(self, resource_id: str) -> Resource | None:
        """What `remember` was told of `resource_id`, also by an earlier process."""
        ...

    def state(self) -> LedgerState:
        """How it is doing.  Looks at no file."""
        ...

    async def spent_between(self, since_ms: int, until_ms: int) -> Sequence[Earlier]:
        """What calls have cost that began in between, of users and sessions; the newest, where they are very many.

        Raises:
            LedgerError: it cannot be read.
        """
        ...

    async def flush(self) -> None:
        """Return when everything taken so far can be read by others."""
        ...

    async def close(self) -> None:
        """Flush, and leave nothing behind that a next start would have to repair."""
        ...


class BudgetStore(Protocol):
    """What is spent of budgets, and what each process may spend without asking (core/grants.py).

    What a call has returned survives a crash; a grant survives a loss of power too.  Except with a store that is
    `immediate` these wait for a disk and for each other: call them in a thread.

    Raises:
        LedgerError: it cannot be read or written; nothing was changed.
    """

    immediate: bool
    """It is in memory, and nobody else uses it."""
    took: Took
    """Told how long its operations take."""
    ran_out: int
    """Grants of other processes whose lease was over, ever seen by this one."""
    errors: Counter[str]
    """Operations that failed, ever."""

    def draw(self, asks: Sequence[Ask], now_ms: int, until_ms: int) -> Drawn:
        """Grant this process more of every account, or of none; its grants are leased `until_ms`.  Grants of others
        whose lease is over count as spent from now on."""
        ...

    def report(self, reports: Sequence[Report], now_ms: int, until_ms: int) -> list[State]:
        """Settle what this process spent, take back what it does not keep, renew its leases."""
        ...

    def look(self, keys: Sequence[AccountKey], now_ms: int) -> list[State]:
        """The state of accounts, known or not.  Changes nothing."""
        ...

    def announce(self, key: AccountKey, threshold: int) -> bool:
        """Whether nobody has announced this threshold (a bit) of this account before."""
        ...

    def accounts(self, now_ms: int) -> list[State]:
        """All accounts whose window is not over."""
        ...

    def correct(self, corrected: Sequence[Corrected], now_ms: int) -> None:
        """Have accounts say what the API's reports add to what they were told: so much in all, whatever was said
        before."""
        ...

    def change(self, budget: str, setting: str, value: str | None, actor: str, now_ms: int) -> Change:
        """Write down a change of a setting."""
        ...

    def changes(self, after: int = 0) -> list[Change]:
        """All changes with a number above `after`, oldest first."""
        ...

    def close(self) -> None:
        """Let go of everything.  May be called more than once."""
        ...
