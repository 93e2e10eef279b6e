"""Virtual time: the loop itself, and a world that the official SDK plays in without sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import Any

import anthropic
import pytest

from headgate.clock import utc
from headgate.sim.scenario import load_scenario
from headgate.sim.virtual_time import EPOCH, run
from headgate.testing import RealTimeUsed, SimSettings, VirtualWorld, virtual
from support.sdk import asking

THROUGH = ("nothing", "gateway", "library")


def test_timers_are_met_after_years():
    """However large the clock's figure has grown, a timer is reached: the loop never turns without time passing."""

    async def scene() -> float:
        await asyncio.sleep(3 * 365 * 86_400 + 1 / 3)
        start_s = asyncio.get_running_loop().time()
        for _ in range(100):
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time() - start_s

    assert round(run(scene()), 3) == 10


def test_what_is_meant_for_a_thread_runs_here_and_now():
    """A thread would bring the machine's pace in; its work is done at once and its failures arrive."""

    async def scene() -> tuple[threading.Thread, float]:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(threading.current_thread), asyncio.get_running_loop().time()

    assert run(scene()) == (threading.current_thread(), 0.0)


def test_no_name_is_looked_up():
    """The machine's resolver would answer in its own time, and on some machines with something else."""

    async def scene() -> Any:
        return await asyncio.get_running_loop().getaddrinfo("api.anthropic.com", 443)

    assert run(scene()) == [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 443))]


@pytest.mark.parametrize("through", THROUGH)
def test_the_official_client_plays_in_it(through):
    """Whole and streamed answers of the async client, directly and through both ways into Headgate, take as long as
    the simulator says, to the microsecond."""

    async def scene(world: VirtualWorld) -> tuple[str, str, float]:
        client = world.client(max_retries=0)
        whole = await client.messages.create(**asking("[[sim: drip=10:100]]"))
        took_s = world.now_s
        async with client.messages.stream(**asking("[[sim: drip=10:100]]")) as stream:
            streamed = await stream.get_final_message()
        assert round(world.now_s, 3) == round(2 * took_s, 3)
        return whole.content[0].text, streamed.content[0].text, round(took_s, 6)

    whole, streamed, took_s = virtual(scene, through=through)

    assert (whole, took_s) == (streamed, 0.9)


def test_the_clients_own_waits_pass_in_virtual_time():
    """Two tries that meet a 529 and one that is well: the SDK's backoff is waited for, and is the seed's."""

    async def scene(world: VirtualWorld) -> float:
        await world.client(max_retries=2).messages.create(**asking("[[sim: flaky=2:529]]"))
        return world.now_s

    first, again, other = virtual(scene, seed=1), virtual(scene, seed=1), virtual(scene, seed=2)

    assert 1.0 < first < 2.0  # 0.5 s and 1 s, each less a quarter at most
    assert again == first != other


def test_a_retry_after_that_is_a_date_is_met():
    """The SDK reads the clock of the standard library for it, which stands in for the run's own."""

    async def scene(world: VirtualWorld) -> float:
        await world.client(max_retries=1).messages.create(
            **asking('[[sim: flaky=1:429; retry-after="Sat, 21 Nov 2026 08:00:30 GMT"]]')
        )
        return world.now_s

    assert virtual(scene, epoch=EPOCH) == 30.0


def test_a_client_whose_patience_ends_gets_its_own_timeout():
    """Ten minutes, in no time."""

    async def scene(world: VirtualWorld) -> float:
        with pytest.raises(anthropic.APITimeoutError):
            await world.client(max_retries=0).messages.create(**asking("[[sim: hang]]"))
        return world.now_s

    assert virtual(scene) == 600.0


def test_a_stream_that_breaks_off_breaks_off_for_the_client():
    """A cut is no clean end (§18)."""

    async def scene(world: VirtualWorld) -> None:
        async with world.client(max_retries=0).messages.stream(**asking("[[sim: cut=2]]")) as stream:
            async for _ in stream:
                pass

    with pytest.raises(Exception, match="closed the connection in the middle") as caught:
        virtual(scene)
    assert type(caught.value).__module__.startswith(("httpx", "anthropic"))


def test_a_failure_says_its_seed_and_its_time():
    """Ready to be replayed."""

    async def scene(world: VirtualWorld) -> None:
        await asyncio.sleep(12)
        raise AssertionError("of the test's own")

    with pytest.raises(AssertionError, match="of the test's own") as caught:
        virtual(scene, seed=20_261_121)

    assert caught.value.__notes__ == ["in a virtual run with seed=20261121, at 12.000 s"]


def test_a_run_that_would_hang_for_ever_ends():
    """Nobody can wake anybody any more: the error says so, and when it was given up."""

    async def scene(world: VirtualWorld) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError, match="has not ended after 86400 virtual seconds: it waits for what never comes"):
        virtual(scene, longest_s=86_400)


def test_a_virtual_run_is_not_started_from_an_async_function():
    """It has a loop of its own; nothing is left unawaited."""

    async def scene(world: VirtualWorld) -> None: ...

    async def outer() -> None:
        virtual(scene)

    with pytest.raises(RuntimeError, match="call it from a plain function"):
        asyncio.run(outer())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"through": "gatway"}, "through is 'gatway', and must be one of nothing, gateway, library"),
        ({"through": "library", "keys": ()}, "keys is empty"),
    ],
)
def test_a_world_that_cannot_be_is_refused(options, said):
    """Before anything runs, with what can be."""

    async def scene(world: VirtualWorld) -> None: ...

    with pytest.raises(ValueError, match=said):
        virtual(scene, **options)


def test_the_simulators_clock_can_be_put_forward_alone():
    """A batch that takes an hour has ended when the clock has gone on by two, though nobody slept."""

    async def scene(world: VirtualWorld) -> tuple[float, str]:
        client = world.client()
        params = asking("hello")
        batch = await client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])  # type: ignore[typeddict-item]
        world.clock.advance(7_200)
        return world.now_s, (await client.messages.batches.retrieve(batch.id)).processing_status

    settings = SimSettings()
    assert virtual(scene, settings=settings) == (0.0, "ended")


def test_a_scenario_plays_in_it_at_its_own_hour():
    """A shipped one begins at the instant that it says, and what goes wrong goes wrong then."""

    async def scene(world: VirtualWorld) -> tuple[str, dict[str, int]]:
        began = utc(world.clock.unix_ms())
        client = world.client(max_retries=0)
        while world.now_s < 86_400:
            await asyncio.sleep(600)
            with contextlib.suppress(anthropic.APIError):
                await client.messages.create(**asking(str(world.now_s)))
        return f"{began:%H:%M}", world.sim.world.stats.told()["requests_by_status"]

    start, by_status = virtual(scene, scenario="spend-cap")

    assert start == f"{load_scenario('spend-cap', SimSettings())[1].start or EPOCH:%H:%M}"
    assert by_status["200"] > 10
    assert by_status["429"] > 10


# -- real time stays outside -------------------------------------------------------------------------------------------


def test_the_clocks_of_the_standard_library_tell_the_runs_time():
    """For code that is not ours; afterwards they are the machine's again."""

    async def scene(world: VirtualWorld) -> tuple[float, float]:
        began_s = time.monotonic()
        await asyncio.sleep(86_400)
        return time.time(), time.monotonic() - began_s

    before = (time.time, time.monotonic, time.sleep, threading.Thread.start)

    assert virtual(scene) == (EPOCH.timestamp() + 86_400, 86_400)
    assert (time.time, time.monotonic, time.sleep, threading.Thread.start) == before


@pytest.mark.parametrize("leak", [lambda: time.sleep(0.01), lambda: threading.Thread(target=print).start()])
def test_nobody_waits_for_the_machine(leak):
    """A real sleep, or a thread, would make the run hang on what else the machine does."""

    async def scene(world: VirtualWorld) -> None:
        leak()

    with pytest.raises(RealTimeUsed, match="no threads and never waits"):
        virtual(scene)
