"""A Message as the events of a stream, and the events of a stream as a Message (claude-api.md §7).

For answers that Headgate gives itself: whichever way one was kept, it can be given both ways.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.core.sse import events

__all__ = ["events_of", "message_of"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


_TOLD_AT_THE_END = ("stop_reason", "stop_sequence", "stop_details", "container")


def events_of(message: dict[str, Any]) -> bytes:
    """The whole stream of a Message: each block in one piece."""
    end = {"stop_sequence": None, **{name: message[name] for name in _TOLD_AT_THE_END if name in message}}
    shell = {**message, **dict.fromkeys(end), "content": []}
    parts = [_event("message_start", message=shell)]
    for index, block in enumerate(message["content"]):
        opening, deltas = _opened(block)
        parts.append(_event("content_block_start", index=index, content_block=opening))
        parts += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        parts.append(_event("content_block_stop", index=index))
    parts.append(_event("message_delta", delta=end, usage=message.get("usage") or {"output_tokens": 0}))
    parts.append(_event("message_stop"))
    return b"".join(parts)


def _event(name: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _encode({"type": name, **fields}))


def _opened(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a block begins with, and the deltas that fill it.  Blocks of other kinds come whole."""
    kind = block["type"]
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        opening = {**block, "text": ""} | ({"citations": []} if cited else {})
        return opening, [{"type": "text_delta", "text": block["text"]}, *cited]
    if kind == "thinking":
        signature = block.get("signature") or ""
        told = [{"type": "thinking_delta", "thinking": block["thinking"]}] if block["thinking"] else []
        return {**block, "thinking": "", "signature": ""}, [*told, {"type": "signature_delta", "signature": signature}]
    if isinstance(block.get("input"), dict):  # a call of a tool: many readers take its input from deltas alone
        told = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", _encode(block["input"]).decode())]
        return {**block, "input": {}}, told
    return block, []


def message_of(stream: bytes) -> dict[str, Any] | None:
    """The Message that the events of a whole stream make; None if they make none, or hold what is not known here."""
    message: dict[str, Any] | None = None
    content: list[dict[str, Any]] = []
    inputs: dict[int, str] = {}
    try:
        for name, data in events(stream):
            if name == b"ping":
                continue
            event = _decode(data)
            if name == b"message_start":
                message, content, inputs = event["message"], [], {}  # a stream that broke can begin anew
            elif name == b"content_block_start":
                content.append(event["content_block"])
            elif name == b"content_block_delta":
                if event["delta"]["type"] == "input_json_delta":
                    index = event["index"]
                    inputs[index] = inputs.get(index, "") + event["delta"]["partial_json"]
                elif not _filled(content[event["index"]], event["delta"]):
                    return None
            elif name == b"message_delta" and message is not None:
                message |= event["delta"]
                message["usage"] |= {kind: count for kind, count in event["usage"].items() if count is not None}
            elif name == b"message_stop" and message is not None:
                for index, text in inputs.items():
                    content[index]["input"] = _decode(text) if text else {}
                return {**message, "content": content}
            elif name != b"content_block_stop":
                return None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, LookupError, TypeError, AttributeError):
        return None
    return None


_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def _filled(block: dict[str, Any], delta: dict[str, Any]) -> bool:
    """Whether `delta` is known, and is now in `block`."""
    kind = delta["type"]
    field = _TEXTS.get(kind)
    if field is not None:
        block[field] += delta[field]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    else:
        return False
    return True
