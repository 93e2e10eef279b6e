"""What the gauges say of an engine."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from headgate.config.budgets import budget_of
from headgate.config.schema import BatchesConfig, BudgetConfig, Config, PoolCeiling, WorkflowConfig
from headgate.config.schema import LimitsConfig as Limits
from headgate.core.budget import AccountKey, Budget
from headgate.core.grants import Account
from headgate.errors import Refused
from headgate.sim import SimSettings
from headgate.sim.settings import Batches
from headgate.telemetry.metrics.known_labels import MOST_SCOPES
from headgate.telemetry.metrics.loop_lag import KEPT_S, LoopLag
from headgate.telemetry.metrics.registry import Registry
from headgate.telemetry.metrics.state import budget_rows
from support.exposed import series
from support.world import World, lanes, play

PICO = 10**12
ONE_AT_A_TIME = Config(workflows={"test": WorkflowConfig(max_concurrency=1)})


def gauge(world: World, name: str) -> dict[str, float]:
    return series(world.engine.metrics, f"headgate_{name}")


async def settle() -> None:
    """Let everybody go as far as they can at this very moment."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_who_waits_and_who_is_under_way():
    """Per lane, over all pools."""

    async def scene(world: World) -> list[dict[str, float]]:
        calls = [asyncio.create_task(world.ask("slow=60000", lane="bulk")) for _ in range(3)]
        await asyncio.sleep(5)
        told = [gauge(world, name) for name in ("inflight", "queue_depth", "queue_oldest_age_seconds")]
        await asyncio.gather(*calls)
        return [*told, gauge(world, "inflight"), gauge(world, "queue_depth")]

    under_way, depth, age_s, *after = play(scene, config=ONE_AT_A_TIME)

    assert (under_way, depth) == ({"lane=bulk": 1}, {"lane=bulk": 2})
    assert age_s["lane=bulk"] == pytest.approx(5, abs=0.1)
    assert after == [{}, {}]


def test_a_closed_lane_has_nobody_who_waits_too_long():
    """They wait for it to open, which is no trouble."""
    config = Config(lanes=lanes(open=("09:00-10:00",), max_wait_s=100_000.0))

    async def scene(world: World) -> tuple[dict[str, float], dict[str, float]]:
        call = asyncio.create_task(world.ask(lane="bulk"))
        await asyncio.sleep(600)
        told = gauge(world, "queue_depth"), gauge(world, "queue_oldest_age_seconds")
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        return told

    assert play(scene, config=config) == ({"lane=bulk": 1}, {})


def test_limits_tell_what_there_is_what_was_used_and_what_headers_say():
    """Used is what left in the last minute, however shallow the API's bucket is."""
    config = Config(limits=Limits(pools={"sonnet-5.5": PoolCeiling(rpm=60)}))

    async def scene(world: World) -> list[dict[str, float]]:
        world.engine.metrics.exposition()
        for _ in range(30):
            await world.ask()
            await asyncio.sleep(1)
        told = [gauge(world, f"limit_{name}") for name in ("capacity", "used")]
        told += [gauge(world, f"upstream_limit_{name}") for name in ("remaining", "stale")]
        await asyncio.sleep(30)
        world.engine.metrics.exposition()
        await asyncio.sleep(61)
        return [*told, gauge(world, "limit_used"), gauge(world, "upstream_limit_stale")]

    capacity, used, remaining, stale, used_later, stale_later = play(scene, config=config)

    pool = "pool=sonnet-5.5,dimension"
    assert (capacity[f"{pool}=rpm"], used[f"{pool}=rpm"]) == (60, 30)
    assert remaining[f"{pool}=itpm"] > 0
    assert not stale
    assert not used_later
    assert stale_later[f"{pool}=rpm"] == 1


def test_what_attempts_under_way_hold_is_reserved():
    async def scene(world: World) -> tuple[float, dict[str, float]]:
        call = asyncio.create_task(world.ask("slow=5000"))
        await asyncio.sleep(1)
        reserved = gauge(world, "limit_reserved")["pool=sonnet-5.5,dimension=rpm"]
        await call
        return reserved, gauge(world, "limit_reserved")

    assert play(scene) == (1, {})


def test_pushback_counts_down_and_is_no_failure():
    async def scene(world: World) -> tuple[float, dict[str, float]]:
        call = asyncio.create_task(world.ask("error=429; retry-after=20"))
        await asyncio.sleep(5)
        told = gauge(world, "not_before_seconds")["pool=sonnet-5.5"], gauge(world, "breaker_state")
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        return told

    left_s, breaker = play(scene)

    assert 10 < left_s < 20
    assert breaker == {}


def test_an_open_breaker_is_two_and_half_open_is_one():
    async def scene(world: World) -> list[dict[str, float]]:
        for _ in range(8):
            with suppress(Refused):
                await asyncio.wait_for(world.ask("error=500", lane="interactive"), 30)
        states = [gauge(world, "breaker_state")]
        await asyncio.sleep(120)
        return [*states, gauge(world, "breaker_state")]

    opened, later = play(scene, config=Config(lanes=lanes(max_wait_s=0.0)))

    slot = "pool=sonnet-5.5,credential_slot=1"
    assert (opened[slot], later[slot]) == (2, 1)


def test_an_attempt_that_is_open_shows_with_its_age():
    """One that stays is a leak."""

    async def scene(world: World) -> tuple[dict[str, float], float, dict[str, float]]:
        call = asyncio.create_task(world.ask("slow=60000"))
        await asyncio.sleep(10)
        told = gauge(world, "reservations_open"), gauge(world, "reservation_oldest_age_seconds")[""]
        await call
        return *told, gauge(world, "reservations_open")

    open_, age_s, after = play(scene)

    assert (open_, after) == ({"": 1}, {})
    assert age_s == pytest.approx(10, abs=0.1)


def test_which_build_and_which_settings_run():
    async def scene(world: World) -> dict[str, float]:
        return gauge(world, "build_info") | gauge(world, "config_info")

    told = play(scene)
    assert len(told) == 2
    assert play(scene) == told
    assert play(scene, config=Config(default_lane="bulk")) != told


# -- the loop ----------------------------------------------------------------------------------------------------------


def test_a_loop_that_is_held_up_shows_until_it_has_been_seen():
    async def scene(world: World) -> list[float]:
        registry, clock = world.engine.metrics, HeldUp(world)
        lag = LoopLag(registry, clock)
        lag.start()
        told = []
        await asyncio.sleep(1)
        told.append(gauge(world, "event_loop_lag_seconds"))
        clock.late_s = 0.7
        await asyncio.sleep(0.25)
        clock.late_s = 0.0
        for _ in range(3):
            await asyncio.sleep(KEPT_S)
            told.append(gauge(world, "event_loop_lag_seconds"))
        lag.stop()
        return told

    before, *seen = play(scene)

    assert before == {}
    assert seen[0][""] == pytest.approx(0.7, abs=0.01)
    assert seen[-1] == {}


class HeldUp:
    """The world's clock, that may be late."""

    def __init__(self, world: World) -> None:
        self._clock = world.engine.clock
        self.late_s = 0.0

    def now_s(self) -> float:
        return self._clock.now_s() + self.late_s

    def unix_ms(self) -> int:
        return self._clock.unix_ms()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


# -- budgets -----------------------------------------------------------------------------------------------------------


def account(budget: Budget, who: str, settled: int, *, held: int = 0, others: int = 0) -> Account:
    its = Account(budget, AccountKey(budget.name, who, "w"))
    its.settled, its.held, its.others = settled * PICO, held * PICO, others * PICO
    return its


def test_a_budget_says_its_cap_what_is_settled_and_what_is_held():
    budget = budget_of("all", BudgetConfig(usd="100.00", window="day"))

    rows = budget_rows({"all": budget}, [account(budget, "", 40, held=2, others=3)], 0)

    assert rows == {("all", "day"): [100 * PICO, 40 * PICO, 5 * PICO]}


def test_of_a_budget_that_is_split_the_fullest_account_is_told_and_nobody_named():
    budget = budget_of("person", BudgetConfig(usd="10.00", per=("user",)))

    rows = budget_rows({"person": budget}, [account(budget, "ann", 3), account(budget, "bob", 7)], 0)

    assert rows == {("person", "month"): [10 * PICO, 7 * PICO, 0]}


def test_a_window_that_is_over_is_not_told():
    budget = budget_of("all", BudgetConfig(usd="100.00", window="day"))
    yesterday = account(budget, "", 40)
    yesterday.end_ms = 1_000

    assert budget_rows({"all": budget}, [yesterday], 1_000)["all", "day"][1] == 0


def test_more_budgets_than_a_monitor_should_have_are_one():
    budgets = {name: budget_of(name, BudgetConfig(usd="1.00")) for name in map(str, range(MOST_SCOPES + 3))}

    rows = budget_rows(budgets, [], 0)

    assert len(rows) == MOST_SCOPES + 1
    assert rows["other", "other"][0] == 3 * PICO


def test_what_calls_cost_is_in_the_gauges():
    """From the engine's own accounts."""
    config = Config(budgets={"all": BudgetConfig(usd="1.00")})

    async def scene(world: World) -> tuple[dict[str, float], dict[str, float], int]:
        answer = await world.ask()
        return gauge(world, "budget_settled_usd"), gauge(world, "budget_cap_usd"), answer.record.cost_pico or 0

    settled, cap, cost_pico = play(scene, config=config)

    assert cap == {"scope=all,window=month": 1}
    assert settled["scope=all,window=month"] * PICO == pytest.approx(cost_pico)


def test_a_registry_is_read_without_an_engine():
    assert b"headgate_series_dropped_total 0\n" in Registry({}).exposition()


def test_batches_that_collect_and_batches_under_way():
    """Of Headgate's own making."""
    config = Config(
        workflows={"test": WorkflowConfig(batch=True)}, lanes=lanes(total_timeout_s=100_000.0),
        batches=BatchesConfig(collect_s=60.0),
    )  # fmt: skip

    async def scene(world: World) -> list[dict[str, float]]:
        asked = asyncio.create_task(world.ask(lane="bulk", requested_deadline_s=80_000.0))
        await asyncio.sleep(30)
        states = [gauge(world, "batches")]
        await asyncio.sleep(60)
        states.append(gauge(world, "batches"))
        await asked
        return [*states, gauge(world, "batches"), gauge(world, "batch_items_total")]

    states = play(scene, config=config, sim=SimSettings(batches=Batches(processing_s=600.0)))

    assert states == [{"state=collecting": 1}, {"state=under_way": 1}, {}, {"result=succeeded": 1}]
