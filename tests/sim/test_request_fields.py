"""Fields of a request, one by one, where no larger subject has them: claude-api.md §1 to §3, §7.5, §8.2, §11."""

from __future__ import annotations

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Limits

TOOL = {"name": "level", "input_schema": {"type": "object"}}
CACHED = [{"type": "text", "text": "water " * 1_200, "cache_control": {"type": "ephemeral"}}]


def count(sim, headers=None, **fields):
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "hi"}], **fields}
    return sim.call("POST", "/v1/messages/count_tokens", body, **(headers or {}))


@pytest.mark.parametrize(
    ("version", "status"), [("2023-01-01", 200), ("2023-06-01", 200), ("2026-10-21", 200), ("2024-01-01", 400)]
)
def test_three_versions_are_known(sim, version, status):
    """§1."""
    assert sim.ask(headers={"anthropic_version": version}).status == status


@pytest.mark.parametrize(("version", "status"), [("2023-06-01", 200), ("2026-10-21", 400)])
def test_counting_follows_the_version_too(sim, version, status):
    """§2: sampling parameters at their defaults."""
    assert count(sim, {"anthropic_version": version}, temperature=1).status == status


@pytest.mark.parametrize(("number", "status"), [(99_999, 200), (100_001, 400)])
def test_a_conversation_has_up_to_100_000_messages(sim, number, status):
    """§3."""
    turns = [{"role": ("user", "assistant")[at % 2], "content": "x"} for at in range(number)]

    assert count(sim, messages=turns).status == status


@pytest.mark.parametrize(
    ("beta", "fields"),
    [
        ("thinking-display-updates-2026-08-18", {"thinking": {"type": "adaptive", "display": "updates"}}),
        ("task-budgets-2026-03-13", {"output_config": {"task_budget": {"type": "tokens", "total": 50_000}}}),
        ("mcp-client-2025-11-20", {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "a"}]}),
    ],
    ids=["updates", "task_budget", "mcp_servers"],
)
def test_some_fields_are_taken_under_their_beta(sim, beta, fields):
    """§3; without it they are unknown."""
    asked = {"model": "claude-opus-5-5", **fields}

    assert [sim.ask(headers=headers, **asked).status for headers in ({}, {"anthropic_beta": beta})] == [400, 200]


EFFORTS = ("low", "medium", "high", "xhigh", "max", "most")


@pytest.mark.parametrize(
    ("model", "taken"),
    [("claude-opus-5-5", EFFORTS[:5]), ("claude-opus-4-6", ("low", "medium", "high", "max")), ("claude-haiku-4-5", ())],
)
def test_effort_depends_on_the_model(sim, model, taken):
    """§3: five levels, where the model has them."""
    statuses = {effort: sim.ask(model=model, output_config={"effort": effort}).status for effort in EFFORTS}

    assert tuple(effort for effort, status in statuses.items() if status == 200) == taken
    assert set(statuses.values()) <= {200, 400}


def test_thinking_tokens_are_those_that_were_thought_and_not_those_that_are_shown(sim):
    """§4: with `display: omitted` nothing is shown, and as much is billed."""
    shown, omitted = (
        sim.ask(thinking={"type": "adaptive", "display": display}).json for display in ("summarized", "omitted")
    )
    thought = [told["usage"]["output_tokens_details"]["thinking_tokens"] for told in (shown, omitted)]

    assert omitted["content"][0]["thinking"] == ""
    assert thought[0] == thought[1] > len(shown["content"][0]["thinking"].split())


@pytest.mark.parametrize(("tier", "counting", "batches"), [("start", 2, 1), ("build", 4, 2), ("scale", 8, 4)])
def test_counting_and_batches_have_the_figures_of_their_tier(make_sim, tier, counting, batches):
    """§8.2, §10: thousands of requests a minute."""
    sim = make_sim(SimSettings(limits=Limits(tier=tier)))
    replies = (count(sim), sim.call("GET", "/v1/messages/batches"))
    told = [int(reply.headers["anthropic-ratelimit-requests-limit"]) for reply in replies]

    assert told == [counting * 1_000, batches * 1_000]


def test_counting_is_free(sim):
    """§11, §13: nothing of it in the books, whatever is counted."""
    before = sim.books()
    reply = count(sim, system=CACHED, tools=[TOOL])

    assert reply.json["input_tokens"] > 1_000
    assert sim.books() == before


def test_a_retry_is_billed_as_a_new_request_that_reads_the_cache(sim):
    """§7.5: a stream that was cut had begun, so its prefix is cached, and its input is billed both times."""
    sim.ask(headers={"x_sim": "cut=2"}, stream=True, system=CACHED)
    sim.ask(stream=True, system=CACHED)
    first, second = (entry["tokens"] for entry in sim.books()["entries"])

    assert first["cache_write_5m"] == second["cache_read"] > 1_000
    assert first["input"] == second["input"] > 0
