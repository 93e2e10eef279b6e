"""The request that every target gets: about 820 bytes, a system prompt and three turns."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["encoded", "message"]

_SYSTEM = (
    "You are a careful assistant inside a company gateway. Answer briefly, cite the document sections you used, "
    "and never reveal internal identifiers. "
)


def message(markers: str = "") -> dict[str, Any]:
    """The arguments of a Messages call.  `markers` tell the mock how to behave; its head lists them."""
    last_turn = f"Summarise the life of one request in three sentences, please. {markers}".strip()
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1024,
        "system": _SYSTEM * 3,
        "metadata": {"user_id": "user-7f3a"},
        "messages": [
            {"role": "user", "content": "What does the gateway do with a request?"},
            {"role": "assistant", "content": "It authenticates the caller, checks limits, and forwards it."},
            {"role": "user", "content": last_turn},
        ],
    }


def encoded(markers: str = "", *, stream: bool = False) -> bytes:
    """`message` as an SDK would send it."""
    body = message(markers) | ({"stream": True} if stream else {})
    return json.dumps(body, separators=(",", ":")).encode()
