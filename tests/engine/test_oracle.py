"""Large prompts are counted before they are admitted, where little is known of their kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import pytest

from headgate.call import Call, Kind, Reply
from headgate.config.schema import Config, EstimatesConfig
from headgate.core.estimate import Estimator, Habit, size_of
from headgate.engine.filter import compose
from headgate.engine.load import load_catalog
from headgate.engine.oracle import LONGEST_S, QUIET_S, Ask, Oracle, ask_through
from headgate.errors import Unavailable
from headgate.events import Reason
from headgate.net.http import HeaderBlock
from headgate.records import AttemptRecord, CallRecord
from support.world import MODEL, World, play

T = TypeVar("T")


class Watched:
    """Remembers how counts came out."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def prompt_counted(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def estimate_error(self, pool: str, expected: tuple[float, float], actual: tuple[float, float]) -> None:
        raise AssertionError("no answer was seen here")


class Counter:
    """Something that counts, slowly."""

    def __init__(self, tokens: int | None = 90_000, takes_s: float = 0.1) -> None:
        self.tokens = tokens
        self.takes_s = takes_s
        self.asked: list[tuple[str, str | None]] = []

    async def __call__(self, call: Call) -> int | None:
        self.asked.append((call.record.workflow, call.record.model))
        await asyncio.sleep(self.takes_s)
        return self.tokens


class Passed:
    """A path on which only the oracle stands, and what came through."""

    def __init__(self, world: World, ask: Ask, **options: Any) -> None:
        self.world = world
        self.estimator = Estimator()
        clock = world.engine.clock
        options = {"from_tokens": 50_000} | options
        self.send = compose((Oracle(ask, self.estimator, load_catalog(), clock, **options),), self._arrive)
        self.at_s: list[float] = []

    async def _arrive(self, call: Call) -> Reply:
        self.at_s.append(self.world.now_s)
        return Reply(200, HeaderBlock())

    def habit(self, workflow: str = "test") -> Habit:
        return self.estimator.habit(workflow, MODEL, "claude-4.7")


def large(world: World, **options: Any) -> Call:
    """A call of some 60,000 tokens, sized as Guard would."""
    call = world.make(text=options.pop("text", "") + "word " * 40_000, **options)
    call.document = msgspec.json.decode(call.body)
    call.record.model = MODEL
    call.size = size_of(call.document, call.body)
    return call


def passing(scene: Callable[[Passed], Awaitable[T]], ask: Ask, **options: Any) -> T:
    """Run `scene` with an oracle that asks `ask`."""

    async def main(world: World) -> T:
        return await scene(Passed(world, ask, **options))

    return play(main)


def test_a_large_prompt_of_an_unknown_kind_is_counted():
    """For the call itself, and for others like it."""

    async def scene(path: Passed) -> tuple[int | None, float]:
        call = large(path.world)
        await path.send(call)
        return call.counted_tokens, path.habit().expect(call.size, None)[0]

    assert passing(scene, Counter(90_000)) == (90_000, pytest.approx(90_000, rel=0.02))


@pytest.mark.parametrize("why", ["small", "calibrated", "counted", "thread", "no message"])
def test_most_calls_are_not_counted(why):
    """A small prompt, one of a well-known kind, one that was counted already, or whose beginning the API holds."""
    counter = Counter()

    async def scene(path: Passed) -> None:
        call = large(path.world)
        if why == "small":
            call.size = 100_000
        elif why == "calibrated":
            for _ in range(3):
                path.habit().calibrate(10_000, 3_200)
        elif why == "counted":
            call.counted = (MODEL, 1)
        elif why == "thread":
            assert call.document is not None
            call.document["thread"] = {"type": "continue"}
        else:
            call.kind = Kind.COUNT_TOKENS
        await path.send(call)

    passing(scene, counter)

    assert counter.asked == []


def test_a_count_for_one_model_is_none_for_another():
    """Tokenizers differ (§11): a fallback to another model is counted anew."""
    counter = Counter()

    async def scene(path: Passed) -> None:
        call = large(path.world)
        await path.send(call)
        call.record.model = "claude-haiku-5-5"
        assert call.counted_tokens is None
        await path.send(call)

    passing(scene, counter)

    assert counter.asked == [("test", MODEL), ("test", "claude-haiku-5-5")]


def test_one_count_at_a_time_for_a_kind_of_call():
    """A thousand large calls at once ask once; the others go by the estimate and do not wait."""
    counter = Counter(takes_s=1)

    async def scene(path: Passed) -> list[float]:
        await asyncio.gather(*(path.send(large(path.world)) for _ in range(1_000)))
        return path.at_s

    at_s = passing(scene, counter)

    assert counter.asked == [("test", MODEL)]
    assert at_s == [0.0] * 999 + [1.0]


def test_kinds_of_calls_are_counted_side_by_side():
    """What is known of one workflow says nothing of another."""
    counter = Counter()

    async def scene(path: Passed) -> None:
        await asyncio.gather(*(path.send(large(path.world, workflow=name)) for name in "ab"))

    passing(scene, counter)

    assert counter.asked == [("a", MODEL), ("b", MODEL)]


def test_who_does_not_answer_is_not_waited_for():
    """Two seconds, then the estimate has to do; and for a while nobody asks again."""
    watched = Watched()
    counter = Counter(takes_s=3_600)

    async def scene(path: Passed) -> list[float]:
        for _ in range(2):
            await path.send(large(path.world))
        await asyncio.sleep(QUIET_S)
        await path.send(large(path.world))
        return path.at_s

    assert passing(scene, counter, observer=watched) == [LONGEST_S, LONGEST_S, 2 * LONGEST_S + QUIET_S]
    assert watched.outcomes == ["timeout", "timeout"]


def test_a_call_that_is_due_sooner_waits_no_longer_than_that():
    """Its deadline holds for the count as for every other wait."""

    async def scene(path: Passed) -> list[float]:
        call = large(path.world)
        call.deadline_s = 0.5
        await path.send(call)
        return path.at_s

    assert passing(scene, Counter(takes_s=3_600)) == [0.5]


def test_the_wait_is_not_counted_as_our_own_time():
    """It is the API's, as backing off is."""

    async def scene(path: Passed) -> float:
        call = large(path.world)
        await path.send(call)
        return call.backed_off_s

    assert passing(scene, Counter(takes_s=0.5)) == 0.5


def test_a_count_that_finds_no_room_is_no_refusal():
    """The limit of counts is its own: a call is not refused because of it."""

    async def ask(call: Call) -> int | None:
        raise Unavailable("no room", reason=Reason.WAIT_TOO_LONG, status=429, retry_after_s=9)

    async def scene(path: Passed) -> int:
        return (await path.send(large(path.world))).status

    assert passing(scene, ask) == 200


def test_a_caller_who_leaves_takes_its_count_along():
    """And the next call of its kind may ask."""
    counter = Counter(takes_s=1)

    async def scene(path: Passed) -> None:
        leaving = asyncio.create_task(path.send(large(path.world)))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await path.send(large(path.world))

    passing(scene, counter)

    assert len(counter.asked) == 2


# -- through the path of every call ----------------------------------------------------------------------------------


async def counted(world: World, call: Call) -> int | None:
    engine = world.engine
    return await ask_through(compose((engine._admit,), engine._upstream.send), engine.clock)(call)


def test_the_api_counts_what_it_would_read():
    """§11: of the request only the fields that a count takes; the simulator refuses any other."""

    async def scene(world: World) -> tuple[int | None, int]:
        system = [{"type": "text", "text": "You are terse. " * 100, "cache_control": {"type": "ephemeral"}}]
        call = large(world, stream=True, body={"system": system, "metadata": {"user_id": "u"}, "stop_sequences": ["x"]})
        tokens = await counted(world, call)
        record = (await world.send(call)).record
        return tokens, record.input_tokens + record.cache_write_5m_tokens

    tokens, truth = play(scene)

    assert tokens == truth


def test_a_count_is_neither_a_call_nor_an_attempt():
    """It is free, so nothing of it is written down; and it draws on the limit of counts."""

    async def scene(world: World) -> tuple[int, list[CallRecord], list[AttemptRecord], list[str]]:
        call = large(world)
        await counted(world, call)
        pools = [state.pool for state in world.engine.gates()]
        return len(call.attempts), world.ledger.calls, world.ledger.attempts, pools

    assert play(scene) == (0, [], [], [Kind.COUNT_TOKENS])


@pytest.mark.parametrize("sim", ["error=529", "reset", "html", "error-200"])
def test_a_count_that_fails_says_nothing(sim):
    """The estimate stands."""

    async def scene(world: World) -> int | None:
        return await counted(world, large(world, text=f"[[sim: {sim}]]"))

    assert play(scene) is None


def test_a_large_call_is_admitted_for_what_was_counted():
    """By the engine that everybody runs: the first call of a kind, of which nothing is known."""

    async def scene(world: World) -> tuple[int, int, int]:
        answer = await world.ask(text="\U0001f642 " * 50_000)
        record = answer.call.attempt.record
        return record.estimated_input_tokens, record.input_tokens, answer.record.attempts

    estimated, truth, attempts = play(scene)

    assert (estimated, attempts) == (truth, 1)


def test_prompts_are_not_counted_where_that_is_switched_off():
    """`estimates.count_from_tokens = 0`."""

    async def scene(world: World) -> int:
        return (await world.send(large(world))).call.counted_tokens or 0

    assert play(scene, config=Config(estimates=EstimatesConfig(count_from_tokens=0))) == 0
    assert play(scene) > 0
