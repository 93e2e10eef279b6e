"""What was spent when, and on whose behalf: for forecasts, and for trying a budget on the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from headgate.core.budget import PastCall, Who
from headgate.stores.sqlite.ledger import explained, open_reader

__all__ = ["Hour", "hours", "known_since_ms", "past_calls"]

# A call without a known cost counts with the expected; one that was never sent has cost nothing.
_PAST = """
    SELECT started_ms, ifnull(cost_pico, 0) + unconfirmed_pico, team, caller_key, user, session, workflow, model, tags
    FROM calls WHERE started_ms >= ? AND attempts > 0 ORDER BY call_id
"""
_HOURS = """
    SELECT started_ms / 3600000, sum(ifnull(cost_pico, 0) + unconfirmed_pico), 0, team, caller_key, user, NULL,
           workflow, model, tags
    FROM calls WHERE started_ms >= :since GROUP BY 1, 4, 5, 6, 8, 9, 10
    UNION ALL
    SELECT seen_ms / 3600000, sum(ifnull(cost_pico, 0)), 1, NULL, NULL, user, NULL, workflow, NULL, NULL
    FROM batch_items WHERE seen_ms >= :since GROUP BY 1, 6, 8
"""


class Hour(NamedTuple):
    """What calls of one kind have cost in an hour."""

    hour: int
    """Hours since 1970."""
    pico: int
    of_batch: bool
    """Items of batches that callers made themselves, which are in no budget."""
    who: Who
    """Without the session, of which there are too many."""


def past_calls(ledger: Path, since_ms: int, same_model: Callable[[str], str]) -> Iterator[PastCall]:
    """Every call that was sent since then, in the order of time.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        for started_ms, pico, *who in db.execute(_PAST, (since_ms,)):
            yield PastCall(started_ms, _who(who, same_model), pico)


def hours(ledger: Path, since_ms: int, same_model: Callable[[str], str]) -> list[Hour]:
    """What was spent in each hour since then, by whom.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [
            Hour(hour, pico, bool(of_batch), _who(who, same_model))
            for hour, pico, of_batch, *who in db.execute(_HOURS, {"since": since_ms})
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
