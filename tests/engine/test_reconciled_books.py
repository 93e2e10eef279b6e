"""The ledger against the invoice of the simulated API, where everything goes wrong and Headgate itself dies: equal to
the pico-dollar, or flagged as estimated and then reconciled with the API's own reports (G08, G09).

`python -m headgate.testing.money` tries a thousand seeds; a failing one is named with its command.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import msgspec
import pytest

from headgate.events import ErrorClass, UsageSource
from headgate.testing.money import audit, faulty_run

SEEDS = range(24)
run_of = lru_cache(maxsize=None)(faulty_run)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ledger_is_the_invoice_or_says_that_it_is_estimated_and_is_then_made_right(seed: int):
    found = audit(run_of(seed))

    assert found.problems == [], f"again: python -m headgate.testing.money --first {seed} --seeds 1"


def test_the_runs_meet_everything_that_makes_books_differ():
    """The claim above would be empty if nothing went wrong."""
    runs = [run_of(seed) for seed in SEEDS]
    calls = [call for run in runs for call in run.calls]
    attempts = [attempt for run in runs for attempt in run.attempts]

    met = {(attempt.usage_source, attempt.error) for attempt in attempts}

    assert {
        (UsageSource.VENDOR, None), (UsageSource.OBSERVED, ErrorClass.STREAM_CUT),
        (UsageSource.OBSERVED, ErrorClass.CANCELLED), (UsageSource.UNKNOWN, ErrorClass.RESET),
        (UsageSource.UNKNOWN, ErrorClass.CANCELLED), (UsageSource.NONE, ErrorClass.OVERLOADED),
    } <= met  # fmt: skip
    assert any(call.joined > 1 for call in calls)
    assert any(call.batch_id is not None for call in calls)
    assert any(call.attempts > 1 for call in calls)
    assert any(call.model != call.model_answered for call in calls if call.model_answered is not None)
    assert any(run.lost for run in runs)
    assert {item.result for run in runs for item in run.batch_items} >= {"succeeded", "canceled"}
    assert any(len({line.day for _, line in run.reports.used}) > 1 for run in runs), "some run past midnight"


def test_a_wrong_cost_is_found():
    """One pico-dollar too much in what the API itself told."""
    run = run_of(0)
    wrong = next(n for n, a in enumerate(run.attempts) if a.usage_source == UsageSource.VENDOR and a.cost_pico)
    attempts = list(run.attempts)
    attempts[wrong] = msgspec.structs.replace(attempts[wrong], cost_pico=(attempts[wrong].cost_pico or 0) + 1)

    found = audit(replace(run, attempts=attempts))

    assert any("in the ledger" in problem for problem in found.problems)


def test_an_attempt_that_vanished_is_found():
    """All that stands for what was billed has to be in the ledger."""
    run = run_of(0)

    found = audit(replace(run, calls=[], attempts=[], lost=[]))

    assert any("nothing in it says" in problem or "not told" in problem for problem in found.problems)
