"""What Claude Code 2.1.329 was seen to send is answered as a whole: claude-api.md §16, §18."""

from __future__ import annotations

import json

import pytest

BETAS = (
    "claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27",
    "per-turn-control-2026-07-01", "mid-conversation-tool-changes-2026-07-01", "thinking-token-count-2026-05-13",
    "thinking-display-updates-2026-08-18", "advanced-tool-use-2025-11-20", "effort-2025-11-24",
)  # fmt: skip
HEADERS = {
    "anthropic_beta": ",".join(BETAS),
    "x_app": "cli",
    "x_claude_code_session_id": "0b2c",
    "anthropic_dangerous_direct_browser_access": "true",
    "accept_encoding": "gzip, deflate, br, zstd",
}


def body(model, **changes):
    text = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329; cc_entrypoint=cli;"}
    marked = {"type": "text", "text": "You are an agent. " * 400, "cache_control": {"type": "ephemeral"}}
    schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    return {
        "model": model,
        "max_tokens": 32_000,
        "stream": True,
        "system": [text, marked],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "system", "content": "Today is a fine day.", "output_config": {"effort": "medium"}},
        ],
        "tools": [
            {"name": "Bash", "description": "Run a command.", "input_schema": schema},
            {"name": "Rare", "description": "Seldom.", "input_schema": schema, "defer_loading": True},
        ],
        "thinking": {"type": "adaptive", "display": "updates"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": json.dumps({"device_id": "a", "session_id": "0b2c"})},
        **changes,
    }


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-2"])
def test_its_request_is_answered(sim, model):
    """With all its betas, a system turn after the user's, deferred tools, and edits of the context."""
    reply = sim.call("POST", "/v1/messages?beta=true", body(model), **HEADERS)

    assert reply.status == 200, reply.body
    assert (reply.names[0], reply.names[-1]) == ("message_start", "message_stop")


def test_its_probe_and_its_list_of_models_are_answered(sim):
    """§16: `HEAD /api/hello`, and up to 1,000 models whose ids have `claude` in them."""
    models = sim.call("GET", "/v1/models?limit=1000").json["data"]

    assert sim.call("HEAD", "/api/hello", x_api_key=None).status == 200
    assert all("claude" in model["id"] for model in models)


def test_a_tool_it_calls_can_be_answered_in_the_next_turn(sim):
    """The whole conversation comes back, thinking and signatures included."""
    asked = body("claude-opus-5-5", stream=False)
    first = sim.call("POST", "/v1/messages", asked, **HEADERS, x_sim='tool=Bash:{"command":"ls"}').json
    call = next(block for block in first["content"] if block["type"] == "tool_use")
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "a.txt"}]}
    turns = [*asked["messages"], {"role": "assistant", "content": first["content"]}, result]
    second = sim.call("POST", "/v1/messages", {**asked, "messages": turns}, **HEADERS)

    assert first["stop_reason"] == "tool_use"
    assert second.status == 200, second.body
