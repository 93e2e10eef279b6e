"""What the ledger says of a day, for the comparison with the API's reports."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from headgate.core.reconcile import Booked, Correction, Place
from headgate.core.usage_report import Counts, Terms
from headgate.errors import LedgerError
from headgate.records import BatchItemRecord, Resource
from headgate.stores.sqlite import SqliteLedger
from headgate.stores.sqlite.reconcile import OfDays, add_corrections, last_drift, of_days
from support.records import DAY_MS, FIRST_DAY_MS, attempts_of, call

DAY = "2026-02-16"
MODEL = "claude-haiku-5-5"
PLACE = Place(DAY, MODEL, "default")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def written(path: Path, *attempts: dict[str, Any], **of_the_call: Any) -> OfDays:
    """What stands of the day after a call with these attempts."""

    async def main() -> None:
        ledger = SqliteLedger(path, lambda attempt: 0)
        record = call(
            **{"started_ms": FIRST_DAY_MS, "model": MODEL, "cost_pico": 5, "attempts": len(attempts)} | of_the_call
        )
        fields = [
            attempts_of(call(**{"started_ms": FIRST_DAY_MS, "model": MODEL} | of_the_call, attempts=1), **each)[0]
            for each in attempts
        ]
        for number, attempt in enumerate(fields, 1):
            attempt.attempt = number
        ledger.record(record, fields)
        ledger.remember(Resource(id="b", kind="batches", credential="key2", created_ms=0, workflow="x"))
        ledger.record_batch_items(
            [
                BatchItemRecord(
                    batch_id="b", custom_id="i", seen_ms=FIRST_DAY_MS + 2 * DAY_MS, workflow="x", result="canceled"
                )
            ]
        )
        await ledger.close()

    asyncio.run(main())
    return read(path)


def read(path: Path) -> OfDays:
    return of_days(path, DAY, DAY, FIRST_DAY_MS, FIRST_DAY_MS + DAY_MS, Place)


def test_an_attempt_belongs_to_the_day_on_which_it_ended(path: Path):
    """As in the API's reports: one that began before midnight counts after it."""
    found = written(path, {"input_tokens": 3, "cost_pico": 5, "total_ms": 2.0}, started_ms=FIRST_DAY_MS - 1)

    assert found.booked == [Booked(PLACE, Terms(), Counts(input=3), 5)]


def test_what_another_organisation_pays_is_not_compared(path: Path):
    assert written(path, {"input_tokens": 3, "cost_pico": 0, "cost_problem": "other_payer"}).booked == []


def test_attempts_of_a_call_without_a_known_cost_have_none_either(path: Path):
    """They are in no sum, so none of them may be counted as paid; the call is missing once."""
    found = written(path, {"input_tokens": 3, "cost_pico": 5}, {"input_tokens": 4, "cost_pico": None}, cost_pico=None)

    assert found.booked == [Booked(PLACE, Terms(), Counts(input=7), None, unpriced=1)]


def test_each_model_that_took_part_in_an_answer_has_its_own_line(path: Path):
    kinds = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    hops = [{"model": model, "cost_pico": pico} | dict.fromkeys(kinds, 1) for model, pico in (("a", 2), (MODEL, 3))]

    found = written(path, {"cost_pico": 5, "hops": json.dumps(hops), "model_answered": MODEL})

    assert {line.place.model: line.cost_pico for line in found.booked} == {"a": 2, MODEL: 3}


def test_g14_an_item_that_was_cancelled_costs_nothing_and_is_there_under_the_key_of_its_batch(path: Path):
    written(path, {"cost_pico": 5})
    day = FIRST_DAY_MS + 2 * DAY_MS

    (line,) = of_days(path, "2026-02-18", "2026-02-18", day, day + DAY_MS, Place).booked

    assert line == Booked(Place("2026-02-18", "", "key2"), Terms("batch"), Counts(), 0)


def test_attempts_of_unknown_usage_are_named(path: Path):
    found = written(
        path, {"usage_source": "unknown", "error": "reset", "unconfirmed_pico": 9}, {"usage_source": "vendor"}
    )

    assert [(guess.attempt, guess.error, guess.unconfirmed_pico) for guess in found.guesses] == [(1, "reset", 9)]


def test_corrections_are_read_as_they_were_written(path: Path):
    written(path, {"cost_pico": 5})
    correction = Correction(Counts(1, -2, 3, -4, 5, 6), -7, "band", 8, 9)

    add_corrections(path, [(PLACE, correction)], made_ms=1, expected=0)

    assert read(path).corrected == [(PLACE, correction)]


def test_who_worked_out_corrections_from_what_is_no_longer_so_writes_nothing(path: Path):
    """Two at once would correct the same twice."""
    written(path, {"cost_pico": 5})
    add_corrections(path, [(PLACE, Correction(cost_pico=1))], made_ms=1, expected=0)

    with pytest.raises(LedgerError, match="somebody else"):
        add_corrections(path, [(PLACE, Correction(cost_pico=1))], made_ms=2, expected=0)

    assert len(read(path).corrected) == 1


# -- how far apart they were -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more_pico", "drift"),
    [(25, 0.2), (-20, 0.2), (0, 0.0), (None, 0.0)],
    ids=["report", "ledger", "tokens", "unpriced"],
)
def test_the_drift_of_a_day_is_a_share_of_the_larger_figure(path: Path, more_pico: int | None, drift: float):
    """Whichever of the two has more."""
    written(path, {"cost_pico": 100})
    add_corrections(path, [(PLACE, Correction(Counts(input=7), more_pico))], FIRST_DAY_MS, expected=0)

    assert last_drift(path, FIRST_DAY_MS) == drift


def test_what_was_not_compared_of_late_has_no_drift(path: Path):
    """A difference of last month is no news."""
    written(path, {"cost_pico": 100})
    assert last_drift(path, 0) is None
    add_corrections(path, [(PLACE, Correction(cost_pico=50))], FIRST_DAY_MS, expected=0)

    assert last_drift(path, FIRST_DAY_MS + DAY_MS) is None
