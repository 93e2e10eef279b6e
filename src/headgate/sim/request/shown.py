"""What of a conversation the model is shown: all that was sent, but for thinking that it may not see and system turns
that were sent for one user turn only (claude-api.md §9.8, §9.10)."""

from __future__ import annotations

from typing import Any

__all__ = ["shown"]


def shown(body: dict[str, Any], hidden: set[tuple[int, int]]) -> dict[str, Any]:
    """`body` without what the model does not get to see; the very same object where that is nothing.

    Args:
        hidden: blocks to leave out, as (message, block).
    """
    cleared = _cleared(body["messages"])
    if not hidden and not cleared:
        return body
    turns = {number for number, _ in hidden}
    messages = []
    for number, message in enumerate(body["messages"]):
        if number in cleared:
            text_less = [block for block in _blocks(message) if block["type"] != "text"]
            message = {**message, "content": text_less}
        elif number in turns:
            kept = [block for at, block in enumerate(message["content"]) if (number, at) not in hidden]
            message = {**message, "content": kept}
        messages.append(message)
    return {**body, "messages": messages}


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _cleared(messages: list[dict[str, Any]]) -> set[int]:
    """System turns with `clear_at: next_user_message` that a user turn follows: their text is no longer shown."""
    cleared: set[int] = set()
    waiting: set[int] = set()
    for number, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            if message.get("clear_at") == "next_user_message":
                waiting.add(number)
        elif role == "user" and waiting:
            cleared |= waiting
            waiting.clear()
    return cleared
