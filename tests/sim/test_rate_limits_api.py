"""The Rate Limits API: claude-api.md §8.5, shapes by the official SDK's types."""

from __future__ import annotations

import pytest
from anthropic.types.beta.organization import BetaOrganizationRateLimit
from anthropic.types.beta.organization.workspaces import BetaWorkspaceRateLimit
from pydantic import TypeAdapter

from headgate.sim import SimSettings
from headgate.sim.facts import FACTS
from headgate.sim.settings import Access, Limits, Workspace

ORGANISATION = "/v1/organizations/rate_limits"
OURS = "/v1/organizations/workspaces/wrkspc_a/rate_limits"
NEW = "2026-10-21"
GIVEN = {"haiku-5.5": {"input_tokens_per_minute": 9_000}}


def configured(make_sim, limits=None, **access):
    workspace = Workspace(id="wrkspc_a", keys=frozenset({"a"}), limits=GIVEN)
    return make_sim(SimSettings(access=Access(workspaces=(workspace,), **access), limits=limits or Limits()))


@pytest.fixture
def sim(make_sim):
    return configured(make_sim)


def admin(sim, method, target, body=None, *, key="sk-ant-admin01-x", version=NEW):
    return sim.call(method, target, body, x_api_key=key, anthropic_version=version)


def listed(sim, target=ORGANISATION):
    return admin(sim, "GET", target).json["data"]


def entry_of(sim, name="Claude Haiku 5.5"):
    return next(entry for entry in listed(sim) if entry["group"].get("display_name") == name)


def change(sim, *limits, entry=None, workspace="wrkspc_a"):
    target = f"/v1/organizations/workspaces/{workspace}/rate_limits/{entry or entry_of(sim)['id']}"
    return admin(sim, "POST", target, {"limits": [{"type": type_, "value": value} for type_, value in limits]})


# -- who may ask (§1) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("sk-ant-api03-x", 403), ("sk-ant-admin01-x", 200)])
def test_the_admin_api_takes_admin_keys(sim, key, status):
    """As real ones begin, unless the settings name them."""
    assert admin(sim, "GET", ORGANISATION, key=key).status == status


def test_admin_keys_can_be_named(make_sim):
    """And then no others are."""
    sim = configured(make_sim, admin_keys=frozenset({"boss"}))

    assert [admin(sim, "GET", ORGANISATION, key=key).status for key in ("boss", "sk-ant-admin01-x")] == [200, 403]


def test_an_admin_key_sends_no_messages(sim):
    """It is for the Admin API and nothing else."""
    assert sim.ask(headers={"x_api_key": "sk-ant-admin01-x"}).status == 403


# -- the organisation's list ---------------------------------------------------------------------------------------


def test_the_list_has_every_group_in_the_shape_of_the_sdk(sim):
    """Pools of models, and the parts of the API."""
    entries = [TypeAdapter(BetaOrganizationRateLimit).validate_python(entry, strict=True) for entry in listed(sim)]
    pools = {model.rate_limit_pool for model in FACTS.models if model.rate_limit_pool}

    kinds = [entry.group.type for entry in entries]
    assert kinds.count("model_group") == len(pools)
    assert set(kinds) == {"model_group", "batch", "token_count", "files", "skills", "web_search"}
    assert all((entry.models is not None) == (entry.group.type == "model_group") for entry in entries)


def test_a_pool_names_every_model_that_counts_against_it(sim):
    """With aliases; retired and unreleased models are not among them."""
    entry = entry_of(sim, "Claude Opus 4.x")

    assert {"claude-opus-4-8", "claude-opus-4-5", "claude-opus-4-5-20251101"} <= set(entry["models"])
    assert {limit["type"]: limit["value"] for limit in entry["limits"]} == {
        "requests_per_minute": 1_000,
        "input_tokens_per_minute_cache_aware": 2_000_000,
        "output_tokens_per_minute": 400_000,
        "fast_itpmca": 2_000_000,
        "fast_otpm": 400_000,
    }


def test_the_list_tells_what_the_headers_enforce(make_sim):
    """One source for both."""
    sim = configured(make_sim, Limits(rpm=7, itpm=8_000, otpm=9_000))
    limits = {limit["type"]: limit["value"] for limit in entry_of(sim)["limits"]}
    headers = sim.ask().headers

    assert headers["anthropic-ratelimit-requests-limit"] == str(limits["requests_per_minute"])
    assert headers["anthropic-ratelimit-input-tokens-limit"] == str(limits["input_tokens_per_minute_cache_aware"])
    assert headers["anthropic-ratelimit-output-tokens-limit"] == str(limits["output_tokens_per_minute"])


def test_batches_tell_their_queue(sim):
    """`enqueued_batch_requests`, beside requests a minute."""
    (entry,) = listed(sim, f"{ORGANISATION}?group_type=batch")

    assert {limit["type"] for limit in entry["limits"]} == {"requests_per_minute", "enqueued_batch_requests"}


@pytest.mark.parametrize("name", ["claude-opus-4-5", "claude-opus-4-5-20251101"])
def test_the_list_can_be_asked_for_one_model(sim, name):
    """By id or alias: the one entry it counts against."""
    (entry,) = listed(sim, f"{ORGANISATION}?model={name}")

    assert entry["group"]["display_name"] == "Claude Opus 4.x"


def test_an_unknown_model_is_a_404(sim):
    """As is one without limits."""
    assert admin(sim, "GET", f"{ORGANISATION}?model=claude-9").status == 404


def test_pages_follow_each_other(sim):
    """Without `limit` everything is one page."""
    seen, target = [], f"{ORGANISATION}?limit=5"
    while True:
        page = admin(sim, "GET", target).json
        seen += page["data"]
        if page["next_page"] is None:
            break
        target = f"{ORGANISATION}?limit=5&page={page['next_page']}"

    assert seen == listed(sim)
    assert admin(sim, "GET", ORGANISATION).json["next_page"] is None


@pytest.mark.parametrize(
    "query",
    [
        "group_type=models",
        "limit=0",
        "limit=1001",
        "limit=x",
        f"limit={'9' * 5_000}",
        "page=nonsense",
        "page=%ff",
        "page=LTE=",
    ],
)
def test_a_question_that_makes_no_sense_is_a_400(sim, query):
    """In the envelope."""
    reply = admin(sim, "GET", f"{ORGANISATION}?{query}")

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_older_versions_say_group_type(sim):
    """§2: since 2026-10-21 the group is an object."""
    old = admin(sim, "GET", ORGANISATION, version="2023-06-01").json["data"]
    new = listed(sim)

    assert [entry["group_type"] for entry in old] == [entry["group"]["type"] for entry in new]
    assert not any("group" in entry for entry in old)
    assert not any("group_type" in entry for entry in new)


def test_groups_are_the_same_everywhere_and_entries_are_an_organisations_own(make_sim):
    """By the SDK: `group.id` never changes, `id` differs between organisations."""
    first, second = (entry_of(make_sim(SimSettings(), seed=seed)) for seed in (1, 2))

    assert first["group"] == second["group"]
    assert first["id"] != second["id"]


# -- a workspace's list --------------------------------------------------------------------------------------------


def test_a_workspace_lists_its_overrides_only(sim):
    """With the organisation's value of the same type beside it, if there is one."""
    (entry,) = listed(sim, OURS)
    told = TypeAdapter(BetaWorkspaceRateLimit).validate_python(entry, strict=True)

    assert told.rate_limit_id == entry_of(sim)["id"]
    assert told.workspace_id == "wrkspc_a"
    assert entry["limits"] == [
        {"type": "input_tokens_per_minute", "value": 9_000, "org_limit": None, "source": {"type": "workspace"}}
    ]


def test_inherited_values_are_listed_on_request(sim):
    """Every group, each value with where it comes from."""
    entries = listed(sim, f"{OURS}?include_inherited=true")
    haiku = next(entry for entry in entries if entry["rate_limit_id"] == entry_of(sim)["id"])
    sources = {limit["type"]: limit["source"]["type"] for limit in haiku["limits"]}

    assert len(entries) == len(listed(sim))
    assert sources.pop("input_tokens_per_minute") == "workspace"
    assert set(sources.values()) == {"organization"}
    assert all(limit["value"] == limit["org_limit"] for limit in haiku["limits"] if limit["type"] in sources)


def test_an_unknown_workspace_is_a_404(sim):
    """Where the settings say which there are."""
    assert admin(sim, "GET", "/v1/organizations/workspaces/wrkspc_z/rate_limits").status == 404


# -- setting and clearing ------------------------------------------------------------------------------------------


def statuses(sim, count):
    return [sim.ask("[[sim: tokens=1]]", headers={"x_api_key": "a"}).status for _ in range(count)]


def test_an_override_can_be_set_and_cleared(sim):
    """null clears; what is not named stays."""
    answered = change(sim, ("requests_per_minute", 2)).json
    limited = statuses(sim, 3)
    change(sim, ("requests_per_minute", None))

    TypeAdapter(BetaWorkspaceRateLimit).validate_python(answered, strict=True)
    assert {limit["type"]: limit["value"] for limit in answered["limits"]} == {
        "input_tokens_per_minute": 9_000,
        "requests_per_minute": 2,
    }
    assert limited == [200, 200, 429]
    assert statuses(sim, 3) == [200] * 3


def test_an_override_takes_effect_after_a_while_if_set(make_sim):
    """§8.5: "within about an hour"; it is told at once."""
    sim = configured(make_sim, Limits(workspace_change_delay_s=3_600))
    change(sim, ("requests_per_minute", 1))
    told = listed(sim, OURS)[0]["limits"][-1]["value"]
    before = statuses(sim, 3)
    sim.clock.advance(3_600)

    assert told == 1
    assert before == [200] * 3
    assert statuses(sim, 3) == [200, 429, 429]


def test_a_later_change_does_not_put_off_an_earlier_one(make_sim):
    """Or who changes something every half hour would never see it."""
    sim = configured(make_sim, Limits(workspace_change_delay_s=3_600))
    change(sim, ("requests_per_minute", 1))
    sim.clock.advance(3_000)
    change(sim, ("output_tokens_per_minute", 5_000))
    sim.clock.advance(600)

    assert statuses(sim, 2) == [200, 429]


def test_a_value_above_the_organisations_is_stored_and_not_applied(make_sim):
    """§8.5: the lower of the two is enforced."""
    sim = configured(make_sim, Limits(rpm=2))
    told = change(sim, ("requests_per_minute", 50)).json["limits"][-1]

    assert told == {
        "type": "requests_per_minute",
        "value": 50,
        "org_limit": 2,
        "source": {"type": "workspace"},
    }
    assert statuses(sim, 3) == [200, 200, 429]


def test_changing_one_limiter_leaves_the_others_as_full_as_they_were(sim):
    """No way to start over by setting something else."""
    change(sim, ("requests_per_minute", 2))
    statuses(sim, 2)
    change(sim, ("output_tokens_per_minute", 5_000))

    assert statuses(sim, 1) == [429]


def test_a_part_of_the_api_can_be_limited_too(sim):
    """Requests for token counts, here."""
    (entry,) = listed(sim, f"{ORGANISATION}?group_type=token_count")
    change(sim, ("requests_per_minute", 2), entry=entry["id"])
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "hi"}]}
    told = [sim.call("POST", "/v1/messages/count_tokens", body, x_api_key="a").status for _ in range(3)]

    assert told == [200, 200, 429]
    assert sim.call("POST", "/v1/messages/count_tokens", body).status == 200


def test_the_default_workspace_cannot_be_limited(sim):
    """§8.5."""
    assert change(sim, ("requests_per_minute", 1), workspace="default").status == 400
    assert listed(sim, "/v1/organizations/workspaces/default/rate_limits") == []


def test_overrides_can_be_set_for_as_many_workspaces_as_there_can_be(make_sim):
    """§8.5: 100, where the settings name none; to look at one leaves nothing behind."""
    sim = make_sim()
    seen = [admin(sim, "GET", f"/v1/organizations/workspaces/seen_{number}/rate_limits") for number in range(200)]
    statuses = [change(sim, ("requests_per_minute", 5), workspace=f"w{n}").status for n in (*range(101), 0)]

    assert {reply.status for reply in seen} == {200}
    assert statuses == [200] * 100 + [404, 200]


def test_an_unknown_entry_is_a_404(sim):
    """So is an unknown workspace."""
    assert change(sim, ("requests_per_minute", 1), entry="rl_01x").status == 404
    assert change(sim, ("requests_per_minute", 1), workspace="wrkspc_z").status == 404


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"limits": None}, {"limits": {}}, {"limits": [None]}, {"limits": [[]]},
        {"limits": [{"type": "requests_per_minute"}]},
        {"limits": [{"type": "rpm", "value": 1}]},
        {"limits": [{"type": [], "value": 1}]},
        *({"limits": [{"type": "requests_per_minute", "value": value}]}
          for value in (0, -1, True, "5", 1.5, [], {}, 10**30)),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_read_is_a_400_and_changes_nothing(sim, body):
    """Whatever type stands where."""
    before = listed(sim, OURS)
    reply = admin(sim, "POST", f"{OURS}/{entry_of(sim)['id']}", body)

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    assert listed(sim, OURS) == before
