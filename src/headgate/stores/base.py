"""What the engine asks of a ledger.  Stores keep what they are given; ids and times come from above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, OpenAttempt, Resource

__all__ = ["Ledger"]


class Ledger(Protocol):
    """The record of what was spent.

    `begin` and `record` return without waiting for a disk; what they took survives a crash of the process from then on.
    """

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

    async def flush(self) -> None:
        """Return when everything taken so far can be read by others."""
        ...

    async def close(self) -> None:
        """Flush, and leave nothing behind that a next start would have to repair."""
        ...
