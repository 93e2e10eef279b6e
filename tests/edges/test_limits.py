"""What operators see of admission: each fact with its source and age, who waits, and why nothing goes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from headgate.config.schema import Config, LimitsConfig, PoolCeiling, UpstreamConfig, WorkflowConfig
from headgate.gateway.limits import limits_of, waiting_call
from headgate.secret import Secret
from headgate.sim import SimSettings
from headgate.sim.settings import Access, Commitment, Latency, Limits, Priority, Workspace
from headgate.sim.settings import Conditions as Weather
from support import edge as edges
from support.world import KEY, MODEL, World, lanes, play

POOL = "sonnet-5.5"
SLOW = Latency(ttft_s=1, tokens_per_s=100, spread=0)
ONE_A_SECOND = SimSettings(limits=Limits(rpm=60, depth_s=1), latency=SLOW)
PATIENT = Config(lanes=lanes(max_wait_s=3600.0))
KNOWN = replace(PATIENT, limits=LimitsConfig(pools={POOL: PoolCeiling(rpm=60)}))
"""What the account allows, so that nothing has to be learned from 429s."""


def seen(world: World) -> dict[str, Any]:
    """The pool that is used."""
    (pool,) = [pool for pool in limits_of(world.engine)["pools"] if pool["pool"] == POOL]
    return pool


def backend_of(pool: dict[str, Any]) -> dict[str, Any]:
    (backend,) = pool["backends"]
    return backend


async def looked_at(world: World, calls: int, after_s: float, **options: Any) -> dict[str, Any]:
    """The pool, `after_s` after so many calls were made together."""
    asked = [asyncio.ensure_future(world.ask(**options)) for _ in range(calls)]
    await asyncio.sleep(after_s)
    pool = seen(world)
    await asyncio.gather(*asked, return_exceptions=True)
    return pool


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_limit_is_the_tiers_until_an_answer_tells_a_better_one():
    """Each figure says where it is from and how old it is."""

    async def scene(world: World) -> tuple[Any, Any]:
        asked = asyncio.ensure_future(world.ask())
        await asyncio.sleep(0.5)
        before = backend_of(seen(world))["limiters"]["requests"]
        await asked
        await asyncio.sleep(30)
        return before, backend_of(seen(world))["limiters"]["requests"]

    before, after = play(scene, sim=SimSettings(limits=Limits(rpm=700), latency=SLOW))

    assert (before["per_minute"], before["source"], before["remaining_upstream"]) == (1_000, "tier start", None)
    assert (after["per_minute"], after["source"], after["age_s"]) == (700, "headers", 30.0)
    assert (after["remaining_upstream"], after["remaining_age_s"]) == (700, 30.0)


def test_a_ceiling_that_binds_is_named_as_the_source():
    """An operator who wonders why it is not more finds the setting."""
    config = Config(limits=LimitsConfig(pools={POOL: PoolCeiling(rpm=120)}))

    limiter = play(lambda world: looked_at(world, 1, 5.0), config=config)["backends"][0]["limiters"]["requests"]

    assert (limiter["per_minute"], limiter["ceiling"], limiter["source"]) == (120, 120, "configured ceiling")


def test_a_workspace_s_limit_of_plain_input_stands_beside_the_other():
    """Cache reads count for one and not for the other; only the Rate Limits API tells it."""
    ours = Workspace(id="wrkspc_a", keys=frozenset({KEY}), limits={POOL: {"input_tokens_per_minute": 60_000}})
    config = Config(upstream=UpstreamConfig(admin_key=Secret("sk-ant-admin01-x"), workspace="wrkspc_a"))

    async def scene(world: World) -> Any:
        await asyncio.sleep(1)  # it is asked at the start
        return backend_of(await looked_at(world, 1, 5.0))["limiters"]

    limiters = play(scene, sim=SimSettings(access=Access(workspaces=(ours,))), config=config)

    assert (limiters["plain input"]["per_minute"], limiters["plain input"]["source"]) == (60_000, "rate limits API")
    assert limiters["input"]["per_minute"] > 60_000


def test_what_others_use_of_the_account_is_told():
    """A hidden consumer shows in headers only; here it has a figure."""
    others = replace(ONE_A_SECOND, limits=Limits(rpm=600, depth_s=60), weather=Weather(others_share=0.5))

    async def scene(world: World) -> Any:
        pool = await looked_at(world, 1_500, 150.0)
        return backend_of(pool)["limiters"]["requests"]["others_per_minute"]

    assert play(scene, sim=others, config=PATIENT) == pytest.approx(300, rel=0.35)


def test_a_429_holds_its_backend_and_the_reason_shows():
    """Until when, and why."""

    async def scene(world: World) -> Any:
        return backend_of(await looked_at(world, 1, 1.0, sim="flaky=1:429"))

    breaker = play(scene, sim=SimSettings(), config=PATIENT)["breaker"]

    assert (breaker["state"], breaker["because"]) == ("held", "limited")
    assert breaker["next_try_in_s"] > 0


def test_an_open_breaker_says_when_it_tries_again():
    """Nothing goes, and it is no secret for how long."""

    async def scene(world: World) -> Any:
        return backend_of(await looked_at(world, 30, 8.0))

    storm = SimSettings(weather=Weather(overload_share=1.0), latency=SLOW)
    backend = play(scene, sim=storm)

    assert backend["breaker"]["state"] in ("open", "half_open")
    assert backend["breaker"]["next_try_in_s"] > 0


# -- who waits ---------------------------------------------------------------------------------------------------------


def test_who_waits_is_counted_by_lane_and_tenant():
    """The greediest first, and how long the oldest has waited."""

    async def scene(world: World) -> Any:
        asked = [asyncio.ensure_future(world.ask(lane="bulk", workflow="nightly")) for _ in range(12)]
        asked += [asyncio.ensure_future(world.ask(lane="bulk", workflow="reports")) for _ in range(4)]
        await asyncio.sleep(3.5)
        pool = seen(world)
        await asyncio.gather(*asked)
        return pool

    pool = play(scene, sim=ONE_A_SECOND, config=KNOWN)

    bulk = pool["lanes"]["bulk"]
    assert pool["waiting"] == bulk["waiting"] == sum(one["waiting"] for one in bulk["top"])
    assert [one["tenant"] for one in bulk["top"]] == ["nightly", "reports"]
    assert bulk["oldest_s"] == 3.5
    assert pool["lanes"]["interactive"]["waiting"] == 0


def test_a_waiting_call_can_be_asked_after():
    """Its place, how long it has waited, and about how long it will: it is answered about then."""

    async def scene(world: World) -> Any:
        calls = [world.make(lane="bulk") for _ in range(20)]
        asked = [asyncio.ensure_future(world.send(call)) for call in calls]
        await asyncio.sleep(4.0)
        told = waiting_call(world.engine, calls[-1].record.call_id)
        await asked[-1]
        return told, world.now_s, waiting_call(world.engine, calls[-1].record.call_id)

    told, ended_s, afterwards = play(scene, sim=ONE_A_SECOND, config=KNOWN)

    assert (told["pool"], told["lane"], told["waited_s"]) == (POOL, "bulk", 4.0)
    assert 10 <= told["position"] <= 20
    assert told["expected_s"] == pytest.approx(ended_s - 4.0, abs=4.0)
    assert afterwards is None


def test_nobody_makes_the_answer_long():
    """INV-19: callers choose how many wait and what they are called."""

    async def scene(world: World) -> Any:
        asked = [asyncio.ensure_future(world.ask(lane="bulk", workflow=f"tenant {n}")) for n in range(100)]
        await asyncio.sleep(1.5)
        bulk, longest = seen(world)["lanes"]["bulk"], seen(world)["longest_waiting"]
        for each in asked:
            each.cancel()
        await asyncio.wait(asked)
        return bulk, longest

    bulk, longest = play(scene, sim=ONE_A_SECOND, config=KNOWN)

    assert (len(bulk["top"]), len(longest)) == (8, 20)
    assert bulk["tenants"] > 90


def test_a_workflow_at_its_cap_is_seen_to_be():
    """It waits for itself, and for no limit of the account."""
    config = replace(PATIENT, workflows={"agent": WorkflowConfig(max_concurrency=2)})

    pool = play(lambda world: looked_at(world, 5, 0.5, workflow="agent"), sim=SimSettings(latency=SLOW), config=config)

    (one,) = pool["lanes"]["standard"]["top"]
    assert (one["waiting"], one["under_way"], one["max_concurrency"]) == (3, 2, 2)


def test_a_closed_lane_says_when_it_opens():
    """Virtual time begins on a Saturday at 8:00 UTC."""
    config = Config(lanes=lanes() | {"bulk": replace(lanes(max_wait_s=7200.0)["bulk"], open=("09:00-10:00",))})

    pool = play(lambda world: looked_at(world, 1, 60.0, lane="bulk"), config=config)

    bulk = pool["lanes"]["bulk"]
    assert (bulk["waiting"], bulk["closed_for_s"]) == (1, pytest.approx(3540.0))


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?call=call_0", 404), ("?call=", 200)])
def test_one_call_that_waits_is_asked_for_by_its_id(query: str, status: int):
    """One that does not wait is not found."""

    async def scene(edge: edges.Edge) -> edges.Reply:
        await edge.ask()
        wire = await edge.connect(admin=True)
        await wire.send(edges.request_of("GET", f"/api/limits{query}"))
        return await wire.reply("GET")

    assert edges.play(scene, virtual=True).status == status


def test_a_priority_commitment_is_told_and_no_limit_to_keep_to():
    """§8.4: what goes beyond it is served at the standard tier; the ordinary limits stand beside it."""
    commitment = Commitment(input_tokens_per_minute=10_000, output_tokens_per_minute=2_000)

    async def scene(world: World) -> tuple[Any, Any, bool]:
        answers = [await world.ask(text="hello " * 300, body={"service_tier": "auto"}) for _ in range(40)]
        backend = backend_of(seen(world))
        return backend["commitment"], backend["limiters"]["input"]["per_minute"], all(answer.ok for answer in answers)

    told, ordinary, answered = play(scene, sim=SimSettings(priority=Priority(commitments={MODEL: commitment})))

    assert (told["input"]["per_minute"], told["output"]["per_minute"]) == (10_000, 2_000)
    assert told["input"]["remaining"] < 10_000
    assert (ordinary, answered) == (2_000_000, True)
