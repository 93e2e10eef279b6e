"""The Rate Limits API is asked besides the calls, and nothing depends on it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from headgate.config.schema import Config, CredentialConfig, UpstreamConfig
from headgate.engine.limit_poller import EVERY_S
from headgate.gateway.limits import limits_of as limits_api
from headgate.secret import Secret
from headgate.sim import SimSettings
from headgate.sim.account.access import Doorkeeper
from headgate.sim.settings import Access, Limits, Workspace
from support.world import KEY, World, play

OURS = Workspace(
    id="wrkspc_a",
    keys=frozenset({KEY}),
    limits={"sonnet-5.5": {"requests_per_minute": 30, "input_tokens_per_minute": 60_000}},
)
ADMIN = Secret("sk-ant-admin01-x")


def config(admin_key: Secret | None = ADMIN, **upstream) -> Config:
    return Config(upstream=UpstreamConfig(admin_key=admin_key, **upstream))


def account(**limits) -> SimSettings:
    return SimSettings(limits=Limits(**limits), access=Access(workspaces=(OURS,)))


def backends_of(world: World, pool: str = "sonnet-5.5"):
    (state,) = [state for state in world.engine.gates() if state.pool == pool]
    return state.gate.backends


def limits_of(world: World):
    """Limit and source of requests, as the first backend has them."""
    limit = backends_of(world)[0].limits[0]
    return limit.per_minute, limit.source


async def before_the_first_answer(world: World):
    """What is known of the limits when the first call goes out."""
    await asyncio.sleep(1)
    call = asyncio.ensure_future(world.ask())
    await asyncio.sleep(0)
    seen = limits_of(world)
    await call
    return seen


def test_the_limits_of_the_account_are_known_before_the_first_answer():
    """The tier is only a guess."""
    assert play(before_the_first_answer, sim=account(rpm=123), config=config()) == (123, "rate limits API")


def test_without_an_admin_key_nobody_asks():
    """The Rate Limits API takes no other."""
    assert play(before_the_first_answer, sim=account(rpm=123), config=config(None)) == (1_000, "tier start")


def test_the_limits_of_every_pool_show_before_any_call():
    """An operator looks at them first, and makes calls then."""

    async def scene(world: World):
        before = limits_api(world.engine)["pools"]
        await asyncio.sleep(1)
        return before, {pool["pool"]: pool["backends"][0]["limiters"] for pool in limits_api(world.engine)["pools"]}

    before, after = play(scene, sim=account(rpm=123), config=config())

    assert before == []
    assert (after["opus-5.5"]["requests"]["per_minute"], after["opus-5.5"]["requests"]["source"]) == (
        123, "rate limits API",
    )  # fmt: skip


def test_a_workspaces_limit_holds_although_headers_tell_the_organisations():
    """§8.5: they tell nothing of it."""

    async def scene(world: World):
        await asyncio.sleep(1)
        await world.ask()
        return limits_of(world)

    assert play(scene, sim=account(), config=config(workspace="wrkspc_a")) == (30, "rate limits API")


def test_a_limit_that_counts_cache_reads_stands_beside_the_one_that_does_not():
    """§8.5, the trap."""

    async def scene(world: World):
        await asyncio.sleep(1)
        await world.ask()
        return {name: limit.per_minute for name, limit, _, _ in backends_of(world)[0].levels(world.now_s)}

    told = play(scene, sim=account(), config=config(workspace="wrkspc_a"))
    assert (told["input"], told["plain input"]) == (2_000_000, 60_000)


def test_calls_keep_to_a_limit_that_only_the_rate_limits_api_tells():
    """No 429; without the admin key most of these calls fail."""

    async def scene(world: World):
        await asyncio.sleep(1)
        answers = await asyncio.gather(*[world.ask(lane="bulk", text="x" * 20_000) for _ in range(25)])
        return [answer.ok for answer in answers], world.attempts()

    ok, attempts = play(scene, sim=account(depth_s=10), config=config(workspace="wrkspc_a"))

    assert all(ok)
    assert [error for error, _ in attempts if error] == []


def test_every_key_has_the_limits_of_its_own_workspace():
    """Of several keys each may belong to another."""
    more = CredentialConfig(name="key2", api_key=Secret("k2"), workspace="wrkspc_a")

    async def scene(world: World):
        await asyncio.sleep(1)
        await world.ask()
        return [backend.limits[0].per_minute for backend in backends_of(world)]

    settings = SimSettings(access=Access(workspaces=(replace(OURS, keys=frozenset({"k2"})),)))
    assert play(scene, sim=settings, config=config(credentials=(more,)), credentials=(KEY, "k2")) == [1_000, 30]


def test_a_change_is_seen_within_minutes():
    """It is asked again and again."""

    async def scene(world: World):
        await asyncio.sleep(1)
        await world.ask()
        before = limits_of(world)[0]
        door = Doorkeeper(account().access, world.sim.world.seed, world.sim.world.weather)
        organisation = door.admit_admin({b"x-api-key": ADMIN.reveal().encode()}).organisation
        told = {"requests_per_minute": 20}
        world.sim.world.workspaces.change(organisation, "wrkspc_a", "sonnet-5.5", told, world.now_s)
        await asyncio.sleep(1.1 * EVERY_S)
        await world.ask()
        return before, limits_of(world)[0]

    assert play(scene, sim=account(), config=config(workspace="wrkspc_a")) == (30, 20)


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        ({"admin_key": Secret("sk-ant-api03-x")}, "must be an admin key"),
        ({"workspace": "wrkspc_z"}, "no such workspace"),
    ],
    ids=["no-admin-key", "unknown-workspace"],
)
def test_calls_go_on_while_it_cannot_be_asked_and_the_operator_is_told_once(upstream, says, caplog):
    """Fails open: headers and the tier tell what they can."""

    async def scene(world: World):
        answers = []
        for _ in range(3):
            answers.append((await world.ask()).ok)
            await asyncio.sleep(EVERY_S)
        return answers

    with caplog.at_level(logging.WARNING, "headgate.limits"):
        answers = play(scene, sim=account(), config=config(**upstream))

    assert answers == [True] * 3
    assert len(caplog.records) == 1
    assert says in caplog.text
    assert "sk-ant" not in caplog.text.replace("sk-ant-admin", "")
