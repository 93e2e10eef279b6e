"""Questions about how calls go that the dashboard asks of the ledger; `queries.py` has every total.

Each is of a span of time and finds it by an index.  They block: ask them from a thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headgate.events import FALLBACKS, OWN_REQUESTS, UNFIT, Outcome, Validation
from headgate.stores.sqlite.ledger_file import explained, open_reader

__all__ = [
    "FAILED", "IS_FAILED", "NOT_COUNTED", "Bucket", "Durations", "LaneWaits", "Pace", "durations", "lane_waits",
    "paces", "sums_of", "timeline", "timelines",
]  # fmt: skip

FAILED = frozenset(
    (
        Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.TRUNCATED, Outcome.INVALID_OUTPUT, Outcome.INTERNAL,
        Outcome.CRASHED,
    )
)  # fmt: skip
"""Calls that should have been answered and were not: the errors of an error rate."""
NOT_COUNTED = frozenset((Outcome.CLIENT_ERROR, Outcome.RATE, Outcome.SHED, Outcome.CANCELLED))
"""Calls of which an error rate says nothing: wrong in themselves, not let in, or left by their caller."""


def _listed(values: frozenset[Any]) -> str:
    return ", ".join(f"'{value}'" for value in sorted(values))


IS_FAILED = f"outcome IN ({_listed(FAILED)})"
"""In SQL."""
_IS_COUNTED = f"outcome NOT IN ({_listed(NOT_COUNTED)})"
_IN_SPAN = "started_ms >= :since AND started_ms < :until"
_OF_CALLERS = f"{_IN_SPAN} AND own IS NULL"


# -- how workflows do ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pace:
    """How the calls of one workflow went."""

    workflow: str
    calls: int
    counted: int
    """Those of which an error rate is taken."""
    failed: int
    shed: int
    fallbacks: int
    """Answered otherwise than was asked."""
    retries: int
    """Attempts that failed and were made again."""
    retried_answers: int
    """Answers that took more than one attempt."""
    judged: int
    """Structured outputs that were compared with their schema."""
    unfit: int
    """Those of them that were not what was asked for: invalid, or cut."""
    p50_ms: float | None
    """Of answered calls, waits included; None: there are none.  The smallest that so many percent do not pass."""
    p95_ms: float | None
    p99_ms: float | None
    first_byte_p95_ms: float | None
    """Of answered streams."""


def sums_of(paces: Iterable[Pace]) -> dict[str, int]:
    """What adds up of several workflows; percentiles do not."""
    names = ("calls", "counted", "failed", "shed", "fallbacks", "retries", "retried_answers", "judged", "unfit")
    each = list(paces)
    return {name: sum(getattr(pace, name) for pace in each) for name in names}


# A percentile is a row's value: the one at rank ceil(percent * rows / 100).
_PACES = f"""
WITH spans AS (SELECT * FROM calls WHERE {_OF_CALLERS}),
ranked AS (
    SELECT workflow, total_ms, row_number() OVER (PARTITION BY workflow ORDER BY total_ms) AS rank,
           count(*) OVER (PARTITION BY workflow) AS ranks
    FROM spans WHERE outcome = 'ok'
),
durations AS (
    SELECT workflow, max(iif(rank = (ranks * 50 + 99) / 100, total_ms, NULL)) AS p50,
           max(iif(rank = (ranks * 95 + 99) / 100, total_ms, NULL)) AS p95,
           max(iif(rank = (ranks * 99 + 99) / 100, total_ms, NULL)) AS p99
    FROM ranked GROUP BY 1
),
streams AS (
    SELECT workflow, first_byte_ms, row_number() OVER (PARTITION BY workflow ORDER BY first_byte_ms) AS rank,
           count(*) OVER (PARTITION BY workflow) AS ranks
    FROM spans WHERE outcome = 'ok' AND first_byte_ms IS NOT NULL
),
beginnings AS (
    SELECT workflow, max(iif(rank = (ranks * 95 + 99) / 100, first_byte_ms, NULL)) AS p95 FROM streams GROUP BY 1
),
again AS (
    SELECT workflow, count(*) AS retries
    FROM spans JOIN attempts AS a USING (call_id)
    WHERE spans.attempts > 1 AND a.decision = 'retried' GROUP BY 1
)
SELECT workflow, count(*), sum({_IS_COUNTED}), sum({IS_FAILED}), sum(outcome = 'shed'),
       sum(ifnull(reason, '') IN ({_listed(FALLBACKS)})), ifnull(again.retries, 0),
       sum(outcome = 'ok' AND attempts > 1), sum(ifnull(validation, '') IN ({_listed(UNFIT | {Validation.VALID})})),
       sum(ifnull(validation, '') IN ({_listed(UNFIT)})), durations.p50, durations.p95, durations.p99, beginnings.p95
FROM spans LEFT JOIN durations USING (workflow) LEFT JOIN beginnings USING (workflow) LEFT JOIN again USING (workflow)
GROUP BY 1 ORDER BY 1
"""  # noqa: S608  # words of ours


def paces(ledger: Path, *, since_ms: int, until_ms: int) -> list[Pace]:
    """How each workflow's calls went that began in the span.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [Pace(*row) for row in db.execute(_PACES, {"since": since_ms, "until": until_ms})]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long answers took, waits included."""

    answered: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


_DURATIONS = f"""
WITH ranked AS (
    SELECT total_ms, row_number() OVER (ORDER BY total_ms) AS rank, count(*) OVER () AS ranks
    FROM calls WHERE {_OF_CALLERS} AND outcome = 'ok'
)
SELECT count(*), max(iif(rank = (ranks * 50 + 99) / 100, total_ms, NULL)),
       max(iif(rank = (ranks * 95 + 99) / 100, total_ms, NULL)),
       max(iif(rank = (ranks * 99 + 99) / 100, total_ms, NULL))
FROM ranked
"""  # noqa: S608  # words of ours


def durations(ledger: Path, *, since_ms: int, until_ms: int) -> Durations:
    """Of all calls that began in the span and were answered.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        row: Any = db.execute(_DURATIONS, {"since": since_ms, "until": until_ms}).fetchone()
    return Durations(*row)


@dataclass(frozen=True, slots=True)
class LaneWaits:
    """How long the calls of one lane waited for the account's limits."""

    lane: str
    calls: int
    waited: int
    """Those that waited a millisecond or more."""
    p50_ms: float
    p95_ms: float
    max_ms: float


_LANE_WAITS = f"""
WITH ranked AS (
    SELECT lane, queue_ms, row_number() OVER (PARTITION BY lane ORDER BY queue_ms) AS rank,
           count(*) OVER (PARTITION BY lane) AS ranks
    FROM calls WHERE {_OF_CALLERS} AND attempts > 0
)
SELECT lane, count(*), sum(queue_ms >= 1), max(iif(rank = (ranks * 50 + 99) / 100, queue_ms, NULL)),
       max(iif(rank = (ranks * 95 + 99) / 100, queue_ms, NULL)), max(queue_ms)
FROM ranked GROUP BY 1 ORDER BY 1
"""  # noqa: S608  # words of ours


def lane_waits(ledger: Path, *, since_ms: int, until_ms: int) -> list[LaneWaits]:
    """How long calls waited that were sent and began in the span.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return [LaneWaits(*row) for row in db.execute(_LANE_WAITS, {"since": since_ms, "until": until_ms})]


# -- over time -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bucket:
    """What began in one stretch of time."""

    start_ms: int
    calls: int = 0
    failed: int = 0
    waited_ms: float = 0.0
    """The longest wait for the account's limits."""
    cost_pico: int = 0
    """Of Headgate's own requests and of items of batches too, which are no calls."""


_TIMELINE = f"""
SELECT {{group}}, (started_ms - :since) / :width, sum(own IS NULL), sum(own IS NULL AND {IS_FAILED}),
       max(iif(own IS NULL, queue_ms, 0)),
       ifnull(sum(cost_pico / 1000000), 0), ifnull(sum(cost_pico % 1000000), 0)
FROM calls WHERE {_IN_SPAN} GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608  # words of ours
# Their money is where their results were seen, as in all sums; how their items went is not told by the minute.
_BATCH_TIMELINE = """
SELECT {group}, (seen_ms - :since) / :width,
       ifnull(sum(cost_pico / 1000000), 0), ifnull(sum(cost_pico % 1000000), 0)
FROM batch_items WHERE seen_ms >= :since AND seen_ms < :until GROUP BY 1, 2
"""


def timeline(ledger: Path, *, since_ms: int, until_ms: int, buckets: int) -> list[Bucket]:
    """Of all calls together `buckets` equal stretches of the span, empty ones included.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    return _lines(ledger, "''", "''", ("",), since_ms, until_ms, buckets)[""]


def timelines(
    ledger: Path, workflows: Iterable[str], *, since_ms: int, until_ms: int, buckets: int
) -> dict[str, list[Bucket]]:
    """As `timeline`, of each of some workflows.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    of_calls = f"iif(own IS NULL, workflow, '{OWN_REQUESTS}')"
    return _lines(ledger, of_calls, "workflow", workflows, since_ms, until_ms, buckets)


def _lines(
    ledger: Path, of_calls: str, of_items: str, names: Iterable[str], since_ms: int, until_ms: int, buckets: int
) -> dict[str, list[Bucket]]:
    width = -(-(until_ms - since_ms) // buckets)
    lines = {name: [Bucket(since_ms + number * width) for number in range(buckets)] for name in names}
    span = {"since": since_ms, "until": until_ms, "width": width}
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        for name, number, calls, failed, waited_ms, millions, rest in db.execute(
            _TIMELINE.format(group=of_calls), span
        ):
            if name in lines:
                start_ms, cost_pico = since_ms + number * width, millions * 1_000_000 + rest
                lines[name][number] = Bucket(start_ms, calls, failed, waited_ms, cost_pico)
        for name, number, millions, rest in db.execute(_BATCH_TIMELINE.format(group=of_items), span):
            if name in lines:
                bucket = lines[name][number]
                lines[name][number] = replace(bucket, cost_pico=bucket.cost_pico + millions * 1_000_000 + rest)
    return lines
