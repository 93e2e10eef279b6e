"""What a report of one day asks of the ledger, beside the totals of `queries.py` and the paces of `panels.py`.

Each is of a span of time.  They block: ask them from a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from headgate.core.cost_change import Used
from headgate.events import OWN_REQUESTS
from headgate.stores.sqlite.ledger_file import explained, open_reader

__all__ = ["Ended", "Hidden", "Single", "ended", "hidden", "singles", "used"]


class Hidden(NamedTuple):
    """Failures that callers did not see, because a later attempt was answered."""

    workflow: str
    model: str
    error: str
    """The error class of attempts that failed."""
    calls: int


_HIDDEN = """
SELECT c.workflow, coalesce(c.model, '(none)'), a.error, count(DISTINCT call_id)
FROM calls AS c JOIN attempts AS a USING (call_id)
WHERE c.started_ms >= ? AND c.started_ms < ? AND c.outcome = 'ok' AND c.attempts > 1 AND a.error IS NOT NULL
      AND c.own IS NULL
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
"""


def hidden(ledger: Path, since_ms: int, until_ms: int) -> list[Hidden]:
    """What retries hid, the most first.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    return [Hidden(*row) for row in _rows(ledger, _HIDDEN, since_ms, until_ms)]


class Ended(NamedTuple):
    """Calls of one workflow that ended in the same way."""

    workflow: str
    outcome: str
    reason: str | None
    """Why Headgate refused, delayed or repeated it, or answered it otherwise."""
    stop_reason: str | None
    refusal_category: str | None
    calls: int


_ENDED = """
SELECT workflow, outcome, reason, stop_reason, refusal_category, count(*)
FROM calls WHERE started_ms >= ? AND started_ms < ? AND own IS NULL
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 6 DESC, 2, 3, 4, 5
"""


def ended(ledger: Path, since_ms: int, until_ms: int) -> list[Ended]:
    """How calls ended.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    return [Ended(*row) for row in _rows(ledger, _ENDED, since_ms, until_ms)]


@dataclass(frozen=True, slots=True)
class Single:
    """One call that stands out."""

    call_id: str
    started_ms: int
    workflow: str
    model: str | None
    total_ms: float
    queue_ms: float
    input_tokens: int
    """Cached or not."""
    output_tokens: int
    cost_pico: int | None


_SINGLES = {
    by: f"""
SELECT call_id, started_ms, workflow, coalesce(model_answered, model), total_ms, queue_ms,
       input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens, output_tokens, cost_pico
FROM calls WHERE started_ms >= ? AND started_ms < ? AND attempts > 0 AND own IS NULL
ORDER BY {by} DESC, call_id LIMIT ?
"""  # noqa: S608  # columns of ours
    for by in ("total_ms", "cost_pico")
}


def singles(
    ledger: Path, since_ms: int, until_ms: int, by: Literal["total_ms", "cost_pico"], most: int
) -> list[Single]:
    """The slowest or the dearest calls.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    return [Single(*row) for row in _rows(ledger, _SINGLES[by], since_ms, until_ms, most)]


_USED = f"""
SELECT iif(own IS NULL, workflow, '{OWN_REQUESTS}'), coalesce(model_answered, model, '(none)'), count(*), sum(attempts),
       sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens),
       sum(cache_read_tokens), sum(input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens),
       total(cost_pico)
FROM calls WHERE started_ms >= ? AND started_ms < ? AND attempts > 0 GROUP BY 1, 2
"""  # noqa: S608  # words of ours


def used(ledger: Path, since_ms: int, until_ms: int) -> list[Used]:
    """What each workflow had of each model, Headgate's own requests as a workflow.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    return [Used(*row) for row in _rows(ledger, _USED, since_ms, until_ms)]


def _rows(ledger: Path, query: str, *bindings: int) -> Iterator[Any]:
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        yield from db.execute(query, bindings)
