"""What the ledger has of each day and model, for comparing with the API's own reports; and the corrections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec

from headgate.clock import utc_day
from headgate.core.reconcile import Booked, Correction, Place
from headgate.core.usage_report import LONG_PROMPT, Counts, Terms
from headgate.errors import LedgerError
from headgate.records import CorrectionRecord
from headgate.stores.sqlite.ledger_file import explained, open_reader, open_writer

__all__ = ["Guess", "OfDays", "add_corrections", "corrections_since", "last_drift", "of_days"]

DAY_MS = 86_400_000

# An attempt belongs to the day on which it ended, as in the API's reports.  What another organisation is billed for is
# not in them.  The cost of a call that has none is in no sum, and so are those of its attempts.
_ATTEMPTS = """
    SELECT date((a.started_ms + a.total_ms) / 1000, 'unixepoch') AS day, a.credential,
           coalesce(a.model_answered, c.model, '') AS model, a.service_tier, a.speed, a.inference_geo, a.input_tokens,
           a.output_tokens, a.cache_read_tokens, a.cache_write_5m_tokens, a.cache_write_1h_tokens, a.web_searches,
           iif(c.cost_pico IS NULL, NULL, a.cost_pico) AS cost_pico, a.unconfirmed_pico,
           a.usage_source = 'unknown' AS unknown,
           c.cost_pico IS NULL AND a.attempt = c.attempts AND ifnull(c.cost_problem, '') NOT LIKE 'service_tier:%'
               AS unpriced
    FROM calls AS c JOIN attempts AS a USING (call_id)
    WHERE a.started_ms + a.total_ms >= :since AND a.started_ms + a.total_ms < :until
          AND ifnull(a.cost_problem, '') <> 'other_payer' AND a.hops IS NULL
    UNION ALL
    SELECT date((a.started_ms + a.total_ms) / 1000, 'unixepoch'), a.credential, hop.value ->> 'model', a.service_tier,
           a.speed, a.inference_geo, hop.value ->> 'input_tokens', hop.value ->> 'output_tokens',
           hop.value ->> 'cache_read_tokens', hop.value ->> 'cache_write_5m_tokens',
           hop.value ->> 'cache_write_1h_tokens', iif(hop.value ->> 'model' = a.model_answered, a.web_searches, 0),
           iif(c.cost_pico IS NULL, NULL, hop.value ->> 'cost_pico'),
           iif(hop.value ->> 'model' = a.model_answered, a.unconfirmed_pico, 0), 0,
           c.cost_pico IS NULL AND a.attempt = c.attempts AND hop.value ->> 'model' = a.model_answered
               AND ifnull(c.cost_problem, '') NOT LIKE 'service_tier:%'
    FROM calls AS c JOIN attempts AS a USING (call_id), json_each(a.hops) AS hop
    WHERE a.started_ms + a.total_ms >= :since AND a.started_ms + a.total_ms < :until
          AND ifnull(a.cost_problem, '') <> 'other_payer' AND a.hops IS NOT NULL
    UNION ALL
    SELECT date(i.seen_ms / 1000, 'unixepoch'), ifnull(r.credential, 'default'), ifnull(i.model_answered, ''), 'batch',
           NULL, NULL, i.input_tokens, i.output_tokens, i.cache_read_tokens, i.cache_write_5m_tokens,
           i.cache_write_1h_tokens, 0, i.cost_pico, 0, 0, i.cost_pico IS NULL
    FROM batch_items AS i LEFT JOIN resources AS r ON r.id = i.batch_id
    WHERE i.seen_ms >= :since AND i.seen_ms < :until
"""
# Money is summed in two halves: one sum of pico-dollars would pass 64 bits at nine million dollars.
_BOOKED = f"""
WITH used AS ({_ATTEMPTS})
SELECT day, model, credential, ifnull(service_tier, 'standard'), ifnull(speed = 'fast', 0),
       ifnull(inference_geo = 'us', 0),
       input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens > {LONG_PROMPT},
       cost_pico IS NOT NULL,
       sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens),
       sum(cache_write_1h_tokens), sum(web_searches), sum(cost_pico / 1000000), sum(cost_pico % 1000000),
       sum(unconfirmed_pico / 1000000), sum(unconfirmed_pico % 1000000), sum(unknown), sum(unpriced)
FROM used GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""  # noqa: S608  # names and a number of ours
_GUESSES = """
SELECT date((a.started_ms + a.total_ms) / 1000, 'unixepoch'), coalesce(a.model_answered, c.model, ''), a.credential,
       a.call_id, a.attempt, a.error, a.usage_source, a.unconfirmed_pico
FROM calls AS c JOIN attempts AS a USING (call_id)
WHERE a.started_ms + a.total_ms >= :since AND a.started_ms + a.total_ms < :until
      AND a.usage_source IN ('unknown', 'observed') AND ifnull(a.cost_problem, '') <> 'other_payer'
ORDER BY a.call_id, a.attempt
"""


@dataclass(frozen=True, slots=True)
class Guess:
    """An attempt whose usage nobody told, or not to the end."""

    place: Place
    call_id: str
    attempt: int
    error: str | None
    usage_source: str
    unconfirmed_pico: int


@dataclass(frozen=True, slots=True)
class OfDays:
    """What the ledger has of some days."""

    booked: list[Booked]
    corrected: list[tuple[Place, Correction]]
    guesses: list[Guess]
    corrections: int
    """So many were there, of any day, when it was read."""


def of_days(ledger: Path, first: str, last: str, since_ms: int, until_ms: int, place: Callable[..., Place]) -> OfDays:
    """Everything of the days `first` to `last`, which are the time from `since_ms` to `until_ms`.

    Args:
        place: of a day, a model's name and the name of an API key, what is compared.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    span = {"since": since_ms, "until": until_ms}
    with explained(ledger, "read"), closing(open_reader(ledger)) as db, db:
        booked = [_booked(place, row) for row in db.execute(_BOOKED, span)]
        guesses = [Guess(place(*row[:3]), *row[3:]) for row in db.execute(_GUESSES, span)]
        made = _corrections(db, first, last)
        count = db.execute("SELECT count(*) FROM corrections").get
    return OfDays(booked, made, guesses, count)


def last_drift(ledger: Path, since_ms: int) -> float | None:
    """By how much the API's own report of a day differed from the ledger, as a share of the larger of the two: of the
    newest day since then that was corrected; None if none was.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        day = db.execute("SELECT max(day) FROM corrections WHERE day >= ?", (str(utc_day(since_ms)),)).get
    if day is None:
        return None
    begin_ms = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
    found = of_days(ledger, day, day, begin_ms, begin_ms + DAY_MS, Place)
    ours = sum([booked.cost_pico or 0 for booked in found.booked])
    theirs = ours + sum([correction.cost_pico or 0 for _, correction in found.corrected])
    return abs(theirs - ours) / max(ours, theirs, 1)


def corrections_since(ledger: Path, first: str) -> list[tuple[Place, Correction]]:
    """All corrections of that day and those after it.

    Raises:
        LedgerError: there is no ledger, or it is damaged.
    """
    with explained(ledger, "read"), closing(open_reader(ledger)) as db:
        return _corrections(db, first, "9999-12-31")


def _corrections(db: apsw.Connection, first: str, last: str) -> list[tuple[Place, Correction]]:
    found = db.execute("SELECT * FROM corrections WHERE day BETWEEN ? AND ?", (first, last))
    made = [CorrectionRecord(**dict(zip(CorrectionRecord.__struct_fields__, row, strict=True))) for row in found]
    return [(Place(record.day, record.model, record.credential), _read(record)) for record in made]


def _booked(place: Callable[..., Place], row: Sequence[object]) -> Booked:
    day, model, credential, tier, fast, us, long, priced, *figures = row
    *counts, cost_millions, cost_rest, unconfirmed_millions, unconfirmed_rest, unknown, unpriced = [
        int(str(figure or 0)) for figure in figures
    ]
    return Booked(
        place(day, model, credential),
        Terms(str(tier), bool(fast), bool(us), bool(long)),
        Counts(*counts),
        cost_millions * 1_000_000 + cost_rest if priced else None,
        unconfirmed_millions * 1_000_000 + unconfirmed_rest,
        unknown,
        unpriced,
    )


def _read(record: CorrectionRecord) -> Correction:
    counts = Counts(
        record.input_tokens, record.output_tokens, record.cache_read_tokens, record.cache_write_5m_tokens,
        record.cache_write_1h_tokens, record.web_searches,
    )  # fmt: skip
    return Correction(counts, record.cost_pico, record.cost_problem, record.unconfirmed_pico, record.unpriced)


def add_corrections(
    ledger: Path, corrections: Sequence[tuple[Place, Correction]], made_ms: int, *, expected: int
) -> None:
    """Write corrections down, all or none.

    Args:
        expected: so many were in the ledger when these were worked out; if there are more by now, others have corrected
            the same.

    Raises:
        LedgerError: they were not written.
    """
    records = [
        CorrectionRecord(
            day=place.day, model=place.model, credential=place.credential, made_ms=made_ms,
            input_tokens=its.counts.input, output_tokens=its.counts.output, cache_read_tokens=its.counts.cache_read,
            cache_write_5m_tokens=its.counts.cache_write_5m, cache_write_1h_tokens=its.counts.cache_write_1h,
            cost_pico=its.cost_pico, cost_problem=its.cost_problem, unconfirmed_pico=its.unconfirmed_pico,
            unpriced=its.unpriced, web_searches=its.counts.web_searches,
        )
        for place, its in corrections
    ]  # fmt: skip
    marks = ",".join("?" * len(CorrectionRecord.__struct_fields__))
    with explained(ledger, "written"), closing(open_writer(ledger)) as db:
        db.execute("BEGIN IMMEDIATE")
        if db.execute("SELECT count(*) FROM corrections").get != expected:
            raise LedgerError("somebody else has just written corrections; look again with `headgate cost reconcile`")
        db.executemany(f"INSERT INTO corrections VALUES ({marks})", map(msgspec.structs.astuple, records))  # noqa: S608
        db.execute("COMMIT")
