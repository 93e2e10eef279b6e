"""Spend limits of the tier, of a contract, of the customer: claude-api.md §6, §8.3."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Limits, Workspace

SOME = "[[sim: tokens=500]]"


def spending(make_sim, *, workspaces=(), **limits):
    return make_sim(SimSettings(limits=Limits(**limits), access=Access(workspaces=workspaces)))


def test_the_cap_comes_from_the_tier_if_it_is_to(make_sim):
    """§8.3: $500, $1,000, $200,000 and none.  Unasked there is no cap, or a load test would end."""
    caps = {
        tier: SimSettings(limits=Limits(tier=tier, enforce_tier_spend_cap=True, rpm=1, itpm=1, otpm=1)).conditions()
        for tier in ("start", "build", "scale", "custom")
    }

    assert [caps[tier]["enforced_spend_cap_usd"] for tier in caps] == [500, 1_000, 200_000, None]
    assert SimSettings().conditions()["enforced_spend_cap_usd"] is None


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("enforced_spend_cap_usd", "enforced_spend_limit_reached"),
        ("contract_spend_limit_usd", "contract_spend_limit_reached"),
    ],
)
def test_what_is_enforced_is_a_429_without_retry_after(make_sim, limit, code):
    """§6: until 00:00 UTC on the first, or a raised tier."""
    sim = spending(make_sim, **{limit: Decimal("0.0001")})
    replies = [sim.ask(SOME) for _ in range(2)]

    assert [reply.status for reply in replies] == [200, 429]
    assert replies[1].error["type"] == "rate_limit_error"
    assert replies[1].error["details"] == {"error_code": code}
    assert "retry-after" not in replies[1].headers
    sim.clock.advance(10 * 24 * 3600)
    assert sim.ask().status == 200


def test_spend_limits_are_told_by_their_code_in_the_statistics(make_sim):
    """They are no violations of a rate limit."""
    sim = spending(make_sim, contract_spend_limit_usd=Decimal(0))
    sim.ask()

    assert sim.stats()["limited_by_kind"] == {"contract_spend_limit_reached": 1}
    assert sim.books()["limit_violations"] == {"total": 0}


def test_the_limit_of_a_workspace_stops_that_workspace_alone(make_sim):
    """§8.3: a 400, in words of its own."""
    sim = spending(
        make_sim,
        workspaces=(
            Workspace(id="wrkspc_a", keys=frozenset({"a"}), spend_limit_usd=Decimal("0.0001")),
            Workspace(id="wrkspc_b", keys=frozenset({"b"})),
        ),
    )
    first, second = (sim.ask(SOME, headers={"x_api_key": "a"}) for _ in range(2))

    assert (first.status, second.status) == (200, 400)
    assert second.error["type"] == "invalid_request_error"
    assert second.error["message"].startswith("This workspace has reached its specified API usage limits")
    assert "2026-12-01 at 00:00 UTC" in second.error["message"]
    assert [sim.ask(headers={"x_api_key": key}).status for key in ("b", "other")] == [200, 200]


def test_what_another_workspace_spends_does_not_count(make_sim):
    """Only the organisation's limits see all of it."""
    sim = spending(
        make_sim,
        workspaces=(
            Workspace(id="wrkspc_a", keys=frozenset({"a"}), spend_limit_usd=Decimal("0.0001")),
            Workspace(id="wrkspc_b", keys=frozenset({"b"})),
        ),
    )
    sim.ask(SOME, headers={"x_api_key": "b"})

    assert sim.ask(headers={"x_api_key": "a"}).status == 200


def test_the_claude_code_workspace_gets_a_429_with_retry_after(make_sim):
    """§8.3: it is checked separately."""
    claude_code = Workspace(id="wrkspc_cc", keys=frozenset({"cc"}), spend_limit_usd=Decimal(0), claude_code=True)
    reply = spending(make_sim, workspaces=(claude_code,)).ask(headers={"x_api_key": "cc"})

    assert reply.status == 429
    assert reply.error["type"] == "rate_limit_error"
    assert int(reply.headers["retry-after"]) == pytest.approx(9.5 * 24 * 3600, abs=1)
