"""Context editing: what is cleared from a conversation before the model reads it (claude-api.md §12).

Beta context-management-2025-06-27.  The caller keeps sending everything; old tool results and old thinking are left out
on the way to the model, so the prompt is shorter and the prompt cache ends where something was cleared (§9.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headgate.sim.errors import invalid

__all__ = ["CLEARED", "apply_edits", "check_edits"]

CLEARED = "[cleared]"
"""What stands where a tool result was.  The API has words of its own for it, which are not published."""
TOOL_USES = "clear_tool_uses_20250919"
THINKING = "clear_thinking_20251015"
COMPACT = "compact_20260112"
DEFAULT_TRIGGER_TOKENS = 100_000
DEFAULT_KEPT_TOOL_USES = 3
_FIELDS = {
    TOOL_USES: {"type", "trigger", "keep", "clear_at_least", "exclude_tools", "clear_tool_inputs"},
    THINKING: {"type", "keep"},
    COMPACT: {"type", "trigger", "instructions", "pause_after_compaction"},
}

Body = dict[str, Any]
Count = Callable[[Body], int]
"""The tokens of a prompt."""


def check_edits(management: Any) -> list[Body]:
    """The edits of a `context_management`, in order, every one of them well formed.

    Raises:
        ApiError: 400.
    """
    edits = management.get("edits", []) if isinstance(management, dict) else None
    if not isinstance(edits, list):
        raise invalid("context_management: Input should be an object with a list of edits")
    kinds: list[str] = []
    for number, edit in enumerate(edits):
        place = f"context_management.edits.{number}"
        kind = edit.get("type") if isinstance(edit, dict) else None
        if not isinstance(kind, str) or kind not in _FIELDS:
            raise invalid(f"{place}.type: Input should be one of {', '.join(_FIELDS)}")
        if not edit.keys() <= _FIELDS[kind]:
            raise invalid(f"{place}: Extra inputs are not permitted")
        if kind in kinds:
            raise invalid(f"{place}: an edit of this type stands there already")
        if kind == THINKING and kinds:
            raise invalid(f"{place}: {THINKING} must be the first edit")
        _CHECKS[kind](edit, place)
        kinds.append(kind)
    return edits


def apply_edits(body: Body, edits: list[Body], count: Count, tokens: int) -> tuple[Body, list[Body]]:
    """`body` as the model gets it, and what to report in `applied_edits`: only edits that cleared something.

    Args:
        tokens: what `body` counts as it is.
    """
    applied = []
    for edit in edits:
        if edit["type"] == COMPACT:
            continue
        clear = _clear_thinking if edit["type"] == THINKING else _clear_tool_uses
        messages, cleared = clear(body["messages"], edit, tokens)
        if not cleared:
            continue
        shorter = {**body, "messages": messages}
        left = count(shorter)
        least = edit.get("clear_at_least")
        if least is not None and tokens - left < least["value"]:
            continue
        name = "cleared_thinking_turns" if edit["type"] == THINKING else "cleared_tool_uses"
        applied.append({"type": edit["type"], name: cleared, "cleared_input_tokens": tokens - left})
        body, tokens = shorter, left
    return body, applied


def _clear_thinking(messages: list[Body], edit: Body, tokens: int) -> tuple[list[Body], int]:
    """Drop the thinking of all assistant turns but the latest ones that have any."""
    keep = edit.get("keep", {"type": "thinking_turns", "value": 1})
    if keep == "all" or keep["type"] == "all":
        return messages, 0
    thoughtful = [number for number, message in enumerate(messages) if any(_is_thinking(b) for b in _blocks(message))]
    old = set(thoughtful[: len(thoughtful) - keep["value"]])
    edited = [
        {**message, "content": [block for block in message["content"] if not _is_thinking(block)]}
        if number in old
        else message
        for number, message in enumerate(messages)
    ]
    return edited, len(old)


def _clear_tool_uses(messages: list[Body], edit: Body, tokens: int) -> tuple[list[Body], int]:
    """Empty the results of all tool calls but the latest ones, and their inputs where that is asked for."""
    calls = [block for message in messages for block in _blocks(message) if block.get("type") == "tool_use"]
    trigger = edit.get("trigger", {"type": "input_tokens", "value": DEFAULT_TRIGGER_TOKENS})
    if (tokens if trigger["type"] == "input_tokens" else len(calls)) <= trigger["value"]:
        return messages, 0
    kept = edit.get("keep", {"value": DEFAULT_KEPT_TOOL_USES})["value"]
    excluded = edit.get("exclude_tools") or ()
    old = {call["id"]: call["name"] for call in calls[: max(0, len(calls) - kept)] if call["name"] not in excluded}
    if not old:
        return messages, 0
    inputs = edit.get("clear_tool_inputs")
    cleared = {name for name in old.values() if inputs is True or (isinstance(inputs, list) and name in inputs)}

    def edited(block: Body) -> Body:
        if block.get("type") == "tool_result" and block.get("tool_use_id") in old:
            return {**block, "content": CLEARED}
        if block.get("type") == "tool_use" and block["id"] in old and block["name"] in cleared:
            return {**block, "input": {}}
        return block

    shorter = [
        {**message, "content": [edited(block) for block in message["content"]]}
        if isinstance(message.get("content"), list)
        else message
        for message in messages
    ]
    return shorter, len(old)


def _blocks(message: Body) -> Iterator[Body]:
    content = message.get("content")
    return iter(content if isinstance(content, list) else ())


def _is_thinking(block: Body) -> bool:
    return block.get("type") in ("thinking", "redacted_thinking")


def _check_thinking(edit: Body, place: str) -> None:
    keep = edit.get("keep")
    if keep is None or keep == "all" or keep == {"type": "all"}:
        if "keep" in edit and keep is None:
            raise invalid(f"{place}.keep: Input should be 'all' or a number of thinking turns")
        return
    _amount(keep, ("thinking_turns",), f"{place}.keep", least=1)


def _check_tool_uses(edit: Body, place: str) -> None:
    if "trigger" in edit:
        _amount(edit["trigger"], ("input_tokens", "tool_uses"), f"{place}.trigger", least=1)
    if "keep" in edit:
        _amount(edit["keep"], ("tool_uses",), f"{place}.keep")
    if edit.get("clear_at_least") is not None:
        _amount(edit["clear_at_least"], ("input_tokens",), f"{place}.clear_at_least")
    if not _names(edit.get("exclude_tools")):
        raise invalid(f"{place}.exclude_tools: Input should be a list of tool names")
    inputs = edit.get("clear_tool_inputs")
    if not isinstance(inputs, bool) and not _names(inputs):
        raise invalid(f"{place}.clear_tool_inputs: Input should be true, false or a list of tool names")


def _check_compact(edit: Body, place: str) -> None:
    if edit.get("trigger") is not None:
        _amount(edit["trigger"], ("input_tokens",), f"{place}.trigger", least=LEAST_COMPACT_TRIGGER)
    if not isinstance(edit.get("pause_after_compaction", False), bool):
        raise invalid(f"{place}.pause_after_compaction: Input should be true or false")
    if not isinstance(edit.get("instructions"), str | None):
        raise invalid(f"{place}.instructions: Input should be a string")


LEAST_COMPACT_TRIGGER = 50_000
_CHECKS: dict[str, Callable[[Body, str], None]] = {
    TOOL_USES: _check_tool_uses,
    THINKING: _check_thinking,
    COMPACT: _check_compact,
}


def _amount(value: Any, kinds: tuple[str, ...], place: str, least: int = 0) -> None:
    """`{"type": …, "value": N}`."""
    if not isinstance(value, dict) or value.get("type") not in kinds or not value.keys() <= {"type", "value"}:
        raise invalid(f"{place}.type: Input should be {' or '.join(repr(kind) for kind in kinds)}")
    number = value.get("value")
    if type(number) is not int or number < least:
        raise invalid(f"{place}.value: Input should be a whole number, at least {least}")


def _names(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value))
