"""HTTP/1.1 client: a connection, one exchange at a time on it.

What goes wrong on the wire is a `WireError` with a `kind` out of a closed list; nothing is retried here.  A response
is read as it comes and stops the socket when nobody reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import TYPE_CHECKING, Literal, cast

import httptools

from headgate.net.http import HeaderBlock, Origin
from headgate.net.outbox import LATER_BYTES, Outbox, Writer

if TYPE_CHECKING:
    from headgate.net.connection_pool import ConnectionPool

__all__ = ["Connection", "Dial", "WireError", "WireErrorKind"]

WireErrorKind = Literal[
    "dns", "connect", "connect_timeout", "tls", "egress_denied", "pool_timeout",
    "first_byte_timeout", "idle_timeout", "progress_timeout", "deadline",
    "reset", "cut", "protocol",
]  # fmt: skip

HEAD_LIMIT_BYTES = 64 * 1024
READ_AHEAD_BYTES = 256 * 1024
TIMER_SLACK_S = 0.002


class WireError(Exception):
    """A connection or an exchange failed.  `kind` says how, `sent` whether the peer may have seen the request."""

    def __init__(self, kind: WireErrorKind, detail: str, *, sent: bool = True) -> None:
        super().__init__(detail)
        self.kind: WireErrorKind = kind
        self.sent = sent

    def again(self) -> WireError:
        """The same to be raised.  One that is kept would keep all who met it too, by its traceback."""
        return WireError(self.kind, str(self), sent=self.sent)


class Connection(asyncio.Protocol):
    """One connection to an origin.  `request`, `await head`, `await read` until `b""`, then the pool takes it back."""

    __slots__ = (
        "_chunks", "_due", "_due_kind", "_error", "_head", "_informational", "_loop", "_nudged", "_out", "_outbox",
        "_parser", "_paused", "_paused_writing", "_size", "_spoiled", "_surplus", "_timer", "_timer_due",
        "_transport", "_waiter", "_writable", "complete", "exchanges", "headers", "idle_since_s", "open", "owner",
        "reusable", "status", "under_way",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self._loop = loop
        self._outbox = outbox
        self.owner: ConnectionPool | None = None
        """Gets it back after each exchange."""
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set before any other callback
        self._out: Writer = None  # type: ignore[assignment]  # likewise
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = inf
        self._due = inf
        self._due_kind: WireErrorKind = "deadline"
        self._waiter: asyncio.Future[None] | None = None
        self._nudged = False
        """Somebody, not the peer, ended the last wait."""
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self._paused_writing = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._head = b""
        self._informational = 0
        self._spoiled = False
        self._surplus = False
        self._error: WireError | None = None
        self.status = 0
        self.headers = HeaderBlock()
        self.complete = False
        self.under_way = False
        self.reusable = False
        self.open = True
        self.exchanges = 0
        self.idle_since_s = 0.0

    # -- an exchange --------------------------------------------------------------------------------------------

    def request(self, head: bytes, body: bytes) -> None:
        """Write a request.  `body` may be empty; more of it can follow with `send`."""
        self.under_way = True
        self.exchanges += 1
        self.status = 0
        self.complete = False
        self.reusable = False
        self._head = b""
        self._informational = 0
        self._size = 0
        if len(body) < LATER_BYTES:
            self._out.write_soon(head + body)
        else:
            self._out.write(head)
            self._out.write(body)

    async def send(self, data: bytes) -> None:
        """Write more of the body, waiting while the peer is slow to take it."""
        if self._error is not None:
            raise self._error.again()
        self._out.write(data)
        if self._paused_writing:
            self._writable = self._loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None

    async def head(self) -> tuple[int, HeaderBlock]:
        """Wait for the status and the headers."""
        while not self.status:
            if self._error is not None:
                raise self._error.again()
            await self._event()
        return self.status, self.headers

    def take_whole(self) -> bytes | None:
        """All that is left of the body if it is here already, else None: the path without a wait."""
        if not self.complete:
            return None
        if self._error is not None:
            raise self._error.again()
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._size = 0
        return data

    async def read(self) -> bytes | None:
        """The next bytes of the body, `b""` at its end, or None after a `nudge` without any."""
        while not self._chunks:
            if self._error is not None:
                raise self._error.again()
            if self.complete:
                return b""
            await self._event()
            if self._nudged:
                return None
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def spoil(self) -> None:
        """Never use this connection again: its request was not sent whole."""
        self._spoiled = True

    def nudge(self) -> None:
        """Make a `read` that is waiting return None."""
        if self._waiter is not None and not self._waiter.done():
            self._nudged = True
            self._waiter.set_result(None)

    def expect_within(self, seconds: float, kind: WireErrorKind) -> None:
        """Fail with `kind` if the peer is still silent after `seconds` (`inf`: may be silent for ever)."""
        self._due = due = self._loop.time() + seconds
        self._due_kind = kind
        if due < self._timer_due:  # else the timer looks again when it fires: a stream expects anew with every event
            self._set_timer(due)

    def release(self) -> None:
        """The exchange is over for its caller: keep the connection if the response is whole, else close it."""
        self._due = inf
        owner = self.owner
        # An answer may come before the request is sent whole; what is left of it must not stand before the next.
        usable = self.complete and self.reusable and not self._spoiled and self.open and self._out.idle
        if usable and owner is not None:
            self.under_way = False
            self._chunks.clear()
            owner.give_back(self)
        else:
            self.abort()

    def abort(self) -> None:
        self.under_way = False
        if self.open:
            self._out.abort()

    @property
    def is_open(self) -> bool:
        return self.open and not self._transport.is_closing()

    def _event(self) -> asyncio.Future[None]:
        """Done when something happens."""
        self._nudged = False
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: WireError) -> None:
        if self._error is None:
            self._error = error
        self._wake()
        if self.open:
            self._out.abort()

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_due = inf
        if self._due == inf or not self.under_way:
            return
        if self._loop.time() < self._due - TIMER_SLACK_S:
            self._set_timer(self._due)
        elif not self.complete and not self._chunks:
            self._fail(WireError(self._due_kind, _TIMEOUTS.get(self._due_kind, "the deadline passed")))

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._out = Writer(self._transport, self._outbox)

    def data_received(self, data: bytes) -> None:
        if not self.under_way or self.complete:
            # Nobody asked: an answer to nothing must not be taken for the answer to the next request.
            self._fail(WireError("protocol", "the upstream sent bytes after the end of its response"))
            return
        in_head = not self.status
        if in_head:
            self._head += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(WireError("protocol", "the upstream switched protocols"))
            return
        except httptools.HttpParserError as problem:
            if in_head:
                self.status = 0  # its headers were not kept, and those of the response before are not its own
            self._fail(WireError("protocol", f"malformed HTTP from the upstream: {problem}"))
            return
        if self._surplus:
            self.status = 0
            self._fail(WireError("protocol", "the upstream sent two responses to one request"))
            return
        if in_head and not self._keep_head():
            return
        if self._size > READ_AHEAD_BYTES and not self._paused and not self.complete:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _keep_head(self) -> bool:
        """Cut the header lines out of what was read, once they are complete.  The parser has checked them."""
        end = 0
        if self.status:
            for _ in range(self._informational + 1):
                start = self._head.find(b"\r\n", end) + 2
                end = self._head.find(b"\r\n\r\n", start - 2) + 4
            lines = self._head[start : max(start, end - 2)]
            self._head = b""
            self.headers = HeaderBlock(lines)
            size = len(lines)
        else:
            size = len(self._head)
        if size > HEAD_LIMIT_BYTES:
            self.status = 0  # a response whose headers were not kept is none
            self._fail(WireError("protocol", f"the upstream's headers pass {HEAD_LIMIT_BYTES} bytes"))
            return False
        return True

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self.under_way and not self.complete and self._error is None:
            if self.status and exc is None and not self._sized():
                self.complete = True  # a body without a length ends with the connection
            elif self.status:
                self._error = WireError("cut", "the upstream closed the connection in the middle of its response")
            else:
                why = "the upstream closed the connection before it answered"
                self._error = WireError("reset", why, sent=not self._out.unsent)
        self._wake()
        if self.owner is not None:
            self.owner.forget(self)

    def _sized(self) -> bool:
        told = self.headers.get
        sized = told(b"content-length") is not None or told(b"transfer-encoding") is not None
        return sized or self.status in (204, 304)

    def pause_writing(self) -> None:
        self._paused_writing = True

    def resume_writing(self) -> None:
        self._paused_writing = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # -- llhttp -------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._surplus = self.complete

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._surplus:
            return
        if status >= 200:
            self.status = status
        else:
            self._informational += 1

    def on_body(self, chunk: bytes) -> None:
        if self._surplus:
            return
        self._chunks.append(chunk)
        self._size += len(chunk)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()


_TIMEOUTS = {
    "first_byte_timeout": "the upstream did not begin to answer in time",
    "idle_timeout": "the upstream went silent in the middle of its response",
    "progress_timeout": "the upstream's stream stopped making progress",
}

Dial = Callable[[Origin, Callable[[], Connection], float], Awaitable[Connection]]
"""`dial(origin, factory, within_s)` opens a connection or raises `WireError`."""
