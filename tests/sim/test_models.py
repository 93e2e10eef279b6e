"""The catalogue: claude-api.md §11, §13."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from anthropic.types import ModelInfo
from anthropic.types.beta import BetaModelInfo
from msgspec.json import encode

from headgate.sim import SimSettings
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


# -- every field, by the SDK's types (§11) -------------------------------------------------------------------------


def test_every_model_parses_strictly_with_the_sdks_types(sim):
    """Dates are read from text; nothing is missing and nothing is more than the SDK knows."""
    for entry in listed(sim, "?limit=1000&lifecycle=active,deprecated,retired")["data"]:
        told = ModelInfo.model_validate_json(encode(entry), strict=True)
        assert set(entry) == set(ModelInfo.model_fields), told.id
        assert told.capabilities is None or not told.capabilities.model_extra, told.id


def test_under_a_beta_the_catalogue_tells_more(sim):
    """`allowed_fallback_models` under the fallback beta, compaction under its own."""
    betas = {"anthropic_beta": "server-side-fallback-2026-07-01,compact-2026-09-04"}
    entry = sim.call("GET", "/v1/models/claude-fable-5-2", **betas).json
    told = BetaModelInfo.model_validate_json(encode(entry), strict=True)

    assert set(entry) == set(BetaModelInfo.model_fields)
    assert told.allowed_fallback_models == list(SimSettings().fallbacks.allowed["claude-fable-5-2"])
    assert told.capabilities.compaction.summarize.supported
    plain = sim.call("GET", "/v1/models/claude-fable-5-2").json
    assert "allowed_fallback_models" not in plain
    assert "compaction" not in plain["capabilities"]


ASKED = [
    *({"thinking": {"type": kind}} for kind in ("adaptive", "disabled", "between_tools")),
    {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
    *({"output_config": {"effort": effort}} for effort in ("low", "medium", "high", "xhigh", "max")),
]


@pytest.mark.parametrize("model", [model.id for model in FACTS.models if model.served])
def test_capabilities_are_what_requests_are_held_to(sim, model):
    """A `supported` is false exactly when a request that sends it gets a 400."""
    capabilities = sim.call("GET", f"/v1/models/{model}").json["capabilities"]
    told, found = [], []
    for fields in ASKED:
        thinking, effort = fields.get("thinking"), fields.get("output_config")
        part = (
            capabilities["thinking"]["types"][thinking["type"]]
            if thinking
            else capabilities["effort"][effort["effort"]]
        )
        told.append(part["supported"])
        found.append(sim.ask(model=model, max_tokens=2_000, **fields).status == 200)

    assert found == told


@pytest.mark.parametrize("field", ["max_input_tokens", "max_tokens"])
def test_the_ceilings_are_those_of_the_sheet(sim, field):
    """§13: context and output."""
    sheet = {
        model.id: model.context_window_tokens if field == "max_input_tokens" else model.max_output_tokens
        for model in FACTS.models
    }

    assert {model["id"]: model[field] for model in listed(sim, "?limit=1000")["data"]} == sheet


def test_a_retired_model_answers_with_a_404_and_a_deprecated_one_answers(make_sim):
    """§6, §13: by the simulated date."""
    days = (datetime(2026, 11, 29, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC))

    assert [make_sim(epoch=day).ask(model="claude-sonnet-4-5").status for day in days] == [200, 404]


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=1001", "?limit=x", f"?limit={'9' * 5_000}", "?after_id=nobody", "?before_id=nobody"]
)
def test_a_page_that_cannot_be_is_a_400(sim, query):
    """`limit` is 1 to 1,000, and a cursor is an id of the list."""
    assert sim.call("GET", f"/v1/models{query}").status == 400


def test_pages_can_be_read_backwards(sim):
    """`before_id`: the page right before it."""
    whole = [model["id"] for model in listed(sim, "?limit=1000")["data"]]
    page = listed(sim, f"?limit=3&before_id={whole[7]}")

    assert [model["id"] for model in page["data"]] == whole[4:7]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (whole[4], whole[6], True)
