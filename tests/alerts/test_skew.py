"""Processes that do not run the same are told of, in virtual time: two engines, each with its watch, on one file."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headgate.alerts.watch import Watch
from headgate.config.schema import Config, LimitsConfig, LogConfig, UpstreamConfig
from headgate.config.version import config_version
from headgate.secret import Secret
from headgate.stores.memory import MemoryLedger
from headgate.stores.sqlite.telemetry import Telemetry
from support.engines import engine_in_memory
from support.receiver import Receiver
from support.world import World, play

CONFIG = Config()
CHANGED = replace(CONFIG, limits=LimitsConfig(per_user_rpm=7))


def on_port(config: Config, port: int) -> Config:
    return replace(config, gateway=replace(config.gateway, port=port), admin=replace(config.admin, port=port + 1))


async def minutes(number: float) -> None:
    await asyncio.sleep(60 * number)


async def side_by_side(world: World, ours: Config, other: Config, for_minutes: float) -> Receiver:
    """Both run so long; then the other comes up with our settings."""
    telemetry, pager, clock = Telemetry(None), Receiver(), world.engine.clock
    watches = []

    async def starts(config: Config) -> Watch:
        engine = engine_in_memory(
            config, MemoryLedger(), None, clock, ("sk-ant-test",), 1, world.engine._upstream._dial
        )
        watch = Watch(config, engine.metrics, clock, telemetry, senders=[pager], holder=str(config.gateway.port))
        await watch.start()
        watches.append(watch)
        return watch

    await starts(on_port(ours, 8787))
    old = await starts(on_port(other, 8797))
    await minutes(for_minutes)
    await old._rounds.stop()
    await starts(on_port(ours, 8797))
    await minutes(15)
    for watch in watches:
        await watch._rounds.stop()
        await watch.outbox.close()
    telemetry.close()
    return pager


@pytest.mark.parametrize(("runs", "told"), [(CHANGED, ["firing", "resolved"]), (CONFIG, [])], ids=["other", "same"])
def test_two_processes_that_run_other_settings_for_ten_minutes_are_told_of(runs, told):
    """AL-29; where each listens is no other setting."""
    pager = play(lambda world: side_by_side(world, CONFIG, runs, 14))

    assert [each.kind for each in pager.notifications if each.rule == "version_skew"] == told


def test_a_rollout_within_ten_minutes_is_told_nobody():
    """One process after the other."""
    pager = play(lambda world: side_by_side(world, CHANGED, CONFIG, 7))

    assert [each for each in pager.notifications if each.rule == "version_skew"] == []


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (on_port(CONFIG, 9000), True),
        (replace(CONFIG, log=LogConfig(path="/var/log/two.jsonl")), True),
        (CHANGED, False),
        (replace(CONFIG, log=LogConfig(content="full")), False),
    ],
)
def test_settings_have_a_name_without_places(other, same):
    """Eight digits, the same in each process of a machine that runs the same."""
    assert (config_version(other) == config_version(CONFIG)) is same


def test_a_secret_has_no_part_in_the_name_of_settings():
    """Nobody can try keys against it; a key that was changed is no other setting."""
    one, other = [
        replace(CONFIG, upstream=UpstreamConfig(api_key=Secret(key))) for key in ("sk-ant-one", "sk-ant-other")
    ]

    assert config_version(one) == config_version(other)
