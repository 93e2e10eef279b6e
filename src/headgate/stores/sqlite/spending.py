"""What was spent when, and on whose behalf: for forecasts, and for trying a budget on the past."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import NamedTuple

from headgate.core.budget import PastCall, Who
from headgate.core.spent import Earlier
from headgate.stores.sqlite.ledger_file import explained, open_reader

__all__ = ["Hour", "RefusedCall", "hours", "known_since_ms", "past_calls", "refused_calls", "spent_between"]

MOST_CALLS = 200_000
"""Read by `spent_between`: half a second."""

# A call is charged to budgets of the model that is asked for it, so one that fell back to those of that model.
_MODEL = "iif(reason = 'fallback_model', ifnull(model_answered, model), model)"
# A call without a known cost counts with the expected; one that was never sent has cost nothing.
_PAST = f"""
    SELECT started_ms, ifnull(cost_pico, 0) + unconfirmed_pico, own IS NOT NULL, team, caller_key, user, session,
           workflow, {_MODEL}, tags
    FROM calls WHERE started_ms >= ? AND attempts > 0 ORDER BY call_id
"""  # noqa: S608  # words of ours
_REFUSED = """
    SELECT fell_back_on IS NOT NULL, team, caller_key, user, session, workflow, model, tags
    FROM calls WHERE started_ms >= ? AND own IS NULL AND (fell_back_on = 'budget' OR attempts = 0 AND reason = 'budget')
"""
_COLUMNS = {"team": "team", "caller_key": "caller_key", "user": "user", "workflow": "workflow", "model": _MODEL,
            "tag": "tags"}  # fmt: skip
"""Scopes of budgets, and where calls have them; sessions are too many to be told apart by the hour."""
_HOURS = """
    SELECT started_ms / 3600000, sum(ifnull(cost_pico, 0) + unconfirmed_pico), 0, own IS NOT NULL, {columns}
    FROM calls WHERE started_ms >= :since GROUP BY 4, {groups}
    UNION ALL
    SELECT seen_ms / 3600000, sum(ifnull(cost_pico, 0)), 1, 0, NULL, NULL, NULL, NULL, NULL, NULL
    FROM batch_items WHERE seen_ms >= :since GROUP BY 1
"""
# A call's id begins with the time, so this reads a part of the table and not all of it.
_SPENT = """
    SELECT user, session, date(started_ms / 1000, 'unixepoch'), sum(cost_pico)
    FROM (
        SELECT user, session, started_ms, cost_pico FROM calls WHERE call_id >= ? AND call_id < ?
        ORDER BY call_id DESC LIMIT ?
    )
    WHERE cost_pico > 0 AND (user IS NOT NULL OR session IS NOT NULL) GROUP BY 1, 2, 3 ORDER BY max(started_ms)
"""


class Hour(NamedTuple):
    """What calls of one kind have cost in an hour."""

    hour: int
    """Hours since 1970."""
    pico: int
    of_batch: bool
    """Items of batches that callers made themselves, which are in no budget."""
    who: Who
    """As far as was asked for."""
    own: bool = False
    """Requests of Headgate's own, which are charged to the budgets of those for whom they are made."""


def past_calls(ledger: Path, since_ms: int, same_model: Callable[[str], str]) -> Iterator[PastCall]:
    """Every call that was sent since then, and Headgate's own requests, in the order of time.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        for started_ms, pico, own, *who in db.execute(_PAST, (since_ms,)):
            yield PastCall(started_ms, _who(who, same_model), pico, bool(own))


class RefusedCall(NamedTuple):
    """A call that a budget refused."""

    who: Who
    answered: bool
    """By a step of its workflow for that (`fallbacks_on.budget`)."""


def refused_calls(ledger: Path, since_ms: int, same_model: Callable[[str], str]) -> Iterator[RefusedCall]:
    """Every call since then that a budget refused.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        for answered, *who in db.execute(_REFUSED, (since_ms,)):
            yield RefusedCall(_who(who, same_model), bool(answered))


def hours(ledger: Path, since_ms: int, scopes: Collection[str], same_model: Callable[[str], str] = str) -> list[Hour]:
    """What was spent in each hour since then.

    Args:
        scopes: what to tell apart: each costs time, users most.
        same_model: the one name of a model that has several.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    columns = [column if scope in scopes else "NULL" for scope, column in _COLUMNS.items()]
    groups = ["1", *(column for column in columns if column != "NULL")]
    query = _HOURS.format(columns=", ".join(columns), groups=", ".join(groups))
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [
            Hour(hour, pico, bool(of_batch), _who([team, key, user, None, *others], same_model), bool(own))
            for hour, pico, of_batch, own, team, key, user, *others in db.execute(query, {"since": since_ms})
        ]


def spent_between(ledger: Path, since_ms: int, until_ms: int, most_calls: int = MOST_CALLS) -> list[Earlier]:
    """What calls have cost that began in between, by user, session and day, those that were quiet for longest first.

    Args:
        most_calls: no more are read, the newest first.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    ids = [f"call_{ms:011x}" for ms in (since_ms, until_ms)]
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [
            Earlier(user, session, date.fromisoformat(day), pico)
            for user, session, day, pico in db.execute(_SPENT, (*ids, most_calls))
        ]


def known_since_ms(ledger: Path) -> int | None:
    """When the first call began; None: there was none.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        first: int | None = db.execute("SELECT min(started_ms) FROM calls").get
        return first


def _who(told: list[str | None], same_model: Callable[[str], str]) -> Who:
    team, caller_key, user, session, workflow, model, tags = told
    return Who(
        team, caller_key, user, session, workflow, same_model(model) if model is not None else None,
        tuple(tags.split(",")) if tags else (),
    )  # fmt: skip
