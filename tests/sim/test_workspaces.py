"""Workspaces: who works in which, and what they are held to (claude-api.md §1, §8.5, §9.8)."""

from __future__ import annotations

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Limits, Workspace

A, B = "wrkspc_a", "wrkspc_b"
SYSTEM = [{"type": "text", "text": "water" * 1_200, "cache_control": {"type": "ephemeral"}}]
"""About 1,950 tokens."""


def two(**limits):
    """`a` works in one workspace, `b` in another, `both` in either, everybody else in the default one."""
    return Access(
        workspaces=(
            Workspace(id=A, keys=frozenset({"a", "both"}), limits=limits),
            Workspace(id=B, keys=frozenset({"b", "both"})),
        )
    )


def as_(key, workspace=None):
    return {"x_api_key": key, "anthropic_workspace_id": workspace}


@pytest.fixture
def sim(make_sim):
    return make_sim(SimSettings(access=two()))


# -- whose a request is (§1) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "named", "worked_in"),
    [
        ("a", None, A),
        ("a", A, A),
        ("both", A, A),
        ("both", B, B),
        ("anybody", None, None),
        ("anybody", "default", None),
        ("anybody", B, B),
    ],
)
def test_a_request_works_in_the_workspace_of_its_key_or_in_the_one_it_names(sim, key, named, worked_in):
    """§1: the answer tells which, and nothing for the default one."""
    reply = sim.ask(headers=as_(key, named))

    assert reply.status == 200
    assert reply.headers.get("anthropic-workspace-id") == worked_in


@pytest.mark.parametrize(
    ("key", "named", "status"),
    [("a", B, 403), ("both", "wrkspc_c", 403), ("anybody", "wrkspc_c", 403), ("both", None, 400)],
)
def test_a_header_that_contradicts_the_key_is_refused(sim, key, named, status):
    """§1; a key of several workspaces has to choose."""
    reply = sim.ask(headers=as_(key, named))

    assert reply.status == status
    assert "anthropic-workspace-id" in reply.error["message"]
    assert "anthropic-workspace-id" not in reply.headers


def test_without_any_configured_every_named_workspace_is_taken(make_sim):
    """A simulator out of the box knows nobody's workspaces."""
    reply = make_sim().ask(headers=as_("key", "wrkspc_mine"))

    assert reply.headers["anthropic-workspace-id"] == "wrkspc_mine"


def test_the_default_workspace_is_the_same_named_or_not(make_sim):
    """Without any configured too: one cache, one line in the books."""
    sim = make_sim()
    sim.ask(system=SYSTEM)
    reply = sim.ask(system=SYSTEM, headers=as_("key", "default"))

    assert "anthropic-workspace-id" not in reply.headers
    assert reply.json["usage"]["cache_read_input_tokens"] > 1_900
    assert list(sim.books()["by_workspace"]) == [""]


def test_more_workspaces_than_there_can_be_are_not_taken(make_sim):
    """§8.5: at most 100; whoever makes names up fills no memory."""
    sim = make_sim()
    statuses = [sim.ask(headers=as_("key", f"wrkspc_{number}")).status for number in (*range(101), 0)]

    assert statuses == [200] * 100 + [403, 200]
    assert len(sim.books()["by_workspace"]) == 100


@pytest.mark.parametrize(
    ("workspaces", "problem"),
    [
        ([Workspace(id=f"wrkspc_{number}") for number in range(101)], "at most 100"),
        ([Workspace(id=A), Workspace(id=A)], "an id of its own"),
        ([Workspace(id="")], "an id of its own"),
        ([Workspace(id="default")], "default workspace"),
        ([Workspace(id=A, limits={"opus-9": {"requests_per_minute": 1}})], "no pool 'opus-9'"),
        ([Workspace(id=A, limits={"opus-5": {"rpm": 1}})], "no limiter 'rpm'"),
        ([Workspace(id=A, limits={"opus-5": {"requests_per_minute": 0}})], "1 or more"),
    ],
)
def test_workspaces_that_cannot_be_are_refused(workspaces, problem):
    """§8.5: at most 100, and the default one has no limits of its own."""
    with pytest.raises(ValueError, match=problem):
        SimSettings(access=Access(workspaces=tuple(workspaces)))


# -- what is apart (§9.8, §10) -------------------------------------------------------------------------------------


def test_caches_are_apart_by_workspace(sim):
    """§9.8: splitting workspaces splits hits."""
    for key in ("a", "a", "b"):
        reply = sim.ask(system=SYSTEM, headers=as_(key))
    same = sim.ask(system=SYSTEM, headers=as_("both", A))

    assert reply.json["usage"]["cache_read_input_tokens"] == 0
    assert same.json["usage"]["cache_read_input_tokens"] > 1_900


def test_batches_belong_to_a_workspace(sim):
    """§10: another workspace does not find them."""
    params = {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    batch = sim.call(
        "POST", "/v1/messages/batches", {"requests": [{"custom_id": "1", "params": params}]}, **as_("a")
    ).json

    found = [sim.call("GET", f"/v1/messages/batches/{batch['id']}", **as_(key)).status for key in ("a", "b")]
    assert found == [200, 404]


# -- limits (§8.5) -------------------------------------------------------------------------------------------------


def limited(make_sim, whole=None, **limits):
    """Workspace `a` has limits in the pool of Haiku 5.5."""
    access = two(**{"haiku-5.5": limits})
    return make_sim(SimSettings(access=access, limits=whole or Limits()))


def statuses(sim, key, count, **fields):
    return [sim.ask("[[sim: tokens=1]]", headers=as_(key), **fields).status for _ in range(count)]


def test_a_limit_of_a_workspace_holds_for_that_workspace_alone(make_sim):
    """The 429 names it, and the books count it apart."""
    sim = limited(make_sim, requests_per_minute=2)

    assert statuses(sim, "a", 3) == [200, 200, 429]
    assert statuses(sim, "b", 3) == [200] * 3
    assert "your workspace's rate limit of 2 requests per minute" in sim.ask(headers=as_("a")).error["message"]
    assert sim.books()["limit_violations"] == {"total": 2, "workspace_requests": 2}


def test_a_limit_of_a_workspace_is_for_one_pool(make_sim):
    """Model groups are independent (§8.1)."""
    sim = limited(make_sim, requests_per_minute=1)

    assert statuses(sim, "a", 2) == [200, 429]
    assert statuses(sim, "a", 2, model="claude-opus-5") == [200, 200]


def test_the_organisations_limit_always_applies_as_well(make_sim):
    """What one workspace takes is missing for all."""
    sim = limited(make_sim, Limits(rpm=3), requests_per_minute=2)

    assert statuses(sim, "a", 2) == [200, 200]
    assert statuses(sim, "b", 2) == [200, 429]
    assert sim.ask(headers=as_("a")).headers["anthropic-ratelimit-requests-limit"] == "3"


def test_a_value_above_the_organisations_never_applies(make_sim):
    """§8.5: it is stored only."""
    sim = limited(make_sim, Limits(rpm=2), requests_per_minute=5)
    refused = [sim.ask("[[sim: tokens=1]]", headers=as_("a")) for _ in range(3)][-1]

    assert refused.status == 429
    assert "organization's" in refused.error["message"]


@pytest.mark.parametrize(
    ("type_", "passed"), [("input_tokens_per_minute", 2), ("input_tokens_per_minute_cache_aware", 6)]
)
def test_a_plain_input_limit_counts_cache_reads_and_the_other_does_not(make_sim, type_, passed):
    """§8.5, the trap."""
    sim = limited(make_sim, **{type_: 4_000})

    assert statuses(sim, "a", 6, system=SYSTEM).count(200) == passed


def test_both_kinds_of_input_limit_can_hold_at_once(make_sim):
    """Reads are refused by the one, fresh tokens by the other."""
    sim = limited(make_sim, input_tokens_per_minute=6_000, input_tokens_per_minute_cache_aware=2_500)
    reading = statuses(sim, "a", 4, system=SYSTEM)  # 1,950 tokens each, written once and read twice
    sim.clock.advance(60)
    fresh = [sim.ask("steam" * 1_200, headers=as_("a")).status for _ in range(2)]

    assert reading == [200, 200, 200, 429]
    assert fresh == [200, 429]
    assert sim.books()["limit_violations"] == {
        "total": 2,
        "workspace_all_input_tokens": 1,
        "workspace_input_tokens": 1,
    }


def test_an_estimate_that_counts_reads_is_not_counted_twice(make_sim):
    """A plain limiter takes what is read once, and keeps it."""
    sim = limited(make_sim, Limits(estimate_counts_cache_reads=True), input_tokens_per_minute=5_900)

    assert statuses(sim, "a", 4, system=SYSTEM) == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("type_", "value", "said", "unit"),
    [
        ("output_tokens_per_minute", 100, "[[sim: tokens=150]]", "output tokens per minute"),
        ("tokens_per_minute", 150, "[[sim: tokens=150]]", "tokens per minute"),
        ("tokens_per_day", 300, "[[sim: tokens=300]]", "tokens per day"),
    ],
)
def test_output_counts_with_the_limiters_that_count_it(make_sim, type_, value, said, unit):
    """What was emitted refuses the next request."""
    sim = limited(make_sim, **{type_: value})
    first = sim.ask(said, headers=as_("a"))
    second = sim.ask("[[sim: tokens=1]]", headers=as_("a"))

    assert (first.status, second.status) == (200, 429)
    assert f"{value} {unit}" in second.error["message"]


def test_a_day_of_tokens_refills_in_a_day(make_sim):
    """Continuously, as everything does."""
    sim = limited(make_sim, tokens_per_day=24_000)
    sim.ask("[[sim: tokens=25000]]", headers=as_("a"), max_tokens=30_000)
    sim.clock.advance(50 * 60)
    too_early = sim.ask(headers=as_("a")).status
    sim.clock.advance(30 * 60)

    assert too_early == 429
    assert sim.ask(headers=as_("a")).status == 200


def test_fast_mode_has_limiters_of_its_own_in_a_workspace_too(make_sim):
    """`fast_otpm` does not touch standard traffic."""
    access = two(**{"opus-5.5": {"fast_otpm": 100}})
    sim = make_sim(SimSettings(access=access))
    fast = {"model": "claude-opus-5-5", "speed": "fast"}
    replies = [
        sim.ask("[[sim: tokens=150]]", headers=as_("a"), **fields)
        for fields in (fast, fast, {"model": "claude-opus-5-5"})
    ]

    assert [reply.status for reply in replies] == [200, 429, 200]


# -- headers (§8.4) ------------------------------------------------------------------------------------------------


def test_the_tokens_header_tells_the_most_restrictive_limit_in_force(make_sim):
    """§8.4: a workspace's, for example; without one it is the sum of input and output."""
    sim = limited(make_sim, Limits(itpm=100_000, otpm=20_000), input_tokens_per_minute=5_000)
    inside, outside = (sim.ask("[[sim: tokens=1]]", headers=as_(key)) for key in ("a", "b"))

    assert inside.headers["anthropic-ratelimit-tokens-limit"] == "5000"
    assert outside.headers["anthropic-ratelimit-tokens-limit"] == "120000"
    assert inside.headers["anthropic-ratelimit-input-tokens-limit"] == "100000"


def test_the_tokens_header_tells_the_organisations_limit_where_that_is_the_tighter(make_sim):
    """The output of everybody is nearly spent."""
    sim = limited(make_sim, Limits(itpm=100_000, otpm=20_000), input_tokens_per_minute=50_000)
    sim.ask("[[sim: tokens=18000]]", headers=as_("b"), max_tokens=20_000)
    reply = sim.ask("[[sim: tokens=1]]", headers=as_("a"))

    assert reply.headers["anthropic-ratelimit-tokens-limit"] == "20000"
    assert reply.headers["anthropic-ratelimit-tokens-remaining"] == "2000"
