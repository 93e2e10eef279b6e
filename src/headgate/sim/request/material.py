"""What a request is made of, in the order the model reads it: tools, system, turns; and each block as bytes to hash.

Prompt caching and the signatures of thinking both ask whether what came before is the same.  This is where that is
decided (claude-api.md §9.1, §9.10).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.json import encode

__all__ = ["ROLE_TAGS", "THINKING", "as_blocks", "is_deferred", "material", "rows_of", "system_blocks"]

ROLE_TAGS = {"user": b"u", "assistant": b"a", "system": b"y"}
THINKING = ("thinking", "redacted_thinking")
ATTRIBUTION = "x-anthropic-billing-header:"


def as_blocks(content: Any) -> list[dict[str, Any]]:
    """A turn's content as blocks; a string is short for one text block, and a system turn may have none."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def system_blocks(system: Any) -> list[dict[str, Any]]:
    """The system prompt as the model gets it: the attribution block of Claude Code is taken out where it stands first,
    alone and unchanged (§16)."""
    if not system:
        return []
    blocks = as_blocks(system)
    if isinstance(system, list) and system[0]["text"].startswith(ATTRIBUTION) and "\n" not in system[0]["text"]:
        return blocks[1:]
    return blocks


def is_deferred(tool: dict[str, Any]) -> bool:
    """Whether a tool is defined but not shown: it stands in no prefix, so adding one changes none (§9.6)."""
    return tool.get("defer_loading") is True


def rows_of(body: dict[str, Any]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Every block of a validated request but thinking, each with a tag for where it stands."""
    for tool in body.get("tools") or ():
        if not is_deferred(tool):
            yield b"t", tool
    for block in system_blocks(body.get("system")):
        yield b"s", block
    for message in body["messages"]:
        tag = ROLE_TAGS[message["role"]]
        for block in as_blocks(message.get("content")):
            if block["type"] not in THINKING:
                yield tag, block


def material(tag: bytes, block: dict[str, Any], *, with_markers: bool = False) -> bytes:
    """What a block adds to the hash of a prefix.

    The model is shown the meaning of a block and not its JSON, so fields that are null and the order of keys add
    nothing.  The input of a tool and its schema are shown as JSON: there the order counts (§9.6).  Nor do cache markers
    add anything unless asked for, or those inside a tool result, which mark nothing (§9.1).
    """
    dropped = None if with_markers else "cache_control"
    if dropped in block or None in block.values():
        block = {key: value for key, value in block.items() if value is not None and key != dropped}
    if not with_markers and block.get("type") == "tool_result" and isinstance(block.get("content"), list):
        content = block["content"]
        if any("cache_control" in inner for inner in content):
            block = {**block, "content": [{k: v for k, v in i.items() if k != dropped} for i in content]}
    if "input" in block or "input_schema" in block:
        return tag + encode(dict(sorted(block.items())))
    return tag + encode(block, order="deterministic")
