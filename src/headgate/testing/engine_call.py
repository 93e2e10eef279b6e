"""Calls that nobody sent over a wire, for tests that stand right before the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.call import Call, Kind
from headgate.engine.engine import Engine
from headgate.records import CallRecord

__all__ = ["engine_call"]

_ALWAYS = ((b"anthropic-version", b"2023-06-01"), (b"content-type", b"application/json"))


def engine_call(
    engine: Engine,
    kind: Kind,
    method: str,
    target: str,
    record: Mapping[str, Any],
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: bytes = b"",
    **more: Any,
) -> Call:
    """A call that arrives now, as an edge makes one: `record` are fields of its record, `more` fields of its own."""
    now_ms = engine.clock.unix_ms()
    return Call(
        record=CallRecord(call_id=engine.new_call_id(now_ms), started_ms=now_ms, kind=kind, **record),
        kind=kind,
        method=method,
        target=target,
        headers=[*_ALWAYS, *headers],
        body=body,
        arrived_s=engine.clock.now_s(),
        **more,
    )
