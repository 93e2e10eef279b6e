"""Callers are told what their user and their session have spent."""

from __future__ import annotations

from datetime import UTC, datetime

from headgate.call import Call
from headgate.core.spent import Earlier
from headgate.errors import LedgerError
from support.records import call
from support.world import World, play


def of_ann(world: World) -> Call:
    made = world.make()
    made.record.user, made.record.session = "ann", "s1"
    return made


def told(call: Call) -> tuple[int | None, int | None]:
    assert call.standing is not None
    return call.standing.user_pico, call.standing.session_pico


def test_what_was_spent_before_the_start_is_told_too():
    """The ledger knows it."""

    async def scene(world: World) -> None:
        before = world.engine.clock.unix_ms() - 1
        world.ledger.calls.append(call("call_0", started_ms=before, user="ann", session="s1", cost_pico=10**12))
        first, second = [await world.send(of_ann(world)) for _ in range(2)]

        cost = first.record.cost_pico
        assert cost
        assert told(first.call) == (10**12 + cost,) * 2
        assert told(second.call) == (10**12 + 2 * cost,) * 2

    play(scene)


def test_what_was_spent_yesterday_does_not_undo_what_is_spent_today():
    """A gateway that was started in the evening has its first call after midnight, and reads its ledger slowly."""

    async def scene(world: World) -> None:
        before = world.engine.clock.unix_ms() - 1
        world.ledger.calls.append(call("call_0", started_ms=before, user="ann", session="s1", cost_pico=10**12))
        read = world.ledger.spent_between

        async def slowly(since_ms: int, until_ms: int) -> list[Earlier]:
            await world.engine.clock.sleep(60)
            return await read(since_ms, until_ms)

        world.ledger.spent_between = slowly  # type: ignore[method-assign]
        await world.engine.clock.sleep(2 * 3600)
        first = await world.send(of_ann(world))
        await world.engine.clock.sleep(120)
        second = await world.send(of_ann(world))

        cost = first.record.cost_pico
        assert cost
        assert told(second.call) == (2 * cost, 10**12 + 2 * cost)

    play(scene, start=datetime(2026, 11, 21, 23, tzinfo=UTC))


def test_a_ledger_that_cannot_be_read_is_said_and_hurts_nobody(caplog):
    """The sums begin with this process then."""

    async def scene(world: World) -> None:
        async def fail(since_ms: int, until_ms: int) -> None:
            raise LedgerError("the ledger is damaged")

        world.ledger.spent_between = fail  # type: ignore[assignment, method-assign]
        answer = await world.send(of_ann(world))

        assert told(answer.call) == (answer.record.cost_pico,) * 2

    play(scene)

    assert "what users and sessions spent before this start is not told: the ledger is damaged" in caplog.text
