"""The text of a call out of its bytes, and the same without personal data.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from headgate.core.sse import events
from headgate.safety.scrub import FAMILIES, Family, Placeholders, Scrubber, scrub

__all__ = ["answer_text", "plain_text", "scrubbed_document", "scrubbed_text", "streamed_text"]

LARGEST_DOCUMENT = 1024 * 1024
"""Bytes of a JSON document that is read whole.  Of a larger one only the begin is kept, as text."""

_encode = msgspec.json.Encoder().encode
_OF_THE_API = frozenset(("type", "role", "model", "stop_reason"))
"""Members with words of the API's own, which need no look."""
_NOT_SAYING = frozenset(
    (
        "text", "content", "type", "role", "name", "id", "model", "data", "thinking", "signature", "input", "title",
        "system", "description", "tool_use_id", "value", "message",
    )
)  # fmt: skip
"""Members whose names say nothing of what is in them; of others, such as `phone`, the name is context."""


def plain_text(data: bytes, chars: int) -> str:
    """The begin of `data` as text."""
    return data[: chars * 4].decode("utf-8", "replace")[:chars]


def scrubbed_text(data: bytes, chars: int, placeholders: Placeholders, families: Sequence[Family] = FAMILIES) -> str:
    """The first `chars` characters of a body, scrubbed before it is cut, so that no half of a number stays.

    A JSON document is scrubbed string by string, as they read without escapes; anything else as the text it is.
    """
    if len(data) <= LARGEST_DOCUMENT:
        document = scrubbed_document(data, placeholders, families)
        if document is not None:
            return _encode(document).decode()[:chars]
    scrubber = Scrubber(placeholders, families)
    text = data[: max(chars * 4, LARGEST_DOCUMENT)].decode("utf-8", "replace")
    given: list[str] = []
    length = 0
    for at in range(0, len(text), 8192):
        given.append(scrubber.feed(text[at : at + 8192]))
        length += len(given[-1])
        if length >= chars:
            break
    else:
        given.append(scrubber.close())
    return "".join(given)[:chars]


def scrubbed_document(data: bytes, placeholders: Placeholders, families: Sequence[Family] = FAMILIES) -> Any:
    """A JSON document with every string in it scrubbed, and what stands for pictures and files left out; None if it is
    none."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    try:
        return _scrubbed(document, "", lambda text: scrub(text, placeholders, families))
    except RecursionError:
        return None


def _scrubbed(value: Any, name: str, scrubbed: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        if name in _OF_THE_API and _is_word(value):
            return value
        lead = "" if not name or name in _NOT_SAYING else f"{name}: "
        return scrubbed(lead + value).removeprefix(lead)
    if isinstance(value, list):
        return [_scrubbed(item, name, scrubbed) for item in value]
    if isinstance(value, dict):
        if value.get("type") == "base64" and isinstance(value.get("data"), str):
            value = {**value, "data": f"[{len(value['data'])} characters]"}
        return {
            (key if _is_word(key) else scrubbed(key)): _scrubbed(item, key.lower(), scrubbed)
            for key, item in value.items()
        }
    if isinstance(value, int) and abs(value) >= 10_000_000 and not isinstance(value, bool):
        as_text = _scrubbed(str(value), name, scrubbed)
        return value if as_text == str(value) else as_text
    return value


def _is_word(text: str) -> bool:
    """Whether it is a word such as `tool_use`, which can neither be a secret nor a number."""
    return len(text) <= 32 and text.isascii() and text.replace("_", "").isalpha()


def streamed_text(kept: bytes) -> str:
    """The text of a stream, out of its events."""
    text: list[str] = []
    for name, data in events(kept):
        if name == b"content_block_delta":
            try:
                delta = msgspec.json.decode(data)["delta"]
                text.append(delta.get("text") or delta.get("partial_json") or "")
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
                continue
    return "".join(text)


def answer_text(message: Any) -> str:
    """The text of a Message: its text blocks, and what it calls tools with."""
    blocks = message.get("content") if isinstance(message, Mapping) else None
    parts: list[str] = []
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, Mapping):
            if isinstance(block.get("text"), str):
                parts.append(block["text"])
            elif block.get("type") == "tool_use":
                parts.append(_encode(block.get("input")).decode())
    return "".join(parts)
