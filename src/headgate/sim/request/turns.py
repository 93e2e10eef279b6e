"""The turns of a conversation: roles, content blocks, and how they fit together (claude-api.md §2, §3, §5.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from headgate.sim.errors import invalid
from headgate.sim.facts import FACTS, Model
from headgate.sim.request.betas import needs_beta
from headgate.sim.request.compaction import COMPACT_BETAS
from headgate.sim.request.rules import Rules
from headgate.sim.request.thinking import check_effort

__all__ = ["check_system", "check_turns"]

_TURN_EFFORT = ("mid-conversation-output-config-2026-07-01", "per-turn-control-2026-07-01")
_CLEAR_AT = ("mid-conversation-system-clear-at-2026-08-21",)
_SYSTEM_BLOCKS = ("text", "tool_addition", "tool_removal")


def check_system(system: Any) -> None:
    """The `system` field: a string or text blocks.

    Raises:
        ApiError: 400.
    """
    if isinstance(system, list):
        for number, block in enumerate(system):
            if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
                raise invalid(f"system.{number}: Input should be a text block")


def check_turns(messages: list[Any], model: Model, rules: Rules) -> None:
    """The `messages` field.

    Raises:
        ApiError: 400 for the first thing wrong with it.
    """
    if not messages:
        code = "compaction_nothing_to_summarize" if rules.summarises else None
        raise invalid("messages: at least one message is required", code=code)
    if len(messages) > FACTS.other_limits.max_messages_per_request:
        raise invalid(f"messages: at most {FACTS.other_limits.max_messages_per_request} messages are allowed")
    for number, message in enumerate(messages):
        place = f"messages.{number}"
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            raise invalid(f"{place}.role: Input should be 'user', 'assistant' or 'system'")
        if message["role"] == "system":
            _check_system_turn(messages, number, model, rules)
        else:
            _check_content(message.get("content"), message["role"], f"{place}.content", rules)
    prefill = model.assistant_prefill_supported or rules.continues_refusal or rules.summarises
    _check_order(messages, prefill=prefill)


# -- content ---------------------------------------------------------------------------------------------------------


def _check_content(content: Any, role: str, place: str, rules: Rules) -> None:
    if isinstance(content, str):
        if not content and role != "assistant":
            raise invalid(f"{place}: messages must have non-empty content")
        return
    if not isinstance(content, list):
        raise invalid(f"{place}: Input should be a string or a list of content blocks")
    if not content and role != "assistant":
        raise invalid(f"{place}: messages must have non-empty content")
    for number, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise invalid(f"{place}.{number}.type: Field required")
        check = _BLOCK_CHECKS.get(block["type"])
        if check is not None:
            check(block, role, f"{place}.{number}")
        elif block["type"] == "compaction" and rules.betas.isdisjoint(COMPACT_BETAS):
            raise invalid(f"{place}.{number}.type: 'compaction' is not one of the expected content block types")
        if rules.strict:
            _check_new_version(block, role, f"{place}.{number}")


def _check_text(block: dict[str, Any], role: str, place: str) -> None:
    text = block.get("text")
    if not isinstance(text, str):
        raise invalid(f"{place}.text: Field required")
    if not text and block.get("cache_control") is None:
        raise invalid("messages: text content blocks must be non-empty")


def _check_thinking(block: dict[str, Any], role: str, place: str) -> None:
    _check_assistants(block, role, place)
    if not isinstance(block.get("thinking"), str):
        raise invalid(f"{place}.thinking: Field required")
    if not isinstance(block.get("signature"), str):
        raise invalid(f"{place}.signature: Field required")


def _check_redacted_thinking(block: dict[str, Any], role: str, place: str) -> None:
    _check_assistants(block, role, place)
    if not isinstance(block.get("data"), str):
        raise invalid(f"{place}.data: Field required")


def _check_tool_use(block: dict[str, Any], role: str, place: str) -> None:
    _check_assistants(block, role, place)
    if not isinstance(block.get("id"), str) or not isinstance(block.get("name"), str):
        raise invalid(f"{place}: a tool_use block needs an id and a name")
    if not isinstance(block.get("input"), dict):
        raise invalid(f"{place}.input: Input should be an object")


def _check_assistants(block: dict[str, Any], role: str, place: str) -> None:
    if role != "assistant":
        raise invalid(f"{place}: `{block['type']}` blocks can only be in `assistant` messages")


def _check_tool_result(block: dict[str, Any], role: str, place: str) -> None:
    if role != "user":
        raise invalid(f"{place}: `tool_result` blocks can only be in `user` messages")
    if not isinstance(block.get("tool_use_id"), str):
        raise invalid(f"{place}.tool_use_id: Field required")
    content = block.get("content")
    if not isinstance(content, str | list | None):
        raise invalid(f"{place}.content: Input should be a string or a list of content blocks")
    for number, inner in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(inner, dict) or not isinstance(inner.get("type"), str):
            raise invalid(f"{place}.content.{number}.type: Field required")
        if inner["type"] == "text" and not isinstance(inner.get("text"), str):
            raise invalid(f"{place}.content.{number}.text: Field required")


def _check_source(block: dict[str, Any], role: str, place: str) -> None:
    source = block.get("source")
    if not isinstance(source, dict) or source.get("type") not in ("base64", "url", "file", "text", "content"):
        raise invalid(f"{place}.source.type: Input should be 'base64', 'url', 'file', 'text' or 'content'")
    for number, inner in enumerate(source["content"] if isinstance(source.get("content"), list) else ()):
        if isinstance(inner, dict) and inner.get("type") == "text" and not isinstance(inner.get("text"), str):
            raise invalid(f"{place}.source.content.{number}.text: Field required")


_BLOCK_CHECKS: dict[str, Callable[[dict[str, Any], str, str], None]] = {
    "text": _check_text,
    "thinking": _check_thinking,
    "redacted_thinking": _check_redacted_thinking,
    "tool_use": _check_tool_use,
    "tool_result": _check_tool_result,
    "image": _check_source,
    "document": _check_source,
}


def _check_new_version(block: dict[str, Any], role: str, place: str) -> None:
    """§2: two things that 2026-10-21 no longer takes."""
    if role == "assistant" and block["type"] == "document":
        raise invalid(f"{place}: document blocks are not allowed in assistant messages")
    if role == "user" and block["type"] == "text" and block.get("citations"):
        raise invalid(f"{place}.citations: citations are not allowed on text blocks in user messages")


# -- system turns ----------------------------------------------------------------------------------------------------


def _check_system_turn(messages: list[Any], number: int, model: Model, rules: Rules) -> None:
    """§3: which models take a system message in a conversation, where it may stand, and what it may hold."""
    place = f"messages.{number}"
    message = messages[number]
    if model.id not in rules.settings.system_turns_on:
        raise invalid(f"{place}.role: role 'system' is not supported on this model")
    output = message.get("output_config")
    if output is not None:
        needs_beta(f"{place}.output_config", _TURN_EFFORT, rules)
        if not isinstance(output, dict):
            raise invalid(f"{place}.output_config: Input should be an object")
        check_effort(output, model, f"{place}.output_config")
    clear_at = message.get("clear_at")
    if clear_at is not None:
        needs_beta(f"{place}.clear_at", _CLEAR_AT, rules)
        if clear_at not in ("next_user_message", "never"):
            raise invalid(f"{place}.clear_at: Input should be 'next_user_message' or 'never'")
    if message.get("content") is None and output:
        message["content"] = []  # so that every turn has some, for whoever reads it next
    else:
        _check_content(message.get("content"), "system", f"{place}.content", rules)
        for at, block in enumerate(message["content"] if isinstance(message["content"], list) else ()):
            if block["type"] not in _SYSTEM_BLOCKS:
                code = "compaction_block_misplaced" if block["type"] == "compaction" else None
                text = f"{place}.content.{at}.type: Input should be one of {', '.join(_SYSTEM_BLOCKS)}"
                raise invalid(text, code=code)
    before = messages[number - 1] if number else None
    after = messages[number + 1] if number + 1 < len(messages) else None
    if before is None or not (before.get("role") == "user" or _ends_in_server_tool(before)):
        raise invalid(f"{place}: a system message must follow a user turn or a server tool's result")
    if after is not None and isinstance(after, dict) and after.get("role") != "assistant":
        raise invalid(f"{place}: a system message must be last or be followed by an assistant turn")


# -- how turns fit together ------------------------------------------------------------------------------------------


def _check_order(messages: list[dict[str, Any]], *, prefill: bool) -> None:
    """What spans turns: every tool call is answered in the next turn, and the conversation does not end in words put
    into the model's mouth where it takes none (§3, §5.1).  Consecutive turns of one role count as one."""
    pending: set[str] = set()
    serving = False
    previous = "user"
    for number, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            continue
        blocks = message["content"] if isinstance(message["content"], list) else ()
        if role == "assistant":
            pending = {block["id"] for block in blocks if block["type"] == "tool_use"} | (
                pending if previous == "assistant" else set()
            )
            serving = bool(pending) and _runs_server_tool(blocks)
        else:
            if pending and serving and not (blocks and all(block["type"] == "tool_result" for block in blocks)):
                raise invalid(f"messages.{number}: while a server tool runs, only `tool_result` blocks can stand here")
            answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
            if not answered <= pending:
                raise invalid(f"messages.{number}: a `tool_result` block has no `tool_use` in the turn before it")
            pending -= answered
            if pending and _next_speaker(messages, number) != "user":
                raise invalid(f"messages.{number}: a `tool_use` of the turn before has no `tool_result` block here")
        previous = role
    last = messages[-1]
    if last["role"] == "assistant" and not _ends_in_server_tool(last) and not prefill:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _runs_server_tool(blocks: Sequence[dict[str, Any]]) -> bool:
    """Whether a server tool was called whose result comes later (§5.1)."""
    done = [block.get("tool_use_id") for block in blocks if block["type"].endswith("_tool_result")]
    return any(block["type"] == "server_tool_use" and block.get("id") not in done for block in blocks)


def _next_speaker(messages: list[dict[str, Any]], number: int) -> str:
    """Whose turn follows message `number`, system turns aside; the model's at the end."""
    roles = (message["role"] for message in messages[number + 1 :])
    return next((role for role in roles if role != "system"), "assistant")


def _ends_in_server_tool(message: Any) -> bool:
    """Whether an assistant turn stopped inside the work of a server tool, as `pause_turn` leaves it (§5.1)."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list) or not content:
        return False
    kind = str(content[-1].get("type")) if isinstance(content[-1], dict) else ""
    return kind == "server_tool_use" or (kind.endswith("_tool_result") and kind != "tool_result")
