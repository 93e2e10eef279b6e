"""Which models share a limit, and what each usage tier allows: claude-api.md §8.2."""

from __future__ import annotations

import pytest

from headgate.core.catalog import PoolLimits
from headgate.engine.load import load_catalog
from headgate.sim.facts import FACTS

CATALOG = load_catalog()

POOLS = {
    "claude-fable-5-2": "fable-5.x", "claude-fable-5-1": "fable-5.x", "claude-fable-5": "fable-5.x",
    "claude-mythos-5-2": "mythos-5.x", "claude-mythos-5-1": "mythos-5.x", "claude-mythos-5": "mythos-5.x",
    "claude-opus-5-5": "opus-5.5", "claude-opus-5": "opus-5",
    "claude-opus-4-8": "opus-4.x", "claude-opus-4-7": "opus-4.x", "claude-opus-4-6": "opus-4.x",
    "claude-opus-4-5": "opus-4.x", "claude-opus-4-5-20251101": "opus-4.x",
    "claude-sonnet-5-5": "sonnet-5.5", "claude-sonnet-5": "sonnet-5",
    "claude-sonnet-4-6": "sonnet-4.x", "claude-sonnet-4-5": "sonnet-4.x", "claude-sonnet-4-5-20250929": "sonnet-4.x",
    "claude-haiku-5-5": "haiku-5.5", "claude-haiku-4-5": "haiku-4.5", "claude-haiku-4-5-20251001": "haiku-4.5",
}  # fmt: skip
FABLE = {
    "start": PoolLimits(1_000, 500_000, 100_000),
    "build": PoolLimits(2_000, 1_500_000, 300_000),
    "scale": PoolLimits(4_000, 4_000_000, 800_000),
}
OTHERS = {
    "start": PoolLimits(1_000, 2_000_000, 400_000),
    "build": PoolLimits(5_000, 5_000_000, 1_000_000),
    "scale": PoolLimits(10_000, 10_000_000, 2_000_000),
}


@pytest.mark.parametrize(("model", "pool"), POOLS.items())
def test_models_share_the_pools_of_the_table(model, pool):
    """§8.2: 4.x models share one, 5.5 models have their own; an alias is its model."""
    assert CATALOG.model(model).pool == pool


def test_every_model_of_the_facts_is_in_the_catalogue():
    """Otherwise it would be paced as a stranger."""
    assert all(CATALOG.model(name).id == model.id for name, model in FACTS.by_name.items())


@pytest.mark.parametrize("tier", ["start", "build", "scale"])
@pytest.mark.parametrize("pool", sorted(set(POOLS.values())))
def test_tiers_allow_what_the_table_says(tier, pool):
    """§8.2: requests, input and output tokens a minute."""
    table = FABLE if pool in ("fable-5.x", "mythos-5.x") else OTHERS

    assert CATALOG.limits(tier, pool) == table[tier]


@pytest.mark.parametrize(
    ("tier", "counting", "batches"), [("start", 2_000, 1_000), ("build", 4_000, 2_000), ("scale", 8_000, 4_000)]
)
def test_counting_and_batches_have_limits_of_their_own(tier, counting, batches):
    """§8.2, §10: independent of the Messages limits."""
    assert CATALOG.other_rpm(tier, "count_tokens") == counting
    assert CATALOG.other_rpm(tier, "batches") == batches
    assert CATALOG.other_rpm(tier, "files") == 500


def test_an_unknown_model_is_a_pool_of_its_own_with_the_lowest_limits():
    """Careful until its first answer tells more."""
    model = CATALOG.model("claude-next-1")

    assert (model.pool, model.tokenizer) == ("claude-next-1", "claude-4.7")
    assert CATALOG.limits("start", model.pool) == FABLE["start"]


@pytest.mark.parametrize("model", FACTS.models, ids=lambda model: model.id)
def test_what_is_too_short_to_be_cached_is_known(model):
    """§9.4: from 512 to 4,096 tokens."""
    assert CATALOG.model(model.id).min_cacheable_tokens == model.min_cacheable_tokens


def test_models_that_check_what_thinking_came_after_are_known():
    """§9.10: what is rewritten for them must be rewritten alike in every turn; a stranger may be one of them."""
    checked = {model.id for model in FACTS.by_name.values() if CATALOG.model(model.id).prefix_check}

    assert {"claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-2"} <= checked
    assert "claude-sonnet-5" not in checked
    assert CATALOG.model("claude-next-1").prefix_check
