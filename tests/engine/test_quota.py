"""A user's and a session's own limit, in front of everything that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from headgate.call import Call
from headgate.config.schema import Config, LimitsConfig, PoolCeiling, UpstreamConfig, WorkflowConfig
from headgate.edge.answers import refused
from headgate.errors import Refused, Unavailable
from headgate.events import Outcome, Reason
from headgate.sim import SimSettings
from headgate.sim.settings import Limits
from support import world as worlds
from support.world import World, lanes


def config(workflows: dict[str, WorkflowConfig] | None = None, **limits: int) -> Config:
    return Config(upstream=UpstreamConfig(tier="scale"), limits=LimitsConfig(**limits), workflows=workflows or {})


def play(scene: Callable[[World], Awaitable[None]], *, config: Config) -> None:
    """In front of an account that has room for all."""
    worlds.play(scene, config=config, sim=SimSettings(limits=Limits(tier="scale")))


def call_of(world: World, user: str | None = None, session: str | None = None, **options: object) -> Call:
    call = world.make(**options)  # type: ignore[arg-type]
    call.record.user, call.record.session = user, session
    return call


async def sent(world: World, times: int, **who: object) -> list[Refused]:
    """The refusals of so many calls in a row."""
    found = []
    for _ in range(times):
        try:
            await world.send(call_of(world, **who))  # type: ignore[arg-type]
        except Refused as refusal:
            found.append(refusal)
    return found


def test_a_user_beyond_the_limit_is_refused_at_once_and_told_when_to_come_back():
    """A wait in a queue would be a wait for itself."""

    async def scene(world: World) -> None:
        (refusal,) = await sent(world, 4, user="ada")
        assert isinstance(refusal, Unavailable)
        assert (refusal.status, refusal.reason, world.now_s) == (429, Reason.USER_LIMIT, 0.0)
        assert refusal.retry_after_s is not None
        await asyncio.sleep(refusal.retry_after_s)
        assert await sent(world, 1, user="ada") == []

    play(scene, config=config(per_user_rpm=3))


def test_a_session_has_a_limit_of_its_own():
    """An agent that has run away is one session."""

    async def scene(world: World) -> None:
        (refusal,) = await sent(world, 3, user="ada", session="run-7")
        assert refusal.reason is Reason.SESSION_LIMIT
        assert await sent(world, 2, user="ada", session="run-8") == []

    play(scene, config=config(per_session_rpm=2))


def test_the_answer_steers_the_callers_sdk():
    """429 with the wait to the millisecond, and the word that it may try again."""

    async def scene(world: World) -> None:
        (refusal,) = await sent(world, 8, user="ada")
        status, headers, _ = refused(refusal, "call_1")
        assert status == 429
        assert {(b"x-should-retry", b"true"), (b"retry-after", b"9"), (b"retry-after-ms", b"8572")} <= set(headers)

    play(scene, config=config(per_user_rpm=7))


def test_a_refused_call_leaves_one_record_and_no_trace_elsewhere():
    """Nothing is queued, sent or spent for it, and the session's limit keeps its request (peers 7)."""

    async def scene(world: World) -> None:
        await sent(world, 2, user="ada", session="one")
        assert [(call.outcome, call.reason, call.attempts) for call in world.ledger.calls[1:]] == [
            (Outcome.SHED, Reason.USER_LIMIT, 0)
        ]
        assert await sent(world, 1, user="bob", session="one") == []

    play(scene, config=config(per_user_rpm=1, per_session_rpm=2))


def test_a_call_that_admission_refuses_is_given_back():
    """It was not sent, so it does not count (peers 7)."""
    busy = replace(
        config(per_user_rpm=2), lanes=lanes(max_wait_s=0.0),
        limits=LimitsConfig(per_user_rpm=2, pools={"sonnet-5.5": PoolCeiling(rpm=1)}),
    )  # fmt: skip

    async def scene(world: World) -> None:
        refusals = await sent(world, 5, user="ada")
        assert {refusal.reason for refusal in refusals} == {Reason.WAIT_TOO_LONG}

    play(scene, config=busy)


def test_a_call_that_was_sent_counts_whatever_came_of_it():
    """The API has counted it too."""

    async def scene(world: World) -> None:
        await sent(world, 2, user="ada", sim="error=400")
        (refusal,) = await sent(world, 1, user="ada")
        assert refusal.reason is Reason.USER_LIMIT

    play(scene, config=config(per_user_rpm=2))


def test_a_workflow_with_a_limit_of_its_own_is_counted_by_itself():
    """A chat may be bounded tighter than the rest; 0 lifts the bound."""
    own = {"chat": WorkflowConfig(per_user_rpm=1), "free": WorkflowConfig(per_user_rpm=0)}

    async def scene(world: World) -> None:
        assert len(await sent(world, 3, user="ada", workflow="chat")) == 2
        assert len(await sent(world, 3, user="ada", workflow="search")) == 1
        assert len(await sent(world, 3, user="ada", workflow="free")) == 0

    play(scene, config=config(own, per_user_rpm=2))


def test_calls_that_name_nobody_are_not_counted():
    """There is no user to hold to anything."""

    async def scene(world: World) -> None:
        assert await sent(world, 5) == []

    play(scene, config=config(per_user_rpm=1, per_session_rpm=1))


def test_the_user_of_the_body_is_as_good_as_one_of_a_header():
    """`metadata.user_id`, of which only a digest is kept."""

    async def scene(world: World) -> None:
        refusals = await sent(world, 2, body={"metadata": {"user_id": "ada"}})
        assert [refusal.reason for refusal in refusals] == [Reason.USER_LIMIT]
        assert "ada" not in str(refusals[0])

    play(scene, config=config(per_user_rpm=1))


def test_the_longer_of_two_waits_is_told():
    """Who comes back after the shorter one would be refused again."""

    async def scene(world: World) -> None:
        await sent(world, 1, user="ada", session="one")
        await sent(world, 1, user="ada", session="two")
        (refusal,) = await sent(world, 1, user="ada", session="two")  # ada may come in 30 s, her session in 60
        assert refusal.reason is Reason.SESSION_LIMIT
        assert refusal.retry_after_s == pytest.approx(60.0)

    play(scene, config=config(per_user_rpm=2, per_session_rpm=1))
