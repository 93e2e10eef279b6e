"""Large prompts are counted before they are admitted, where little is known of their kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import pytest

from headgate.call import Call, Kind
from headgate.core.estimate import Habit, size_of
from headgate.engine.filter import compose
from headgate.engine.oracle import LONGEST_S, QUIET_S, Ask, Oracle, ask_through
from headgate.errors import Unavailable
from headgate.events import Reason
from headgate.records import AttemptRecord, CallRecord
from support.world import World, play

T = TypeVar("T")


class Watched:
    """Remembers how counts came out."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def prompt_counted(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def estimate_error(self, pool: str, what: str, expected: float, actual: float) -> None:
        raise AssertionError("no answer was seen here")


class Counter:
    """Something that counts, slowly."""

    def __init__(self, tokens: int | None, takes_s: float = 0.1) -> None:
        self.tokens = tokens
        self.takes_s = takes_s
        self.asked: list[str | None] = []

    async def __call__(self, call: Call) -> int | None:
        self.asked.append(call.record.model)
        await asyncio.sleep(self.takes_s)
        return self.tokens


def large(world: World, **options: Any) -> Call:
    """A call of some 60,000 tokens, sized as Guard would."""
    call = world.make(text=options.pop("text", "") + "word " * 40_000, **options)
    call.document = msgspec.json.decode(call.body)
    call.record.model = call.document["model"]
    call.size = size_of(call.document, call.body)
    return call


def asking(scene: Callable[[World, Oracle], Awaitable[T]], ask: Ask, **options: Any) -> T:
    """Run `scene` with an oracle that asks `ask`."""

    async def main(world: World) -> T:
        return await scene(world, Oracle(ask, world.engine.clock, from_tokens=50_000, **options))

    return play(main)


def test_a_large_prompt_of_an_unknown_kind_is_counted():
    """For the call itself, and for others like it."""
    habit = Habit(0.3)

    async def scene(world: World, oracle: Oracle) -> tuple[bool, Call]:
        call = large(world)
        wanted = oracle.wants(call, habit)
        await oracle.count(call, habit)
        return wanted, call

    wanted, call = asking(scene, Counter(90_000))

    assert wanted
    assert call.counted_tokens == 90_000
    assert habit.expect(call.size, None, served=0)[0] == pytest.approx(90_000, rel=0.02)


@pytest.mark.parametrize("why", ["small", "calibrated", "counted", "thread", "switched off"])
def test_most_calls_are_not_counted(why):
    """A small prompt, one of a well-known kind, one that was counted already, or whose beginning the API holds."""

    async def scene(world: World, oracle: Oracle) -> bool:
        call = large(world)
        habit = Habit(0.3)
        if why == "small":
            call.size = 100_000
        elif why == "calibrated":
            for _ in range(3):
                habit.calibrate(10_000, 3_000)
        elif why == "counted":
            call.counted = (call.record.model, 1)
        elif why == "thread":
            assert call.document is not None
            call.document["thread"] = {"type": "continue"}
        else:
            oracle = Oracle(Counter(1), world.engine.clock, from_tokens=0)
        return oracle.wants(call, habit)

    assert not asking(scene, Counter(1))


def test_a_count_for_one_model_is_none_for_another():
    """Tokenizers differ (§11): a fallback to another model is counted anew."""

    async def scene(world: World, oracle: Oracle) -> tuple[int | None, bool]:
        call, habit = large(world), Habit(0.3)
        await oracle.count(call, habit)
        call.record.model = "claude-haiku-4-5"
        return call.counted_tokens, oracle.wants(call, Habit(0.3))

    assert asking(scene, Counter(90_000)) == (None, True)


def test_one_count_at_a_time_for_a_kind_of_call():
    """A thousand large calls at once ask once; the others go by the estimate and do not wait."""
    counter = Counter(90_000)

    async def scene(world: World, oracle: Oracle) -> list[bool]:
        habit = Habit(0.3)
        first = asyncio.create_task(oracle.count(large(world), habit))
        await asyncio.sleep(0.01)
        wanted = [oracle.wants(large(world, workflow=name), habit) for name in ("test", "another")]
        await first
        return wanted

    assert asking(scene, counter) == [False, True]


def test_who_does_not_answer_is_not_waited_for():
    """Two seconds, then the estimate has to do; and for a while nobody asks again."""
    watched = Watched()

    async def scene(world: World, oracle: Oracle) -> tuple[float, int | None, list[bool]]:
        call, habit = large(world), Habit(0.3)
        await oracle.count(call, habit)
        waited_s = world.now_s
        wanted = [oracle.wants(call, habit)]
        await asyncio.sleep(QUIET_S)
        return waited_s, call.counted_tokens, [*wanted, oracle.wants(call, habit)]

    assert asking(scene, Counter(1, takes_s=3_600), observer=watched) == (LONGEST_S, None, [False, True])
    assert watched.outcomes == ["timeout"]


def test_the_wait_is_not_counted_as_our_own_time():
    """It is the API's, as backing off is."""

    async def scene(world: World, oracle: Oracle) -> float:
        call = large(world)
        await oracle.count(call, Habit(0.3))
        return call.backed_off_s

    assert asking(scene, Counter(1, takes_s=0.5)) == 0.5


def test_a_count_that_finds_no_room_is_no_refusal():
    """The limit of counts is its own: a call is not refused because of it."""

    async def ask(call: Call) -> int | None:
        raise Unavailable("no room", reason=Reason.WAIT_TOO_LONG, status=429, retry_after_s=9)

    async def scene(world: World, oracle: Oracle) -> int | None:
        call = large(world)
        await oracle.count(call, Habit(0.3))
        return call.counted_tokens

    assert asking(scene, ask) is None


def test_a_caller_who_leaves_takes_its_count_along():
    """And the next call of its kind may ask."""

    async def scene(world: World, oracle: Oracle) -> bool:
        habit = Habit(0.3)
        leaving = asyncio.create_task(oracle.count(large(world), habit))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.sleep(QUIET_S)
        return oracle.wants(large(world), habit)

    assert asking(scene, Counter(1, takes_s=1))


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
