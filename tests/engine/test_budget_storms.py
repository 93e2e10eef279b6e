"""Whatever goes wrong, a strict budget holds by the simulator's own invoice, and every hold ends (INV-01, INV-02)."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from headgate.config.schema import BudgetConfig, Config, RetryConfig, WorkflowConfig
from headgate.errors import Refused
from headgate.sim import SimSettings
from headgate.sim.settings import TYPICAL_LATENCY, Answers, Limits
from support.world import World, play

DOLLAR = 10**12
TROUBLE = (
    "", "", "", "tokens=900", "error=500", "error=529", "flaky=1:500", "cut=4", "midstream-error=3", "reset", "lost",
    "html", "no-usage", "no-stop", "bad-usage=huge", "bad-usage=null", "refusal", "refusal-mid", "max-tokens",
    "slow=9000", "stall", "cut-bytes=300", "garbage", "error-200",
)  # fmt: skip
SEEDS = range(24)


def storm(seed: int, mode: Any, usd: str) -> tuple[int, int, int]:
    """Two hundred calls with every kind of trouble; pico-dollars by the invoice, by the account, and the cap."""
    rng = Random(seed)

    async def one(world: World, number: int) -> None:
        await world.engine.clock.sleep(rng.random() * 60)
        call = world.make(
            rng.choice(TROUBLE), stream=rng.random() < 0.5, max_tokens=rng.choice((50, 400, 8_000)),
            text=f"{number} " + "word " * rng.randrange(400), workflow=rng.choice(("chat", "work")),
        )  # fmt: skip
        call.record.user = rng.choice(("ada", "bob", None))
        task = asyncio.ensure_future(world.send(call))
        if rng.random() < 0.2:
            await asyncio.wait([task], timeout=rng.random() * 4)
            task.cancel()
        try:
            await task
        except (Refused, asyncio.CancelledError):
            return

    async def scene(world: World) -> tuple[int, int, int]:
        await asyncio.gather(*[one(world, number) for number in range(200)])
        await world.engine.clock.sleep(400)
        assert world.engine.budgets is not None
        accounts = world.engine.budgets.desk.accounts()
        assert sum([account.held for account in accounts]) == 0
        whole = next(account for account in accounts if account.key.budget == "whole")
        split = [account.really_spent for account in accounts if account.key.budget == "split"]
        assert sum(split) == whole.really_spent
        invoice = sum([entry.cost_pico for entry in world.sim.world.books.entries])
        if mode == "smooth":
            ledger = [(attempt.cost_pico or 0) + attempt.unconfirmed_pico for attempt in world.ledger.attempts]
            assert sum(ledger) == whole.really_spent
        return invoice, whole.really_spent, whole.budget.cap_pico

    config = Config(
        budgets={
            "whole": BudgetConfig(usd=usd, mode=mode),
            "split": BudgetConfig(usd="100.00", mode=mode, per=("user", "workflow")),
        },
        workflows={"work": WorkflowConfig(fallbacks=("model:claude-haiku-5-5",))},
    )
    settings = SimSettings(
        answers=Answers(median_tokens=150, spread=0.8), latency=TYPICAL_LATENCY, limits=Limits(tier="scale")
    )
    return play(scene, sim=settings, config=config, retry=RetryConfig(max_attempts=3), seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_inv_01_a_strict_budget_holds_by_the_invoice(seed: int):
    """What the API bills is never more than the cap, nor more than what was charged."""
    invoice, charged, cap = storm(seed, "strict", "0.30")

    assert invoice <= charged <= cap, f"seed {seed}: ${invoice / DOLLAR:.6f}, ${charged / DOLLAR:.6f}"


@pytest.mark.parametrize("seed", list(SEEDS)[:8])
def test_inv_02_a_smooth_budget_is_charged_what_the_ledger_says(seed: int):
    """Confirmed and unconfirmed, to the pico-dollar: no less than the API bills, as estimates are no less."""
    invoice, charged, _ = storm(seed, "smooth", "100.00")

    assert 0 < invoice <= charged, f"seed {seed}: ${invoice / DOLLAR:.6f}, ${charged / DOLLAR:.6f}"
