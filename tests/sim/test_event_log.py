"""The event log: one line for everything that happens, and the same lines for the same seed wherever it runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import msgspec
import pytest

from headgate.sim.event_log import EVENTS
from headgate.sim.settings import Latency, Limits
from headgate.testing import SimSettings, VirtualWorld, virtual
from support.sdk import asking

SLOW = SimSettings(latency=Latency(ttft_s=0.5, tokens_per_s=10, spread=0))
TIGHT = SimSettings(limits=Limits(rpm=60, depth_s=5), latency=Latency(ttft_s=0.5, tokens_per_s=60))


def logged(scene: Any, **options: Any) -> list[dict[str, Any]]:
    """The log of a run, read."""
    lines: list[bytes] = []
    virtual(scene, events=lines.append, **options)
    assert all(line.endswith(b"}\n") for line in lines)
    return [msgspec.json.decode(line) for line in lines]


def asks(*contents: str, **options: Any) -> Any:
    async def scene(world: VirtualWorld) -> None:
        client = world.client(max_retries=0)
        for content in contents:
            try:
                await client.messages.create(**asking(content), **options)
            except anthropic.APIError:
                continue

    return scene


def test_a_whole_answer_is_admitted_generated_billed_and_sent():
    """In this order, each at its simulated time."""
    log = logged(asks("[[sim: deltas=10]]"), settings=SLOW)

    assert [(line["event"], line["at_s"]) for line in log] == [
        ("arrived", 0.0), ("admitted", 0.0), ("cache", 0.0), ("began", 0.5), ("ended", 1.4), ("billed", 1.4),
        ("answered", 1.4),
    ]  # fmt: skip
    assert {line["request_id"] for line in log} == {log[0]["request_id"]}


def test_a_stream_is_answered_before_it_begins():
    """Its head goes out at once, its first byte when there is one."""

    async def scene(world: VirtualWorld) -> None:
        async with world.client().messages.stream(**asking("[[sim: deltas=10]]")) as stream:
            await stream.until_done()

    log = logged(scene, settings=SLOW)

    assert [(line["event"], line["at_s"]) for line in log] == [
        ("arrived", 0.0), ("admitted", 0.0), ("cache", 0.0), ("answered", 0.0), ("began", 0.5), ("ended", 1.4),
        ("billed", 1.4),
    ]  # fmt: skip


def test_what_was_billed_stands_in_the_log():
    """The sum of its lines is the books."""
    books: dict[str, Any] = {}

    async def scene(world: VirtualWorld) -> None:
        await asks("one", "[[sim: error=529]]", "two")(world)
        books.update(world.books())

    billed = [line for line in logged(scene) if line["event"] == "billed"]

    assert [line["outcome"] for line in billed] == ["complete", "error", "complete"]
    assert sum(line["cost_pico"] for line in billed) == books["cost_pico"] > 0


def test_a_429_says_which_limit_it_was():
    """And when to come again."""
    log = logged(asks("one", "two"), settings=SimSettings(limits=Limits(rpm=1, depth_s=60)))

    limited = [line for line in log if line["event"] == "limited"]

    assert [(line["kind"], line["retry_after"]) for line in limited] == [("requests", "60")]


def test_the_cache_is_told_as_it_was_met():
    """Written first, read then."""

    async def scene(world: VirtualWorld) -> None:
        system: Any = [{"type": "text", "text": "w" * 40_000, "cache_control": {"type": "ephemeral"}}]
        for _ in range(2):
            await world.client().messages.create(**asking("hello", system=system))

    first, second = [line for line in logged(scene) if line["event"] == "cache"]

    assert first["write_5m"] == second["read"] > 10_000
    assert first["read"] == second["write_5m"] == 0


def test_every_event_has_its_meaning():
    """What a run writes is what the table explains."""
    log = logged(asks("one", "two"), settings=SimSettings(limits=Limits(rpm=1)))

    assert {line["event"] for line in log} == set(EVENTS)


# -- the same seed, the same log ---------------------------------------------------------------------------------------


async def rush(world: VirtualWorld) -> None:
    """More than the limits take, from several clients, with retries, streams, faults and cancelled calls."""

    async def user(number: int) -> None:
        client = world.client(max_retries=2)
        for turn in range(4):
            await asyncio.sleep(number / 7)
            flaw = ("", "", "[[sim: flaky=1:529]]", "[[sim: cut=2]]", "[[sim: tokens=300]]")[(number + turn) % 5]
            params = asking(f"user {number}, turn {turn} {flaw}", system=[{"type": "text", "text": "rules " * 900}])
            try:
                async with asyncio.timeout(9):
                    if number % 2:
                        await client.messages.create(**params)
                    else:
                        async with client.messages.stream(**params) as stream:
                            await stream.until_done()
            except Exception:  # a cut is an error of the HTTP library's, and not the point here
                continue

    await asyncio.gather(*(user(number) for number in range(12)))


def log_of(seed: int, through: Any = "gateway") -> bytes:
    """For the processes below."""
    lines: list[bytes] = []
    virtual(rush, through=through, settings=TIGHT, seed=seed, events=lines.append)
    return b"".join(lines)


def in_a_process(seed: int, hash_seed: str) -> bytes:
    script = f"import sys; from sim.test_event_log import log_of; sys.stdout.buffer.write(log_of({seed}))"
    folders = os.pathsep.join(path for path in sys.path if path)
    environ = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": folders}
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=environ).stdout


@contextmanager
def other_load() -> Iterator[None]:
    """Processes that keep the machine busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(min(4, os.cpu_count() or 2))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_the_same_seed_gives_the_same_log_byte_for_byte_beside_other_load():
    """Two processes, each with its own order of hashes, one on a machine that is busy with something else."""
    alone = in_a_process(7, "1")
    with other_load():
        beside = in_a_process(7, "2")

    assert alone == beside
    assert b'"limited"' in alone


@pytest.mark.parametrize("through", ["nothing", "gateway", "library"])
def test_a_run_can_be_repeated_in_one_process(through):
    """Nothing of a run is left for the next one."""
    assert log_of(3, through) == log_of(3, through)


def test_another_seed_is_another_run():
    """Or the tests above could not fail."""
    assert log_of(3) != log_of(4)
