"""Beta headers, the fields they open, and what system turns may change: claude-api.md §1, §3, §6, §16, §18."""

from __future__ import annotations

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Validation

NEW = "claude-opus-5-5"
HI = {"role": "user", "content": "hi"}
OK = {"role": "assistant", "content": "ok"}
TOOL = {"name": "level", "input_schema": {}}
REFERENCE = "mid-conversation-tool-changes-2026-07-01"
INLINE = "inline-tools-2026-09-15"
FIELDS = [
    ({"context_management": {"edits": []}}, "context-management-2025-06-27"),
    ({"compaction": {"type": "summarize"}}, "compact-2026-09-04"),
    ({"fallbacks": "default"}, "server-side-fallback-2026-07-01"),
    ({"fallback_credit_token": "t"}, "fallback-credit-2026-07-01"),
    ({"billing_policy": {"type": "billing_policy", "bill_to": "self"}}, "user-profiles-billing-2026-10-01"),
    ({"mcp_servers": []}, "mcp-client-2025-11-20"),
    ({"output_config": {"task_budget": {"type": "tokens", "total": 1_000}}}, "task-budgets-2026-03-13"),
    ({"thinking": {"type": "adaptive", "display": "updates"}}, "thinking-display-updates-2026-08-18"),
]


def ask(sim, betas=(), **fields):
    headers = {"anthropic_beta": ",".join(betas)} if betas else {}
    return sim.ask(headers=headers, **{"model": NEW, **fields})


def is_unknown(reply):
    return reply.status == 400 and "Extra inputs are not permitted" in reply.error["message"]


@pytest.mark.parametrize(("field", "beta"), FIELDS, ids=[beta for _, beta in FIELDS])
def test_a_field_of_a_beta_is_refused_without_its_header(sim, field, beta):
    """§16: a header that is stripped while its field stays gives a hard 400, in the words for an unknown field."""
    assert is_unknown(ask(sim, **field))
    assert not is_unknown(ask(sim, [beta], **field))


@pytest.mark.parametrize(("field", "beta"), FIELDS, ids=[beta for _, beta in FIELDS])
def test_the_settings_can_let_it_pass(make_sim, field, beta):
    """For clients whose header gets lost on the way."""
    sim = make_sim(SimSettings(validation=Validation(fields_need_their_beta=False)))

    assert not is_unknown(ask(sim, **field))


def test_a_beta_without_its_field_asks_for_nothing(sim):
    """All of the current SDK's at once, old ones, and those of Claude Code (§1, §18)."""
    betas = ["prompt-caching-2024-07-31", "token-counting-2024-11-01", "message-batches-2024-09-24",
             "claude-code-20250219", "advanced-tool-use-2025-11-20", "effort-2025-11-24"]  # fmt: skip

    assert ask(sim, [*betas, *(beta for _, beta in FIELDS)]).status == 200


def test_betas_are_a_list_in_one_header_or_in_several(sim):
    """§1: comma-separated, with or without a space."""
    body = {"model": NEW, "max_tokens": 9, "messages": [HI], "mcp_servers": [], "context_management": {"edits": []}}
    request = sim.request("POST", "/v1/messages", body)
    for beta in (b"one, context-management-2025-06-27", b"two,mcp-client-2025-11-20"):
        request.headers.append((b"anthropic-beta", beta))
        request.by_name[b"anthropic-beta"] = beta

    assert sim.run(sim.app.handle(request)).status == 200


@pytest.mark.parametrize(("refused", "status"), [(False, 200), (True, 400)])
def test_betas_that_nobody_knows_pass_unless_the_settings_say_otherwise(make_sim, refused, status):
    """§18: new ones come by the month, and a client that is refused asks again with fewer features."""
    sim = make_sim(SimSettings(validation=Validation(refuse_unknown_betas=refused)))

    assert ask(sim, ["brand-new-2027-01-01"]).status == status
    assert ask(sim, ["claude-code-20250219", INLINE]).status == 200


# -- system turns (§3) -----------------------------------------------------------------------------------------------

BE_BRIEF = {"role": "system", "content": "Be brief."}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
SEARCHED = {"role": "assistant", "content": [FOUND]}


@pytest.mark.parametrize(
    ("model", "status"),
    [
        (NEW, 200),
        ("claude-opus-4-8", 200),
        ("claude-haiku-5-5", 200),
        ("claude-sonnet-5", 400),
        ("claude-opus-4-7", 400),
        ("claude-haiku-4-5", 400),
    ],
)
def test_newer_models_take_system_turns(sim, model, status):
    """§3."""
    assert ask(sim, model=model, messages=[HI, BE_BRIEF]).status == status


def test_which_models_take_system_turns_is_a_setting(make_sim):
    """§3 says only that newer ones do."""
    sim = make_sim(SimSettings(validation=Validation(system_turns_on=frozenset({"claude-sonnet-5"}))))

    assert [ask(sim, model=m, messages=[HI, BE_BRIEF]).status for m in ("claude-sonnet-5", NEW)] == [200, 400]


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([BE_BRIEF, HI], 400),
        ([HI, BE_BRIEF, OK, HI], 200),
        ([HI, BE_BRIEF, HI], 400),
        ([HI, OK, BE_BRIEF], 400),
        ([HI, SEARCHED, BE_BRIEF], 200),
        ([HI, {"role": "system", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}], 400),
        ([HI, {"role": "system", "content": []}], 400),
        ([HI, {"role": "system"}], 400),
    ],
    ids=["first", "before-assistant", "between-users", "after-assistant", "after-a-tool", "image", "empty", "bare"],
)
def test_a_system_turn_has_its_places(sim, messages, status):
    """§3: after a user turn or a server tool's result, last or before an assistant turn, with text."""
    assert ask(sim, messages=messages).status == status


@pytest.mark.parametrize(
    ("turn", "beta"),
    [
        ({"role": "system", "output_config": {"effort": "low"}}, "per-turn-control-2026-07-01"),
        ({**BE_BRIEF, "output_config": {}}, "mid-conversation-output-config-2026-07-01"),
        ({**BE_BRIEF, "clear_at": "next_user_message"}, "mid-conversation-system-clear-at-2026-08-21"),
    ],
)
def test_what_a_system_turn_sets_needs_its_beta(sim, turn, beta):
    """§18: Claude Code sends effort by the turn."""
    assert is_unknown(ask(sim, messages=[HI, turn]))
    assert ask(sim, [beta], messages=[HI, turn]).status == 200


@pytest.mark.parametrize(
    "turn",
    [{"role": "system", "output_config": {"effort": "heroic"}}, {"role": "system", "output_config": 7},
     {"role": "system", "output_config": {}}, {**BE_BRIEF, "clear_at": "tomorrow"}, {**BE_BRIEF, "clear_at": []}],
    ids=str,
)  # fmt: skip
def test_malformed_system_turns_are_a_400(sim, turn):
    """With everything asked for that they need."""
    betas = ["per-turn-control-2026-07-01", "mid-conversation-system-clear-at-2026-08-21"]

    assert ask(sim, betas, messages=[HI, turn]).error["type"] == "invalid_request_error"


# -- tools that come and go (§6) -------------------------------------------------------------------------------------


def changing(kind, tool):
    return [HI, {"role": "system", "content": [{"type": kind, "tool": tool}]}]


def by_name(name):
    return {"type": "tool_reference", "name": name}


def by_value(tool):
    return {"type": "tool_definition", "definition": tool}


@pytest.mark.parametrize(
    ("betas", "kind", "tool", "status"),
    [
        ([], "tool_addition", by_name("level"), 400),
        ([REFERENCE], "tool_addition", by_name("level"), 200),
        ([REFERENCE], "tool_removal", by_name("level"), 200),
        ([INLINE], "tool_addition", by_name("level"), 200),
        ([REFERENCE], "tool_addition", by_value({"name": "gate", "input_schema": {}}), 400),
        ([INLINE], "tool_addition", by_value({"name": "gate", "input_schema": {}}), 200),
        ([INLINE], "tool_removal", by_value({"name": "gate", "input_schema": {}}), 400),
        ([REFERENCE], "tool_addition", {"type": "mcp_tool_reference", "server_name": "s", "name": "n"}, 200),
        ([REFERENCE], "tool_addition", "level", 400),
        ([REFERENCE], "tool_addition", {"type": "tool_reference", "name": 7}, 400),
        ([REFERENCE], "tool_addition", {"type": "sky"}, 400),
        ([INLINE], "tool_addition", {"type": "tool_definition"}, 400),
        ([INLINE], "tool_addition", by_value({"name": "has spaces", "input_schema": {}}), 400),
    ],
)
def test_system_turns_add_and_remove_tools_under_their_betas(sim, betas, kind, tool, status):
    """By reference, or by value under a beta of its own (§1, §3)."""
    assert ask(sim, betas, tools=[TOOL], messages=changing(kind, tool)).status == status


@pytest.mark.parametrize("kind", ["tool_addition", "tool_removal"])
def test_a_reference_to_what_is_not_defined_there_has_its_code(sim, kind):
    """§6: `tool_reference_unresolved`."""
    reply = ask(sim, [REFERENCE], tools=[TOOL], messages=changing(kind, by_name("gate")))

    assert reply.error["details"] == {"error_code": "tool_reference_unresolved"}


def test_a_tool_defined_in_a_turn_can_be_referred_to_later(sim):
    """And not before."""
    define, refer = (changing("tool_addition", t)[1] for t in (by_value({**TOOL, "name": "gate"}), by_name("gate")))

    assert ask(sim, [INLINE], messages=[HI, define, OK, HI, refer]).status == 200
    assert ask(sim, [INLINE], messages=[HI, refer, OK, HI, define]).status == 400


def test_a_name_that_a_tool_of_another_kind_holds_has_its_code(sim):
    """§6: `tool_name_conflict`; one of the same kind takes the name over, which is how a tool changes its shape."""
    define = changing("tool_addition", by_value({"name": "web_search", "input_schema": {}}))
    reply = ask(sim, [INLINE], tools=[{"type": "web_search_20260209", "name": "web_search"}], messages=define)
    assert reply.error["details"] == {"error_code": "tool_name_conflict"}

    assert ask(sim, [INLINE], tools=[{**TOOL, "name": "web_search"}], messages=define).status == 200


def test_more_tools_than_can_be_available_have_their_code(make_sim):
    """§6: `available_tools_limit_exceeded`; how many is a setting."""
    sim = make_sim(SimSettings(validation=Validation(most_tools=2)))
    two = [TOOL, {**TOOL, "name": "gate"}]
    third = {**TOOL, "name": "third"}
    code = {"error_code": "available_tools_limit_exceeded"}

    assert ask(sim, tools=two).status == 200
    assert ask(sim, tools=[*two, third]).error["details"] == code
    reply = ask(sim, [INLINE], tools=two, messages=changing("tool_addition", by_value(third)))
    assert reply.error["details"] == code


def test_a_deferred_tool_cannot_carry_a_marker(sim):
    """It is in no prefix that could be cached (§9.6)."""
    assert ask(sim, tools=[TOOL, {**TOOL, "name": "late", "defer_loading": True,
                                  "cache_control": {"type": "ephemeral"}}]).status == 400  # fmt: skip
