"""Context editing (claude-api.md §9.6, §11, §12): what is cleared before the model reads it, and what that changes."""

from __future__ import annotations

import pytest
from anthropic.types.beta import BetaContextManagementResponse

BETA = {"anthropic_beta": "context-management-2025-06-27"}
MODEL = "claude-opus-5"
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("look", "dig")]
WATER = "The gate at the head of a canal decides how much of the river enters. " * 20


def calls(count, names=("look",)):
    """A conversation with so many tool calls, each with a long result."""
    messages = [{"role": "user", "content": "How much water?"}]
    for number in range(count):
        made = {"id": f"toolu_{number}", "name": names[number % len(names)], "input": {"where": "upper " * 40}}
        result = {"type": "tool_result", "tool_use_id": made["id"], "content": WATER}
        messages += [
            {"role": "assistant", "content": [{"type": "tool_use", **made}]},
            {"role": "user", "content": [result]},
        ]
    return messages


def ask(sim, messages, *edits, headers=BETA, **fields):
    management = {"edits": [*edits]}
    return sim.ask(headers=headers, model=MODEL, messages=messages, context_management=management, **fields)


def clear(**more):
    return {"type": "clear_tool_uses_20250919", "trigger": {"type": "tool_uses", "value": 4}, **more}


def applied(reply):
    """What was done, by the SDK's own types."""
    assert reply.status == 200, reply.body
    told = reply.of("message_delta")[-1] if reply.body.startswith(b"event") else reply.json
    edits = BetaContextManagementResponse.model_validate(told["context_management"], strict=True).applied_edits
    return [edit.to_dict() for edit in edits]


def tokens(sim, messages):
    return sim.ask(model=MODEL, messages=messages, tools=TOOLS).json["usage"]["input_tokens"]


@pytest.mark.parametrize("stream", [False, True])
def test_old_tool_results_are_cleared_and_reported(sim, stream):
    """§12: all but the latest three; in a stream the report stands beside the last delta."""
    (edit,) = applied(ask(sim, calls(6), clear(), tools=TOOLS, stream=stream))

    assert (edit["type"], edit["cleared_tool_uses"]) == ("clear_tool_uses_20250919", 3)
    assert edit["cleared_input_tokens"] > 3 * 300


def test_what_is_cleared_is_not_billed(sim):
    """The prompt is shorter by what the report says."""
    reply = ask(sim, calls(6), clear(), tools=TOOLS)

    assert reply.json["usage"]["input_tokens"] == tokens(sim, calls(6)) - applied(reply)[0]["cleared_input_tokens"]


@pytest.mark.parametrize(
    ("count", "edit", "cleared"),
    [
        (4, clear(), 0),
        (5, clear(), 2),
        (6, clear(keep={"type": "tool_uses", "value": 0}), 6),
        (6, clear(keep={"type": "tool_uses", "value": 9}), 0),
        (6, clear(clear_at_least={"type": "input_tokens", "value": 900}), 3),
        (6, clear(clear_at_least={"type": "input_tokens", "value": 9_000}), 0),
        (6, clear(exclude_tools=["look"]), 0),
        (6, clear(exclude_tools=["dig"]), 3),
        (6, clear(trigger={"type": "input_tokens", "value": 1_000}), 3),
        (6, clear(trigger={"type": "input_tokens", "value": 90_000}), 0),
        (6, {"type": "clear_tool_uses_20250919"}, 0),
    ],
)
def test_each_setting_of_it_counts(sim, count, edit, cleared):
    """§12: trigger (100,000 tokens unless given), keep, clear_at_least, exclude_tools."""
    told = applied(ask(sim, calls(count), edit, tools=TOOLS))

    assert sum(edit["cleared_tool_uses"] for edit in told) == cleared
    assert len(told) == bool(cleared)


def test_the_trigger_is_100_000_tokens_unless_it_is_given(sim):
    """§12."""
    (edit,) = applied(ask(sim, calls(300), {"type": "clear_tool_uses_20250919"}, tools=TOOLS))

    assert edit["cleared_tool_uses"] == 297


@pytest.mark.parametrize(
    ("inputs", "more"), [(None, False), (False, False), (True, True), (["look"], True), (["dig"], False), ([], False)]
)
def test_inputs_are_cleared_only_if_asked_for(sim, inputs, more):
    """All of them, or those of some tools."""
    results = applied(ask(sim, calls(6), clear(), tools=TOOLS))[0]["cleared_input_tokens"]
    both = applied(ask(sim, calls(6), clear(clear_tool_inputs=inputs), tools=TOOLS))[0]["cleared_input_tokens"]

    assert (both > results) == more


def test_the_cache_is_lost_after_what_was_cleared_and_kept_before_it(sim):
    """§9.6."""
    mark = {"type": "ephemeral"}
    system = [{"type": "text", "text": WATER * 10, "cache_control": mark}]
    messages = calls(6)
    messages[-1]["content"][0]["cache_control"] = mark
    whole = sim.ask(model=MODEL, system=system, messages=messages, tools=TOOLS).json["usage"]
    edited = ask(sim, messages, clear(), system=system, tools=TOOLS).json["usage"]

    assert 0 < edited["cache_read_input_tokens"] < whole["cache_creation_input_tokens"]
    assert edited["cache_creation_input_tokens"] > 500


def test_the_same_edit_twice_hits_what_the_first_wrote(sim):
    """What is cleared is cleared in the same way each time."""
    messages = calls(6)
    messages[-1]["content"][0]["cache_control"] = {"type": "ephemeral"}
    ask(sim, messages, clear(), tools=TOOLS)

    assert ask(sim, messages, clear(), tools=TOOLS).json["usage"]["cache_creation_input_tokens"] == 0


def thoughts(sim, turns):
    """A conversation whose answers all have thinking."""
    messages = []
    for number in range(turns):
        messages.append({"role": "user", "content": f"Question {number}"})
        reply = sim.ask(model=MODEL, messages=messages, thinking={"type": "adaptive"})
        messages.append({"role": "assistant", "content": reply.json["content"]})
    return [*messages, {"role": "user", "content": "And then?"}]


@pytest.mark.parametrize(
    ("keep", "cleared"),
    [
        ({}, 2),
        ({"keep": {"type": "thinking_turns", "value": 2}}, 1),
        ({"keep": {"type": "thinking_turns", "value": 3}}, 0),
        ({"keep": "all"}, 0),
        ({"keep": {"type": "all"}}, 0),
    ],
)
def test_the_thinking_of_old_turns_is_cleared(sim, keep, cleared):
    """§12: of all turns but the latest one, or so many."""
    edit = {"type": "clear_thinking_20251015", **keep}
    told = applied(ask(sim, thoughts(sim, 3), edit, thinking={"type": "adaptive"}))

    assert sum(edit["cleared_thinking_turns"] for edit in told) == cleared
    assert all(edit["cleared_input_tokens"] > 0 for edit in told)


def test_both_edits_work_together_and_report_in_order(sim):
    """Thinking first."""
    messages = [*thoughts(sim, 2)[:-1], *calls(6)]
    told = applied(ask(sim, messages, {"type": "clear_thinking_20251015"}, clear(), tools=TOOLS))

    assert [edit["type"] for edit in told] == ["clear_thinking_20251015", "clear_tool_uses_20250919"]


def test_counting_tells_the_count_before_too(sim):
    """§11."""
    body = {"model": MODEL, "messages": calls(6), "tools": TOOLS}
    edited = {**body, "context_management": {"edits": [clear()]}}
    told = sim.call("POST", "/v1/messages/count_tokens", edited, **BETA).json
    plain = sim.call("POST", "/v1/messages/count_tokens", body).json

    assert told["context_management"] == {"original_input_tokens": plain["input_tokens"]}
    assert told["input_tokens"] < plain["input_tokens"]


def test_a_request_without_edits_says_nothing_of_them(sim):
    """The field is not there."""
    assert "context_management" not in sim.ask(model=MODEL).json
    assert applied(ask(sim, calls(1), tools=TOOLS)) == []


def test_items_of_a_batch_are_edited_too(sim):
    """§10: batches allow what messages do."""
    params = {
        "model": MODEL, "max_tokens": 9, "messages": calls(6), "tools": TOOLS,
        "context_management": {"edits": [clear()]},
    }  # fmt: skip
    made = sim.call("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": params}]}, **BETA).json
    sim.clock.advance(90_000)
    message = sim.call("GET", f"/v1/messages/batches/{made['id']}/results").json["result"]["message"]

    assert [edit["cleared_tool_uses"] for edit in message["context_management"]["applied_edits"]] == [3]


@pytest.mark.parametrize(
    "management",
    [
        7, [], "edits", True, {"edits": 7}, {"edits": {}}, {"edits": [None]}, {"edits": ["clear"]}, {"edits": [{}]},
        {"edits": [{"type": None}]}, {"edits": [{"type": ["x"]}]}, {"edits": [{"type": "clear_everything"}]},
        {"edits": [clear(), clear()]}, {"edits": [clear(), {"type": "clear_thinking_20251015"}]},
        {"edits": [clear(more=1)]}, {"edits": [clear(trigger=None)]}, {"edits": [clear(trigger=5)]},
        {"edits": [clear(trigger={"type": "tool_uses"})]}, {"edits": [clear(trigger={"type": [], "value": 5})]},
        {"edits": [clear(trigger={"type": "tool_uses", "value": -1})]},
        {"edits": [clear(keep={"type": "tool_uses", "value": True})]}, {"edits": [clear(keep=3)]},
        {"edits": [clear(keep={"type": "tool_uses", "value": 2.5})]},
        {"edits": [clear(clear_at_least=5)]}, {"edits": [clear(clear_at_least={"type": "tool_uses", "value": 5})]},
        {"edits": [clear(exclude_tools="look")]}, {"edits": [clear(exclude_tools=[7])]},
        {"edits": [clear(clear_tool_inputs="all")]}, {"edits": [clear(clear_tool_inputs=[None])]},
        {"edits": [{"type": "clear_thinking_20251015", "keep": 3}]},
        {"edits": [{"type": "clear_thinking_20251015", "keep": None}]},
        {"edits": [{"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 0}}]},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_malformed_edits_are_refused(sim, path, management):
    """A 400 in the API's envelope, whatever is sent."""
    body = {"model": MODEL, "max_tokens": 9, "messages": calls(1), "tools": TOOLS, "context_management": management}
    reply = sim.call("POST", path, body, **BETA)

    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")


def test_edits_need_their_beta(sim):
    """§3."""
    assert ask(sim, calls(1), clear(), headers={}, tools=TOOLS).status == 400
