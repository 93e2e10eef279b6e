"""Turns and modes that a request may have, and whatever else may stand in its fields: claude-api.md §2, §3, §5.1."""

from __future__ import annotations

import pytest

HAIKU = "claude-haiku-5-5"
NEW = {"anthropic_version": "2026-10-21"}
HI = {"role": "user", "content": "hi"}
OK = {"role": "assistant", "content": "ok"}
TOOL = {"name": "level", "input_schema": {}}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "level", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "7 m"}


# -- versions (§2) ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 1},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "citations": [{}]}]}]},
        {"messages": [HI, {"role": "assistant", "content": [{"type": "document", "source": {"type": "text"}}]}, HI]},
    ],
    ids=["sampling", "citations", "document"],
)
def test_all_rules_of_a_version_hold_for_token_counting(sim, fields):
    """§2: what 2026-10-21 refuses, the versions before it take."""
    body = {"model": HAIKU, "messages": [HI], **fields}
    versions = ("2023-01-01", "2023-06-01", "2026-10-21")
    replies = [sim.call("POST", "/v1/messages/count_tokens", body, anthropic_version=version) for version in versions]

    assert [reply.status for reply in replies] == [200, 200, 400]


@pytest.mark.parametrize("citations", [None, []])
def test_empty_citations_are_none(sim, citations):
    """§2 refuses those that are not."""
    assert sim.ask([{"type": "text", "text": "x", "citations": citations}], headers=NEW).status == 200


# -- turns (§3) ------------------------------------------------------------------------------------------------------


def texts(role, *words):
    return {"role": role, "content": [{"type": "text", "text": word} for word in words]}


@pytest.mark.parametrize(
    ("apart", "together"),
    [
        ([HI, {"role": "user", "content": "there"}], [texts("user", "hi", "there")]),
        ([HI, OK, {"role": "assistant", "content": "two"}, HI], [HI, texts("assistant", "ok", "two"), HI]),
    ],
    ids=["user", "assistant"],
)
def test_turns_of_one_role_are_merged(sim, apart, together):
    """§3: cached as two turns, they are read as one."""
    common = {"system": "The canal carries what the fields use. " * 100, "cache_control": {"type": "ephemeral"}}
    written = sim.ask(messages=apart, **common).json["usage"]["cache_creation_input_tokens"]
    read = sim.ask(messages=together, **common).json["usage"]["cache_read_input_tokens"]

    assert 0 < read <= written
    assert written - read < 10  # what marks the beginning of a turn


@pytest.mark.parametrize(
    ("turns", "status"),
    [
        ([{"role": "user", "content": [RESULT]}], 200),
        ([{"role": "user", "content": "wait"}, {"role": "user", "content": [RESULT]}], 200),
        ([HI], 400),
        ([HI, {"role": "system", "content": "Be brief."}, OK, HI], 400),
    ],
    ids=["at-once", "in-two-turns", "never", "a-system-turn-between"],
)
def test_a_tool_call_is_answered_in_the_next_turn(sim, turns, status):
    """§5.1, with turns merged and system turns passed over."""
    assert sim.ask(tools=[TOOL], messages=[HI, CALL, *turns]).status == status


# -- thinking and speed (§3, §13) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thinking", "status"),
    [
        ({"type": "adaptive", "display": "summarized"}, 200),
        ({"type": "adaptive", "display": "omitted"}, 200),
        ({"type": "adaptive", "display": "loud"}, 400),
        ({"type": "adaptive", "budget_tokens": 2_000}, 400),
        ({"type": "disabled", "display": "omitted"}, 400),
        ({"type": "between_tools", "display": "omitted"}, 400),
        ({"type": "between_tools"}, 200),
        ({"type": "adaptive", "brand_new": 1}, 200),
    ],
    ids=str,
)
def test_every_mode_of_thinking_has_its_fields(sim, thinking, status):
    """§3 and the SDK's types; a field that nobody knows is passed over as everywhere."""
    assert sim.ask(model="claude-sonnet-5-5", thinking=thinking).status == status


@pytest.mark.parametrize(("effort", "status"), [("high", 200), ("xhigh", 400), ("max", 400), (None, 200)])
def test_opus_5_thinks_at_the_highest_efforts_whatever_is_said(sim, effort, status):
    """The sheet's row: can be disabled only at effort high or below."""
    reply = sim.ask(model="claude-opus-5", thinking={"type": "disabled"}, output_config={"effort": effort})

    assert reply.status == status


@pytest.mark.parametrize(
    ("thinking", "status"), [({"type": "enabled", "budget_tokens": 1_024}, 400), ({"type": "adaptive"}, 200)]
)
def test_thinking_by_budget_cannot_stand_beside_a_forced_tool(sim, thinking, status):
    """Adaptive thinking can, where the model takes both."""
    forced = {"tools": [TOOL], "tool_choice": {"type": "any"}}

    assert sim.ask(model="claude-opus-4-6", max_tokens=2_000, thinking=thinking, **forced).status == status


@pytest.mark.parametrize(
    ("model", "beta", "status"),
    [
        (HAIKU, None, 200),
        ("claude-opus-5-5", None, 200),
        ("claude-opus-5", None, 400),
        ("claude-opus-5", "fast-mode-2026-02-01", 200),
    ],
)
def test_standard_speed_can_be_asked_for(sim, model, beta, status):
    """§13 and the SDK's types: where fast mode needs its beta, any value of `speed` does."""
    assert sim.ask(headers={"anthropic_beta": beta}, model=model, speed="standard").status == status


# -- anything else ---------------------------------------------------------------------------------------------------

ODD = (None, True, 7, -1, 10**30, 1.5, "x", "", [], [None], [[]], {}, {"type": None}, {"type": []}, {"type": {}})
TOP = (
    "model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "stop_sequences", "metadata",
    "thinking", "output_config", "cache_control", "diagnostics", "service_tier", "speed", "inference_geo",
    "temperature", "top_p", "top_k",
)  # fmt: skip
BLOCKS = (
    ("assistant", "thinking", "thinking"), ("assistant", "thinking", "signature"),
    ("assistant", "redacted_thinking", "data"), ("assistant", "tool_use", "id"),
    ("assistant", "server_tool_use", "input"), ("assistant", "tool_search_tool_result", "content"),
    ("user", "text", "cache_control"), ("user", "image", "source"),
    ("user", "document", "citations"), ("user", "tool_result", "content"), ("user", "tool_result", "tool_use_id"),
    ("system", "tool_addition", "tool"),
)  # fmt: skip
TURNS = (
    lambda odd: [odd],
    lambda odd: [{"role": odd, "content": "x"}],
    lambda odd: [{"role": "user", "content": odd}],
    lambda odd: [{"role": "user", "content": [odd]}],
    lambda odd: [HI, {"role": "system", "content": odd}],
    lambda odd: [HI, {"role": "system", "content": [odd]}],
    lambda odd: [HI, {"role": "system", "content": "x", "output_config": odd}],
    lambda odd: [HI, {"role": "system", "content": "x", "clear_at": odd}],
)
RESULTS = (
    lambda odd: odd,
    lambda odd: [odd],
    lambda odd: [{"type": "tool_reference", "tool_name": odd}],
    lambda odd: [{"type": "text", "text": "x", "cache_control": odd}],
)
FIELDS = {
    "top": lambda odd: [{name: odd} for name in TOP],
    "thinking": lambda odd: [{"thinking": {"type": kind, name: odd}} for kind in ("adaptive", "enabled", "disabled")
                             for name in ("display", "block_binding", "budget_tokens")],
    "binding": lambda odd: [{"thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": odd}}}],
    "output": lambda odd: [{"output_config": {name: odd}} for name in ("effort", "task_budget", "format")],
    "tools": lambda odd: [{"tools": [odd]}, *({"tools": [{**TOOL, name: odd}]} for name in (
        "name", "type", "defer_loading", "cache_control", "input_schema"))],
    "choice": lambda odd: [{"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": odd}},
                           {"tools": [TOOL], "tool_choice": {"type": "tool", "name": odd}}],
    "system": lambda odd: [{"system": [odd]}, {"system": [{"type": "text", "text": odd}]}],
    "turns": lambda odd: [{"messages": turns(odd)} for turns in TURNS],
    "blocks": lambda odd: [{"messages": [HI, {"role": role, "content": [{"type": kind, name: odd}]}, HI]}
                           for role, kind, name in BLOCKS],
    "results": lambda odd: [
        {"messages": [HI, CALL, {"role": "user", "content": [{**RESULT, "content": content(odd)}]}]}
        for content in RESULTS],
    "diagnostics": lambda odd: [{"diagnostics": {"previous_message_id": odd}}],
}  # fmt: skip
ALL_BETAS = {"anthropic_beta": ",".join((
    "thinking-binding-controls-2026-08-01", "mid-conversation-tool-changes-2026-07-01", "inline-tools-2026-09-15",
    "per-turn-control-2026-07-01", "mid-conversation-system-clear-at-2026-08-21", "task-budgets-2026-03-13",
    "thinking-display-updates-2026-08-18"))}  # fmt: skip


@pytest.mark.parametrize("where", FIELDS)
def test_whatever_stands_in_a_field_the_answer_is_one_of_the_apis(sim, where):
    """Never a traceback: an answer, or a 400 or 404 in the envelope; with caching on and betas asked for."""
    for odd in ODD:
        for fields in FIELDS[where](odd):
            for more in ({}, {"cache_control": {"type": "ephemeral"}}):
                reply = sim.ask(headers=ALL_BETAS, **{**more, **fields})
                assert reply.status in (200, 400, 404), (fields, reply.body)
                assert reply.status == 200 or reply.error["type"] in ("invalid_request_error", "not_found_error")


@pytest.mark.parametrize("depth", [200, 2_000, 50_000])
def test_a_request_that_is_nested_without_end_is_a_400(sim, depth):
    """However deep the JSON goes."""
    content = b'{"type":"tool_result","tool_use_id":"t1","content":['
    body = (
        b'{"model":"claude-haiku-5-5","max_tokens":9,"messages":[{"role":"user","content":"hi"},'
        b'{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"level","input":{}}]},'
        b'{"role":"user","content":[' + content * depth + b"]}" * depth + b"]}]}"
    )

    assert sim.call("POST", "/v1/messages", body).status in ((200, 400) if depth < 1_000 else (400,))
