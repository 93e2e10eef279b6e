"""The answer to a joined request as the answers that its calls would have got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headgate.call import Call, Reply
from headgate.core.join import Item, JoinedRequest, answers_of
from headgate.engine.own_answer import whole_reply
from headgate.usage import Usage

__all__ = ["JoinedAnswer", "joined_answer"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class JoinedAnswer:
    """A whole Message that answers several calls."""

    message: dict[str, Any]
    ids: tuple[str, ...]
    texts: list[str | None]
    """In the order of the calls; None for one whose answer is not right."""
    sizes: list[int]
    """Bytes of each answer, as far as they are known."""

    def reply_to(self, index: int, call: Call, reply: Reply, now_s: float) -> Reply | None:
        """The reply for one of them, whole or as a stream, as its caller asked for it.  Its share must be settled."""
        text = self.texts[index]
        facts = call.attempt.facts
        if text is None or facts is None:
            return None
        told = {
            **self.message,
            "id": f"{self.message.get('id')}-{self.ids[index]}",
            "content": [{"type": "text", "text": text}],
            "usage": _usage_told(self.message.get("usage"), facts.usage or Usage()),
        }
        headers = reply.headers.without((b"content-type", b"content-length"))
        return whole_reply(call, _encode(told), now_s, headers=headers)


def joined_answer(reply: Reply, request: JoinedRequest, items: Sequence[Item]) -> JoinedAnswer | None:
    """What a good reply says to each item; None if it is no whole answer, so that nothing in it can be trusted."""
    if reply.stream is not None:
        reply.stream.close()  # nobody asked for one
        return None
    try:
        message = _decode(reply.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    content = message.get("content")
    if message.get("stop_reason") != "end_turn" or not isinstance(content, list):
        return None
    whole = "".join([block["text"] for block in content if _is_text(block)])
    texts = answers_of(whole, request.ids, items)
    usage = message.get("usage")
    output_tokens = usage.get("output_tokens") if isinstance(usage, dict) else None
    if isinstance(output_tokens, int):
        # One that alone would have been cut short is cut short alone.
        per_char = output_tokens / max(1, len(whole))
        texts = [
            text if text is None or len(text) * per_char <= item.max_tokens else None
            for text, item in zip(texts, items, strict=True)
        ]
    return JoinedAnswer(message, request.ids, texts, [len(text) if text is not None else 0 for text in texts])


def _is_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)


def _usage_told(whole: Any, share: Usage) -> dict[str, Any]:
    """The usage of the whole answer with the counts of one share."""
    told = dict(whole) if isinstance(whole, dict) else {}
    told |= {
        "input_tokens": share.input,
        "output_tokens": share.output,
        "cache_read_input_tokens": share.cache_read,
        "cache_creation_input_tokens": share.cache_write_5m + share.cache_write_1h,
    }
    if isinstance(told.get("cache_creation"), dict):
        told["cache_creation"] = {
            "ephemeral_5m_input_tokens": share.cache_write_5m,
            "ephemeral_1h_input_tokens": share.cache_write_1h,
        }
    if isinstance(told.get("output_tokens_details"), dict):
        told["output_tokens_details"] = {"thinking_tokens": share.thinking}
    told.pop("iterations", None)
    return told
