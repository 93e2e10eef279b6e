"""Records to write down, and what a ledger holds of them."""

from __future__ import annotations

import asyncio
import types
import typing
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, OpenAttempt
from headgate.stores.sqlite import SqliteLedger, open_reader

__all__ = ["DAY_MS", "FIRST_DAY_MS", "attempts_of", "call", "filled", "opened", "rows", "spent"]

S = TypeVar("S", bound=msgspec.Struct)


def call(call_id: str = "call_1", **fields: Any) -> CallRecord:
    """A call that was answered."""
    told: dict[str, Any] = {
        "started_ms": 1_790_000_000_000, "kind": "messages", "workflow": "triage", "lane": "standard",
        "correlation_id": call_id, "model": "claude-haiku-5-5", "outcome": "ok", "status": 200, "attempts": 1,
    }  # fmt: skip
    return CallRecord(call_id=call_id, **(told | fields))


def attempts_of(record: CallRecord, **fields: Any) -> list[AttemptRecord]:
    """As many attempts as the call says; the last has what the call has."""
    last = {
        name: getattr(record, name)
        for name in ("status", "model_answered", "usage_source", "cost_pico", "unconfirmed_pico", "input_tokens",
                     "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    }  # fmt: skip
    return [
        AttemptRecord(
            call_id=record.call_id, attempt=number, started_ms=record.started_ms, credential="default",
            pool="haiku-5.5", **(({"status": 529} if number < record.attempts else last) | fields),
        )
        for number in range(1, record.attempts + 1)
    ]  # fmt: skip


def opened(record: CallRecord, number: int = 1) -> OpenAttempt:
    """Attempt `number` of a call, about to be sent."""
    return OpenAttempt(
        record.call_id, number, record.started_ms, record.kind, record.workflow, record.user, record.session,
        record.lane, record.caller_key, record.correlation_id, record.model, record.stream, "default", "haiku-5.5",
        100, 50, team=record.team, tags=record.tags,
    )  # fmt: skip


def filled(kind: type[S], /, **fields: Any) -> S:
    """A record in which every field has a value of its own."""
    values: dict[str, Any] = {}
    for number, (name, hint) in enumerate(typing.get_type_hints(kind).items(), 1):
        plain = next((arg for arg in typing.get_args(hint) if arg is not types.NoneType), hint)
        values[name] = {str: f"{name}-{number}", int: number << 40, float: number + 0.125, bool: True}[plain]
    return kind(**(values | fields))


def rows(path: Path, table: str, where: str = "") -> Sequence[dict[str, Any]]:
    """What stands in a ledger's table, in the order of its key."""
    with closing(open_reader(path)) as db:
        cursor: apsw.Cursor = db.execute(f"SELECT * FROM {table} {where}")
        return [dict(zip([column[0] for column in cursor.getdescription()], row, strict=True)) for row in cursor]


DAY_MS = 86_400_000
FIRST_DAY_MS = 20_500 * DAY_MS
"""2026-02-16."""


def spent(path: Path, *calls: dict[str, Any], items: tuple[BatchItemRecord, ...] = ()) -> Path:
    """A ledger with these calls."""

    async def main() -> None:
        ledger = SqliteLedger(path, lambda attempt: 0)
        for number, fields in enumerate(calls):
            record = call(f"call_{number:04}", **({"started_ms": FIRST_DAY_MS} | fields))
            ledger.record(record, attempts_of(record))
        ledger.record_batch_items(items)
        await ledger.close()

    asyncio.run(main())
    return path
