"""Requests of which some parts must go to the API as they came (claude-api.md §9.10, §16).  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headgate.core.prefix import ATTRIBUTION

__all__ = ["first_thinking", "is_claude_code", "sends_thinking"]

_THINKING = ("thinking", "redacted_thinking")
_USER_AGENT_LENGTH = len(b"user-agent")


def is_claude_code(workflow: str, headers: Iterable[tuple[bytes, bytes]], document: Mapping[str, Any]) -> bool:
    """Whether Claude Code made the request, which places its own markers and looks after its own history."""
    if workflow == "claude-code":
        return True
    system = document.get("system")
    first = system[0] if isinstance(system, list) and system else None
    if isinstance(first, dict) and str(first.get("text")).startswith(ATTRIBUTION):
        return True
    for name, value in headers:
        if len(name) == _USER_AGENT_LENGTH and name.lower() == b"user-agent":
            return value.startswith(b"claude-cli")
    return False


def sends_thinking(document: Mapping[str, Any]) -> bool:
    """Whether thinking of the model's is sent back to it, which a first message cannot do."""
    messages = document.get("messages")
    return isinstance(messages, list) and len(messages) > 1 and first_thinking(messages) is not None


def first_thinking(messages: Sequence[Any]) -> int | None:
    """The first message in which thinking is sent back; None: in none."""
    for at, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list) and any(
            isinstance(block, dict) and block.get("type") in _THINKING for block in content
        ):
            return at
    return None
