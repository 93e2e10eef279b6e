"""Thinking through the official SDK: what it got goes back as the SDK sends it (claude-api.md §7.3, §9.10)."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic

from headgate.testing import simulated_claude

TOOLS = [
    {"name": "level", "input_schema": {"type": "object", "properties": {"gate": {"type": "string"}}}},
    {"type": "web_search_20250305", "name": "web_search"},
]
ASKED = '[[sim: web-search=1]] [[sim: tool=level:{"gate": "north", "at": "dawn"}]] How high is it?'
AGAIN = "[[sim: tool=level:{}]]"


@pytest.fixture(scope="module")
def client() -> Iterator[Anthropic]:
    with simulated_claude() as claude, Anthropic(base_url=claude.base_url, api_key="k", max_retries=0) as client:
        yield client


def answered(client, messages, model, *, stream):
    manual = {"type": "enabled", "budget_tokens": 1_024}
    thinking = manual if model == "claude-haiku-4-5" else {"type": "adaptive"}
    fields = {"model": model, "max_tokens": 3_000, "thinking": thinking, "tools": TOOLS, "messages": messages}
    if not stream:
        return client.messages.create(**fields)
    with client.messages.stream(**fields) as events:
        return events.get_final_message()


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-fable-5-2", "claude-opus-4-8", "claude-haiku-4-5"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dumped", [False, True], ids=["objects", "dumped"])
def test_a_conversation_with_tools_goes_on(client, model, stream, dumped):
    """§9.10: whether the content is sent back as the SDK's objects, or dumped by hand with all its nulls."""
    messages = [{"role": "user", "content": ASKED}]
    stops = []
    for said in (AGAIN, "done", "and now?", None):
        message = answered(client, messages, model, stream=stream)
        stops.append(message.stop_reason)
        content = [block.model_dump() for block in message.content] if dumped else message.content
        calls = [block.id for block in message.content if block.type == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": call, "content": "7 m"} for call in calls]
        messages += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": [*results, {"type": "text", "text": said or ""}]},
        ]

    assert stops == ["tool_use", "tool_use", "end_turn", "end_turn"]


def test_a_change_of_history_is_the_exception_that_the_api_makes_it(client):
    """And `drop_block` heals it, with a report that the SDK parses."""
    messages = [{"role": "user", "content": "hello"}]
    message = answered(client, messages, "claude-haiku-5-5", stream=False)
    messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": "go on"}]
    messages[0]["content"] = "something else"
    with pytest.raises(anthropic.BadRequestError, match="is bound to a different conversation"):
        answered(client, messages, "claude-haiku-5-5", stream=False)

    healed = client.beta.messages.create(
        model="claude-haiku-5-5",
        max_tokens=3_000,
        tools=TOOLS,
        messages=messages,
        thinking={"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}},
        betas=["thinking-binding-controls-2026-08-01"],
    )
    assert [(entry.type, entry.path) for entry in healed.input_transformations] == [
        ("thinking_dropped", "messages.1.content.0")
    ]
