"""Playing arrivals: open where they are given, closed where a turn waits for an answer, in whichever time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import pytest

from headgate.clock import LoopClock, ScaledClock
from headgate.load.play import Answer, Tally, play
from headgate.load.requests import Asking
from headgate.load.turns import Conversation, Piece, Turn
from headgate.load.wire import Wire
from headgate.sim.settings import Latency, Limits
from headgate.sim.virtual_time import EPOCH, memory_dial, run
from headgate.testing import SimSettings, VirtualWorld, virtual


def turn(name: str = "a", tokens: int = 50, **more: Any) -> Turn:
    return Turn(messages=((Piece(name, tokens),),), output_tokens=20, max_tokens=100, **more)


def played(*conversations: Conversation, takes_s: float = 1.0, speed: float = 1.0, **options: Any) -> tuple[Any, Tally]:
    """When each turn was asked, by its workflow; every answer takes `takes_s`."""

    async def main() -> tuple[Any, Tally]:
        clock = ScaledClock(speed, LoopClock(EPOCH))
        asked: list[tuple[str, float]] = []

        async def send(one: Turn) -> Answer:
            asked.append((one.workflow, round(clock.now_s(), 6)))
            await clock.sleep(takes_s)
            return Answer(200)

        tally = await play(conversations, send, clock, **options)
        return asked, tally

    return run(main())


def test_conversations_begin_at_their_times_whoever_is_slow():
    """An open loop: who comes does not know how busy it is."""
    asked, tally = played(*(Conversation(at_s, [turn()]) for at_s in (0.0, 1.0, 1.5)), takes_s=60.0)

    assert [at_s for _, at_s in asked] == [0.0, 1.0, 1.5]
    assert (tally.asked, tally.answered, tally.lasted_s) == (3, 3, 61.5)


@pytest.mark.parametrize(
    ("gap_s", "think_s", "takes_s", "second_at_s"),
    [
        (10.0, 0.0, 2.0, 10.0),  # not sooner than it was recorded
        (10.0, 0.0, 30.0, 30.0),  # and not before the answer
        (0.0, 5.0, 2.0, 7.0),  # who thinks begins when the answer is there
        (10.0, 5.0, 8.0, 13.0),
    ],
)
def test_a_follow_up_comes_only_after_its_answer(gap_s, think_s, takes_s, second_at_s):
    """A real user sends turn 2 only after the answer to turn 1; a slow answer delays all that follow."""
    asked, _ = played(Conversation(0.0, [turn(), turn(gap_s=gap_s, think_s=think_s)]), takes_s=takes_s)

    assert [at_s for _, at_s in asked] == [0.0, second_at_s]


def test_no_turn_is_asked_after_the_end_and_answers_are_waited_for():
    """Users without end stop at the end; what is under way then may finish."""
    endless: Iterator[Turn] = (turn(think_s=3.0) for _ in count())

    asked, tally = played(Conversation(0.0, endless), takes_s=4.0, until_s=20.0)

    assert [at_s for _, at_s in asked] == [3.0, 10.0, 17.0]
    assert (tally.answered, tally.unfinished, tally.lasted_s) == (3, 0, 21.0)


def test_what_never_ends_is_given_up():
    """After so much patience, and counted."""
    _, tally = played(Conversation(0.0, [turn()]), takes_s=1e6, until_s=10.0, patience_s=50.0)

    assert (tally.asked, tally.answered, tally.unfinished, tally.lasted_s) == (1, 0, 1, 60.0)


def test_arrivals_run_as_fast_as_the_clock():
    """Ten times the speed, beside a simulator at ten times its own."""
    asked, tally = played(Conversation(0.0, [turn()]), Conversation(50.0, [turn()]), speed=10)

    assert [at_s for _, at_s in asked] == [0.0, 50.0]
    assert round(tally.lasted_s, 6) == 51.0


def test_a_defect_of_the_sender_ends_the_run():
    """An exception is no answer, and must not be counted as one."""

    async def main() -> None:
        async def send(one: Turn) -> Answer:
            raise ZeroDivisionError

        await play([Conversation(0.0, [turn()]), Conversation(5.0, [turn()])], send, LoopClock(EPOCH))

    with pytest.raises(ZeroDivisionError):
        run(main())


# -- over the wire -----------------------------------------------------------------------------------------------------


def over_the_wire(
    scene: Callable[[VirtualWorld, Wire], Awaitable[Any]], asking: Asking | None = None, **options: Any
) -> Any:
    async def main(world: VirtualWorld) -> Any:
        wire = Wire(world.base_url, memory_dial, world.clock, asking or Asking(), api_key="k")
        try:
            return await scene(world, wire)
        finally:
            wire.close()

    return virtual(main, **options)


SLOW = SimSettings(latency=Latency(ttft_s=1.0, tokens_per_s=10, spread=0))


@pytest.mark.parametrize(("stream", "first_byte_s"), [(False, 2.9), (True, 1.0)])
def test_a_turn_is_asked_and_its_answer_measured(stream, first_byte_s):
    """20 tokens were wanted and 20 came; the first byte of a stream comes with its first token."""

    async def scene(world: VirtualWorld, wire: Wire) -> Answer:
        return await wire(turn(tokens=500))

    answer = over_the_wire(scene, Asking(stream=stream), settings=SLOW)

    assert (answer.status, answer.problem, answer.output_tokens) == (200, None, 20)
    assert round(answer.first_byte_s, 6) == first_byte_s
    assert 480 < answer.input_tokens < 520


@pytest.mark.parametrize("limits", [Limits(rpm=1), Limits(itpm=100)])
def test_a_failure_is_counted_by_its_kind(limits):
    """By what the API says it is."""

    async def scene(world: VirtualWorld, wire: Wire) -> Tally:
        return await play([Conversation(0.0, [turn(), turn(tokens=200)])], wire, world.clock)

    tally = over_the_wire(scene, settings=SimSettings(limits=limits))

    assert (tally.answered, dict(tally.failed)) == (1, {"429 rate_limit_error": 1})


def test_an_address_where_nobody_listens_is_a_failure_too():
    """And no exception: the run goes on."""

    async def main() -> Answer:
        wire = Wire("http://127.0.0.1:9", memory_dial, LoopClock(EPOCH), Asking(), api_key="k")
        return await wire(turn())

    assert run(main()) == Answer(0, "connect")


def test_equal_pieces_are_equal_text_and_meet_the_cache():
    """The stable part of a tool's prompts is written once and read from then on; the rest is new."""

    async def scene(world: VirtualWorld, wire: Wire) -> list[dict[str, int]]:
        for number in range(3):
            await wire(turn(f"question {number}", 300, system=(Piece("rules", 9_000),)))
        return [entry["tokens"] for entry in world.books()["entries"]]

    first, *later = over_the_wire(scene, Asking(mark_stable=True))

    assert first["cache_write_5m"] > 8_500
    assert [tokens["cache_read"] for tokens in later] == [first["cache_write_5m"]] * 2


@pytest.mark.parametrize(("short", "long"), [(5, 9), (40, 4_000), (20_000, 90_000)])
def test_a_longer_text_of_a_name_begins_as_a_shorter_one(short, long):
    """So that what one turn repeats of another is really the same."""
    asking = Asking()

    a, b = asking._text(Piece("session 7", short)), asking._text(Piece("session 7", long))

    assert b.startswith(a)
    assert len(a) < len(b)


def test_a_turn_says_who_it_is_for():
    """In Headgate's headers; the model is its own or the player's."""
    asked = turn(workflow="triage", lane="bulk", user="u", session="s", model="claude-opus-5-5", stream=True)
    asking = Asking()

    assert dict(asking.headers(asked)) == {
        b"x-headgate-workflow": b"triage", b"x-headgate-lane": b"bulk", b"x-headgate-user": b"u",
        b"x-headgate-session": b"s", b"x-sim": b"tokens=20",
    }  # fmt: skip
    assert msgspec.json.decode(asking.body(asked)).items() >= {"model": "claude-opus-5-5", "stream": True}.items()


def test_no_name_breaks_out_of_its_header():
    """A tenant of a trace may be called anything."""
    headers = dict(Asking().headers(turn(workflow="a\r\nx-api-key: b\u00e9")))

    assert headers[b"x-headgate-workflow"] == b"a??x-api-key: b?"


def test_an_hour_passes_in_virtual_time_through_the_gateway():
    """An hour of six turns a minute, each of four seconds; nobody waits for it."""
    arrivals = [Conversation(10.0 * number, [turn(str(number))]) for number in range(360)]

    async def scene(world: VirtualWorld, wire: Wire) -> tuple[Tally, float]:
        return await play(arrivals, wire, world.clock), world.now_s

    settings = SimSettings(latency=Latency(ttft_s=2.1, tokens_per_s=10, spread=0))
    tally, now_s = over_the_wire(scene, settings=settings, through="gateway")

    assert (tally.answered, round(now_s, 3)) == (360, 3_594.0)
    assert {round(took_s, 6) for took_s in tally.took_s} == {4.0}
