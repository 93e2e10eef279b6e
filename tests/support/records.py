"""Records to write down, and what a ledger holds of them."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import apsw
import msgspec

from headgate.records import AttemptRecord, CallRecord, OpenAttempt
from headgate.stores.sqlite import open_reader

__all__ = ["attempts_of", "call", "filled", "opened", "rows"]

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
        for name in ("status", "model_answered", "cost_pico", "unconfirmed_pico", "input_tokens", "output_tokens",
                     "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
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
        100, 50,
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
