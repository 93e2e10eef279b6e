"""What the meter tells of an attempt while it runs and when it is over."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from headgate.call import Attempt, Call, Reply
from headgate.engine.filter import Proceed
from headgate.engine.message_stream import GROWTH_TOKENS
from headgate.engine.meter import Meter
from headgate.records import CallRecord
from headgate.sim import SimSettings
from headgate.sim.settings import Billing
from headgate.telemetry.metrics.calls import Calls
from headgate.usage import Hop
from support.world import World, play

MARK = {"type": "ephemeral"}
HANDBOOK = "The gate at the head of a canal decides how much of the river enters, and who gets it first. " * 400


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str, Any]]:
    """What admission would be told, with the time: of every attempt, in order."""
    seen: list[tuple[float, str, Any]] = []
    meter = Meter.__call__

    async def watched(self: Meter, call: Call, proceed: Proceed) -> Reply:
        attempt = call.attempts[-1]
        attempt.on_begun = lambda: seen.append((now_s(), "begun", counted(attempt)))
        attempt.on_growth = lambda tokens: seen.append((now_s(), "growth", tokens))
        return await meter(self, call, proceed)

    monkeypatch.setattr(Meter, "__call__", watched)
    return seen


def now_s() -> float:
    return asyncio.get_running_loop().time()


def counted(attempt: Attempt) -> int | None:
    facts = attempt.facts
    return facts.usage.counted_input if facts is not None and facts.usage is not None else None


@pytest.mark.parametrize("stream", [True, False])
def test_the_true_input_is_told_when_the_answer_begins(told, stream):
    """Not at its end: until then the limits would go by an estimate.  Once, and before a stream's content."""

    async def scene(world: World) -> int:
        answer = await world.ask(stream=stream, text=HANDBOOK)
        return answer.call.attempt.record.input_tokens

    truth = play(scene)

    assert [(what, input_) for _, what, input_ in told] == [("begun", truth)]


def test_a_stream_begins_long_before_it_ends(told):
    """What it writes into the prompt cache can be read by others from then on (§9.8)."""

    async def scene(world: World) -> float:
        await world.ask("drip=200:50", stream=True)
        return now_s()

    over_s = play(scene)

    assert told[0][0] < 1 < 9 < over_s


@pytest.mark.parametrize("sim", ["error=529", "reset", "error=400"])
def test_what_is_not_answered_has_not_begun(told, sim):
    """Nor has it written anything into the prompt cache."""

    async def scene(world: World) -> None:
        await world.ask(sim, stream=True)

    play(scene)

    assert told == []


def test_a_stream_that_outgrows_what_it_was_admitted_for_tells_so(told):
    """The API counts output as it is made (§8.1): a long answer must not come as a surprise at its end."""

    async def scene(world: World) -> tuple[int, int]:
        answer = await world.ask("drip=2000:10", stream=True, max_tokens=4_000)
        record = answer.call.attempt.record
        return record.estimated_output_tokens, record.output_tokens

    admitted_for, output = play(scene)
    grown = [tokens for _, what, tokens in told if what == "growth"]

    assert admitted_for < grown[0] < admitted_for + 10
    assert all(0 < later - earlier <= GROWTH_TOKENS + 10 for earlier, later in pairwise(grown))
    assert output - GROWTH_TOKENS <= grown[-1] <= output


def test_a_stream_that_keeps_within_it_tells_nothing(told):
    """Which is most of them."""

    async def scene(world: World) -> None:
        await world.ask("drip=100:10", stream=True, max_tokens=4_000)

    play(scene)

    assert [what for _, what, _ in told] == ["begun"]


# -- who pays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bill_to", "ours"), [("user_profile", False), ("self", True)])
@pytest.mark.parametrize("sim", ["", "cut=2"])
def test_what_another_organisation_is_billed_for_is_no_cost_of_ours(bill_to, ours, sim):
    """§3: and it is marked, so that nobody takes it for free.  Its tokens count as ever: the limits are ours."""

    async def scene(world: World) -> CallRecord:
        body = {"billing_policy": {"type": "billing_policy", "bill_to": bill_to}}
        call = world.make(sim, stream=True, body=body)
        call.headers += [
            (b"anthropic-beta", b"user-profiles-billing-2026-10-01"), (b"anthropic-user-profile-id", b"uprof_1"),
        ]  # fmt: skip
        return (await world.send(call)).record

    record = play(scene, sim=SimSettings(billing=Billing(profiles={"uprof_1": "org_of_the_customer"})))

    assert record.output_tokens > 0
    assert ((record.cost_pico or 0) > 0, record.cost_problem) == (ours, None if ours else "other_payer")
    assert record.unconfirmed_pico == 0


# -- how good estimates are ------------------------------------------------------------------------------------------


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[float, float], tuple[float, float]]]:
    """What was expected and what came, of every estimate that is told."""
    seen: list[tuple[str, tuple[float, float], tuple[float, float]]] = []
    monkeypatch.setattr(Calls, "estimate_error", lambda self, *told: seen.append(told))
    return seen


@pytest.mark.parametrize("stream", [True, False])
def test_e12_the_error_of_every_estimate_is_told(errors, stream):
    """E12: what the call was admitted for, and what the limits counted, for input and output."""

    async def scene(world: World) -> Any:
        return (await world.ask("tokens=50", stream=stream, text=HANDBOOK)).call.attempt.record

    record = play(scene)

    expected = (record.estimated_input_tokens, record.estimated_output_tokens)
    assert errors == [("sonnet-5.5", expected, (record.input_tokens, 50))]


@pytest.mark.parametrize("sim", ["cut=5", "error=500", "no-usage", "bad-usage=huge"])
def test_an_answer_that_is_not_whole_says_nothing_of_estimates(errors, sim):
    """What it used is not known for certain."""

    async def scene(world: World) -> None:
        await world.ask(sim, stream=True)

    play(scene)

    assert errors == []


# -- what each model used --------------------------------------------------------------------------------------------

FALLS_BACK = {"fallbacks": [{"model": "claude-opus-5"}]}


def test_each_hop_of_a_fallback_is_told_with_its_model():
    """§5.2: each draws on its own model's limits."""

    async def scene(world: World) -> list[Hop]:
        call = world.make("refusal-mid", model="claude-opus-5-5", body=FALLS_BACK)
        call.headers.append((b"anthropic-beta", b"server-side-fallback-2026-07-01"))
        answer = await world.send(call)
        facts = answer.call.attempt.facts
        assert facts is not None
        return facts.hops("claude-opus-5-5")

    hops = play(scene)

    assert [hop.model for hop in hops] == ["claude-opus-5-5", "claude-opus-5"]
    assert all(hop.counted_input > 0 for hop in hops)


@pytest.mark.parametrize("sim", ["refusal", "refusal-mid", "refusal-mid; declines=2"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_ledger_says_what_each_model_used_and_cost(sim, stream):
    """It adds up to what the attempt used and cost, and that is what the API's books say."""

    async def scene(world: World) -> tuple[Any, int]:
        body = {"fallbacks": [{"model": "claude-opus-5"}, {"model": "claude-opus-4-8"}]}
        call = world.make(sim, model="claude-opus-5-5", stream=stream, body=body)
        call.headers.append((b"anthropic-beta", b"server-side-fallback-2026-07-01"))
        record = (await world.send(call)).call.attempt.record
        (booked,) = world.sim.world.books.entries
        return record, booked.cost_pico

    record, booked_pico = play(scene)
    hops = msgspec.json.decode(record.hops)

    assert [hop.pop("model") for hop in hops][-1] == record.model_answered
    assert {key: sum(hop[key] for hop in hops) for key in hops[0]} == {key: getattr(record, key) for key in hops[0]}
    assert record.cost_pico == booked_pico


def test_a_plain_answer_is_one_hop():
    """Of the model that answered."""

    async def scene(world: World) -> tuple[list[Hop], Any]:
        call = (await world.ask()).call
        facts = call.attempt.facts
        assert facts is not None
        return facts.hops("claude-sonnet-5-5"), call.attempt.record

    (hop,), record = play(scene)

    assert hop == Hop("claude-sonnet-5-5", record.input_tokens, record.output_tokens, 0)


def test_a_model_that_took_over_does_not_spoil_the_habit_of_the_one_that_was_asked():
    """Its tokens are its own."""

    async def scene(world: World) -> tuple[float, float]:
        bytes_ = []
        for sim in ("", "refusal-mid"):
            call = world.make(sim, model="claude-opus-5-5", text=HANDBOOK, body=FALLS_BACK)
            call.headers.append((b"anthropic-beta", b"server-side-fallback-2026-07-01"))
            await world.send(call)
            habit = call.attempt.habit
            assert habit is not None
            bytes_.append(habit.tokens_per_byte)
        return bytes_[0], bytes_[1]

    before, after = play(scene)

    assert after == pytest.approx(before, rel=0.02)


def test_a_request_for_no_answer_says_nothing_of_how_long_answers_are():
    """Headgate keeps prompts alive by such requests (`max_tokens: 0`), several an hour: what it holds of limits and of
    budgets for an answer must not shrink by them.  What it shows of the prompt's size is learned."""

    async def scene(world: World) -> tuple[tuple[float, float], tuple[float, float], int]:
        habit = (await world.ask("tokens=50")).call.attempt.habit
        assert habit is not None
        before, seen = (habit.output, habit.spread), habit.observations
        for _ in range(3):
            await world.ask(max_tokens=0)
        return before, (habit.output, habit.spread), habit.observations - seen

    before, after, seen = play(scene)

    assert after == before
    assert seen == 3
