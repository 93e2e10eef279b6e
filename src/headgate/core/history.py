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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil
from typing import Any

import msgspec

from headgate.core.estimate import MESSAGE_BYTES, surplus_of
from headgate.core.untouchable import first_thinking

__all__ = ["KEPT_SHARE", "HistoryBounds", "messages_to_drop", "sizes_of"]

KEPT_SHARE = 0.4
"""Of the bound, when it is passed.  After a cut what is left is written to the cache once (1.25) instead of read (0.1),
and what was cut is not read any more (0.1 a turn): with 0.4 a cut has paid for itself before the next one from 13 turns
on, and keeps most of what a reader remembers."""

_LOOKED_AFTER = ("thread", "context_management", "compaction", "container")
"""Fields of requests whose history the API holds or edits itself."""
_FRAME = 29
"""`{"role":"user","content":""},`"""


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """The most that is sent of a conversation; None: any number."""

    max_turns: int | None = None
    max_bytes: float | None = None
    """Bytes that make tokens."""


def messages_to_drop(
    document: Mapping[str, Any], bounds: HistoryBounds, sizes: Callable[[], Sequence[int]], *, prefix_check: bool
) -> int:
    """How many messages to leave out, from the first on; what follows them begins with a user.

    Args:
        sizes: gives the bytes of each message that make tokens; only asked if they are needed.
        prefix_check: the model refuses thinking that is sent back if anything before it has changed.  Then as much is
            left out as was when the first of it was thought, and no more: mostly nothing.
    """
    messages = document.get("messages")
    if not isinstance(messages, list) or len(messages) < 3 or not _may_be_cut(document, messages):
        return 0
    end = len(messages)
    if prefix_check and (thought := first_thinking(messages)) is not None:
        end = thought
    starts = _starts(messages, end)
    if len(starts) < 2:
        return 0
    drop = 0
    if bounds.max_turns is not None:
        drop = _by_turns(starts, bounds.max_turns)
    if bounds.max_bytes is not None:
        drop = max(drop, _by_bytes(starts, sizes()[:end], bounds.max_bytes))
    return drop


def sizes_of(messages: Sequence[Any], raw: Sequence[msgspec.Raw]) -> list[int]:
    """The bytes of each message that make tokens.  `raw` is the JSON of each."""
    sizes = []
    for message, text in zip(messages, raw, strict=True):
        content = message.get("content") if isinstance(message, dict) else None
        surplus = surplus_of(content) if isinstance(content, list) else 0
        sizes.append(max(MESSAGE_BYTES, len(text) - _FRAME + MESSAGE_BYTES - surplus))
    return sizes


def _may_be_cut(document: Mapping[str, Any], messages: Sequence[Any]) -> bool:
    """Not where the API looks after the history, nor where instructions or tools that hold from then on stand in it."""
    if any(document.get(field) is not None for field in _LOOKED_AFTER):
        return False
    tools = document.get("tools")
    if isinstance(tools, list) and any(isinstance(tool, dict) and tool.get("defer_loading") for tool in tools):
        return False
    return all(
        isinstance(message, dict) and message.get("role") != "system" and not _has(message, "compaction")
        for message in messages
    )


def _starts(messages: Sequence[dict[str, Any]], end: int) -> list[int]:
    """Where the turns before `end` begin."""
    starts = [0]
    before = messages[0].get("role")
    for at in range(1, end):
        message = messages[at]
        role = message.get("role")
        if role == "user" and before == "assistant" and not _has(message, "tool_result"):
            starts.append(at)
        before = role
    return starts


def _has(message: Mapping[str, Any], kind: str) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(isinstance(block, dict) and block.get("type") == kind for block in content)


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
