"""What the Rate Limits API says, by pool: claude-api.md §8.5."""

from __future__ import annotations

import msgspec
import pytest

from headgate.core.rate_limits_api import Entry, PoolFacts, facts_by_pool, read_page

NONE = (None, None, None)
POOLS = {"claude-haiku-5-5": "haiku-5.5", "claude-opus-4-8": "opus-4.x", "claude-opus-4-5": "opus-4.x"}


def facts(organisation, workspace=()):
    return facts_by_pool(organisation, workspace, lambda model: POOLS.get(model, model))


def group(models=("claude-haiku-5-5",), kind="model_group", **values):
    return Entry(kind, tuple(models), {name: float(value) for name, value in values.items()})


def test_the_organisations_limits_of_a_pool():
    """Which names every model that counts against it."""
    entry = group(
        ["claude-opus-4-8", "claude-opus-4-5"],
        requests_per_minute=1_000, input_tokens_per_minute_cache_aware=2_000_000, output_tokens_per_minute=400_000,
    )  # fmt: skip

    assert facts([entry]) == {"opus-4.x": PoolFacts((1_000, 2_000_000, 400_000), NONE, None)}


def test_input_with_and_without_cache_reads_are_two_limits():
    """§8.5, the trap: a workspace may have the one where the organisation has the other, and both apply."""
    whole = group(input_tokens_per_minute_cache_aware=2_000_000)
    own = group(input_tokens_per_minute=50_000)

    assert facts([whole], [own])["haiku-5.5"] == PoolFacts((None, 2_000_000, None), NONE, 50_000)


def test_of_two_limits_that_count_cache_reads_the_lower_applies():
    """§8.5: a workspace's cannot raise the organisation's."""
    plain = facts([group(input_tokens_per_minute=40_000)], [group(input_tokens_per_minute=50_000)])

    assert plain["haiku-5.5"].plain_input == 40_000


def test_a_workspaces_own_limits_stand_beside_the_organisations():
    """Headers tell of the organisation's only."""
    told = facts([group(requests_per_minute=1_000)], [group(requests_per_minute=50)])

    assert told["haiku-5.5"] == PoolFacts((1_000, None, None), (50, None, None), None)


def test_fast_mode_is_a_pool_of_its_own():
    """§8.4: with the requests of the other."""
    told = facts([group(requests_per_minute=1_000, fast_itpmca=2_000_000, fast_otpm=400_000)])

    assert told["haiku-5.5:fast"].organisation == (1_000, 2_000_000, 400_000)


def test_token_counts_batches_and_files_have_requests_only():
    """By our names for them."""
    told = facts([group((), kind, requests_per_minute=7) for kind in ("token_count", "batch", "files", "web_search")])

    assert told == {name: PoolFacts((7, None, None), NONE, None) for name in ("count_tokens", "batches", "files")}


@pytest.mark.parametrize("kind", [{"group": {"id": "rlg_1", "type": "model_group"}}, {"group_type": "model_group"}])
def test_a_page_in_either_shape(kind):
    """§2: since 2026-10-21 the group is an object."""
    limits = [{"type": "requests_per_minute", "value": 9, "org_limit": None, "source": {"type": "workspace"}}]
    body = {"data": [{"id": "rl_1", **kind, "models": ["claude-haiku-5-5"], "limits": limits}], "next_page": "x"}

    assert read_page(msgspec.json.encode(body)) == ([group(requests_per_minute=9)], "x")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": 5}', b'{"data": [{"limits": "x"}]}', b"\xff"])
def test_what_is_no_list_is_refused(body):
    """And never half believed."""
    with pytest.raises(ValueError, match="list of rate limits"):
        read_page(body)


def test_limits_that_are_no_limits_are_passed_over():
    """Nothing, and less than nothing."""
    body = {
        "data": [{"group": {"type": "model_group"}, "models": ["claude-haiku-5-5"], "limits": [
            {"type": "requests_per_minute", "value": None}, {"type": "output_tokens_per_minute", "value": -5},
        ]}]
    }  # fmt: skip

    assert read_page(msgspec.json.encode(body)) == ([group()], None)
