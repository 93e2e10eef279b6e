"""Thirty seeded runs with faults, through the library: the ledger and the simulator's books are equal to the
pico-dollar, and what the API did not tell is flagged, never zero."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import anthropic
import httpx2
import pytest

from headgate.testing import simulated_claude
from support.sdk import asking, async_client, sync_client

FAULTS = (
    "error=500", "error=529", "error=400", "error=429; retry-after=0", "flaky=1:529", "flaky=2:500", "reset", "html",
    "error-200", "redirect", "midstream-error=0", "midstream-error=3", "cut=0", "cut=4", "no-stop", "no-usage",
    "bad-usage=negative", "bad-usage=null", "bad-usage=string", "garbage=events", "garbage=bytes", "refusal",
    "refusal-mid", "max-tokens",
    "web-search=2", "headers=lie", "headers=garbled", "headers=missing", "tokens=200", "deltas=40", "hang",
)  # fmt: skip
MODELS = ("claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5")
CALLS = 40


def plan(seed):
    """So many calls: their arguments, whether they stream, and after how many events the reader leaves."""
    chance = Random(seed)
    for number in range(CALLS):
        sim = f"[[sim: {chance.choice(FAULTS)}]]" if chance.random() < 0.6 else ""
        more = {"model": chance.choice(MODELS)}
        if chance.random() < 0.3:
            text = f"prompt {chance.randrange(3)} " * 2000
            more["system"] = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]
        leaves_after = chance.choice([1, 3, 8]) if chance.random() < 0.15 else None
        stream = leaves_after is not None or chance.random() < 0.5
        yield asking(f"{seed}.{number} {sim}", stream=stream, **more), leaves_after


EXPECTED = (anthropic.APIError, httpx2.HTTPError, UnicodeDecodeError)
"""The last is the SDK's own answer to bytes that are no text."""


def call(client, arguments, leaves_after):
    try:
        answer = client.messages.create(**arguments)
        if arguments["stream"]:
            with answer:
                for count, _ in enumerate(answer, 1):
                    if count == leaves_after:
                        break
    except EXPECTED as error:
        return type(error).__name__
    return "ok"


async def async_call(client, arguments, leaves_after):
    try:
        answer = await client.messages.create(**arguments)
        if arguments["stream"]:
            async with answer:
                count = 0
                async for _ in answer:
                    count += 1
                    if count == leaves_after:
                        break
    except EXPECTED as error:
        return type(error).__name__
    return "ok"


def run(claude, seed):
    """Odd seeds on threads, even ones on a loop; eight calls at a time."""
    if seed % 2:
        with sync_client(claude, timeout=0.4) as client, ThreadPoolExecutor(8) as threads:
            return Counter(threads.map(lambda planned: call(client, *planned), plan(seed)))

    async def main():
        places = asyncio.Semaphore(8)

        async def one(planned):
            async with places:
                return await async_call(client, *planned)

        async with async_client(claude, timeout=0.4) as client:
            return Counter(await asyncio.gather(*(one(planned) for planned in plan(seed))))

    return asyncio.run(main())


def is_flagged(attempt):
    """Whether the row says itself that its cost is not the whole truth."""
    if attempt["usage_source"] == "unknown":
        return attempt["unconfirmed_pico"] > 0
    if attempt["usage_source"] == "observed":
        return attempt["cost_pico"] is None or attempt["cost_pico"] > 0
    return attempt["usage_source"] == "vendor" and bool(attempt["usage_anomaly"] or attempt["cost_problem"])


@pytest.mark.parametrize("seed", range(30))
def test_the_ledger_is_the_invoice(kept, monkeypatch, seed):
    """Where the API said what was used, a row costs what the books say, found by the API's request id.  Every other
    request that was billed has a row that is flagged."""
    monkeypatch.setenv("HEADGATE_RETRY__CAP_S", "0.01")
    with simulated_claude(seed=seed) as claude:
        ends = run(claude, seed)
        attempts = kept.attempts()
        entries = claude.books(requests=True)["entries"]

    assert len(kept.calls()) == CALLS == sum(ends.values()), ends
    billed = {entry["request_id"]: entry["cost_pico"] for entry in entries if entry["cost_pico"]}
    flagged = [attempt for attempt in attempts if is_flagged(attempt)]
    exact = {
        attempt["upstream_request_id"]: attempt["cost_pico"]
        for attempt in attempts
        if attempt["cost_pico"] != 0 and not is_flagged(attempt)
    }
    for request_id in {attempt["upstream_request_id"] for attempt in flagged}:
        billed.pop(request_id, None)
    nameless = sum(attempt["upstream_request_id"] is None for attempt in flagged)
    unseen = {request_id for request_id in billed if request_id not in exact}
    assert not unseen & {attempt["upstream_request_id"] for attempt in attempts}
    assert len(unseen) <= nameless, "the API billed what no row admits"
    assert exact == {request_id: cost for request_id, cost in billed.items() if request_id not in unseen}
    assert len(exact) > CALLS / 8  # an API that fails so often is left alone for a while
