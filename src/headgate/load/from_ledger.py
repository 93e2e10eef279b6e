"""Arrivals of a past day, as Headgate's ledger has them: when, how much, of whom, for which tool, in which lane."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

from headgate.load.problems import LoadError
from headgate.load.turns import Conversation, Piece, Turn
from headgate.stores.sqlite.ledger_file import explained, open_reader

__all__ = ["read_day"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_CALLS = """
SELECT call_id, started_ms, total_ms, workflow, lane, user, session, model, stream, max_tokens, system_hash,
       input_tokens, cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens, output_tokens
FROM calls
WHERE kind = 'messages' AND started_ms >= ? AND started_ms < ? AND model IS NOT NULL AND own IS NULL
ORDER BY started_ms, call_id
"""
_LAST_DAY = "SELECT date(max(started_ms) / 1000, 'unixepoch') FROM calls WHERE kind = 'messages' AND own IS NULL"


def read_day(path: Path, day: date, *, from_hour: float | None = None) -> list[Conversation]:
    """The messages of one day (UTC), each from its first try.

    Calls of one session that followed on each other follow on each other again: not sooner than then, and only after
    the answer before.  Texts are not kept in a ledger; equal system prompts stay equal, all else is new.

    Args:
        from_hour: where in the day to begin; default with the hour of its first call.

    Raises:
        LoadError: nothing was asked on that day.
        LedgerError: there is no ledger at `path`, or it cannot be read.
    """
    begin_ms = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    with closing(open_reader(path)) as db, explained(path, "read"):
        rows = list(db.execute(_CALLS, (begin_ms + round((from_hour or 0) * HOUR_MS), begin_ms + DAY_MS)))
        last = None if rows else next(iter(db.execute(_LAST_DAY)))[0]
    if not rows:
        known = f"the last day with any is {last}" if last else "there are none at all"
        since = f" from hour {from_hour:g} on" if from_hour else ""
        raise LoadError(f"{path}: no messages on {day} (UTC){since}; {known}. Name another with --day.")
    first_hour = (rows[0][1] - begin_ms) // HOUR_MS
    begin_ms += round((first_hour if from_hour is None else from_hour) * HOUR_MS)
    found: list[Conversation] = []
    open_sessions: dict[str, tuple[list[Turn], int, float]] = {}
    for row in rows:
        started_ms, total_ms, session = row[1], row[2], row[6]
        before = open_sessions.get(session) if session is not None else None
        if before is not None and before[2] <= started_ms:
            turns, asked_ms, _ = before
            turns.append(_turn(row, (started_ms - asked_ms) / 1000))
        else:  # the first of its session, or side by side with another of it
            turns = [_turn(row, 0.0)]
            found.append(Conversation((started_ms - begin_ms) / 1000, turns))
        if session is not None:
            open_sessions[session] = (turns, started_ms, started_ms + total_ms)
    return found


def _turn(row: tuple[object, ...], gap_s: float) -> Turn:
    call_id, _, _, workflow, lane, user, session, model, stream, max_tokens, system_hash, fresh, cached, output = row
    system = (Piece(str(system_hash), int(cached)),) if cached else ()  # type: ignore[call-overload]
    return Turn(
        messages=((Piece(str(call_id), max(1, int(fresh))),),),  # type: ignore[call-overload]
        output_tokens=max(1, int(output)),  # type: ignore[call-overload]
        max_tokens=int(max_tokens or 0) or max(1, int(output)),  # type: ignore[call-overload]
        system=system,
        gap_s=gap_s,
        workflow=str(workflow),
        lane=str(lane),
        user=None if user is None else str(user),
        session=None if session is None else str(session),
        model=str(model),
        stream=bool(stream),
    )
