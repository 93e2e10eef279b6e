"""Instructions are in the cache when their users come, if their hours are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.json import decode

from headgate.config.schema import BudgetConfig, Config, LogConfig, WorkflowConfig
from headgate.sim import SimSettings
from headgate.sim.scenario.plan import Cue, Phase, Scenario
from headgate.sim.settings import TYPICAL_LATENCY
from support.exposed import series
from support.world import lanes, play

MODEL = "claude-sonnet-5"
HANDBOOK = "Answer by the handbook of the house, in one word. " * 500
HOUR_S = 3_600.0
SUNDAY = datetime(2026, 11, 15, tzinfo=UTC)
OFFICE = Config(workflows={"w": WorkflowConfig(keep_warm=("Mon-Fri 08:00-18:00",))})


async def ask(world, number: Any = 0, **options: Any):
    fields = {"system": HANDBOOK, "messages": [{"role": "user", "content": f"question {number}"}]}
    answer = await world.ask(model=MODEL, workflow="w", body=fields | options.pop("body", {}), **options)
    assert answer.ok
    return answer


async def until(world, hour):
    """Wait until so many hours after Sunday midnight."""
    await world.engine.clock.sleep(hour * HOUR_S - world.now_s)


async def a_week(world):
    """Three questions an hour in the hours of an office, Monday to Friday; two the day before, when it is set up."""
    for number in range(2):
        await ask(world, number)
    asked = []
    for day in range(1, 6):
        for number in range(30):
            await until(world, 24 * day + 8.1 + number / 3)
            asked.append(await ask(world, f"{day}/{number}"))
    return asked, world


def own(world):
    """Requests that Headgate made."""
    return [call for call in world.ledger.calls if call.own == "keep_warm"]


def in_office(scene, config=OFFICE, **options):
    return play(scene, config=config, start=SUNDAY, **options)


def test_every_call_of_the_day_reads_what_was_written_when_the_day_began():
    """The first one too, and those that come when five minutes have long passed."""
    asked, _ = in_office(a_week)

    assert {answer.record.cache_read_tokens > 4_000 for answer in asked} == {True}


def test_a_workflow_with_few_calls_costs_a_quarter_by_it():
    """Three calls an hour can never stake a write from their own savings; their user can."""

    async def invoice(world):
        await a_week(world)
        return world.sim.world.books.totals.cost_pico

    assert in_office(invoice) < 0.25 * in_office(invoice, config=Config())


def test_the_first_call_of_the_day_waits_less_for_its_answer():
    """What is read from the cache need not be read by the model."""

    async def first_of_the_day(world):
        asked, _ = await a_week(world)
        return sum(asked[30 * day].record.total_ms for day in range(5))

    sim = replace(SimSettings(), latency=TYPICAL_LATENCY)
    assert in_office(first_of_the_day, sim=sim) < 0.95 * in_office(first_of_the_day, config=Config(), sim=sim)


def test_each_request_is_a_call_of_the_workflow_with_a_record():
    """In lane `bulk`, for no answer, at the price of a write."""

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 24 + 8.5)
        return own(world)

    (call,) = in_office(scene)

    assert (call.workflow, call.lane, call.max_tokens, call.output_tokens) == ("w", "bulk", 0, 0)
    assert call.cache_write_1h_tokens > 4_000
    assert call.cost_pico > 0


def test_it_is_asked_when_the_hours_begin_and_each_hour_in_which_nobody_came():
    """Nine times a tenth of it are less than to write it twice; and never by night."""

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 48)
        return own(world)

    calls = in_office(scene)

    hours = [(call.started_ms / 1000 - SUNDAY.timestamp()) / HOUR_S - 24 for call in calls]
    assert hours == pytest.approx([8 + n * 59 / 60 for n in range(11)], abs=0.1)
    assert [call.cache_write_1h_tokens > 0 for call in calls] == [True] + [False] * 10
    assert all(call.cache_read_tokens for call in calls[1:])


def test_what_nobody_asks_for_any_more_is_let_go():
    """After twelve requests in vain."""

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 24 * 7)
        return own(world)

    assert len(in_office(scene)) == 12


def test_what_changes_with_every_call_is_not_kept():
    """Only what two calls had in common: here nothing."""

    async def scene(world):
        for number in range(5):
            await ask(world, body={"system": f"It is {number} o'clock. " + HANDBOOK})
        await until(world, 48)
        return own(world)

    assert in_office(scene) == []


def test_without_hours_headgate_asks_nothing_of_its_own():
    """Nobody but the user knows that somebody will come."""

    async def scene(world):
        await a_week(world)
        return own(world)

    assert in_office(scene, config=Config()) == []


@pytest.mark.parametrize(
    ("opens", "minutes"),
    [(("00:00-08:00", "08:05-24:00"), [10, 69]), (("00:00-08:50", "09:01-24:00"), [0, 69])],
    ids=["write", "renewal"],
)
def test_what_could_not_be_asked_is_asked_ten_minutes_later(opens, minutes):
    """The lane was closed when it was due, so the cache holds what it did before, and no longer."""
    bulk = replace(Config().lanes["bulk"], open=tuple(f"Mon-Sun {each}" for each in opens))
    config = replace(OFFICE, lanes={**lanes(), "bulk": bulk})

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 24 + 9.5)
        return [call for call in own(world) if call.attempts]

    calls = in_office(scene, config=config)

    asked = [(call.started_ms / 1000 - SUNDAY.timestamp()) / 60 - (24 + 8) * 60 for call in calls]
    assert asked == pytest.approx(minutes, abs=1.5)


def test_a_budget_that_is_spent_keeps_nothing_warm():
    """It is refused like any call, and costs nothing."""
    config = replace(OFFICE, budgets={"w": BudgetConfig(usd="0.04", window="month", workflow="w")})

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 48)
        return [call for call in world.ledger.calls if call.max_tokens == 0]

    calls = in_office(scene, config=config)

    assert {(call.own, call.cost_pico, call.status, call.reason) for call in calls} == {("keep_warm", 0, 429, "budget")}


def test_its_text_is_not_kept():
    """What is kept is what somebody asked and was answered; evals have no use for a prompt without an answer."""

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 24 + 8.5)
        assert own(world)
        return ["content" in decode(line) for line in world.log.lines if decode(line)["event"] == "call"]

    config = replace(OFFICE, log=LogConfig(content="hashed"))
    assert in_office(scene, config=config) == [True, True, False]


def test_what_it_costs_is_in_every_sum_and_its_calls_are_in_none():
    """Budgets, metrics and the ledger have the same money; calls are those that somebody made."""

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 24 + 10.5)
        (account,) = world.engine.budgets.desk.accounts()
        names = ("headgate_cost_usd_total", "headgate_requests_total", "headgate_own_requests_total")
        return world.ledger.calls, account.really_spent, [series(world.engine.metrics, name) for name in names]

    calls, settled, (cost, requests, own_requests) = in_office(scene, config=replace(OFFICE, budgets={"w": BudgetConfig(
        usd="9", window="month", workflow="w")}))  # fmt: skip

    by_own = {name: sum(call.cost_pico for call in calls if call.own == name) for name in (None, "keep_warm")}
    assert settled == sum(by_own.values())
    assert by_own["keep_warm"]
    assert cost == pytest.approx({"workflow=w": by_own[None] / 1e12, "workflow=(headgate)": by_own["keep_warm"] / 1e12})
    assert requests == {"workflow=w,lane=standard,outcome=ok": 2}
    assert own_requests == {"own=keep_warm,outcome=ok": 3}


def test_a_request_that_was_tried_again_says_so_and_is_still_headgates_own():
    """Whose request it is, and what was decided of it, are two things."""

    async def scene(world):
        for number in range(2):
            await ask(world, number)
        await until(world, 24 + 8.5)
        return own(world)

    eight_s = 32 * HOUR_S
    fails = Phase(begin=eight_s - 1, end=eight_s + 0.2, cues=(Cue(do=("error=529",), model=MODEL),))
    call, *_ = in_office(scene, scenario=Scenario(name="", about="", phases=(fails,)))

    assert (call.own, call.reason, call.outcome) == ("keep_warm", "retried", "ok")
    assert call.attempts > 1


def test_no_answer_is_none_that_was_cut():
    """The API says `max_tokens` of it, which reports and alerts would take for an answer that lacks its end."""

    async def scene(world):
        await ask(world, max_tokens=0)
        return world.ledger.calls[-1], world.ledger.attempts[-1]

    call, attempt = in_office(scene)

    assert (call.stop_reason, attempt.stop_reason) == (None, "max_tokens")


# -- asked for by the caller -------------------------------------------------------------------------------------------


def test_a_request_for_no_answer_fills_the_cache():
    """Before a run of many calls, say: it needs no marker of its own, and the first of them reads."""

    async def scene(world):
        await ask(world, body={"max_tokens": 0})
        return await ask(world, 1)

    assert play(scene).record.cache_read_tokens > 4_000


def test_a_request_for_no_answer_with_a_long_document_fills_the_cache_with_it_too():
    """Where what follows the instructions is longer than they are."""
    told = [{"role": "user", "content": [{"type": "text", "text": HANDBOOK * 3}]}]

    async def scene(world):
        await ask(world, body={"max_tokens": 0, "messages": told})
        return await ask(world, body={"messages": [
            {"role": "user", "content": [*told[0]["content"], {"type": "text", "text": "Why?"}]}]})  # fmt: skip

    assert play(scene).record.cache_read_tokens > 16_000
