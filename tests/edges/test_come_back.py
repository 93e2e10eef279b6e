"""A refusal says when to come back, and that is no guess: whoever obeys gets in, if nobody else has come meanwhile.

The official SDK obeys: it is told by `x-should-retry` and `retry-after-ms`, and tries again by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anthropic
import pytest

from headgate.config.schema import Config, LimitsConfig, PoolCeiling, WorkflowConfig
from headgate.events import Reason
from headgate.sim.settings import Conditions, Latency, Limits, SimSettings
from headgate.testing import VirtualWorld, virtual
from support.sdk import asking
from support.world import lanes

POOL = "haiku-5.5"
SIM = SimSettings(limits=Limits(rpm=60, depth_s=1), latency=Latency(ttft_s=0.5, tokens_per_s=100, spread=0))
CONFIG = Config(lanes=lanes(max_wait_s=3600.0), limits=LimitsConfig(pools={POOL: PoolCeiling(rpm=60)}))
"""One request a second, and Headgate knows."""


def lane(**changes: Any) -> Config:
    return replace(CONFIG, lanes=CONFIG.lanes | {"interactive": replace(CONFIG.lanes["interactive"], **changes)})


def come_back(
    config: Config,
    *,
    before: int = 0,
    patience_s: float = 3600.0,
    sim: SimSettings = SIM,
    after_s: float = 0.5,
    **headers: str,
) -> Any:
    """Status, reason and time of each try of one caller, behind so many calls of another that asked before it."""

    async def scene(world: VirtualWorld) -> Sequence[tuple[Any, ...]]:
        others, caller = world.client(max_retries=0), world.client(max_retries=1)
        told = {"x-headgate-lane": "interactive", "x-headgate-workflow": "chat"}
        patient = told | {"x-headgate-deadline-s": f"{patience_s:g}"}
        first = [
            asyncio.ensure_future(others.messages.create(**asking(f"before {n}"), extra_headers=patient))
            for n in range(before)
        ]
        await asyncio.sleep(after_s)
        extra = told | {f"x-headgate-{name.replace('_', '-')}": value for name, value in headers.items()}
        await caller.messages.create(**asking("me too"), extra_headers=extra | {"x-correlation-id": "me"})
        await asyncio.gather(*first, return_exceptions=True)
        return [
            (call.status, call.reason, round((call.started_ms - world.calls[0].started_ms) / 1000, 1))
            for call in sorted(world.calls, key=lambda call: call.started_ms)
            if call.correlation_id == "me"
        ]

    return virtual(scene, settings=sim, through="gateway", config=config)


def test_a_call_that_would_wait_too_long_gets_in_when_it_was_told_to_come_back():
    """Ten calls stand before it, and it has three seconds."""
    refused, answered = come_back(CONFIG, before=10, deadline_s="3")

    assert refused[:2] == (429, Reason.WAIT_TOO_LONG)
    assert answered[0] == 200
    assert 7 <= answered[2] - refused[2] <= 12


def test_a_full_lane_has_room_when_it_says_so():
    """Six may wait, and six do."""
    refused, answered = come_back(lane(max_queue=6), before=7)

    assert (refused[:2], answered[0]) == ((429, Reason.LANE_FULL), 200)


def test_a_closed_lane_is_open_when_it_says_so():
    """Virtual time begins at 8:00 UTC: it is to come back in four minutes, not in a second."""
    refused, answered = come_back(lane(open=("08:04-17:00",), max_wait_s=5.0))

    assert (refused[:2], answered[0]) == ((429, Reason.LANE_CLOSED), 200)
    assert answered[2] - refused[2] == pytest.approx(240, abs=2)


def test_nobody_is_made_to_sleep_until_a_lane_opens_in_hours():
    """§15: the SDK would, whatever its timeout; so it is told not to, and its caller hears at once."""

    async def scene(world: VirtualWorld) -> tuple[str, float]:
        with pytest.raises(anthropic.RateLimitError) as refusal:
            await world.client(max_retries=2).messages.create(
                **asking("hello"), extra_headers={"x-headgate-lane": "interactive"}
            )
        return refusal.value.response.headers["retry-after"], world.now_s

    config = lane(open=("09:00-17:00",), max_wait_s=5.0)

    assert virtual(scene, settings=SIM, through="gateway", config=config) == ("3600", 0)


def test_behind_an_open_breaker_the_caller_comes_back_as_the_probe():
    """The API has failed for ten seconds and is well again; those before it have given up."""
    storm = replace(SIM, weather=Conditions(overload_share=1.0, forecast={10.0: {"overload_share": 0.0}}))
    refused, answered = come_back(CONFIG, before=8, patience_s=8.0, sim=storm, after_s=9.0, deadline_s="1")

    assert (refused[:2], answered[0]) == ((503, Reason.BREAKER_OPEN), 200)


def test_a_user_over_its_limit_may_ask_again_when_it_was_told():
    """Two a minute: the third comes half a minute later."""
    config = replace(CONFIG, limits=replace(CONFIG.limits, per_user_rpm=2))

    async def scene(world: VirtualWorld) -> list[tuple[Any, ...]]:
        client = world.client(max_retries=1)
        for n in range(3):
            await client.messages.create(**asking(f"question {n}"), extra_headers={"x-headgate-user": "ada"})
        return [(call.status, call.reason) for call in world.calls]

    told = virtual(scene, settings=SIM, through="gateway", config=config)

    assert (429, Reason.USER_LIMIT) in told
    assert told[-1][0] == 200


def test_a_workflow_at_its_own_bound_is_told_which_setting_that_is():
    """The account has room; looking at its limits would lead nowhere."""
    config = replace(CONFIG, workflows={"chat": WorkflowConfig(max_concurrency=1)})

    async def scene(world: VirtualWorld) -> str:
        client, told = world.client(max_retries=0), {"x-headgate-workflow": "chat"}
        under_way = asyncio.ensure_future(client.messages.create(**asking("long"), extra_headers=told))
        await asyncio.sleep(0.1)
        with pytest.raises(anthropic.RateLimitError) as refusal:
            await client.messages.create(**asking("me too"), extra_headers=told | {"x-headgate-deadline-s": "0.2"})
        await under_way
        return refusal.value.message

    told = virtual(scene, settings=SIM, through="gateway", config=config)

    assert "workflows.chat.max_concurrency" in told
    assert "account" not in told
