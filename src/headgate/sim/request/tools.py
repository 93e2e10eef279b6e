"""Which tools a request offers, which one it forces, and what changes on the way (claude-api.md §3, §6, §9.6).

A tool with `defer_loading` is defined and not shown until something refers to it.  Under two betas a system turn may
add and remove tools; what it refers to has to be there.
"""

from __future__ import annotations

import re
from typing import Any

from headgate.sim.errors import invalid
from headgate.sim.facts import Model
from headgate.sim.request.betas import INLINE_TOOLS, TOOL_CHANGES, needs_beta
from headgate.sim.request.rules import Rules

__all__ = ["check_tool_changes", "check_tool_choice", "check_tools"]

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def check_tools(body: dict[str, Any], rules: Rules) -> frozenset[str]:
    """The names of all tools, each a tool that could be called.

    Raises:
        ApiError: 400, with a typed code where §6 has one.
    """
    tools = body.get("tools") or ()
    names = []
    for number, tool in enumerate(tools):
        _check_tool(tool, f"tools.{number}")
        if _named(tool):
            names.append(tool["name"])
    if len(names) != len(set(names)):
        raise invalid("tools: Tool names must be unique.", code="tool_name_conflict")
    _check_number(len(names), rules)
    return frozenset(names)


def _check_tool(tool: Any, place: str) -> None:
    if not isinstance(tool, dict):
        raise invalid(f"{place}: Input should be an object")
    name = tool.get("name")
    custom = tool.get("type") in (None, "custom")
    if custom and (not isinstance(name, str) or _TOOL_NAME.fullmatch(name) is None):
        raise invalid(f"{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if custom and not isinstance(tool.get("input_schema"), dict):
        raise invalid(f"{place}.input_schema: Field required")
    if tool.get("defer_loading") is True and tool.get("cache_control") is not None:
        raise invalid(f"{place}.cache_control: a tool with defer_loading is in no prefix that could be cached")


def _check_number(count: int, rules: Rules) -> None:
    most = rules.settings.most_tools
    if count > most:
        raise invalid(f"tools: at most {most} tools can be available", code="available_tools_limit_exceeded")


def check_tool_choice(body: dict[str, Any], model: Model, tools: frozenset[str]) -> None:
    """§3: forced choice is refused by the models that always think.

    Raises:
        ApiError: 400.
    """
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        raise invalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    parallel = choice.get("disable_parallel_tool_use")
    if not isinstance(parallel, bool | None):
        raise invalid("tool_choice.disable_parallel_tool_use: Input should be true or false")
    if kind not in ("any", "tool"):
        return
    if not model.forced_tool_choice_supported:
        raise invalid(f"tool_choice: type '{kind}' is not supported by this model; use 'auto' or 'none'.")
    if not tools:
        raise invalid("tool_choice: a tool can only be forced while `tools` are given.")
    if kind == "tool" and not (isinstance(choice.get("name"), str) and choice["name"] in tools):
        raise invalid("tool_choice.name: the tool is not among `tools`.")
    if (body.get("thinking") or {}).get("type") == "enabled":
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def check_tool_changes(body: dict[str, Any], rules: Rules) -> None:
    """Follow the `tool_addition` and `tool_removal` blocks of system turns through the conversation.

    Raises:
        ApiError: 400; with the code of §6 for a reference to what is not defined there, a name that a tool of another
            kind holds, and more tools than can be available.
    """
    kinds: dict[str, str] | None = None
    for number, message in enumerate(body["messages"]):
        if message["role"] != "system" or not isinstance(message.get("content"), list):
            continue
        for at, block in enumerate(message["content"]):
            if block["type"] in ("tool_addition", "tool_removal"):
                if kinds is None:
                    kinds = {tool["name"]: _kind(tool) for tool in body.get("tools") or () if _named(tool)}
                _follow(block, f"messages.{number}.content.{at}", kinds, rules)


def _named(tool: dict[str, Any]) -> bool:
    return isinstance(tool.get("name"), str)


def _kind(tool: dict[str, Any]) -> str:
    """What a tool is, whichever version of it: `web_search_20260209` is a web search."""
    return re.sub(r"_20\d{6}$", "", str(tool.get("type") or "custom"))


def _follow(block: dict[str, Any], place: str, kinds: dict[str, str], rules: Rules) -> None:
    needs_beta(place, (TOOL_CHANGES, INLINE_TOOLS), rules)
    tool = block.get("tool")
    if not isinstance(tool, dict):
        raise invalid(f"{place}.tool: Input should be an object")
    told = tool.get("type")
    if told == "tool_definition" and block["type"] == "tool_addition":
        needs_beta(f"{place}.tool", (INLINE_TOOLS,), rules)
        _define(tool.get("definition"), f"{place}.tool.definition", kinds, rules)
    elif told == "tool_reference":
        if not _named(tool):
            raise invalid(f"{place}.tool.name: Field required")
        if tool["name"] not in kinds:
            raise invalid(f"{place}: no tool of that name is defined here", code="tool_reference_unresolved")
    elif told not in ("mcp_tool_reference", "mcp_toolset_reference"):
        raise invalid(f"{place}.tool.type: Input should be a reference to a tool, or its definition")


def _define(tool: Any, place: str, kinds: dict[str, str], rules: Rules) -> None:
    """A tool given by value; one of the same kind may take a name over, which is how a tool changes its shape."""
    _check_tool(tool, place)
    if _named(tool):
        if kinds.setdefault(tool["name"], _kind(tool)) != _kind(tool):
            raise invalid(f"{place}.name: a tool of another kind holds that name", code="tool_name_conflict")
        _check_number(len(kinds), rules)
