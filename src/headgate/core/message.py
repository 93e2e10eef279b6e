"""Facts of an answer: read from a whole message, or gathered from its stream while the bytes pass by.

A feeder, not a reader: it is given bytes and never waits for any, so sync, async and simulated streams share it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from headgate.core.sse import events
from headgate.core.usage import PlainUsage, merge_delta, read_usage
from headgate.usage import MessageFacts, Usage

__all__ = ["StreamFacts", "has_untold_passes", "read_message"]


class _PlainMessage(msgspec.Struct):
    usage: PlainUsage
    type: str | None = None
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_details: dict[str, Any] | None = None
    content: msgspec.Raw = msgspec.Raw(b"[]")
    diagnostics: dict[str, Any] | None = None


class _Message(msgspec.Struct):
    type: Any = None
    id: Any = None
    model: Any = None
    stop_reason: Any = None
    stop_details: Any = None
    content: msgspec.Raw = msgspec.Raw(b"[]")
    usage: Any = None
    diagnostics: Any = None


_decode_plain = msgspec.json.Decoder(_PlainMessage).decode
_decode_message = msgspec.json.Decoder(_Message).decode
_decode = msgspec.json.decode


def read_message(body: bytes) -> MessageFacts | None:
    """The facts of a non-streamed answer, or None if `body` is not a Message (say an error with status 200)."""
    message: _PlainMessage | _Message
    usage: Usage | None
    try:
        message = _decode_plain(body)
        usage = message.usage.read()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        try:
            message = _decode_message(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        message.id, message.model = _text(message.id), _text(message.model)
        message.stop_reason = _text(message.stop_reason)
        usage = read_usage(message.usage) if isinstance(message.usage, dict) else None
    if message.type != "message":
        return None
    content = bytes(message.content)
    facts = MessageFacts(
        message.id,
        message.model,
        message.stop_reason,
        _category(message.stop_details) if message.stop_details is not None else None,
        content.endswith(b"}]") or _EMPTY.fullmatch(content) is None,
        usage=usage,
    )
    if message.diagnostics is not None:
        facts.cache_miss = _cache_miss(message.diagnostics)
    if content.find(b'"fallback"') >= 0:
        blocks = _decode(content)
        if isinstance(blocks, list):
            for block in blocks:
                _note_fallback(facts, block)
    return facts


_EMPTY = re.compile(rb"\[\s*\]|null")


def has_untold_passes(facts: MessageFacts, request: Mapping[str, Any]) -> bool:
    """Whether the answer, of which the end is missing, may have had passes whose usage only the end tells (§4, §7.1): a
    model that declined before another took over, or a summary."""
    if facts.fallback_triggers or facts.compacted or request.get("compaction") is not None:
        return True
    if facts.has_content:
        return False  # both would have come first
    if request.get("fallbacks") is not None and facts.model != request.get("model"):
        return True
    edits = _mapping(request.get("context_management")).get("edits")
    return isinstance(edits, list) and any(_mapping(edit).get("type") == "compact_20260112" for edit in edits)


class StreamFacts:
    """Gathers `MessageFacts` from the events of a stream.  `feed` takes bytes that end at an event border."""

    __slots__ = (
        "_blocks", "_counted", "deltas", "error", "facts", "final", "finished", "malformed", "progressed", "started",
        "unknown_events",
    )  # fmt: skip

    def __init__(self) -> None:
        self.facts = MessageFacts()
        self.started = False
        """`message_start` was seen."""
        self.progressed = False
        """Something that a reader would notice has been seen: from here on the attempt is committed."""
        self.final = False
        """A `message_delta` with stop reason and usage was seen.  Before it the output count is only a placeholder."""
        self.finished = False
        """`message_stop` was seen."""
        self.error: bytes | None = None
        """The data of an `error` event."""
        self.deltas = 0
        """Content deltas: the lower bound of the output tokens of a stream that breaks."""
        self.unknown_events = 0
        self.malformed = False
        """An event could not be read, or blocks came out of order.  The bytes are passed on all the same."""
        self._blocks = 0
        self._counted = False

    def feed(self, whole: bytes) -> bool:
        """Look at whole events.  Returns whether one of them was progress (anything but a ping)."""
        # One delta and nothing else: nearly every chunk of a paced stream.
        if whole.startswith(_DELTA) and whole.find(b"\n\n") == len(whole) - 2 and _CR not in whole:
            self.deltas += 1
            self.progressed = True
            return True
        progress = False
        for name, data in events(whole):
            if name == b"content_block_delta":
                self.deltas += 1
                self.progressed = True
            elif name == b"ping":
                continue
            else:
                try:
                    self._note(name, data)
                except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
                    self.malformed = True
            progress = True
        return progress

    def _note(self, name: bytes, data: bytes) -> None:
        facts = self.facts
        if name == b"content_block_start":
            self._note_block(data)
        elif name == b"message_start":
            self.started = True
            message = _mapping(_mapping(_decode(data)).get("message"))
            facts.id = _text(message.get("id"))
            facts.model = _text(message.get("model"))
            told = message.get("usage")
            facts.usage = read_usage(told) if isinstance(told, dict) else None
            facts.cache_miss = _cache_miss(message.get("diagnostics"))
        elif name == b"message_delta":
            self.progressed = True
            event = _mapping(_decode(data))
            delta = _mapping(event.get("delta"))
            facts.stop_reason = _text(delta.get("stop_reason")) or facts.stop_reason
            facts.refusal_category = _category(delta.get("stop_details")) or facts.refusal_category
            if event.get("usage") is not None:
                # Without a message_start that said what went in, and on which terms, there is no price.
                facts.usage = facts.usage or Usage(anomalies=["usage"])
                merge_delta(facts.usage, event["usage"], first=not self._counted)
                self._counted = True
                self.final = facts.stop_reason is not None
        elif name == b"message_stop":
            self.progressed = True
            self.finished = True
        elif name == b"error":
            self.error = data
        else:
            self.progressed = True
            if name != b"content_block_stop":
                self.unknown_events += 1

    def _note_block(self, data: bytes) -> None:
        event = _mapping(_decode(data))
        if event.get("index") != self._blocks:
            self.malformed = True
        self._blocks += 1
        block = _mapping(event.get("content_block"))
        kind = block.get("type")
        self.facts.has_content = True
        if kind == "fallback":
            _note_fallback(self.facts, block)
            self.facts.model = _text(_mapping(block.get("to")).get("model")) or self.facts.model
        elif kind == "compaction":
            self.facts.compacted = True
        empty = (
            (kind == "text" and not block.get("text"))
            or (kind == "thinking" and not block.get("thinking"))
            or (kind == "tool_use" and not block.get("input"))
        )
        # An empty block promises content and holds none; other kinds come whole.
        self.progressed = self.progressed or not empty


_DELTA = b"event: content_block_delta\n"
_CR = ord("\r")


def _note_fallback(facts: MessageFacts, block: Any) -> None:
    block = _mapping(block)
    if block.get("type") == "fallback":
        declined = _text(_mapping(block.get("from")).get("model"))
        facts.fallback_triggers.append((declined, _text(_mapping(block.get("trigger")).get("category"))))


def _cache_miss(diagnostics: Any) -> tuple[str, int] | None:
    reason = _mapping(_mapping(diagnostics).get("cache_miss_reason"))
    kind, tokens = reason.get("type"), reason.get("cache_missed_input_tokens")
    return (kind, tokens if isinstance(tokens, int) else 0) if isinstance(kind, str) else None


def _category(details: Any) -> str | None:
    return _text(details.get("category")) if isinstance(details, dict) else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
