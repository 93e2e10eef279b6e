"""The catalogue: claude-api.md §11, §13."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headgate.sim.facts import FACTS


def listed(sim, query=""):
    return sim.call("GET", f"/v1/models{query}").json


def test_the_list_has_every_model_that_is_not_retired_newest_first(sim):
    """Retired ones only on request."""
    page = listed(sim, "?limit=1000")

    assert {model["id"] for model in page["data"]} == {model.id for model in FACTS.models}
    assert [model["created_at"] for model in page["data"]] == sorted(
        (m["created_at"] for m in page["data"]), reverse=True
    )
    assert page["has_more"] is False


@pytest.mark.parametrize(
    "query", ["?lifecycle=retired", "?lifecycle[]=retired&lifecycle[]=deprecated", "?lifecycle=active"]
)
def test_the_list_can_be_filtered_by_stage(sim, query):
    """One or several, however the client writes a list."""
    stages = {model["lifecycle"] for model in listed(sim, f"{query}&limit=1000")["data"]}

    assert stages == {stage for stage in ("active", "deprecated", "retired") if stage in query}


def test_an_unknown_stage_is_a_400(sim):
    """Named in the answer are the known ones only."""
    assert sim.call("GET", "/v1/models?lifecycle=new").status == 400


def test_pages_follow_each_other(sim):
    """limit, after_id and has_more, without gaps or repeats."""
    seen, query = [], "?limit=7"
    while True:
        page = listed(sim, query)
        seen += [model["id"] for model in page["data"]]
        if not page["has_more"]:
            break
        query = f"?limit=7&after_id={page['last_id']}"

    assert seen == [model["id"] for model in listed(sim, "?limit=1000")["data"]]


@pytest.mark.parametrize(
    ("name", "display_name"),
    [("claude-opus-4-5", "Claude Opus 4.5"), ("claude-3-7-sonnet-20250219", "Claude Sonnet 3.7"),
     ("claude-haiku-5-5", "Claude Haiku 5.5"), ("claude-2.1", "Claude 2.1")],
)  # fmt: skip
def test_a_model_is_found_by_id_or_alias(sim, name, display_name):
    """Retired ones too."""
    assert sim.call("GET", f"/v1/models/{name}").json["display_name"] == display_name


def test_the_stage_of_a_model_follows_the_simulated_date(make_sim):
    """Sonnet 4.5: deprecated on 2026-09-30, retired on 2026-11-30."""
    days = (datetime(2026, 9, 29, tzinfo=UTC), datetime(2026, 9, 30, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC))
    told = [make_sim(epoch=day).call("GET", "/v1/models/claude-sonnet-4-5").json for day in days]

    assert [model["lifecycle"] for model in told] == ["active", "deprecated", "retired"]
    assert [model["retires_at"] for model in told] == [None, "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z"]


def test_a_model_is_not_listed_before_its_release(make_sim):
    """By the simulated date."""
    sim = make_sim(epoch=datetime(2026, 9, 1, tzinfo=UTC))

    assert "claude-opus-5-5" not in {model["id"] for model in listed(sim, "?limit=1000")["data"]}


def test_capabilities_tell_which_thinking_a_model_takes(sim):
    """`enabled` only up to 4.6; `disabled` not where thinking is always on."""
    types = {
        name: sim.call("GET", f"/v1/models/{name}").json["capabilities"]["thinking"]["types"]
        for name in ("claude-opus-5-5", "claude-haiku-4-5")
    }

    assert [types["claude-opus-5-5"][kind]["supported"] for kind in ("adaptive", "enabled", "disabled")] == [
        True,
        False,
        False,
    ]
    assert [types["claude-haiku-4-5"][kind]["supported"] for kind in ("adaptive", "enabled", "disabled")] == [
        False,
        True,
        True,
    ]


def test_the_facts_are_the_reference_sheet_as_it_was_copied():
    """One pool for each callable model, and a price for everything that is served."""
    pools = {name for tier in FACTS.usage_tiers for name in tier.pools or ()}

    for model in FACTS.models:
        if model.served:
            assert model.rate_limit_pool in pools
            assert model.max_output_tokens
