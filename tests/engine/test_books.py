"""The ledger against the books of the simulated API, over random traffic in which everything goes wrong.

A failing run names its seed; the same seed gives the same run, so it can be pasted and looked at.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from headgate.call import Kind
from headgate.config.schema import Config
from headgate.errors import Unavailable
from headgate.events import ErrorClass, UsageSource
from headgate.records import AttemptRecord, BatchItemRecord, CallRecord
from headgate.sim import SimSettings
from headgate.sim.account.books import Entry
from headgate.sim.settings import Access, Latency, Limits
from headgate.testing.money.run import CALLS, FAULTS, HANDBOOK, MODELS
from support.world import World, lanes, play

SEEDS = range(50)


@dataclass(frozen=True)
class Run:
    """What a run left behind: on our side, and on the API's."""

    calls: Sequence[CallRecord]
    attempts: Sequence[AttemptRecord]
    """Of messages; what is asked of the Batches API costs nothing by itself."""
    batch_items: Sequence[BatchItemRecord]
    booked: Mapping[str, Entry]
    """What the books say of each message, by the API's request id."""
    batches_pico: int
    """What the books say the items of batches cost."""
    trace: bytes
    """Every log line and every row of the ledger, in order."""

    def pairs(self) -> list[tuple[AttemptRecord, Entry]]:
        """Attempts that the API answered, each beside what the books say of it."""
        return [(a, self.booked[a.upstream_request_id]) for a in self.attempts if a.upstream_request_id is not None]


async def one_caller(world: World, rng: Random) -> None:
    """Some call, made some time in the first minutes, perhaps given up half-way."""
    await asyncio.sleep(rng.uniform(0, 240))
    body: dict[str, Any] = {}
    if rng.random() < 0.5:
        mark = {"type": "ephemeral"} | ({"ttl": "1h"} if rng.random() < 0.3 else {})
        body["system"] = [{"type": "text", "text": HANDBOOK, "cache_control": mark}]
    sim = rng.choice(FAULTS) if rng.random() < 0.6 else ""
    options = {
        "stream": rng.random() < 0.6,
        "text": f"question {rng.getrandbits(32)}",
        "model": rng.choice(MODELS),
        "max_tokens": rng.choice((1, 16, 300)),
        "workflow": rng.choice(("chat", "search", "nightly")),
        "lane": rng.choice(("interactive", "standard", "bulk")),
        "body": body,
    }
    with suppress(TimeoutError, Unavailable):
        async with asyncio.timeout(rng.uniform(0, 6) if rng.random() < 0.25 else None):
            await world.ask(sim, **options)


async def one_batch(world: World, rng: Random) -> None:
    """A Message Batch, whose results are fetched twice."""
    params = {"max_tokens": 32, "messages": [{"role": "user", "content": "hello"}]}
    requests = [
        {"custom_id": f"item-{number}", "params": {**params, "model": rng.choice(MODELS)}}
        for number in range(rng.randint(1, 5))
    ]
    batches = "/v1/messages/batches"
    made = await batch_call(world, "POST", batches, body=msgspec.json.encode({"requests": requests}))
    name = msgspec.json.decode(made)["id"]
    await asyncio.sleep(300)
    for _ in range(2):
        await batch_call(world, "GET", f"{batches}/{name}/results", resource_id=name)


async def batch_call(world: World, method: str, target: str, **more: Any) -> bytes:
    call = world.make_other(Kind.BATCHES, method, target, workflow="nightly", lane="bulk", **more)
    return (await world.send(call)).body


def faulty_run(seed: int) -> Run:
    """Forty callers and a batch against an API that fails in every way it knows."""

    async def scene(world: World) -> Run:
        rng = Random(seed)
        callers = [one_caller(world, Random(rng.getrandbits(64))) for _ in range(CALLS)]
        await asyncio.gather(one_batch(world, rng), *callers)
        await asyncio.sleep(10)  # those who were left behind on the API's side find out
        ledger, entries = world.ledger, world.sim.world.books.entries
        messages = {record.call_id for record in ledger.calls if record.kind == Kind.MESSAGES}
        items = list(ledger.batch_items.values())
        rows = msgspec.json.encode([ledger.calls, ledger.attempts, items])
        return Run(
            calls=ledger.calls,
            attempts=[attempt for attempt in ledger.attempts if attempt.call_id in messages],
            batch_items=items,
            booked={entry.request_id: entry for entry in entries if not entry.batch},
            batches_pico=sum(entry.cost_pico for entry in entries if entry.batch),
            trace=b"".join(world.log.lines) + rows,
        )

    return play(
        scene,
        sim=SimSettings(
            access=Access(organisation_per_key=True),
            limits=Limits(tier="build"),
            latency=Latency(ttft_s=0.4, tokens_per_s=40),
        ),
        config=Config(lanes=lanes(first_byte_timeout_s=20, answer_timeout_s=60, progress_timeout_s=30)),
        credentials=("sk-ant-test-0001", "sk-ant-test-0002"),
        seed=seed,
    )


run_of = lru_cache(maxsize=None)(faulty_run)
"""A run is the same each time (INV-21, below), so the tests share it."""

every_seed = pytest.mark.parametrize("seed", SEEDS)


def replay(seed: int) -> str:
    return f"replay: python -c 'from engine.test_books import faulty_run; print(faulty_run({seed}))' in tests/"


def is_told(attempt: AttemptRecord) -> bool:
    """Whether the API itself said all that the attempt used."""
    return attempt.usage_source == UsageSource.VENDOR and attempt.cost_pico is not None


def tokens(of: AttemptRecord) -> tuple[int, ...]:
    return of.input_tokens, of.cache_read_tokens, of.cache_write_5m_tokens, of.cache_write_1h_tokens


def booked_tokens(of: Entry) -> tuple[int, ...]:
    return of.usage.input, of.usage.cache_read, of.usage.cache_write_5m, of.usage.cache_write_1h


@every_seed
def test_ledger_and_books_agree_to_the_pico_dollar(seed):
    """Everything the API told us is in the ledger exactly, request by request and so in sum."""
    told = [(attempt, entry) for attempt, entry in run_of(seed).pairs() if is_told(attempt)]

    ledger = [(a.upstream_request_id, *tokens(a), a.output_tokens, a.web_searches, a.cost_pico) for a, _ in told]

    assert ledger == [
        (e.request_id, *booked_tokens(e), e.usage.output, e.usage.web_searches, e.cost_pico) for _, e in told
    ], replay(seed)


@every_seed
def test_inv_03_every_request_that_the_api_saw_has_one_row(seed):
    """INV-03: as many attempts in the ledger as requests in the books, and no answer stands in it twice."""
    run = run_of(seed)

    named = [attempt.upstream_request_id for attempt in run.attempts if attempt.upstream_request_id is not None]

    assert (len(run.attempts), len(named)) == (len(run.booked), len(set(named))), replay(seed)


@every_seed
def test_a_row_whose_cost_nobody_told_says_so_and_is_not_free(seed):
    """Nothing that was billed is missing: what is not known is marked, with money beside it that is unconfirmed."""
    run = run_of(seed)
    unknown = [a for a in run.attempts if a.usage_source == UsageSource.UNKNOWN or a.cost_pico is None]
    free = [a for a in run.attempts if a not in unknown and a.cost_pico == 0]

    assert [a for a in unknown if a.unconfirmed_pico <= 0] == [], replay(seed)
    assert [e for a, e in run.pairs() if a in free and e.cost_pico > 0] == [], replay(seed)


@every_seed
def test_a_stream_that_broke_is_charged_its_whole_input(seed):
    """What `message_start` said of the input is exact; only the output is counted from the deltas, and marked."""
    broken = [(a, e) for a, e in run_of(seed).pairs() if a.usage_source == UsageSource.OBSERVED and not a.cost_problem]

    assert [(tokens(a), a.error is not None) for a, _ in broken] == [(booked_tokens(e), True) for _, e in broken], (
        replay(seed)
    )


@every_seed
def test_the_items_of_a_batch_cost_what_the_books_say_however_often_they_are_fetched(seed):
    """Results are charged by batch and `custom_id`, once."""
    run = run_of(seed)

    assert sum(item.cost_pico or 0 for item in run.batch_items) == run.batches_pico > 0, replay(seed)


@every_seed
def test_inv_02_a_call_costs_the_sum_of_its_attempts(seed):
    """INV-02: what was spent on the way to an answer is part of its cost; one unknown part makes the sum unknown."""
    run = run_of(seed)
    parts: dict[str, list[int | None]] = {call.call_id: [] for call in run.calls}
    for attempt in run.attempts:
        parts[attempt.call_id].append(attempt.cost_pico)

    sums = {call_id: None if None in costs else sum(filter(None, costs)) for call_id, costs in parts.items()}

    assert {call.call_id: call.cost_pico for call in run.calls} == sums, replay(seed)


@pytest.mark.parametrize("seed", [0, 17, 49])
def test_inv_21_the_same_seed_gives_the_same_run_to_the_byte(seed):
    """INV-21: log lines and ledger rows."""
    assert faulty_run(seed).trace == faulty_run(seed).trace


def test_inv_21_another_process_gives_the_same_run():
    """INV-21: nothing hangs on the order of a set, which differs from process to process."""
    trace = "from engine.test_books import faulty_run; print(sha256(faulty_run(7).trace).hexdigest())"
    environ = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[1])}

    other = subprocess.run(
        [sys.executable, "-c", f"from hashlib import sha256; {trace}"], env=environ, capture_output=True, check=True
    )

    assert other.stdout.decode().strip() == sha256(run_of(7).trace).hexdigest()


def test_inv_21_another_seed_gives_another_run():
    """INV-21: chance comes from the seed and from nowhere else."""
    assert run_of(0).trace != run_of(1).trace


def test_the_runs_meet_every_kind_of_end():
    """The claims above would be empty if nothing went wrong."""
    runs = [run_of(seed) for seed in SEEDS]

    met = {(attempt.usage_source, attempt.error) for run in runs for attempt in run.attempts}
    credentials = {attempt.credential for run in runs for attempt in run.attempts}
    cached = sum(attempt.cache_read_tokens for run in runs for attempt in run.attempts)

    assert {
        (UsageSource.VENDOR, None), (UsageSource.OBSERVED, None), (UsageSource.UNKNOWN, None),
        (UsageSource.OBSERVED, ErrorClass.STREAM_CUT), (UsageSource.OBSERVED, ErrorClass.CANCELLED),
        (UsageSource.OBSERVED, ErrorClass.OVERLOADED), (UsageSource.OBSERVED, ErrorClass.PROGRESS_TIMEOUT),
        (UsageSource.UNKNOWN, ErrorClass.FIRST_BYTE_TIMEOUT), (UsageSource.UNKNOWN, ErrorClass.RESET),
        (UsageSource.UNKNOWN, ErrorClass.CANCELLED), (UsageSource.UNKNOWN, ErrorClass.TIMEOUT_ERROR),
        (UsageSource.UNKNOWN, ErrorClass.MALFORMED), (UsageSource.NONE, ErrorClass.OVERLOADED),
        (UsageSource.NONE, ErrorClass.RATE_LIMIT), (UsageSource.NONE, ErrorClass.AUTHENTICATION),
    } <= met  # fmt: skip
    assert credentials == {"default", "key2"}
    assert cached > 0
