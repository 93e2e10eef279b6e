"""The ledger against the invoice of the simulated API, where everything goes wrong and Headgate itself dies: equal to
the pico-dollar, or flagged as estimated and then reconciled with the API's own reports (G08, G09).

`python -m headgate.testing.money` tries a thousand seeds; a failing one is named with its command.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import lru_cache

import msgspec
import pytest

from headgate.clock import utc_day
from headgate.core.reconcile import Booked, Difference, Place, price_by, reconcile
from headgate.core.usage_report import Counts, Terms
from headgate.engine.load import load_prices
from headgate.events import ErrorClass, UsageSource
from headgate.records import AttemptRecord
from headgate.secret import Secret
from headgate.sim.virtual_time import memory_dial
from headgate.testing.money import audit, faulty_run
from headgate.upstream.admin_api import AdminApi
from headgate.upstream.usage_reports import read_reports
from support.world import MODEL, World, play

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


# -- keys apart from others on the account -----------------------------------------------------------------------------

OTHERS = "sk-ant-of-somebody-else"
DAY_S = 86_400.0


def own_share(*, told: bool) -> tuple[list[Difference], int]:
    """What differs a day after two of our calls, one of them cut, and one that somebody else made with a key of their
    own; and what our calls cost by the API's books.  `told`: with the id of our key."""

    async def scene(world: World) -> tuple[list[Difference], int]:
        await world.ask()
        await world.ask("cut=1", stream=True)
        assert (await world.ask(own_key=OTHERS)).ok
        *ours, theirs = world.sim.world.books.entries
        assert theirs.key_id not in {entry.key_id for entry in ours}
        names = {ours[0].key_id: "default"} if told else {}
        await asyncio.sleep(2 * DAY_S)
        api = AdminApi(world.engine.config.upstream.base_url, Secret("sk-ant-admin01-x"), memory_dial)
        day = utc_day(world.engine.clock.unix_ms() - 2 * 86_400_000)
        reports = await read_reports(api, day, day, names)
        api.close()
        booked = [
            Booked(Place(str(day), MODEL, "default" if told else ""), Terms(), _counts(attempt), attempt.cost_pico)
            for attempt in world.ledger.attempts
            if attempt.credential == "default"
        ]
        return (
            reconcile(booked, [], reports.used, reports.billed, price_by(load_prices(None))),
            sum(entry.cost_pico for entry in ours),
        )

    return play(scene)


def _counts(attempt: AttemptRecord) -> Counts:
    return Counts(
        attempt.input_tokens, attempt.output_tokens, attempt.cache_read_tokens, attempt.cache_write_5m_tokens,
        attempt.cache_write_1h_tokens,
    )  # fmt: skip


def test_with_the_id_of_our_key_only_what_was_done_with_it_is_compared():
    """To the pico-dollar, at the price book's price."""
    (difference,), invoice_pico = own_share(told=True)

    assert difference.reported_pico == invoice_pico
    assert difference.booked_pico + (difference.correction.cost_pico or 0) == invoice_pico


def test_without_it_what_others_use_shows_as_a_drift():
    (difference,), invoice_pico = own_share(told=False)

    assert (difference.reported_pico or 0) > invoice_pico
    assert "cost" in [name for name, _, _ in difference.drifts]
