"""The Usage and Cost API: claude-api.md §13, out of the simulator's books."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from anthropic.types.beta import BetaCacheCreation
from pydantic import BaseModel, ConfigDict

from headgate.sim import SimSettings
from headgate.sim.settings import Access, BooksKept, Commitment, Priority, Workspace

USAGE = "/v1/organizations/usage_report/messages"
COSTS = "/v1/organizations/cost_report"
TODAY = "starting_at=2026-11-21T00:00:00Z"
SYSTEM = [{"type": "text", "text": "water" * 1_200, "cache_control": {"type": "ephemeral"}}]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class WebSearches(_Strict):
    web_search_requests: int


class UsageResult(_Strict):
    """By the public reference of the Admin API; the Python SDK has no type for it."""

    account_id: str | None
    api_key_id: str | None
    cache_creation: BetaCacheCreation
    cache_read_input_tokens: int
    context_window: str | None
    inference_geo: str | None
    model: str | None
    output_tokens: int
    server_tool_use: WebSearches
    service_account_id: str | None
    service_tier: str | None
    speed: str | None
    uncached_input_tokens: int
    workspace_id: str | None


class CostResult(_Strict):
    amount: str
    context_window: str | None
    cost_type: str | None
    currency: str
    description: str | None
    inference_geo: str | None
    model: str | None
    service_tier: str | None
    token_type: str | None
    workspace_id: str | None


@pytest.fixture
def sim(make_sim):
    """Reports without delay; `a` has a workspace of its own."""
    access = Access(workspaces=(Workspace(id="wrkspc_a", keys=frozenset({"a"})),))
    return make_sim(SimSettings(access=access, books=BooksKept(reports_late_s=0)))


def report(sim, target, query):
    return sim.call("GET", f"{target}?{query}", x_api_key="sk-ant-admin01-x")


def buckets(sim, target, query):
    return report(sim, target, query).json["data"]


def results(sim, target, query):
    return [result for bucket in buckets(sim, target, query) for result in bucket["results"]]


def some_traffic(sim):
    """Models, keys, tiers, cache and search: a bit of everything."""
    sim.ask(system=SYSTEM)
    sim.ask(system=SYSTEM, headers={"x_api_key": "a"})
    sim.ask(system=SYSTEM, headers={"x_api_key": "a"})
    sim.ask("[[sim: web-search=1]]", model="claude-opus-5-5", inference_geo="us")
    sim.ask(model="claude-opus-5-5", speed="fast")
    sim.ask(model="claude-haiku-4-5")
    params = {"model": "claude-sonnet-5", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
    sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "1", "params": params}]})
    sim.clock.advance(10)


# -- usage ---------------------------------------------------------------------------------------------------------


def test_usage_is_that_of_the_books(sim):
    """All kinds of tokens, batches included."""
    some_traffic(sim)
    tokens = sim.books()["tokens"]
    (result,) = results(sim, USAGE, TODAY)

    UsageResult.model_validate(result)
    assert result["uncached_input_tokens"] == tokens["input"]
    assert result["output_tokens"] == tokens["output"]
    assert result["cache_read_input_tokens"] == tokens["cache_read"]
    assert result["cache_creation"]["ephemeral_5m_input_tokens"] == tokens["cache_write_5m"]
    assert result["cache_creation"]["ephemeral_1h_input_tokens"] == tokens["cache_write_1h"]
    assert result["server_tool_use"]["web_search_requests"] == sim.books()["web_searches"] == 1


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        ("model", {"claude-haiku-5-5", "claude-opus-5-5", "claude-haiku-4-5-20251001", "claude-sonnet-5"}),
        ("workspace_id", {None, "wrkspc_a"}),
        ("service_tier", {"standard", "batch"}),
        ("speed", {"standard", "fast"}),
        ("inference_geo", {"global", "us", "not_available"}),
        ("context_window", {"0-200k"}),
        ("account_id", {None}),
    ],
)
def test_usage_can_be_grouped(sim, dimension, values):
    """By any dimension; the others are null, and nothing is lost."""
    some_traffic(sim)
    (whole,) = results(sim, USAGE, TODAY)
    grouped = results(sim, USAGE, f"{TODAY}&group_by[]={dimension}")

    assert {result[dimension] for result in grouped} == values
    assert sum(result["output_tokens"] for result in grouped) == whole["output_tokens"]
    assert all(UsageResult.model_validate(result) for result in grouped)


def test_usage_can_be_grouped_by_several_dimensions(sim):
    """Each combination once."""
    some_traffic(sim)
    grouped = results(sim, USAGE, f"{TODAY}&group_by[]=model&group_by[]=workspace_id")
    told = [(result["model"], result["workspace_id"]) for result in grouped]

    assert len(set(told)) == len(told) == 5


def test_keys_are_told_by_an_id(sim):
    """Never by themselves; the entries of the books say the same."""
    some_traffic(sim)
    ids = {result["api_key_id"] for result in results(sim, USAGE, f"{TODAY}&group_by[]=api_key_id")}

    assert ids == {entry["api_key_id"] for entry in sim.books()["entries"]}
    assert all(one.startswith("apikey_01") for one in ids)


@pytest.mark.parametrize(
    ("query", "requests"),
    [
        ("models[]=claude-opus-5-5", 2),
        ("models[]=claude-opus-5-5&models[]=claude-haiku-4-5-20251001", 3),
        ("models=claude-opus-5-5", 2),
        ("workspace_ids[]=wrkspc_a", 2),
        ("service_tiers[]=batch", 1),
        ("inference_geos[]=us", 1),
        ("inference_geos[]=not_available", 1),
        ("speeds[]=fast", 1),
        ("context_window[]=0-200k", 7),
        ("context_window[]=200k-1M", 0),
        ("account_ids[]=user_1", 0),
        ("models[]=claude-opus-5-5&speeds[]=fast", 1),
    ],
)
def test_usage_can_be_restricted(sim, query, requests):
    """Filters of one kind add up, different kinds narrow."""
    some_traffic(sim)
    grouped = results(sim, USAGE, f"{TODAY}&{query}")
    entries = sorted(entry["tokens"]["output"] for entry in sim.books()["entries"])

    told = sum(result["output_tokens"] for result in grouped)
    assert bool(grouped) == bool(requests)
    assert sum(entries[:requests]) <= told <= sum(entries[len(entries) - requests :])


@pytest.mark.parametrize(("width", "size_s"), [("1m", 60), ("1h", 3_600), ("1d", 86_400)])
def test_buckets_begin_with_the_minute_the_hour_or_the_day(sim, width, size_s):
    """Snapped down, in UTC; each has what was used in it, and one without use is empty."""
    for _ in range(2):
        sim.ask()
        sim.clock.advance(size_s)
    told = buckets(sim, USAGE, f"starting_at=2026-11-21T11:59:30Z&bucket_width={width}")
    used = [sum(result["output_tokens"] for result in bucket["results"]) for bucket in told]
    begins = {"1m": "2026-11-21T11:59:00Z", "1h": "2026-11-21T11:00:00Z", "1d": "2026-11-21T00:00:00Z"}

    assert told[0]["starting_at"] == begins[width]
    assert all(before["ending_at"] == after["starting_at"] for before, after in pairwise(told))
    assert [bool(tokens) for tokens in used] == ([True, True, False] if width == "1d" else [False, True, True, False])


def test_usage_shows_five_minutes_late(make_sim):
    """§13; whole minutes, so at most six."""
    sim = make_sim()
    sim.ask()
    sim.clock.advance(290)
    early = results(sim, USAGE, TODAY)
    sim.clock.advance(70)

    assert early == []
    assert len(results(sim, USAGE, TODAY)) == 1


def test_usage_comes_in_pages(sim):
    """`next_page` goes on where the last bucket ended."""
    sim.clock.advance(600)
    query = "starting_at=2026-11-21T12:00:00Z&bucket_width=1m&limit=4"
    told, page = [], ""
    for _ in range(3):
        answer = report(sim, USAGE, query + page).json
        told += [bucket["starting_at"][14:16] for bucket in answer["data"]]
        page = f"&page={answer['next_page']}"

    assert told == [f"{minute:02}" for minute in range(11)]
    assert (answer["has_more"], answer["next_page"]) == (False, None)


@pytest.mark.parametrize(("width", "buckets_told", "most"), [("1m", 60, 1_440), ("1h", 24, 168), ("1d", 7, 31)])
def test_an_answer_has_as_many_buckets_as_documented(sim, width, buckets_told, most):
    """§13: at most 1,440 minutes, 168 hours or 31 days."""
    query = f"starting_at=2026-01-01T00:00:00Z&bucket_width={width}"

    assert len(buckets(sim, USAGE, query)) == buckets_told
    assert len(buckets(sim, USAGE, f"{query}&limit={most}")) == most
    assert report(sim, USAGE, f"{query}&limit={most + 1}").status == 400


def test_a_report_ends_where_it_is_told_to(sim):
    """And never after now."""
    sim.clock.advance(3_600)
    told = buckets(sim, USAGE, "starting_at=2026-11-21T12:10:00Z&ending_at=2026-11-21T12:13:00Z&bucket_width=1m")

    assert [bucket["starting_at"][11:16] for bucket in told] == ["12:10", "12:11", "12:12"]
    assert buckets(sim, USAGE, "starting_at=2027-01-01T00:00:00Z") == []


@pytest.mark.parametrize("target", [USAGE, COSTS])
@pytest.mark.parametrize(
    "query",
    [
        "", "starting_at=yesterday", "starting_at=", f"{TODAY}&ending_at=x", f"{TODAY}&bucket_width=1w",
        f"{TODAY}&limit=0", f"{TODAY}&limit=x", f"{TODAY}&limit=9999999999", f"{TODAY}&page=x",
        f"{TODAY}&page=page_%ff",
        f"{TODAY}&group_by[]=mood", "starting_at=0001-01-01T00:00:00%2B14:00",
    ],
)  # fmt: skip
def test_a_report_that_cannot_be_made_is_a_400(sim, target, query):
    """In the envelope."""
    reply = report(sim, target, query)

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("query", ["speeds[]=slow", "service_tiers[]=x", "context_window[]=1M", "inference_geos[]=eu"])
def test_an_unknown_value_of_a_filter_is_a_400(sim, query):
    """Where the values are a closed list."""
    assert report(sim, USAGE, f"{TODAY}&{query}").status == 400


# -- costs ---------------------------------------------------------------------------------------------------------


def cents(sim):
    return Decimal(sim.books()["cost_usd"]) * 100


@pytest.mark.parametrize("query", ["", "&group_by[]=workspace_id", "&group_by[]=description"])
def test_costs_are_those_of_the_books_to_the_last_digit(sim, query):
    """In cents, as decimal strings, however they are grouped."""
    some_traffic(sim)
    told = [CostResult.model_validate(result) for result in results(sim, COSTS, TODAY + query)]

    assert sum(Decimal(result.amount) for result in told) == cents(sim)
    assert {result.currency for result in told} == {"USD"}


def test_costs_can_be_described(sim):
    """By model, tier and kind of token; searches are a kind of cost of their own."""
    some_traffic(sim)
    told = results(sim, COSTS, f"{TODAY}&group_by[]=description")
    kinds = {(result["cost_type"], result["token_type"]) for result in told}
    (search,) = [result for result in told if result["cost_type"] == "web_search"]

    assert kinds >= {
        ("tokens", "uncached_input_tokens"),
        ("tokens", "output_tokens"),
        ("tokens", "cache_read_input_tokens"),
        ("tokens", "cache_creation.ephemeral_5m_input_tokens"),
    }
    assert (search["amount"], search["model"]) == ("1", None)
    assert all(result["description"] for result in told)


def test_costs_come_by_the_day(sim):
    """UTC; a request is told on the day it was booked."""
    sim.ask()
    sim.clock.advance(86_400)
    sim.ask()
    told = [len(bucket["results"]) for bucket in buckets(sim, COSTS, TODAY)]

    assert told == [1, 1]


def test_a_refusal_that_is_free_costs_nothing(sim):
    """§5.2: its tokens show in the usage report."""
    sim.ask("[[sim: refusal]]")

    assert results(sim, COSTS, TODAY) == []
    assert results(sim, USAGE, TODAY)[0]["uncached_input_tokens"] > 0


def test_costs_leave_the_priority_tier_out(make_sim):
    """§13: what a commitment serves shows in the usage report alone."""
    model = "claude-sonnet-5-5"
    commitment = Commitment(input_tokens_per_minute=10_000, output_tokens_per_minute=10_000)
    settings = SimSettings(
        priority=Priority(commitments={model: commitment}, billed=True), books=BooksKept(reports_late_s=0)
    )
    sim = make_sim(settings)
    sim.ask(model=model)
    (used,) = results(sim, USAGE, f"{TODAY}&group_by[]=service_tier")

    assert used["service_tier"] == "priority"
    assert sim.books()["cost_pico"] > 0
    assert results(sim, COSTS, TODAY) == []


def test_costs_tell_of_code_execution_by_the_day(sim):
    """§12, §13: hours beyond the free ones of the month, on the day they were run; of no workspace and no model."""
    organisation = sim.ask().headers["anthropic-organization-id"]
    containers, now_ms = sim.app.world.containers, sim.clock.unix_ms()
    tools = [{"type": "code_execution_20260521", "name": "code_execution"}]
    for number in range(1_553 * 12):  # five minutes each: all free hours yesterday but one, the rest today
        day_ms = 86_400_000 if number < 1_549 * 12 else 0
        containers.use(organisation, f"container_{number}", tools, now_ms - day_ms)
    days = buckets(sim, COSTS, "starting_at=2026-11-20T00:00:00Z&group_by[]=description")
    code = [[result for result in day["results"] if result["cost_type"] == "code_execution"] for day in days]

    assert code[0] == []
    assert [CostResult.model_validate(result).amount for result in code[1]] == ["15"]
    (whole,) = results(sim, COSTS, TODAY)
    assert Decimal(whole["amount"]) == cents(sim) + 15


def test_code_execution_shows_five_minutes_late_too(make_sim):
    """§13: like everything of the reports."""
    sim = make_sim()
    organisation = sim.ask().headers["anthropic-organization-id"]
    tools = [{"type": "code_execution_20260521", "name": "code_execution"}]
    for number in range(1_551 * 12):  # one hour more than is free
        sim.app.world.containers.use(organisation, f"container_{number}", tools, sim.clock.unix_ms())
    sim.clock.advance(290)
    early = results(sim, COSTS, TODAY)
    sim.clock.advance(70)
    (late,) = results(sim, COSTS, TODAY)

    assert early == []
    assert Decimal(late["amount"]) == cents(sim) + 5
