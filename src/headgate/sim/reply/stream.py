"""A streamed answer: events in the exact grammar, paced, and broken where a request asked for it (claude-api.md §7).

An answer becomes a row of `Frame`s, each due at a time after the first byte; `EventStream` sends what is due and tells
what it sent.  The simulator's rule of tokens: one `content_block_delta` is one output token, but for those of which a
block says otherwise (`Block.weights`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, repeat
from math import inf
from typing import Any, Literal, NamedTuple, Protocol

from msgspec.json import encode

from headgate.clock import Clock
from headgate.net.app import Truncated
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.reply.answer import Answer
from headgate.sim.reply.seams import Compaction

__all__ = ["Ending", "EventStream", "Frame", "Pace", "Script", "Watcher"]

CHUNK_BYTES = 16 * 1024
"""Most that one read hands out, so that a slow reader stops a fast answer early."""
PING = b'event: ping\ndata: {"type":"ping"}\n\n'

Ending = Literal["complete", "cut", "client_left"]


class Frame(NamedTuple):
    """Bytes that are due `at_s` after the start of the stream; `data` None cuts the connection there."""

    at_s: float
    data: bytes | None
    deltas: int = 0
    """How many output tokens it carries."""
    begins: bool = False
    """It carries `message_start`, from which on the input is billed, or the place where another pass begins."""
    delta: bool = False
    """It is a `content_block_delta`."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When the first event comes, and how far apart deltas are; in seconds."""

    ttft_s: float
    interval_s: float

    def total_s(self, deltas: int) -> float:
        """How long a whole answer takes: its first token comes with the first event."""
        return self.ttft_s + self.interval_s * max(0, deltas - 1)


@dataclass(slots=True)
class Script:
    """One answer as frames."""

    message: dict[str, Any]
    """The message of `message_start`: no content, no stop reason, usage so far."""
    final_usage: dict[str, Any]
    answer: Answer
    pace: Pace
    asked: Misbehaviour
    error_event: bytes
    """The body of an error that comes mid-stream."""
    beside: dict[str, Any] = field(default_factory=dict)
    """What stands beside `delta` in the last event."""

    def frames(self) -> Iterator[Frame]:
        """The events in order.  Ends early, or never, where the request asked for it."""
        asked = self.asked
        if asked.pings_s is not None:
            yield from self._pings(asked.pings_s)
        if asked.error_after == 0:
            yield Frame(self.pace.ttft_s, _event("error", self.error_event))
            return
        breaks_after = min((n for n in (asked.cut_after, asked.error_after) if n is not None), default=inf)
        sent = 0
        late_s = end_s = 0.0
        for frame in self._content():
            end_s = frame.at_s + late_s
            yield frame._replace(at_s=end_s) if late_s else frame
            if frame.delta and sent == 0:
                late_s = asked.silence_s
            sent += frame.delta
            if sent >= breaks_after:
                break
        # An answer that is shorter than that breaks off here, before it could end well.
        if asked.cut_after is not None:
            yield Frame(end_s, None)
        elif asked.error_after is not None:
            yield Frame(end_s, _event("error", self.error_event))
        else:
            yield from self._closing(end_s)

    def _pings(self, apart_s: float) -> Iterator[Frame]:
        for number in count():
            yield Frame(self.pace.ttft_s + number * apart_s, PING)

    def _content(self) -> Iterator[Frame]:
        """`message_start` and all blocks."""
        pace = self.pace
        begin_s = at_s = pace.ttft_s
        yield Frame(at_s, _event("message_start", encode({"type": "message_start", "message": self.message})), 0, True)
        if self.asked.garbage in ("all", "events"):
            yield Frame(at_s, _UNKNOWN_EVENTS)
        sent = 0
        for index, block in enumerate(self.answer.blocks):
            another = index in self.answer.turns
            if another:  # which takes its time to begin, as the first did
                begin_s = at_s = at_s + pace.ttft_s
                sent = 0
            opening = _block_start(index, block.opening()) + (PING if index == 0 else b"")
            whole = isinstance(block, Compaction) and block.signature is not None
            if whole:  # and its tokens with it
                sent += len(block)
                at_s = begin_s + max(0, sent - 1) * pace.interval_s
            yield Frame(at_s, opening, len(block) if whole else 0, another)
            for delta, tokens in zip(block.deltas(), block.weights() or _ONE_EACH, strict=False):
                sent += tokens
                at_s = begin_s + max(0, sent - 1) * pace.interval_s
                yield Frame(at_s, _delta(index, delta), tokens, False, True)
            yield Frame(at_s, _block_stop(index))

    def _closing(self, at_s: float) -> Iterator[Frame]:
        if self.asked.garbage in ("all", "bytes"):
            yield Frame(at_s, _BAD_BYTES)
        yield Frame(at_s, self._message_deltas())
        if not self.asked.no_stop:
            yield Frame(at_s, b'event: message_stop\ndata: {"type":"message_stop"}\n\n')

    def _message_deltas(self) -> bytes:
        """The one `message_delta` with cumulative usage, or what stands in its place."""
        usage: dict[str, Any] | None = None if self.asked.no_usage else self.final_usage
        answer = self.answer
        delta = {
            "stop_reason": answer.stop_reason,
            "stop_sequence": answer.stop_sequence,
            "stop_details": answer.stop_details,
            "container": answer.container,
        }
        body: dict[str, Any] = {"type": "message_delta", "delta": delta, "usage": usage}
        body.update(self.beside)
        if usage is None:
            del body["usage"]
        events = _event("message_delta", encode(body))
        if usage is not None and self.asked.bad_usage == "decreasing":
            less = {**usage, "output_tokens": max(0, usage["output_tokens"] - 1)}
            events += _event("message_delta", encode({**body, "usage": less}))
        return events


class Watcher(Protocol):
    """Who keeps the bill of a stream."""

    def began(self) -> None:
        """`message_start` was handed out, or the place where another pass begins."""

    def sent(self, deltas: int) -> None:
        """So many deltas were handed out."""

    def ended(self, how: Ending) -> None:
        """Called exactly once."""


class EventStream:
    """The frames of one answer as a `ByteSource`.  What `read` returns is taken to be on the connection."""

    def __init__(self, frames: Iterator[Frame], clock: Clock, watcher: Watcher) -> None:
        self._frames = frames
        self._next = next(frames, None)
        self._clock = clock
        self._start_s = clock.now_s()
        self._watcher = watcher
        self._open = True
        self._under_way = False

    async def read(self) -> bytes:
        """All frames that are due by now, at least one.

        Raises:
            Truncated: at a cut; the server then drops the connection.
        """
        frame = self._next
        if frame is None:
            return b""
        wait_s = self._start_s + frame.at_s - self._clock.now_s()
        if wait_s > 0 or self._under_way:  # a long answer that is all due must not keep the loop to itself
            await self._clock.sleep(max(0.0, wait_s))
        self._under_way = True
        due_s = max(frame.at_s, self._clock.now_s() - self._start_s)
        chunk: list[bytes] = []
        size = deltas = begins = 0
        while frame is not None and frame.data is not None and frame.at_s <= due_s and size < CHUNK_BYTES:
            chunk.append(frame.data)
            size += len(frame.data)
            deltas += frame.deltas
            begins += frame.begins
            frame = next(self._frames, None)
        self._next = frame
        if not chunk:
            self._end("cut")
            raise Truncated("cut as asked")
        for _ in range(begins):
            self._watcher.began()
        if deltas:
            self._watcher.sent(deltas)
        if frame is None:
            # Now, and not at the next read: a client may leave, or ask the next thing, right after the last event.
            self._end("complete")
        return b"".join(chunk)

    def close(self) -> None:
        self._end("client_left")

    def _end(self, how: Ending) -> None:
        if self._open:
            self._open = False
            self._watcher.ended(how)


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def _block_start(index: int, opening: dict[str, Any]) -> bytes:
    body = {"type": "content_block_start", "index": index, "content_block": opening}
    return _event("content_block_start", encode(body))


def _block_stop(index: int) -> bytes:
    return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%s}\n\n' % (
        index,
        encode(delta),
    )


_ONE_EACH = repeat(1)
"""The weights of most blocks; it has no end, so it can be shared."""
_UNKNOWN_EVENTS = (
    b": a comment line\n\n"
    b'event: weather\r\ndata: {"type":"weather",\r\ndata: "sky":"\xf0\x9f\x8c\xa4"}\r\n\r\n'
    b'event:forecast\nid: 7\nretry: 1000\ndata:{"type":"forecast"}\n\n'
)
"""What a client must pass over: a comment, names nobody knows, other line ends, a missing space, two data lines."""
_BAD_BYTES = (
    b"data: neither JSON nor an event\n\n"
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":\xff\xfe\x00\x1b[31m\n\n'
)
"""What no client can read."""
