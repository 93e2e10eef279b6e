"""Which of the oldest turns of a conversation are left out, so that it does not grow without bound.

A turn begins with what a user says and goes on until the user speaks again: calls of tools and their results are inside
it, and never parted.  Callers send the whole conversation with every call, so the decision is worked out from it anew
each time, without anything remembered, and comes to the same in every process.

What is left out changes where the prompt begins, and so voids what the prompt cache holds of it.  So more is left out
at a time than must be, down to a share of the bound; then the conversation grows in peace until it reaches the bound
again.  The cached beginning is lost once in so many turns, and what is not read any more pays for that.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import Any, NamedTuple

import msgspec

from headgate.core.body import messages_of
from headgate.core.estimate import MESSAGE_BYTES, surplus_of
from headgate.core.untouchable import first_thinking

__all__ = ["KEPT_SHARE", "Cut", "HistoryBounds", "cut_history", "sizes_of", "up_to_turn"]

KEPT_SHARE = 0.4
"""Of the bound, when it is passed.  After a cut what is left is written to the cache once (1.25) instead of read (0.1),
and what was cut is not read any more (0.1 a turn): with 0.4 a cut has paid for itself before the next one from 13 turns
on, and keeps most of what a reader remembers."""

_LOOKED_AFTER = ("thread", "context_management", "compaction", "container")
"""Fields of requests whose history the API holds or edits itself."""
_REACHES_BACK = (b'"compaction"', b'"document_index"', b'"search_result_index"')
"""Of blocks that stand for what came before them, or count the documents in it."""
_FRAME = 29
"""`{"role":"user","content":""},`"""


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """The most that is sent of a conversation; None: any number."""

    max_turns: int | None = None
    max_bytes: float | None = None
    """Bytes that make tokens."""


class Cut(NamedTuple):
    """What is left out of a conversation."""

    dropped: int
    """Messages, from the first on."""
    dropped_size: int
    """Their bytes that make tokens."""
    kept: list[msgspec.Raw]
    """The others, as they stand in the request; the first of them is a user's."""


def cut_history(
    document: Mapping[str, Any], body: bytes, size: int, bounds: HistoryBounds, *, prefix_check: bool
) -> Cut | None:
    """What to leave out of the conversation that `document` holds; None: nothing.

    Args:
        body: what `document` was read from.
        size: the bytes of all of it that make tokens.
        prefix_check: the model refuses thinking that is sent back if anything before it has changed.  Then as much is
            left out as was when the first of it was thought, and no more: mostly nothing.
    """
    messages = document.get("messages")
    if not isinstance(messages, list):
        return None
    passes_turns = bounds.max_turns is not None and (len(messages) + 1) // 2 > bounds.max_turns
    passes_bytes = bounds.max_bytes is not None and size > bounds.max_bytes
    if not (passes_turns or passes_bytes) or _is_looked_after(document, body):
        return None
    end = len(messages)
    if prefix_check and b'thinking"' in body and (thought := first_thinking(messages)) is not None:
        end = thought
    starts = _starts(messages, end)
    if len(starts) < 2:
        return None
    drop = _by_turns(starts, bounds.max_turns) if bounds.max_turns is not None else 0
    raw: list[msgspec.Raw] = []
    if bounds.max_bytes is not None and passes_bytes:
        raw = messages_of(body)
        drop = max(drop, _by_bytes(starts, sizes_of(messages[:end], raw[:end]), bounds.max_bytes))
    if not drop:
        return None
    raw = raw or messages_of(body)
    return Cut(drop, sum(sizes_of(messages[:drop], raw[:drop])), raw[drop:])


def up_to_turn(messages: Any) -> int:
    """How many messages there were when the last turn began: with what the user said, without the tools since."""
    if isinstance(messages, list):
        for at in range(len(messages) - 1, -1, -1):
            message = messages[at]
            if isinstance(message, dict) and message.get("role") == "user" and not _has_result(message.get("content")):
                return at + 1
    return 0


def sizes_of(messages: Sequence[Any], raw: Sequence[msgspec.Raw]) -> list[int]:
    """The bytes of each message that make tokens.  `raw` is the JSON of each."""
    sizes = []
    for message, text in zip(messages, raw, strict=True):
        content = message.get("content")
        surplus = surplus_of(content) if isinstance(content, list) else 0
        sizes.append(max(MESSAGE_BYTES, len(text) - _FRAME + MESSAGE_BYTES - surplus))
    return sizes


def _is_looked_after(document: Mapping[str, Any], body: bytes) -> bool:
    """Whether the API holds or edits the history, or what stands in it later needs what came before."""
    if any(document.get(field) is not None for field in _LOOKED_AFTER) or any(mark in body for mark in _REACHES_BACK):
        return True
    tools = document.get("tools")
    return isinstance(tools, list) and any(isinstance(tool, dict) and tool.get("defer_loading") for tool in tools)


def _starts(messages: Sequence[Any], end: int) -> list[int]:
    """Where the turns before `end` begin; nowhere in a conversation with instructions in its middle, which hold from
    there on, or of another shape than the API's."""
    starts = [0]
    before = ""
    for at, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "user":
            if before == "assistant" and at < end and not _has_result(message.get("content")):
                starts.append(at)
        elif role != "assistant":
            return []
        before = role
    return starts


def _has_result(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "tool_result" for block in content
    )


def _by_turns(starts: Sequence[int], most: int) -> int:
    over = len(starts) - most
    if over <= 0:
        return 0
    step = max(1, most - max(1, round(most * KEPT_SHARE)))
    return starts[min(step * ceil(over / step), len(starts) - 1)]


def _by_bytes(starts: Sequence[int], sizes: Sequence[int], most: float) -> int:
    before = [0, *accumulate(sizes)]
    over = before[-1] - most
    if over <= 0:
        return 0
    step = most * (1 - KEPT_SHARE)
    gone = step * ceil(over / step)
    return next((start for start in starts if before[start] >= gone), starts[-1])
