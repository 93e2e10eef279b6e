"""Single calls out of the ledger, by whatever a person has of one.  They block: ask them from a thread."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec

from headgate.events import OWN_REQUESTS
from headgate.records import AttemptRecord, CallRecord
from headgate.stores.sqlite.ledger_file import explained, open_reader
from headgate.stores.sqlite.panels import IS_FAILED

__all__ = ["FoundCall", "FoundCalls", "Search", "find_calls", "one_call"]

R = TypeVar("R", bound=msgspec.Struct)

SEARCH_FOR_S = 2.0
"""A search that takes longer tells what it has found."""
LOOK_EVERY_STEPS = 10_000
"""SQLite's own: about a tenth of a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which calls are looked for; None: whichever."""

    text: str | None = None
    """A call's id or the first characters of it, or the whole of its correlation id, user, session, trace id or
    request id."""
    workflow: str | None = None
    """`(headgate)`: Headgate's own requests, for whichever workflow."""
    model: str | None = None
    """Asked or answering."""
    outcome: str | None = None
    """One of the outcomes, or `failed` for all those that are errors."""
    since_ms: int = 0
    until_ms: int = 1 << 62
    before: str | None = None
    """Only calls that stand before the one with this id."""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call, as far as a list shows it."""

    call_id: str
    started_ms: int
    kind: str
    workflow: str
    user: str | None
    session: str | None
    lane: str
    model: str | None
    model_answered: str | None
    status: int | None
    outcome: str
    reason: str | None
    error: str | None
    attempts: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_pico: int | None
    queue_ms: float
    total_ms: float
    own: str | None
    """What Headgate made it for, of its own accord; None: it is a caller's."""


@dataclass(frozen=True, slots=True)
class FoundCalls:
    """The newest calls that were found, newest first."""

    calls: list[FoundCall]
    more: bool
    """There are older ones."""
    cut_short: bool
    """The search took too long: there may be others."""


_FOUND = """
SELECT call_id, started_ms, kind, workflow, user, session, lane, model, model_answered, status, outcome, reason, error,
       attempts, input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens, cache_read_tokens,
       output_tokens, cost_pico, queue_ms, total_ms, own
FROM calls WHERE {conditions} ORDER BY started_ms DESC, call_id DESC LIMIT :limit + 1
"""
_CONDITIONS = {
    "before": "(started_ms, call_id) < (SELECT started_ms, call_id FROM calls WHERE call_id = :before)",
    "workflow": f"iif(own IS NULL, workflow, '{OWN_REQUESTS}') = :workflow",
    "model": ":model IN (model, model_answered)",
    "outcome": "outcome = :outcome",
}
_OF_ID = "call_id >= :text AND call_id < :text || 'g'"
"""Ids go on in hexadecimal digits."""
_OF_SOMEBODY = ":text IN (correlation_id, user, session, trace_id, upstream_request_id)"


def find_calls(ledger: Path, search: Search) -> FoundCalls:
    """The newest calls that fit.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    conditions = ["started_ms >= :since_ms AND started_ms < :until_ms"]
    if search.text is not None:
        conditions.append(_OF_ID if search.text.startswith("call_") else _OF_SOMEBODY)
    for name, condition in _CONDITIONS.items():
        if getattr(search, name) is not None:
            failed = name == "outcome" and search.outcome == "failed"
            conditions.append(IS_FAILED if failed else condition)
    query = _FOUND.format(conditions=" AND ".join(conditions))
    told = {name: getattr(search, name) for name in Search.__dataclass_fields__}
    found: list[FoundCall] = []
    cut_short = False
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        until_s = time.monotonic() + SEARCH_FOR_S
        db.set_progress_handler(lambda: time.monotonic() > until_s, LOOK_EVERY_STEPS)
        try:
            found.extend(FoundCall(*row) for row in db.execute(query, told))
        except apsw.InterruptError:
            cut_short = True
    return FoundCalls(found[: search.limit], len(found) > search.limit, cut_short)


def one_call(ledger: Path, call_id: str) -> tuple[CallRecord, list[AttemptRecord]] | None:
    """A call with its attempts; None: there is no such call.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        calls = _records(CallRecord, db.execute("SELECT * FROM calls WHERE call_id = ?", (call_id,)))
        made = db.execute("SELECT * FROM attempts WHERE call_id = ? ORDER BY attempt", (call_id,))
        attempts = _records(AttemptRecord, made)
    return (calls[0], attempts) if calls else None


def _records(kind: type[R], rows: apsw.Cursor) -> list[R]:
    return [kind(**dict(zip(kind.__struct_fields__, row, strict=True))) for row in rows]
