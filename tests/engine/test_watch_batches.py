"""How callers' Message Batches come along is known from what they ask anyway."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from headgate.call import Kind
from headgate.sim import SimSettings
from headgate.sim.settings import Batches
from support.exposed import series
from support.raw_upstream import RawUpstream, whole
from support.world import MODEL, World, play

PATH = "/v1/messages/batches"
REQUESTS = [
    {"custom_id": f"item-{number}",
     "params": {"model": MODEL, "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}]}}
    for number in range(10)
]  # fmt: skip
HOUR_S = 3600.0


async def ask(world: World, method: str, target: str, sim: str = "", **more: Any) -> Any:
    headers = [(b"x-sim", sim.encode())] if sim else []
    return await world.send(world.make_other(Kind.BATCHES, method, target, headers=headers, **more))


async def make(world: World) -> str:
    made = await ask(world, "POST", PATH, body=msgspec.json.encode({"requests": REQUESTS}))
    return str(made.document["id"])


async def look(world: World, batch_id: str) -> None:
    await ask(world, "GET", f"{PATH}/{batch_id}", resource_id=batch_id)


async def fetch(world: World, batch_id: str, sim: str = "") -> None:
    await ask(world, "GET", f"{PATH}/{batch_id}/results", sim, resource_id=batch_id)


def told(world: World, name: str) -> dict[str, float]:
    return series(world.engine.metrics, f"headgate_{name}")


def batch_of(hours: float) -> SimSettings:
    return SimSettings(batches=Batches(processing_s=hours * HOUR_S))


def test_a_batch_from_its_making_to_its_results():
    """It is in progress, has ended, and is done with when its results were read."""

    async def scene(world: World) -> list[dict[str, float]]:
        batch_id = await make(world)
        states = [told(world, "batches")]
        await asyncio.sleep(2 * HOUR_S)
        await look(world, batch_id)
        states.append(told(world, "batches"))
        await fetch(world, batch_id)
        return [*states, told(world, "batches"), told(world, "batch_items_total")]

    states = play(scene, sim=batch_of(1))

    assert states == [{"state=in_progress": 1}, {"state=ended": 1}, {}, {"result=succeeded": 10}]


def test_a_batch_that_is_not_done_after_22_hours_is_seen_to_be_old_and_then_to_expire():
    """H08: its age is that of the last look, and what expired is counted when somebody looks."""

    async def scene(world: World) -> list[dict[str, float]]:
        batch_id = await make(world)
        ages = []
        for hours in (1, 22, 2):
            await asyncio.sleep(hours * HOUR_S)
            await look(world, batch_id)
            ages.append(told(world, "batch_oldest_age_seconds"))
        return [*ages, told(world, "batch_items_total")]

    *ages, items = play(scene, sim=batch_of(48))

    assert ages == [{"": HOUR_S}, {"": 23 * HOUR_S}, {}]
    assert set(items) == {"result=succeeded", "result=expired"}
    assert sum(items.values()) == 10


def test_h06_h07_results_that_are_missing_or_twice_are_counted_once():
    """However often they are read."""

    async def scene(world: World, sim: str) -> dict[str, float]:
        batch_id = await make(world)
        await asyncio.sleep(10)
        await look(world, batch_id)
        for _ in range(2):
            await fetch(world, batch_id, sim)
        return told(world, "batch_items_total")

    assert play(lambda world: scene(world, "lines=missing")) == {"result=succeeded": 10, "result=missing": 1}
    assert play(lambda world: scene(world, "lines=duplicate")) == {"result=succeeded": 10, "result=duplicate": 1}


def test_h04_results_that_break_off_are_not_missing():
    """They were not read whole, and can be read again."""

    async def scene(world: World) -> dict[str, float]:
        batch_id = await make(world)
        await asyncio.sleep(10)
        await look(world, batch_id)
        await fetch(world, batch_id, "cut-bytes=2000")
        await fetch(world, batch_id)
        return told(world, "batch_items_total")

    assert play(scene) == {"result=succeeded": 10}


def test_a_list_tells_of_batches_that_were_made_here():
    """As well as a look at each of them."""

    async def scene(world: World) -> list[dict[str, float]]:
        batch_id = await make(world)
        await asyncio.sleep(10)
        await ask(world, "GET", PATH)
        items = told(world, "batch_items_total")
        await ask(world, "DELETE", f"{PATH}/{batch_id}", resource_id=batch_id)
        return [items, told(world, "batches")]

    assert play(scene) == [{"result=succeeded": 10}, {}]


def test_a_list_tells_of_no_others():
    """On its pages are also Headgate's own, and those that somebody else made with the same key."""
    theirs = {"id": "msgbatch_1", "processing_status": "in_progress", "created_at": "2026-11-21T00:00:00Z"}
    page = msgspec.json.encode({"data": [theirs]})

    async def scene(world: World) -> dict[str, float]:
        base_url = await RawUpstream(((whole(200, page),),)).start()
        await ask(world, "GET", PATH, base_url=base_url)
        return told(world, "batches")

    assert play(scene) == {}
