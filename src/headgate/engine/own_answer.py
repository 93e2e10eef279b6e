"""Replies that Headgate makes itself, whole or as a stream, as the caller asked for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from headgate.call import Call, OwnAnswer, Reply
from headgate.clock import milliseconds
from headgate.core.message_stream import events_of
from headgate.events import ErrorClass
from headgate.failure import Failure
from headgate.net.http import HeaderBlock

__all__ = ["OwnStream", "own_reply", "whole_reply"]

_encode = msgspec.json.Encoder().encode


def own_reply(call: Call, message: dict[str, Any], own: OwnAnswer, *, headers: bytes = b"") -> Reply:
    """`message` as the reply to `call`.  `headers` are more lines for it."""
    if not call.record.stream:
        return Reply(200, HeaderBlock(b"content-type: application/json\r\n" + headers), _encode(message), own=own)
    lines = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n" + headers
    return Reply(200, HeaderBlock(lines), stream=OwnStream(call, events_of(message)), own=own)


def whole_reply(call: Call, message: bytes, now_s: float, *, headers: bytes = b"") -> Reply:
    """`message`, which is the API's answer and came whole, as the reply to `call`.  `headers` are more lines for it."""
    if not call.record.stream:
        return Reply(200, HeaderBlock(b"content-type: application/json\r\n" + headers), message)
    call.record.first_byte_ms = milliseconds(now_s - call.arrived_s)
    lines = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n" + headers
    return Reply(200, HeaderBlock(lines), stream=OwnStream(call, events_of(msgspec.json.decode(message))))


class OwnStream:
    """A stream that is all here already."""

    __slots__ = ("_call", "_callbacks", "_ended", "_events", "cut", "error", "failure")

    def __init__(self, call: Call, events: bytes, *, failure: Failure | None = None, cut: bool = False) -> None:
        self._call = call
        self._events = events
        self._callbacks: list[Callable[[], None]] = []
        self._ended = False
        self.failure = failure
        self.error: bytes | None = None
        self.cut = cut

    async def opened(self) -> Failure | None:
        return None

    async def read(self) -> bytes:
        if self._ended:
            return b""
        self._call.record.bytes_out += len(self._events)
        if self._call.text_kept is not None:
            self._call.text_kept += self._events
        self._over()
        return self._events

    def close(self) -> None:
        if not self._ended:
            self.failure = Failure(ErrorClass.CANCELLED)
            self._over()

    def on_end(self, callback: Callable[[], None]) -> None:
        if self._ended:
            callback()
        else:
            self._callbacks.append(callback)

    def _over(self) -> None:
        self._ended = True
        callbacks, self._callbacks = self._callbacks, []  # they hold the reply, which holds this
        for callback in callbacks:
            callback()
