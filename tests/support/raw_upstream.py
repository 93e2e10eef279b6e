"""An upstream that sends exactly what a script says, byte for byte, over the memory network of a virtual-time run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import msgspec

__all__ = [
    "CLOSE",
    "HANG",
    "RESET",
    "Pause",
    "RawUpstream",
    "Script",
    "Seen",
    "event",
    "json_reply",
    "message",
    "message_events",
    "sse_head",
    "whole",
]


@dataclass(frozen=True)
class Pause:
    """Say nothing for so long."""

    seconds: float


End = Literal["close", "reset", "hang"]
CLOSE: End = "close"
"""End the connection in good order."""
RESET: End = "reset"
"""Break it; what was on its way is lost."""
HANG: End = "hang"
"""Say nothing more, ever: the peer is gone and nobody told us."""

Step = bytes | Pause | End
Script = Sequence[Step]
"""What is done once a request is in.  A script that ends without an `End` keeps the connection open for the next."""


@dataclass
class Seen:
    """A request as it arrived."""

    at_s: float
    connection: int
    raw: bytes

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0].lower()


@dataclass
class RawUpstream:
    """Answers request number n with script number n, and the last script for ever after."""

    scripts: Sequence[Script]
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    lost_s: list[float] = field(default_factory=list)
    """When each connection ended."""

    async def start(self) -> str:
        """Listen; the base URL to call."""
        server = await asyncio.get_running_loop().create_server(lambda: _Talk(self), "127.0.0.1", 0)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class _Talk(asyncio.Protocol):
    """One connection."""

    def __init__(self, upstream: RawUpstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._playing: asyncio.Task[None] | None = None
        upstream.connections += 1
        self._number = upstream.connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if found and len(rest) >= length:
            request, self._received = self._received, b""
            upstream = self._upstream
            upstream.seen.append(Seen(asyncio.get_running_loop().time(), self._number, request))
            script = upstream.scripts[min(len(upstream.seen), len(upstream.scripts)) - 1]
            self._playing = asyncio.create_task(self._play(script))

    async def _play(self, script: Script) -> None:
        for step in script:
            if isinstance(step, bytes):
                self._transport.write(step)
            elif isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            elif step == "reset":
                await asyncio.sleep(0)  # what was written before has arrived
                await asyncio.sleep(0)
                self._transport.abort()
            elif step == "close":
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.lost_s.append(asyncio.get_running_loop().time())
        if self._playing is not None:
            self._playing.cancel()


# -- what scripts are made of --------------------------------------------------------------------------------------


def json_reply(status: int, body: object, *headers: bytes) -> bytes:
    """A whole JSON response."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return whole(status, content, b"content-type: application/json", *headers)


def whole(status: int, content: bytes, *headers: bytes) -> bytes:
    """A whole response."""
    lines = [b"HTTP/1.1 %d X" % status, *headers, b"content-length: %d" % len(content)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def sse_head(*headers: bytes) -> bytes:
    """The head of a stream that ends with its connection."""
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"content-type: text/event-stream", *headers]) + b"\r\n\r\n"


def event(kind: str, **fields: object) -> bytes:
    """One event, as the API writes it."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def message_events(*texts: str, model: str = "claude-sonnet-5-5", stop_reason: str = "end_turn") -> list[bytes]:
    """The events of a message with one text block, a delta for each of `texts`: 21 tokens in, 7 out."""
    start = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 21, "output_tokens": 1},
    }  # fmt: skip
    return [
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": stop_reason, "stop_sequence": None}, usage={"output_tokens": 7}),
        event("message_stop"),
    ]


def message(text: str = "hello") -> dict[str, object]:
    """A whole answer: 21 tokens in, 7 out."""
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 21, "output_tokens": 7},
    }  # fmt: skip
