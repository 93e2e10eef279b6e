"""The most that a request can cost.  Pure.

A token has at least one byte, so the bytes of a request bound its input; what stands for images is counted at the most
that an image makes; what the API adds to it comes on top; and no prompt is longer than the longest context.  Where one
request makes the API run the model again and again nothing bounds it, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.core.rate_card import TokenRates

__all__ = ["LONGEST_OUTPUT", "input_bound", "input_rate", "unbounded"]

LONGEST_CONTEXT = 1_000_000
LONGEST_OUTPUT = 128_000
"""Where a request does not say `max_tokens`."""
IMAGE_TOKENS = 5_000
"""The largest image at the highest resolution that a model takes."""
ADDED_TOKENS = 1_500
"""What the API adds: its prompt for tools, the frame of the request (§12)."""
MESSAGE_TOKENS = 16
"""The frame of a turn."""
CLIENT_TOOL_TOKENS = 2_500
"""A tool that the API defines and the client runs brings its own description."""
_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")


def unbounded(document: Mapping[str, Any]) -> str | None:
    """What in a request makes its cost unbounded, in words; None: nothing."""
    if document.get("mcp_servers"):
        return "MCP servers, which the API calls as often as the model wants"
    if document.get("container") is not None:
        return "a container, in which the API runs code as often as the model wants"
    if document.get("fallbacks") is not None:
        return "server-side fallbacks, which are billed beside the model that was asked"
    management = document.get("context_management")
    if document.get("compaction") is not None or (isinstance(management, dict) and "compact" in str(management)):
        return "compaction, which is a pass of its own"
    tools = document.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind not in (None, "custom") and not str(kind).startswith(_CLIENT_TOOLS):
            return "a tool that the API runs itself, as often as the model wants"
    return None


def input_bound(document: Mapping[str, Any], body: bytes) -> int:
    """The most input tokens that a request can have in one pass."""
    if document.get("thread") is not None:
        return LONGEST_CONTEXT  # the API holds the most of that prompt itself
    tokens = len(body) + ADDED_TOKENS
    messages = document.get("messages")
    if isinstance(messages, list):
        tokens += MESSAGE_TOKENS * len(messages)
    tools = document.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and tool.get("type") not in (None, "custom"):
            tokens += CLIENT_TOOL_TOKENS
    if b'"source"' in body:
        tokens += _of_media([messages, document.get("system")])
    return min(tokens, LONGEST_CONTEXT)


def _of_media(stack: list[Any]) -> int:
    """What images and documents make beyond their bytes, which is mostly less."""
    tokens = 0
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            source = value.get("source")
            if isinstance(source, dict):
                kind, where = value.get("type"), source.get("type")
                data = source.get("data")
                if kind == "image":
                    tokens += IMAGE_TOKENS - (len(data) if isinstance(data, str) else 0)
                elif where not in ("text", "content"):
                    return LONGEST_CONTEXT  # pages are packed, or kept elsewhere: their bytes bound nothing
                stack.append(source.get("content"))
            stack.append(value.get("content"))
    return tokens


def input_rate(rates: TokenRates, body: bytes) -> int:
    """The dearest that an input token of the request can be: a write to the cache where it asks for one."""
    if b'"cache_' not in body:
        return rates.input
    return max(rates.input, rates.write_5m, rates.write_1h if b'"1h"' in body or b'"cache_hint"' in body else 0)
