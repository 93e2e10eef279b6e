"""The ledger against the invoice: seeded runs in which much goes wrong, by the ways in which calls are sent.

What a request cost, by every call that has a share of it, is what the simulated API bills for it; or the ledger says of
it that it does not know.  Items of Message Batches have no request of their own and are compared together.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from random import Random

from msgspec.json import encode

from headgate.call import Kind
from headgate.config.schema import BatchesConfig, Config, WorkflowConfig
from headgate.errors import Refused
from headgate.events import UsageSource
from headgate.records import AttemptRecord
from headgate.sim.settings import TYPICAL_BATCHES, TYPICAL_LATENCY, SimSettings
from headgate.testing import virtual
from headgate.testing.engine_call import engine_call
from headgate.testing.virtual import VirtualWorld

__all__ = ["ledger"]

FAULTS = (
    "error=500", "error=529", "error=400", "error=429; retry-after=0", "flaky=1:529", "flaky=2:500", "reset", "html",
    "error-200", "redirect", "midstream-error=0", "midstream-error=3", "cut=0", "cut=4", "no-stop", "no-usage",
    "bad-usage=negative", "bad-usage=null", "bad-usage=string", "garbage=events", "garbage=bytes", "refusal",
    "refusal-mid", "max-tokens", "headers=lie", "headers=garbled", "headers=missing", "tokens=200", "deltas=40",
    "lost", "hang",
)  # fmt: skip
MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5")
CALLS = 40
FAULTY = 0.4
LEAVING = 0.1
SEEDS_A_RUN, QUICK_SEEDS = 1_000, 20
WORKFLOWS = {
    "chat": WorkflowConfig(),
    "small": WorkflowConfig(join_max=4, join_window_s=2.0),
    "nightly": WorkflowConfig(batch=True),
}


def ledger(seed: int, quick: bool) -> dict[str, float]:
    """Requests whose cost differs without a word of doubt, over many seeds from `seed` on."""
    seeds = QUICK_SEEDS if quick else SEEDS_A_RUN
    found: Counter[str] = Counter()
    for number in range(seeds):
        found += _one(seed * SEEDS_A_RUN + number)
    return {"wrong": float(found["wrong"]), "flagged": float(found["flagged"]), "requests": float(found["requests"])}


def _one(seed: int) -> Counter[str]:
    rng = Random(seed)  # reproducible on purpose

    async def scene(world: VirtualWorld) -> Counter[str]:
        await asyncio.gather(*(_ask(world, rng, number) for number in range(CALLS)))
        await asyncio.sleep(86_400)
        await world.sim.settle()
        return _compare(world)

    settings = SimSettings(latency=TYPICAL_LATENCY, batches=TYPICAL_BATCHES)
    config = Config(workflows=WORKFLOWS, batches=BatchesConfig(collect_s=60))
    return virtual(scene, settings=settings, config=config, through="library", seed=seed)


async def _ask(world: VirtualWorld, rng: Random, number: int) -> None:
    engine = world.engine
    assert engine is not None
    workflow = rng.choice([*WORKFLOWS])
    fault = f"[[sim: {rng.choice(FAULTS)}]] " if rng.random() < FAULTY else ""
    body = {
        "model": MODELS[number % 3],
        "max_tokens": 500,
        "system": f"rules of {workflow} " * 400,
        "messages": [{"role": "user", "content": f"{fault}question {number}"}],
        "stream": rng.random() < 0.4,
    }
    leaves_after_s = rng.uniform(0.0, 10.0) if rng.random() < LEAVING else None
    deadline_s = rng.choice([7_200.0, 14_000.0]) if workflow == "nightly" else 120.0
    await asyncio.sleep(rng.uniform(0.0, 60.0))
    call = engine_call(
        engine, Kind.MESSAGES, "POST", "/v1/messages", {"workflow": workflow, "lane": "bulk"}, body=encode(body),
        requested_deadline_s=deadline_s,
    )  # fmt: skip

    async def read() -> None:
        try:
            reply = await engine.call(call)
        except Refused:
            return
        if reply.stream is not None:
            try:
                while await reply.stream.read():
                    pass
            finally:
                reply.stream.close()

    reading = asyncio.ensure_future(read())
    await asyncio.wait({reading}, timeout=leaves_after_s)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def _compare(world: VirtualWorld) -> Counter[str]:
    """Wrong, flagged and all requests that were billed or written down."""
    assert world.engine is not None
    shares: defaultdict[str, list[AttemptRecord]] = defaultdict(list)
    batched: list[AttemptRecord] = []
    silent = 0
    for attempt in world.ledger.attempts:
        if attempt.service_tier == "batch":
            batched.append(attempt)
        elif attempt.upstream_request_id is not None:
            shares[attempt.upstream_request_id].append(attempt)
        else:
            silent += _doubtful(attempt)
    entries = [*world.sim.world.books.entries]
    found: Counter[str] = Counter(requests=len(entries))
    for entry in entries:
        if entry.batch:
            continue
        of = shares.get(entry.request_id, [])
        if sum(attempt.cost_pico or 0 for attempt in of) == entry.cost_pico:
            continue
        if any(map(_doubtful, of)):
            found["flagged"] += 1
        elif not of and silent:  # its answer never came, so nobody knows its name
            silent -= 1
            found["flagged"] += 1
        else:
            found["wrong"] += 1
    billed = sum(entry.cost_pico for entry in entries if entry.batch)
    if sum(attempt.cost_pico or 0 for attempt in batched) != billed:
        found["flagged" if any(attempt.unconfirmed_pico for attempt in world.ledger.attempts) else "wrong"] += 1
    return found


def _doubtful(attempt: AttemptRecord) -> bool:
    return attempt.usage_source != UsageSource.VENDOR or attempt.unconfirmed_pico > 0 or attempt.cost_pico is None
