"""One run: what callers do, what goes wrong, and what stands in both books afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

import msgspec

from headgate.call import Kind
from headgate.clock import LoopClock, utc_day
from headgate.config.schema import BatchesConfig, Config, UpstreamConfig, WorkflowConfig
from headgate.engine.engine import Engine
from headgate.errors import Refused
from headgate.net.server import Server
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord, OpenAttempt, Resource
from headgate.secret import Secret
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.account.books import Entry
from headgate.sim.settings import Batches, BooksKept, Latency, Limits
from headgate.sim.virtual_time import EPOCH, memory_dial, run
from headgate.stores.memory import MemoryLedger
from headgate.testing.engine_call import engine_call
from headgate.testing.virtual import engine_in_memory
from headgate.upstream.admin_api import AdminApi
from headgate.upstream.usage_reports import Reports, read_reports

__all__ = ["Run", "faulty_run"]

CALLS = 40
KEYS = ("sk-ant-test-0001", "sk-ant-test-0002")
MODELS = ("claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5")
HANDBOOK = "The gate at the head of a canal decides how much of the river enters, and who gets it first. " * 400
UNTOLD = ("no-usage", "bad-usage=negative", "bad-usage=null", "bad-usage=string", "bad-usage=huge")
FAULTS = (
    "error=529", "error=500", "error=503", "error=504", "error=429; retry-after=2", "error=400", "error=401",
    "error=402", "error=413", "error=418", "flaky=1:529", "flaky=2:500", "flaky=1:429; retry-after=1", "flaky=1:401",
    "error-200", "html", "redirect", "reset", "hang", "slow=900", "cut=0", "cut=1", "cut=2", "cut=9", "cut",
    "midstream-error=0", "midstream-error=1", "midstream-error", "silence=400000", "pings=4000", "no-stop",
    "refusal", "refusal=cyber", "refusal-mid", "max-tokens", "pause-turn", "context-exceeded", "garbage",
    "tool=lookup:{\"id\":7}", "web-search=2", "headers=lie", "headers=missing", "headers=garbled",
    "bad-usage=decreasing", *UNTOLD,
)  # fmt: skip
WORKFLOWS = {
    "chat": WorkflowConfig(fallbacks=("model:claude-haiku-5-5",)),
    "search": WorkflowConfig(stream="buffered"),
    "label": WorkflowConfig(join_max=6, join_users=True, join_window_s=20),
    "nightly": WorkflowConfig(batch=True),
}
ADMIN = Secret("sk-ant-admin01-x")
DAY_S = 86_400.0


@dataclass(frozen=True)
class Run:
    """What a run left behind: on our side, and on the API's."""

    calls: Sequence[CallRecord]
    attempts: Sequence[AttemptRecord]
    batch_items: Sequence[BatchItemRecord]
    resources: Sequence[Resource]
    lost: Sequence[OpenAttempt]
    """Under way when Headgate died."""
    entries: Sequence[Entry]
    """The API's own books, request by request."""
    reports: Reports
    first: date
    last: date


@dataclass(frozen=True)
class _Kept:
    """What is in the ledger's file."""

    calls: list[CallRecord]
    attempts: list[AttemptRecord]
    batch_items: list[BatchItemRecord]
    resources: list[Resource]
    lost: list[OpenAttempt]

    @classmethod
    def of(cls, ledger: MemoryLedger) -> _Kept:
        copied = msgspec.structs.replace
        return cls(
            [copied(call) for call in ledger.calls], [copied(attempt) for attempt in ledger.attempts],
            list(ledger.batch_items.values()), list(ledger.resources.values()), list(ledger.open.values()),
        )  # fmt: skip


def faulty_run(seed: int) -> Run:
    """The same for the same seed."""
    return run(_play(seed))


async def _play(seed: int) -> Run:
    rng = _chance(seed)
    clock = LoopClock(EPOCH + timedelta(seconds=rng.choice((0, DAY_S * 2 / 3 - 120))))  # some run past midnight
    sim = SimulatedClaude(
        SimSettings(
            limits=Limits(tier="build"),
            latency=Latency(ttft_s=0.4, tokens_per_s=40),
            batches=Batches(processing_s=600),
            books=BooksKept(reports_late_s=0),
        ),
        clock,
        _chance(seed),
    )
    server = Server(sim)
    base_url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    first = utc_day(clock.unix_ms())
    kept = [await _life(base_url, clock, rng, seed, dies_s=rng.uniform(5, 200) if seed % 2 else None)]
    if seed % 2:
        kept.append(await _life(base_url, clock, rng, seed + 1, dies_s=None))
    await clock.sleep(2 * DAY_S)  # batches of nobody end, too
    last = utc_day(clock.unix_ms())
    api = AdminApi(base_url, ADMIN, memory_dial)
    reports = await read_reports(api, first, last, {})
    api.close()
    await server.drain(0)
    return Run(
        calls=[call for each in kept for call in each.calls],
        attempts=[attempt for each in kept for attempt in each.attempts],
        batch_items=[item for each in kept for item in each.batch_items],
        resources=[resource for each in kept for resource in each.resources],
        lost=[attempt for each in kept for attempt in each.lost],
        entries=list(sim.world.books.entries),
        reports=reports,
        first=first,
        last=last,
    )


async def _life(base_url: str, clock: LoopClock, rng: Random, seed: int, *, dies_s: float | None) -> _Kept:
    """Headgate from its start to its end; what it has written down by then."""
    ledger = MemoryLedger()
    engine = engine_in_memory(_config(base_url), ledger, None, clock, KEYS, seed, memory_dial)
    callers = [
        asyncio.get_running_loop().create_task(_caller(engine, _chance(rng.getrandbits(64)))) for _ in range(CALLS)
    ]
    callers.append(asyncio.get_running_loop().create_task(_batch(engine, clock, _chance(rng.getrandbits(64)))))
    kept = None
    if dies_s is None:
        await asyncio.wait(callers)
        await clock.sleep(10)  # those who were left behind on the API's side find out
    else:
        await asyncio.wait(callers, timeout=dies_s)
        kept = _Kept.of(ledger)
        for caller in callers:
            caller.cancel()
    for problem in await asyncio.gather(*callers, return_exceptions=True):
        if isinstance(problem, Exception):
            raise problem
    await engine.close()
    return kept or _Kept.of(ledger)


def _config(base_url: str) -> Config:
    lanes = {
        name: replace(lane, first_byte_timeout_s=20, answer_timeout_s=60, progress_timeout_s=30)
        for name, lane in Config().lanes.items()
    }
    return Config(
        upstream=UpstreamConfig(base_url=base_url),
        lanes=lanes,
        workflows=WORKFLOWS,
        batches=BatchesConfig(min_patience_s=1_200, collect_s=30, reserve_s=300, poll_s=20),
    )


async def _caller(engine: Engine, rng: Random) -> None:
    """Some call, made some time in the first minutes, perhaps given up half-way."""
    workflow = rng.choice(("chat", "chat", "search", "label", "label", "nightly"))
    await engine.clock.sleep(rng.choice((20, 90, 170)) if workflow == "label" else rng.uniform(0, 240))
    stream = rng.random() < 0.6
    body: dict[str, Any] = {
        "model": "claude-sonnet-5-5" if workflow == "label" else rng.choice(MODELS),
        "max_tokens": rng.choice((1, 16, 300)),
        "messages": [{"role": "user", "content": f"question {rng.getrandbits(32)}"}],
    }
    if stream:
        body["stream"] = True
    if workflow != "label" and rng.random() < 0.5:
        mark = {"type": "ephemeral"} | ({"ttl": "1h"} if rng.random() < 0.3 else {})
        body["system"] = [{"type": "text", "text": HANDBOOK, "cache_control": mark}]
    sim = rng.choice(FAULTS) if rng.random() < 0.6 else ""
    if workflow == "nightly":
        sim = ""  # an item of a batch has no headers
        body["messages"][0]["content"] += rng.choice(("", "", " [[sim: error=500]]", " [[sim: refusal=cyber]]"))
    call = engine_call(
        engine, Kind.MESSAGES, "POST", "/v1/messages",
        {"workflow": workflow, "lane": rng.choice(("interactive", "standard", "bulk")), "correlation_id": "run",
         "model": body["model"], "stream": stream},
        headers=[(b"x-sim", sim.encode())] if sim else [], body=msgspec.json.encode(body),
        requested_deadline_s=3_600 if workflow == "nightly" else None,
    )  # fmt: skip
    with suppress(TimeoutError, Refused):
        async with asyncio.timeout(rng.uniform(0, 6) if rng.random() < 0.25 else None):
            reply = await engine.call(call)
            if reply.stream is not None:
                try:
                    while await reply.stream.read():
                        pass
                finally:
                    reply.stream.close()


async def _batch(engine: Engine, clock: LoopClock, rng: Random) -> None:
    """A Message Batch of a caller's own, cancelled in some runs, whose results are fetched twice."""
    params = {"max_tokens": 32, "messages": [{"role": "user", "content": "hello"}]}
    requests = [
        {"custom_id": f"item-{number}", "params": {**params, "model": rng.choice(MODELS)}}
        for number in range(rng.randint(1, 5))
    ]
    path = "/v1/messages/batches"
    made = await _of_batches(engine, "POST", path, body=msgspec.json.encode({"requests": requests}))
    name = msgspec.json.decode(made)["id"]
    if rng.random() < 0.3:
        await _of_batches(engine, "POST", f"{path}/{name}/cancel", resource_id=name)
    await clock.sleep(900)
    for _ in range(2):
        await _of_batches(engine, "GET", f"{path}/{name}/results", resource_id=name)


async def _of_batches(engine: Engine, method: str, target: str, **more: Any) -> bytes:
    record = {"workflow": "weekly", "lane": "bulk"}
    reply = await engine.call(engine_call(engine, Kind.BATCHES, method, target, record, **more))
    body = reply.body
    if reply.stream is not None:
        try:
            while piece := await reply.stream.read():
                body += piece
        finally:
            reply.stream.close()
    return body


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # a seed is a run, not a secret
