"""Compaction: when a conversation is summarised, and what its summary stands for when it is sent back (§12).

Two ways.  The edit `compact_20260112` (beta compact-2026-01-12) summarises inside an ordinary request once the prompt
reaches a threshold; its block stands where it came, and everything before it is left out.  The top-level `compaction`
(beta compact-2026-09-04) asks for nothing but the summary; its block is signed and must come back first and unchanged.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import blake2b
from typing import Any, NamedTuple

from msgspec.json import encode

from headgate.sim.errors import invalid
from headgate.sim.request.edits import COMPACT

__all__ = ["COMPACT_BETAS", "Compaction", "asked_for", "compacted", "sign", "summary_turn"]

THRESHOLD_BETA = "compact-2026-01-12"
ON_DEMAND_BETA = "compact-2026-09-04"
COMPACT_BETAS = frozenset((THRESHOLD_BETA, ON_DEMAND_BETA))
"""Either of them makes `compaction` a known kind of block."""
DEFAULT_TRIGGER_TOKENS = 150_000
MOST_INSTRUCTION_CHARS = 16_384
PROMPT = "Summarize the conversation so far, so that it can go on from the summary alone. Do not call tools. " * 8
"""Stands for the API's own summarization prompt, of which only that it has one is known."""
_BLOCK_FIELDS = {"type", "content", "encrypted_content", "signature", "tool_changes", "cache_control"}
_MAC_BYTES = 16
_DIGEST_BYTES = 8

Body = dict[str, Any]


class Compaction(NamedTuple):
    """A summary that a request asks for."""

    instructions: str
    at_tokens: int | None
    """The size of the prompt from which on it is made; None makes it now, and nothing else."""
    pause: bool


def asked_for(body: Body, edits: list[Body], most_tools: int) -> Compaction | None:
    """The compaction that a validated request asks for, or None.

    Raises:
        ApiError: 400 for one that cannot be (§6: `compaction_*`, and parameters that clash with it).
    """
    wanted = body.get("compaction")
    if wanted is not None:
        return _on_demand(body, wanted, most_tools)
    for edit in edits:
        if edit["type"] == COMPACT:
            trigger = edit.get("trigger") or {"value": DEFAULT_TRIGGER_TOKENS}
            pause = edit.get("pause_after_compaction", False)
            return Compaction(edit.get("instructions") or PROMPT, trigger["value"], pause)
    return None


def _on_demand(body: Body, wanted: Any, most_tools: int) -> Compaction:
    if not isinstance(wanted, dict) or wanted.get("type") != "summarize":
        raise invalid("compaction.type: Input should be 'summarize'")
    if not wanted.keys() <= {"type", "instructions"}:
        raise invalid("compaction: Extra inputs are not permitted")
    instructions = wanted.get("instructions")
    if not isinstance(instructions, str | None) or len(instructions or "") > MOST_INSTRUCTION_CHARS:
        raise invalid(f"compaction.instructions: Input should be a string of at most {MOST_INSTRUCTION_CHARS} letters")
    clashes = {
        "context_management": body.get("context_management") is not None,
        "stop_sequences": bool(body.get("stop_sequences")),
        "output_config.format": (body.get("output_config") or {}).get("format") is not None,
        "a forced tool_choice": (body.get("tool_choice") or {}).get("type") in ("any", "tool"),
        "max_tokens: 0": body.get("max_tokens") == 0,
    }
    for what, clash in clashes.items():
        if clash:
            raise invalid(f"compaction: cannot be combined with {what}")
    messages = body["messages"]
    spoken = [message for message in messages if message["role"] != "system" and message.get("content")]
    if not spoken:
        raise invalid("compaction: there is nothing to summarize", code="compaction_nothing_to_summarize")
    if _unfinished(spoken[-1]):
        raise invalid("compaction: the last assistant turn is not finished", code="compaction_incomplete_turn")
    tools = {block["name"] for message in messages for block in _blocks(message) if block["type"] == "tool_use"}
    if len(tools) > most_tools:
        raise invalid(
            "compaction: the conversation refers to more tools than a block can record",
            code="compaction_too_many_tool_references",
        )
    given = (instructions or "").strip()
    return Compaction(given or PROMPT, None, True)


def _unfinished(message: Body) -> bool:
    """An assistant turn whose tool calls have no results yet."""
    return message["role"] == "assistant" and any(block["type"] == "tool_use" for block in _blocks(message))


def compacted(body: Body, seed: bytes) -> Body:
    """The conversation as the model gets it: the latest summary in place of all that stood before it.

    Raises:
        ApiError: 400 for a block that the API would not take back (§6: `compaction_*`).
    """
    places = [
        (number, index, block)
        for number, message in enumerate(body["messages"])
        for index, block in enumerate(_blocks(message))
        if block["type"] == "compaction"
    ]
    if not places:
        return body
    for number, index, block in places:
        _check_block(block, f"messages.{number}.content.{index}")
    full = [place for place in places if place[2].get("content") is not None]
    if any(block.get("signature") is not None for _, _, block in full):
        _check_signed(full, body, seed)
    messages = body["messages"]
    if full:
        number, index, block = full[-1]
        message = messages[number]
        messages = [{**message, "content": message["content"][index:]}, *messages[number + 1 :]]
    shorter = [_without_blocks(message) for message in messages]
    return {**body, "messages": [message for message in shorter if message.get("content") != []]}


def _check_block(block: Body, place: str) -> None:
    extra = sorted(block.keys() - _BLOCK_FIELDS)
    if extra:
        raise invalid(f"{place}.compaction.{extra[0]}: Extra inputs are not permitted")
    if not isinstance(block.get("content"), str | None) or block.get("content") == "":
        raise invalid(f"{place}.compaction.content: Input should be a non-empty string or null")


def _check_signed(full: list[tuple[int, int, Body]], body: Body, seed: bytes) -> None:
    """The rules for blocks of the newer kind."""
    if len(full) > 1:
        raise invalid("messages: only one compaction block can be sent, the newest", code="compaction_block_ambiguous")
    number, index, block = full[0]
    place = f"messages.{number}.content.{index}"
    if (number, index) != (0, 0):
        raise invalid(f"{place}: the compaction block must come first in messages", code="compaction_block_misplaced")
    edits = (body.get("context_management") or {}).get("edits", [])
    if any(edit["type"] == COMPACT for edit in edits):
        raise invalid(f"{place}: {COMPACT} cannot run on a request that carries a signed compaction block")
    try:
        raw = b64decode(str(block["signature"]).encode("ascii"), validate=True)
    except (Base64Error, UnicodeError, ValueError):
        raw = b""
    mac, told = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if mac != _mac(told, seed):
        raise invalid(f"{place}: the signature is invalid", code="compaction_signature_invalid")
    if told[:_DIGEST_BYTES] != _digest(block["content"]):
        raise invalid(f"{place}: the content is not what was signed", code="compaction_content_mismatch")
    if told[_DIGEST_BYTES:] != _digest(block.get("tool_changes")):
        raise invalid(f"{place}: tool_changes is not what was signed", code="compaction_tool_changes_mismatch")


def sign(summary: str, seed: bytes) -> str:
    """The signature of a summary that is asked for by itself.  No block made here has `tool_changes`."""
    told = _digest(summary) + _digest(None)
    return b64encode(_mac(told, seed) + told).decode()


def summary_turn(summary: str) -> Body:
    """How a summary stands in the prompt of the pass that goes on from it."""
    return {"role": "assistant", "content": [{"type": "text", "text": summary}]}


def _without_blocks(message: Body) -> Body:
    """Summaries as the text that they are; those that failed are left out."""
    if not any(block["type"] == "compaction" for block in _blocks(message)):
        return message
    content = [_as_text(block) if block["type"] == "compaction" else block for block in message["content"]]
    return {**message, "content": [block for block in content if block is not None]}


def _as_text(block: Body) -> Body | None:
    if block.get("content") is None:
        return None
    text = {"type": "text", "text": block["content"]}
    control = block.get("cache_control")
    return text if control is None else {**text, "cache_control": control}


def _blocks(message: Body) -> list[Body]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _mac(told: bytes, seed: bytes) -> bytes:
    return blake2b(told, key=seed, digest_size=_MAC_BYTES, person=b"compaction").digest()


def _digest(value: Any) -> bytes:
    return blake2b(encode(value), digest_size=_DIGEST_BYTES).digest()
