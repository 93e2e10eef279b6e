"""Nothing that is ours asks the machine for time or chance, or waits but on the clock it was given."""

from __future__ import annotations

import ast
import asyncio
import datetime
import os
import random
import threading
import time
from pathlib import Path
from time import monotonic

import pytest

import headgate
from headgate.engine.deadline import Deadline
from headgate.sim import api
from headgate.sim.settings import Latency
from headgate.testing import RealTimeUsed, SimSettings, VirtualWorld, virtual
from support.sdk import asking

ROOT = Path(headgate.__file__).parent
MAKES_CLOCKS = {"clock.py", "sim/virtual_time.py"}
ON_THREADS = {
    "stores/sqlite/ledger.py",  # the ledger's own thread tries again
    "stores/sqlite/database.py",  # and waits for a lock that SQLite would not wait for
    "stores/sqlite/call_search.py",  # a search that somebody asks for from a thread gives up
    "stores/sqlite/telemetry.py",  # its own thread tries to open the file again
    "telemetry/call_log.py",  # likewise the log's
    "stores/timing.py",  # and whoever has it done is told how long it took
}
EDGES = {"cli", "demo", "load", "testing"}
"""Where real time is meant, or the trap itself stands."""


async def work(world: VirtualWorld) -> None:
    """A little of everything, through the engine: whole, streamed, slow, retried, refused."""
    client = world.client(max_retries=0)
    for directive in ("", "[[sim: flaky=1:529]]", "[[sim: drip=5:200]]", "[[sim: flaky=1:429; retry-after=3]]"):
        await client.messages.create(**asking(f"hello {directive}"))
        async with client.messages.stream(**asking(f"hello {directive}")) as stream:
            await stream.until_done()
    await client.messages.count_tokens(model="claude-haiku-5-5", messages=[{"role": "user", "content": "hello"}])
    await client.models.list()
    batch = await client.messages.batches.create(requests=[{"custom_id": "one", "params": asking()}])  # type: ignore[typeddict-item]
    await asyncio.sleep(3_600)
    async for _ in await client.messages.batches.results(batch.id):
        pass
    await client.beta.files.upload(file=("a.txt", b"water", "text/plain"))
    await asyncio.gather(*(client.messages.create(**asking(str(n))) for n in range(60)), return_exceptions=True)


@pytest.mark.parametrize("through", ["gateway", "library"])
def test_engine_gateway_and_simulator_live_in_virtual_time_alone(through):
    """INV-25: one call of `time.time()`, `time.monotonic()`, `datetime.now()` or `random.random()`, one thread, one
    `asyncio.sleep` that is not the clock's, and this fails with its place."""
    virtual(
        work, through=through, settings=SimSettings(latency=Latency(ttft_s=0.3, tokens_per_s=90)), watch=("headgate",)
    )


LEAKS = {
    "time.time": lambda: time.time(),
    "time.monotonic by its own name": lambda: monotonic(),
    "datetime.now": lambda: datetime.datetime.now(tz=datetime.UTC),
    "date.today": lambda: datetime.date.today(),
    "random.random": lambda: random.random(),
    "os.urandom": lambda: os.urandom(4),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_leak_in_the_engine_is_named_with_its_place(leak, monkeypatch):
    """The test above can fail: whatever was asked, under whatever name it was imported, is told with file and line."""
    inside = dict(leak.__globals__) | {"__name__": "headgate.engine.deadline"}
    stray = type(leak)(leak.__code__, inside)
    whole = Deadline.__call__
    monkeypatch.setattr(Deadline, "__call__", lambda *args, **named: (stray(), whole(*args, **named))[1])

    with pytest.raises(
        RealTimeUsed, match=rf"test_real_time\.py:{leak.__code__.co_firstlineno} in headgate\.engine\.dead"
    ):
        virtual(ask, through="gateway", watch=("headgate",))


async def ask(world: VirtualWorld) -> None:
    await world.client(max_retries=0).messages.create(**asking())


def test_a_sleep_on_the_loop_is_named_with_its_place(monkeypatch):
    """At ten times the speed it would take ten times too long: whoever waits asks the clock."""
    whole = api.SimulatedClaude.handle

    async def handle(self, request):
        await asyncio.sleep(0.1)
        return await whole(self, request)

    inside = dict(handle.__globals__) | {"__name__": "headgate.sim.api"}
    monkeypatch.setattr(
        api.SimulatedClaude, "handle", type(handle)(handle.__code__, inside, None, None, handle.__closure__)
    )

    with pytest.raises(RealTimeUsed, match=r"test_real_time\.py:[0-9]+ in headgate\.sim\.api.*: asyncio\.sleep"):
        virtual(ask, watch=("headgate",))


def test_what_is_not_watched_may_look_at_the_clock():
    """The SDK does, and so may a test: it gets the run's time."""

    async def scene(world: VirtualWorld) -> None:
        time.time()
        await ask(world)

    virtual(scene, watch=("headgate",))


def test_no_thread_is_left_or_started():
    """The gateway, the engine and the client share one thread in a virtual run."""
    before = threading.enumerate()

    virtual(work, through="gateway")

    assert threading.enumerate() == before


@pytest.mark.parametrize(
    "file",
    [
        str(path)
        for path in sorted(file.relative_to(ROOT) for file in ROOT.rglob("*.py"))
        if path.parts[0] not in EDGES and str(path) not in MAKES_CLOCKS
    ],
)
def test_no_module_can_reach_real_time(file):
    """What no run came by: the machine's clocks, the process's chance and the loop's sleep are not even imported."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    named = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [f"{node.module}.{alias.name}" for node in froms for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node) == "asyncio.sleep(0)":
            named.remove("asyncio.sleep")  # lets others have their turn, and takes no time

    assert not STRAY.intersection(named) or file in ON_THREADS


_CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "sleep", "perf_counter")
_DATES = [
    f"{owner}.{name}" for owner in ("date", "datetime", "datetime.datetime") for name in ("now", "today", "utcnow")
]
_CHANCE = [name for name in dir(random) if name.islower() and not name.startswith("_")]
STRAY = {"asyncio.sleep", "os.urandom", *_DATES, *(f"time.{n}" for n in _CLOCKS), *(f"random.{n}" for n in _CHANCE)}
