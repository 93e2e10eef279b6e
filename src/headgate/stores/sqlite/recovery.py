"""What a crash left in the ledger's journals, brought into its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import apsw
from msgspec.structs import astuple

from headgate.events import Outcome, UsageSource
from headgate.records import AttemptRecord, CallRecord, OpenAttempt
from headgate.stores.sqlite.journal import Frame, Orphan
from headgate.stores.sqlite.rows import Row, completed, insert

__all__ = ["crashed", "recover"]


def recover(db: apsw.Connection, orphan: Orphan, estimate: Callable[[OpenAttempt], int | None]) -> int:
    """Bring in what a crash left in the journal.  Returns the number of calls that were under way then.

    May itself be killed at any point: rows that are there already stay as they are, and the files go last.
    """
    with orphan:
        under_way: dict[tuple[str, int], OpenAttempt] = {}
        rows: list[Row] = []
        for kind, content in orphan.frames():
            if kind is Frame.OPEN:
                attempt = OpenAttempt(*content)
                under_way[attempt.call_id, attempt.attempt] = attempt
                continue
            for table, values in content:
                rows.append((table, completed(table, values)))
                if table == "attempts":
                    under_way.pop((values[0], values[1]), None)
        insert(db, rows)
        lost = [attempt for key, attempt in under_way.items() if not _is_recorded(db, key)]
        insert(db, crashed(lost, estimate))
        orphan.remove()
        return len({attempt.call_id for attempt in lost})


def _is_recorded(db: apsw.Connection, attempt: tuple[str, int]) -> bool:
    return db.execute("SELECT 1 FROM attempts WHERE call_id = ? AND attempt = ?", attempt).get is not None


def crashed(attempts: Iterable[OpenAttempt], estimate: Callable[[OpenAttempt], int | None]) -> list[Row]:
    """Rows for attempts that were sent, or about to be, when the process died."""
    rows: list[Row] = []
    calls: dict[str, CallRecord] = {}
    for attempt in attempts:
        bound = estimate(attempt)
        cost_pico, problem, unconfirmed_pico = (0, None, bound) if bound is not None else (None, "model", 0)
        record = AttemptRecord(
            call_id=attempt.call_id, attempt=attempt.attempt, started_ms=attempt.started_ms,
            credential=attempt.credential, pool=attempt.pool, error="crashed",
            estimated_input_tokens=attempt.estimated_input_tokens,
            estimated_output_tokens=attempt.estimated_output_tokens,
            usage_source=UsageSource.UNKNOWN, cost_pico=cost_pico, cost_problem=problem,
            unconfirmed_pico=unconfirmed_pico,
        )  # fmt: skip
        rows.append(("attempts", astuple(record)))
        call = calls.get(attempt.call_id)
        if call is None:
            calls[attempt.call_id] = call = CallRecord(
                call_id=attempt.call_id, started_ms=attempt.started_ms, kind=attempt.kind, workflow=attempt.workflow,
                user=attempt.user, session=attempt.session, lane=attempt.lane, caller_key=attempt.caller_key,
                team=attempt.team, tags=attempt.tags, correlation_id=attempt.correlation_id, model=attempt.model,
                stream=attempt.stream, own=attempt.own,
                outcome=Outcome.CRASHED, usage_source=UsageSource.UNKNOWN, cost_pico=cost_pico, cost_problem=problem,
            )  # fmt: skip
        call.attempts = max(call.attempts, attempt.attempt)
        call.unconfirmed_pico += unconfirmed_pico
    return [*rows, *(("calls", astuple(call)) for call in calls.values())]
