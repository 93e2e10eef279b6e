"""A ledger of a day that the engine and the simulated Claude made together in virtual time; nothing is made up."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from math import cos, pi
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
from msgspec.structs import astuple

from headgate.call import Kind
from headgate.config.schema import Config
from headgate.errors import Refused
from headgate.sim import SimSettings
from headgate.sim.settings import TYPICAL_LATENCY, Conditions, Limits
from headgate.stores.sqlite.ledger_file import open_or_create
from headgate.stores.sqlite.rows import insert
from headgate.testing.engine_call import engine_call
from support.world import World, play

__all__ = ["simulated_day"]

HOURS = 24
STORM_H = 15.5
"""Hours before the end at which the API is overloaded for a while."""


class Traffic(NamedTuple):
    """Calls of one workflow."""

    workflow: str
    lane: str
    model: str
    instructions: int
    """Words of its system prompt."""
    share: float
    max_tokens: int
    users: int


OF_A_DAY = (
    Traffic("support-chat", "interactive", "claude-sonnet-5-5", 2400, 0.34, 700, 24),
    Traffic("triage", "standard", "claude-haiku-5-5", 900, 0.28, 80, 6),
    Traffic("summaries", "standard", "claude-sonnet-5-5", 300, 0.16, 1200, 18),
    Traffic("sql-agent", "interactive", "claude-sonnet-5-5", 4200, 0.12, 400, 9),
    Traffic("nightly-eval", "bulk", "claude-haiku-5-5", 1500, 0.10, 300, 1),
)


def simulated_day(path: Path, calls: int, *, config: Config | None = None, seed: int = 7) -> Path:
    """A ledger at `path` with about `calls` calls of the last 24 hours, with a quiet night and a storm of 529s."""
    rng = Random(seed)
    storm_s = (HOURS - STORM_H) * 3600

    async def scene(world: World) -> list[tuple[str, tuple[object, ...]]]:
        made: list[asyncio.Task[None]] = []
        for number in range(calls):
            at_s = HOURS * 3600 * number / calls
            await asyncio.sleep(max(0.0, at_s - world.now_s))
            if rng.random() < (1.3 - cos(2 * pi * (at_s / 3600 - 3) / 24)) / 2.3:
                made.append(asyncio.create_task(_one(world, rng)))
        await asyncio.gather(*made)
        ledger = world.ledger
        return [
            *(("attempts", astuple(attempt)) for attempt in ledger.attempts),
            *(("calls", astuple(call)) for call in ledger.calls),
        ]

    weather = Conditions(
        overload_share=0.004,
        forecast={storm_s: {"overload_share": 0.75}, storm_s + 1500: {"overload_share": 0.004}},
    )
    sim = SimSettings(limits=Limits(rpm=400, depth_s=10), latency=TYPICAL_LATENCY, weather=weather)
    rows = play(scene, sim=sim, config=config, start=datetime.now(UTC) - timedelta(hours=HOURS))
    with closing(open_or_create(path)) as db:
        insert(db, rows)
    return path


async def _one(world: World, rng: Random) -> None:
    its = rng.choices(OF_A_DAY, [each.share for each in OF_A_DAY])[0]
    user = f"user-{min(rng.randrange(its.users), rng.randrange(its.users)) + 1}"
    body = {
        "model": its.model,
        "max_tokens": rng.randrange(its.max_tokens // 4, its.max_tokens),
        "system": f"You work for {its.workflow}. " + "Mind the gate. " * (its.instructions // 3),
        "messages": [{"role": "user", "content": "How much water passes the gate? " * rng.randrange(2, 60)}],
        "stream": its.lane == "interactive",
    }
    record = {
        "workflow": its.workflow, "lane": its.lane, "user": user, "session": f"{user}-{rng.randrange(9)}",
        "correlation_id": f"{rng.getrandbits(64):016x}",
    }  # fmt: skip
    call = engine_call(world.engine, Kind.MESSAGES, "POST", "/v1/messages", record, body=msgspec.json.encode(body))
    with suppress(Refused):
        await world.send(call)
