"""A model without a price, where `prices.unknown_model` lets it through: never free."""

from __future__ import annotations

import pytest

from headgate.config.schema import Config, PricesConfig, RetryConfig
from support.world import play

RECORD = Config(prices=PricesConfig(unknown_model="record"))


@pytest.mark.parametrize("sim", ["reset", "hang"])
def test_e07_an_attempt_that_may_have_run_on_a_model_without_a_price_has_an_unknown_cost(sim):
    """E07: neither the cost nor the expected cost is known, and 0 would look like free."""

    async def scene(world):
        call = world.make(sim, model="claude-next-9")
        await world.engine.call(call)
        return call.record, world.ledger.attempts[-1]

    for record in play(scene, config=RECORD, retry=RetryConfig(max_attempts=1)):
        assert (record.cost_pico, record.cost_problem) == (None, "model:claude-next-9")


def test_e07_an_error_on_a_model_without_a_price_costs_nothing():
    """E07: what the API refused was not run."""

    async def scene(world):
        return (await world.ask(model="claude-next-9")).record

    record = play(scene, config=RECORD)

    assert (record.status, record.cost_pico, record.cost_problem) == (404, 0, None)
