"""Rivals do what people do, and what they are said to do."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random

import anthropic
import pytest

import headgate.replay.line as line_module
from headgate.replay.bounds import fifo
from headgate.replay.figures import figures_of
from headgate.replay.line import Line
from headgate.replay.rivals import Sdk
from headgate.replay.run import Run, Setup, play
from headgate.replay.workload import MODEL, Changes, Workload, from_trace
from headgate.sim.virtual_time import memory_dial
from headgate.testing import virtual
from support.traces import row, workload_of

TROUBLE = (
    "error=529", "flaky=1:529", "flaky=2:500", "flaky=1:429; retry-after=7", "error=429; retry-after=0.25",
    "error=429:enforced_spend_limit_reached", "error=400", "error=408", "flaky=2:409", "error=529; should-retry=false",
    "flaky=1:400; should-retry=true", "reset=1", "flaky=2:503; retry-after=soon", "error=504; retry-after=-3",
    "tokens=3",
)  # fmt: skip
SEED = 7


def arrivals(lines: list[bytes]) -> list[float]:
    """When requests reached the simulated API."""
    events = [json.loads(one) for one in lines]
    return [event["at_s"] for event in events if event["event"] == "arrived"]


def test_the_sdk_policy_tries_when_the_real_sdk_tries(tmp_path, monkeypatch):
    """Attempt time by attempt time, jitter included, through every kind of trouble."""
    asks = workload_of(tmp_path, *[row(0, 20, 3) for _ in TROUBLE]).asks
    ours: list[bytes] = []
    theirs: list[bytes] = []

    async def by_the_sdk(world):
        client = world.client()
        for trouble in TROUBLE:
            with suppress(anthropic.APIError):
                await client.messages.create(
                    model=MODEL, max_tokens=9, messages=[{"role": "user", "content": trouble}],
                    extra_headers={"x-sim": trouble},
                )  # fmt: skip

    async def by_the_rival(world):
        line = Line(world.base_url, memory_dial, marked=False)
        rival = Sdk(line, world.clock, Random(SEED))
        for ask in asks:
            await rival.ask(ask)
        await rival.close()

    plain = line_module.headers_of
    monkeypatch.setattr(
        line_module,
        "headers_of",
        lambda ask, **_: (
            [header for header in plain(ask) if header[0] != b"x-sim"] + [(b"x-sim", TROUBLE[ask.number].encode())]
        ),
    )
    virtual(by_the_sdk, seed=SEED, events=theirs.append)
    virtual(by_the_rival, seed=SEED, events=ours.append)

    assert len(arrivals(theirs)) > 2 * len(TROUBLE)
    assert arrivals(ours) == arrivals(theirs)


def played(workload: Workload, **setup: object) -> Run:
    return play(workload, Setup(**setup))  # type: ignore[arg-type]


def test_first_come_first_served_is_the_reference_on_the_wire():
    """The simulated API lets it through exactly as the arithmetic says, cache and all, without one 429."""
    workload = from_trace("mooncake-synthetic", Changes(traffic=0.3))
    told = figures_of(played(workload, policy="fifo", rpm=300, itpm=150_000, otpm=30_000))
    reference = fifo(workload.asks, (300, 150_000, 30_000), 60, cached=True)

    assert told["upstream_429"] == 0
    assert told["makespan_s"] == pytest.approx(reference.makespan_s, rel=1e-3)
    assert told["cached_share"] == pytest.approx(reference.cached_share, abs=1e-3)


def test_fixed_retries_never_give_up_and_multiply(tmp_path):
    """Forty workers, every two seconds."""
    calls = workload_of(tmp_path, *[row(0) for _ in range(120)])
    told = figures_of(played(calls, policy="fixed-retry", rpm=60))

    assert told["answered"] == 120
    assert told["upstream_429"] > 300


def test_a_semaphore_lets_so_many_go_at_a_time_and_loses_what_the_sdk_gives_up(tmp_path):
    """Four workers of the SDK's patience are still too many for ten requests a minute."""
    run = played(workload_of(tmp_path, *[row(0) for _ in range(40)]), policy="semaphore", workers=4, rpm=10)

    assert sum(attempt.at_s == 0 for attempt in run.attempts) == 14
    assert figures_of(run)["answered"] < 40


def test_a_fixed_minute_sends_two_minutes_worth_around_its_border(tmp_path):
    """Which shallow buckets do not hold: why fixed windows are not enough."""
    rows = [row(59, 10, 1) for _ in range(60)] + [row(60, 10, 1) for _ in range(60)]
    told = figures_of(played(workload_of(tmp_path, *rows), policy="fixed-minute", rpm=60, depth_s=60))

    assert told["upstream_429"] > 0


def test_a_fixed_minute_keeps_what_is_left_for_the_next(tmp_path):
    """Whole minutes of the clock."""
    told = figures_of(played(workload_of(tmp_path, *[row(0, 10, 1) for _ in range(90)]), policy="fixed-minute", rpm=60))

    assert (told["makespan_s"], told["upstream_429"]) == (60, 0)
