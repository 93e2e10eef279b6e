"""An answer of Headgate's own in the form of a Message, so that every SDK reads it."""

from __future__ import annotations

from typing import Any

__all__ = ["NO_USAGE", "canned_message", "without_usage"]

NO_USAGE = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}
"""Nothing was used, so nothing is to be added up."""


def canned_message(text: str, *, model: str, call_id: str) -> dict[str, Any]:
    """A Message with `text`.  `model` is the one that was asked for; that it did not speak shows in the id."""
    return {
        "id": "msg_headgate_" + call_id.removeprefix("call_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": dict(NO_USAGE),
    }


def without_usage(message: dict[str, Any]) -> dict[str, Any]:
    """A Message that was paid for once and is given again."""
    return {**message, "usage": dict(NO_USAGE)}
