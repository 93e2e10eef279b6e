"""Which tools of the client an answer calls, and with what (claude-api.md §3, §12)."""

from __future__ import annotations

from random import Random
from typing import Any

from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.schema import instance
from headgate.sim.request.validate import Ask
from headgate.sim.settings import Answers

__all__ = ["Call", "brings_results", "client_calls", "is_server_tool"]

Call = tuple[str, dict[str, Any], bool]
"""A tool's name, its input, and whether its input is streamed eagerly."""

_SERVER_KINDS = ("web_search_", "web_fetch_", "code_execution_", "tool_search_tool_", "mcp_", "advisor_")
_OURS: dict[str, dict[str, Any]] = {
    "memory": {"command": "view", "path": "/memories"},
    "bash": {"command": "ls -l"},
    "text_editor": {"command": "view", "path": "/srv/readings.txt"},
    "computer": {"action": "screenshot"},
}
"""What tools of Anthropic's own are called with, which the client runs and which bring no schema."""


def is_server_tool(tool: dict[str, Any]) -> bool:
    """Whether the API runs it, and not the client."""
    return str(tool.get("type") or "custom").startswith(_SERVER_KINDS)


def client_calls(ask: Ask, asked: Misbehaviour, rng: Random, settings: Answers) -> list[Call]:
    """The calls of an answer: those that a directive names, those that `tool_choice` forces, or what habit has it."""
    body = ask.body
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    if kind == "none":
        return []
    tools = {
        tool["name"]: tool
        for tool in body.get("tools") or ()
        if isinstance(tool.get("name"), str) and not is_server_tool(tool)
    }
    if asked.tools:
        calls = [_call(tools.get(name, {}), name, given, rng, eager=ask.eager) for name, given in asked.tools]
    elif kind == "tool":
        calls = (
            [_call(tools[choice["name"]], choice["name"], None, rng, eager=ask.eager)]
            if choice["name"] in tools
            else []
        )
    elif kind == "any" or _feels_like_it(body, rng, settings.tool_call_share):
        calls = [
            _call(tools[name], name, None, rng, eager=ask.eager) for name in _some(tools, rng, settings.most_calls)
        ]
    else:
        return []
    return calls[:1] if choice.get("disable_parallel_tool_use") is True else calls


def _feels_like_it(body: dict[str, Any], rng: Random, share: float) -> bool:
    """Habit, where the choice is the model's; a turn that brings tool results is answered in words."""
    return share > 0 and not brings_results(body) and rng.random() < share


def brings_results(body: dict[str, Any]) -> bool:
    """Whether the last turn answers tool calls."""
    content = body["messages"][-1].get("content")
    return isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)


def _some(tools: dict[str, dict[str, Any]], rng: Random, most: int) -> list[str]:
    """One tool that is in view, or several."""
    shown = [name for name, tool in tools.items() if tool.get("defer_loading") is not True]
    if not shown:
        return []
    return [rng.choice(shown) for _ in range(rng.randint(1, most))]


def _call(tool: dict[str, Any], name: str, given: dict[str, Any] | None, rng: Random, *, eager: bool) -> Call:
    if given is None:
        own = next((value for kind, value in _OURS.items() if str(tool.get("type")).startswith(f"{kind}_20")), None)
        drawn = instance(tool.get("input_schema"), rng) if own is None else own
        given = drawn if isinstance(drawn, dict) else {}
    told = tool.get("eager_input_streaming")
    return name, given, eager if told is None else told is True
