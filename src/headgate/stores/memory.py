"""A ledger in memory: for tests and for runs in virtual time."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, OpenAttempt, Resource

__all__ = ["MemoryLedger"]


class MemoryLedger:
    """Keeps records in lists; `open` holds the attempts that began and did not end."""

    def __init__(self) -> None:
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

    async def flush(self) -> None:
        return

    async def close(self) -> None:
        return
