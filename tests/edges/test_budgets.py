"""Budgets as callers meet them: through the gateway and in process, with the official SDK."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anthropic
import pytest

from headgate.config.schema import BudgetConfig, CallerKey, Config, GatewayConfig
from headgate.gateway.callers import make_key
from headgate.sim.settings import TYPICAL_LATENCY
from headgate.testing import SimSettings, VirtualWorld, simulated_claude, virtual
from support import budget_racer
from support.commands import headgate
from support.edge import play
from support.patience import HANG_S

MODEL = "claude-sonnet-5-5"
KEY, DIGEST = make_key("a" * 43)
SPENT = Config(budgets={"day": BudgetConfig(usd="0.0001", window="day", time_zone="Europe/Amsterdam", mode="strict")})


def asking(**options: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}], **options}


@pytest.mark.parametrize("through", ["gateway", "library"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_official_sdk_raises_at_once_and_does_not_retry(through: Any, stream: bool):
    """429 `billing_error` and `x-should-retry: false`, with the period and its reset."""

    async def scene(world: VirtualWorld) -> tuple[anthropic.APIStatusError, float]:
        client = world.client(max_retries=5)
        with pytest.raises(anthropic.RateLimitError) as caught:
            await client.messages.create(**asking(stream=stream))
        return caught.value, world.clock.now_s()

    error, now_s = virtual(scene, config=SPENT, through=through)

    body: Any = error.body
    headers = error.response.headers
    assert now_s == 0
    assert body["error"]["type"] == "billing_error"
    assert (
        "the budget day has too little left for this call in this day; it begins anew at 20" in body["error"]["message"]
    )
    assert "(Europe/Amsterdam)" in body["error"]["message"]
    assert "0.0001" not in body["error"]["message"]
    assert (headers["x-should-retry"], headers["x-headgate-reason"]) == ("false", "budget")
    assert 0 < int(headers["retry-after"]) <= 86_400


@pytest.mark.parametrize("through", ["gateway", "library"])
def test_an_answer_says_how_much_is_spent(through: Any):
    """Of the tightest budget, by the user today, and in the session."""
    config = Config(
        budgets={"wide": BudgetConfig(usd="100.00"), "tight": BudgetConfig(usd="0.01", per=("user",), refuse_at=0.0)}
    )

    async def scene(world: VirtualWorld) -> list[Any]:
        client = world.client()
        told = []
        for session in ("s1", "s1", "s2"):
            labels = {"x-headgate-user": "ada", "x-headgate-session": session}
            raw = await client.messages.with_raw_response.create(**asking(), extra_headers=labels)
            told.append(raw.headers)
        return told

    told = virtual(scene, config=config, through=through)

    cost = [float(headers["x-headgate-cost-usd"]) for headers in told]
    assert [float(h["x-headgate-user-cost-usd"]) for h in told] == pytest.approx([cost[0], sum(cost[:2]), sum(cost)])
    assert [float(h["x-headgate-session-cost-usd"]) for h in told] == pytest.approx([cost[0], sum(cost[:2]), cost[2]])
    shares = [f"tight={100 * sum(cost[: count + 1]) / 0.01:.0f}%" for count in range(3)]
    assert [headers["x-headgate-budget"] for headers in told] == shares


def record_of(config: Config, **headers: str) -> Any:
    async def scene(edge: Any) -> Any:
        await edge.ask(headers={"x-api-key": KEY, **headers})
        return edge.calls[0]

    return play(scene, virtual=True, config=config)


def with_key(**fixed: Any) -> Config:
    return Config(gateway=GatewayConfig(keys=(CallerKey(name="k", sha256=DIGEST, **fixed),)))


def test_a_call_says_whose_it_is():
    """Team and tags: labels, each tag once, in order."""
    record = record_of(with_key(), **{"x-headgate-team": "search", "x-headgate-tags": "beta, a b,beta,,z"})

    assert (record.team, record.tags) == ("search", "a_b,beta,z")


def test_what_a_key_says_of_team_and_tags_no_header_takes_away():
    """Its tags come on top, however many the call brings."""
    many = ",".join(f"a{number:02}" for number in range(20))
    record = record_of(
        with_key(team="ops", tags=("z1", "z2")), **{"x-headgate-team": "search", "x-headgate-tags": many}
    )

    assert record.team == "ops"
    assert record.tags.split(",")[-2:] == ["z1", "z2"]
    assert len(record.tags.split(",")) == 16


def test_a_call_that_waits_hears_of_a_raise_by_a_command(tmp_path: Path):
    """`headgate budget set` in a process of its own; what the budget is full of has not ended."""
    settings = {
        "HEADGATE_LEDGER__PATH": str(tmp_path / "ledger.db"), "HEADGATE_BUDGETS__RACE__USD": "0.06",
        "HEADGATE_BUDGETS__RACE__MODE": "strict",
    }  # fmt: skip

    async def scene(base_url: str) -> None:
        async with budget_racer.engine_on(tmp_path, base_url, "0.06") as engine:
            assert engine.budgets is not None
            accounts = engine.budgets.desk.accounts
            slow = asyncio.ensure_future(engine.call(budget_racer.call_of(engine, "tokens=4000", 4_000)))
            while not any(account.held for account in accounts()):  # noqa: ASYNC110 - nobody signals it
                await asyncio.sleep(0.01)
            waiting = asyncio.ensure_future(engine.call(budget_racer.call_of(engine, max_tokens=4_000)))
            while not any(account.waiting for account in accounts()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

            done = await asyncio.to_thread(
                headgate, "budget", "set", "race", "--usd", "1.00", folder=tmp_path, **settings
            )

            assert done.returncode == 0, done.stderr
            assert (await waiting).failure is None
            assert not slow.done()
            slow.cancel()
            await asyncio.wait([slow])

    with simulated_claude(SimSettings(latency=TYPICAL_LATENCY)) as claude:
        asyncio.run(asyncio.wait_for(scene(claude.base_url), HANG_S))
