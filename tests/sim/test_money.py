"""Money beside tokens at the standard price: fast mode, geography, the Priority Tier, other payers, retired models
(claude-api.md §3, §6, §8.4, §12, §13)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headgate.sim import SimSettings
from headgate.sim.account.containers import Containers
from headgate.sim.facts import FACTS
from headgate.sim.settings import Access, Billing, Commitment, Limits, Priority

# -- the Priority Tier -----------------------------------------------------------------------------------------------

MODEL = "claude-opus-4-8"
SAID = "water " * 400


def committed(make_sim, input_tokens=100_000, output_tokens=10_000, **more):
    commitment = Commitment(input_tokens_per_minute=input_tokens, output_tokens_per_minute=output_tokens)
    return make_sim(SimSettings(priority=Priority(commitments={MODEL: commitment}, **more)))


def left(reply, kind="input"):
    return int(reply.headers[f"anthropic-priority-{kind}-tokens-remaining"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_within_the_commitment_is_served_by_it(make_sim, stream):
    """§4: `service_tier` says so; in a stream message_start does."""
    reply = committed(make_sim).ask(model=MODEL, stream=stream)
    usage = reply.of("message_start")[0]["message"]["usage"] if stream else reply.json["usage"]

    assert usage["service_tier"] == "priority"


def test_without_a_commitment_there_is_neither_tier_nor_header(sim):
    """§8.4."""
    reply = sim.ask(model=MODEL)

    assert reply.json["usage"]["service_tier"] == "standard"
    assert not [name for name in reply.headers if "priority" in name]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, True),
        ({"service_tier": "auto"}, True),
        ({"service_tier": "standard_only"}, False),
        ({"model": "claude-opus-4-7"}, False),
        ({"speed": "fast"}, False),
    ],
)
def test_its_headers_come_only_where_it_may_serve(make_sim, fields, told):
    """§8.4: with a commitment for the model and `service_tier: auto`; not in fast mode (§13)."""
    reply = committed(make_sim).ask(headers={"anthropic_beta": "fast-mode-2026-02-01"}, **{"model": MODEL, **fields})

    assert ("anthropic-priority-input-tokens-limit" in reply.headers) == told
    assert (reply.json["usage"]["service_tier"] == "priority") == told


def test_the_commitment_and_the_ordinary_limits_are_drawn_from_together(make_sim):
    """§8.1."""
    reply = committed(make_sim).ask(SAID, model=MODEL)
    used = reply.json["usage"]["input_tokens"]

    assert left(reply) == 100_000 - used
    assert int(reply.headers["anthropic-ratelimit-requests-remaining"]) == 999
    told = [int(reply.headers[f"anthropic-ratelimit-input-tokens-{what}"]) for what in ("limit", "remaining")]
    assert told[0] - told[1] == pytest.approx(used, abs=500)


def test_output_burns_the_commitment_too(make_sim):
    """As it is emitted."""
    reply = committed(make_sim).ask("[[sim: tokens=70]]", model=MODEL)

    assert left(reply, "output") == 10_000 - 70


@pytest.mark.parametrize(
    ("ttl", "again", "us", "factor"),
    [("5m", False, False, 1.25), ("1h", False, False, 2.0), ("5m", True, False, 0.1), ("5m", False, True, 1.25 * 1.1)],
)
def test_cached_tokens_burn_at_their_own_rates(make_sim, ttl, again, us, factor):
    """§13: reads at 0.1, writes at 1.25 or 2.0, US geography at 1.1."""
    sim = committed(make_sim)
    system = [{"type": "text", "text": SAID * 5, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
    fields = {"model": MODEL, "system": system, **({"inference_geo": "us"} if us else {})}
    before = left(sim.ask(**fields)) if again else 100_000
    reply = sim.ask(**fields)
    usage = reply.json["usage"]
    cached = usage["cache_creation_input_tokens"] + usage["cache_read_input_tokens"]

    assert before - left(reply) == pytest.approx((cached * factor) + usage["input_tokens"] * (1.1 if us else 1), abs=1)


def test_beyond_the_commitment_a_request_is_served_as_any_other(make_sim):
    """And billed so."""
    sim = committed(make_sim, input_tokens=1_000)
    tiers = [sim.ask(SAID, model=MODEL).json["usage"]["service_tier"] for _ in range(2)]

    assert tiers == ["priority", "standard"]
    assert [entry["cost_pico"] > 0 for entry in sim.books()["entries"]] == [False, True]


def test_the_commitment_refills(make_sim):
    """Continuously, as the limits do."""
    sim = committed(make_sim, input_tokens=1_000)
    sim.ask(SAID, model=MODEL)
    sim.clock.advance(60)

    assert sim.ask(SAID, model=MODEL).json["usage"]["service_tier"] == "priority"


@pytest.mark.parametrize("billed", [False, True])
def test_what_a_commitment_paid_for_is_not_billed_again_unless_set(make_sim, billed):
    """§13: the cost report leaves it out."""
    sim = committed(make_sim, billed=billed)
    sim.ask(model=MODEL)

    assert (sim.last_entry()["cost_pico"] > 0) == billed


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-sonnet-5", "claude-none", "claude-opus-4-5"])
def test_a_commitment_for_a_model_that_the_tier_does_not_have_is_no_setting(model):
    """§13: not on Opus 5, Sonnet 5 or Mythos."""
    commitment = Commitment(input_tokens_per_minute=1, output_tokens_per_minute=1)
    with pytest.raises(ValueError, match=model):
        SimSettings(priority=Priority(commitments={model: commitment}))


# -- somebody else pays ----------------------------------------------------------------------------------------------

POLICY = {"type": "billing_policy", "bill_to": "user_profile"}
BETA = {"anthropic_beta": "user-profiles-billing-2026-10-01"}
PROFILES = {
    "uprof_good": "another-organisation",
    "uprof_ended": "user_profile_billing_not_authorized",
    "uprof_dry": "linked_organization_spend_limit_reached",
    "uprof_down": "linked_organization_billing_unavailable",
}


def customer(make_sim, profile, policy=POLICY, **settings):
    sim = make_sim(SimSettings(billing=Billing(profiles=PROFILES), **settings))
    headers = BETA if profile is None else {**BETA, "anthropic_user_profile_id": profile}
    return sim, sim.ask(headers=headers, billing_policy=policy)


def test_the_customer_behind_a_profile_can_be_billed(make_sim):
    """§3: the caller's own spend limit does not see it."""
    settings = {"limits": Limits(self_set_spend_limit_usd=1), "access": Access()}
    sim, reply = customer(make_sim, "uprof_good", **settings)

    assert reply.status == 200
    months = sim.app.world.books.months
    assert {organisation for organisation, *_ in months} == {"another-organisation"}
    assert sim.last_entry()["cost_pico"] > 0


@pytest.mark.parametrize(
    ("profile", "status", "code"),
    [
        (None, 400, "user_profile_required"),
        ("uprof_nobody", 403, "user_profile_not_billable"),
        ("uprof_ended", 403, "user_profile_billing_not_authorized"),
        ("uprof_dry", 402, "linked_organization_spend_limit_reached"),
        ("uprof_down", 402, "linked_organization_billing_unavailable"),
    ],
)
def test_it_fails_rather_than_bill_the_caller(make_sim, profile, status, code):
    """§3, §6."""
    sim, reply = customer(make_sim, profile)

    assert (reply.status, reply.error["details"]["error_code"]) == (status, code)
    assert sim.last_entry()["cost_pico"] == 0


@pytest.mark.parametrize("policy", [{"type": "billing_policy"}, {"type": "billing_policy", "bill_to": "self"}], ids=str)
def test_self_is_the_default(make_sim, policy):
    """The SDK: as if the field were omitted."""
    sim, reply = customer(make_sim, None, policy)

    assert reply.status == 200
    assert "another-organisation" not in {organisation for organisation, *_ in sim.app.world.books.months}


@pytest.mark.parametrize(
    "policy",
    [7, [], "self", True, {}, {"type": "other"}, {**POLICY, "bill_to": "me"}, {**POLICY, "bill_to": []},
     {**POLICY, "bill_to": None}, {**POLICY, "more": 1}],
    ids=str,
)  # fmt: skip
def test_a_malformed_policy_is_refused(make_sim, policy):
    """A 400 in the API's envelope."""
    _, reply = customer(make_sim, "uprof_good", policy)

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_the_field_needs_its_beta(sim):
    """§3."""
    assert sim.ask(billing_policy=POLICY).status == 400


# -- container hours -------------------------------------------------------------------------------------------------

CODE = {"type": "code_execution_20260521", "name": "code_execution"}


def run_code(sim, *tools, container=None):
    more = {} if container is None else {"container": container}
    return sim.ask("[[sim: code-execution=1]]", model="claude-opus-5", tools=[CODE, *tools], **more).json["container"][
        "id"
    ]


def container_hours(sim):
    return sim.books()["code_execution"]["container_hours"]


def test_a_container_is_billed_for_five_minutes_at_least(sim):
    """§12."""
    run_code(sim)

    assert container_hours(sim) == pytest.approx(1 / 12, abs=1e-6)


@pytest.mark.parametrize(("apart_s", "minutes"), [(0, 5), (120, 7), (600, 10)])
def test_the_time_of_one_container_counts_once(sim, apart_s, minutes):
    """However many requests share it."""
    container = run_code(sim)
    sim.clock.advance(apart_s)
    run_code(sim, container=container)

    assert container_hours(sim) == pytest.approx(minutes / 60, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "free"),
    [("web_search_20260209", True), ("web_fetch_20260318", True), ("web_search_20250305", False)],
)
def test_beside_the_web_tools_of_2026_it_is_free(sim, kind, free):
    """§12."""
    run_code(sim, {"type": kind, "name": kind.rpartition("_")[0]})

    assert (container_hours(sim) == 0) == free


def test_hours_beyond_the_free_ones_of_a_month_cost(sim):
    """§12: $0.05 each beyond 1,550."""
    containers = Containers()
    for number in range(1_551 * 12):
        containers.use("organisation", f"container_{number}", [CODE], 1_795_000_000_000)

    assert containers.told() == {"container_hours": 1551, "cost_pico": 5 * 10**10, "cost_usd": "0.050000000000"}


def test_a_web_search_costs_a_cent_and_a_fetch_nothing(sim):
    """§12."""
    costs = []
    for said in ("hello", "[[sim: web-fetch=3; tokens=5]]", "[[sim: web-search=3; tokens=5]]"):
        usage = sim.ask(said, model="claude-opus-5").json["usage"]
        tokens = usage["input_tokens"] * 5_000_000 + usage["output_tokens"] * 25_000_000
        costs.append(sim.last_entry()["cost_pico"] - tokens)

    assert costs == [0, 0, 3 * 10**10]


# -- fast mode, geography, bands, lives ------------------------------------------------------------------------------


def test_fast_requests_have_token_limits_and_headers_of_their_own(sim):
    """§8.4, §13: the standard ones are not touched."""
    fast = sim.ask(SAID, model="claude-opus-5-5", speed="fast").headers
    standard = sim.ask(model="claude-opus-5-5").headers

    assert "anthropic-fast-input-tokens-remaining" in fast
    assert not [name for name in fast if name.startswith("anthropic-ratelimit-") and "tokens" in name]
    assert standard["anthropic-ratelimit-input-tokens-remaining"] == standard["anthropic-ratelimit-input-tokens-limit"]
    assert standard["anthropic-ratelimit-requests-remaining"] == "998"


def test_fast_requests_have_a_cache_of_their_own(sim):
    """§13."""
    system = [{"type": "text", "text": SAID * 3, "cache_control": {"type": "ephemeral"}}]
    sim.ask(model="claude-opus-5-5", system=system)
    usage = sim.ask(model="claude-opus-5-5", system=system, speed="fast").json["usage"]

    assert (usage["cache_read_input_tokens"], usage["speed"]) == (0, "fast")


@pytest.mark.parametrize(
    ("day", "status"), [(datetime(2026, 11, 29, tzinfo=UTC), 200), (datetime(2026, 11, 30, tzinfo=UTC), 400)]
)
def test_fast_mode_ends_on_its_day(make_sim, day, status):
    """§13: on Opus 4.8 it is removed on 2026-11-30."""
    beta = {"anthropic_beta": "fast-mode-2026-02-01"}

    assert make_sim(epoch=day).ask(headers=beta, model="claude-opus-4-8", speed="fast").status == status


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"])
def test_geography_is_not_to_be_had_before_4_6(sim, model):
    """§3."""
    assert sim.ask(model=model, inference_geo="global").status == 400
    assert sim.ask(model=model).json["usage"]["inference_geo"] == "not_available"


@pytest.mark.parametrize("geography", ["us", "global", None])
def test_the_answer_tells_where_it_ran(sim, geography):
    """§4."""
    assert sim.ask(inference_geo=geography).json["usage"]["inference_geo"] == (geography or "global")


def test_geographies_share_one_pool(sim):
    """§8.1."""
    sim.ask(inference_geo="us")

    assert sim.ask(inference_geo="global").headers["anthropic-ratelimit-requests-remaining"] == "998"


@pytest.mark.parametrize(
    ("day", "status"), [(datetime(2026, 11, 29, 23, 59, tzinfo=UTC), 200), (datetime(2026, 11, 30, tzinfo=UTC), 404)]
)
def test_a_model_retires_on_its_day_and_answers_until_then(make_sim, day, status):
    """§6, §13: deprecated ones still answer; Sonnet 4.5 retires on 2026-11-30."""
    assert make_sim(epoch=day).ask(model="claude-sonnet-4-5").status == status


@pytest.mark.parametrize("model", [model.id for model in FACTS.retired_models])
def test_models_that_are_retired_are_not_found(sim, model):
    """§13."""
    assert (sim.ask(model=model).status, sim.ask(model=model).error["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("speed", [None, "fast"])
def test_a_batch_item_cannot_name_a_speed(sim, speed):
    """§10, §13: fast mode is not in batches."""
    params = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    params |= {"speed": speed} if speed else {}
    made = sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}).json
    sim.clock.advance(90_000)
    result = sim.call("GET", f"/v1/messages/batches/{made['id']}/results").json["result"]

    assert result["type"] == ("errored" if speed else "succeeded")


def test_items_of_a_batch_are_summarised_at_half_price(sim):
    """§10, §12: a batch takes what messages take, each pass at half its price."""
    beta = {"anthropic_beta": "compact-2026-09-04"}
    said = [{"role": "user", "content": "hello"}]
    params = {"model": MODEL, "max_tokens": 900, "messages": said, "compaction": {"type": "summarize"}}
    made = sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}, **beta).json
    sim.clock.advance(90_000)
    message = sim.call("GET", f"/v1/messages/batches/{made['id']}/results").json["result"]["message"]
    (entry,) = message["usage"]["iterations"]

    assert (message["stop_reason"], message["usage"]["service_tier"]) == ("compaction", "batch")
    booked = sim.last_entry()["cost_pico"]
    assert booked * 2 == entry["input_tokens"] * 5_000_000 + entry["output_tokens"] * 25_000_000
