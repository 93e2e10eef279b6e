"""HTTP/1.1 server: one `asyncio.Protocol` per connection around llhttp, which is strict about framing.

The application decides at the end of the head, before any body is read, whether to take a request and how
(`App.begin`).  A request whose client goes away is cancelled.  Everything that a peer can make grow is bounded: head
size, body size, bytes of bodies held over all connections, connections, and the time each phase may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import Protocol, cast

import httptools
import msgspec

from headgate.net.http import ByteSource, Headers, header_lines, reason_phrase
from headgate.net.outbox import Outbox, Writer

__all__ = ["App", "BodyPlan", "Request", "Response", "Server", "ServerLimits", "Truncated"]

log = logging.getLogger("headgate.net")

READ_AHEAD_BYTES = 256 * 1024
"""A streamed body, or a request sent ahead of its turn, stops the socket at this many bytes."""
LINGER_S = 3.0
LINGER_BYTES = 64 * 1024 * 1024
"""After an early refusal we go on reading for a moment, so that the peer sees the answer and not a reset."""
TIMER_SLACK_S = 0.002
"""Loops round their clock (uvloop to 1 ms); a timer that fires this early counts as due."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLimits:
    """What one peer, and all peers together, may use of us."""

    head_bytes: int = 64 * 1024
    """Request line and headers together; more is a 431."""
    head_timeout_s: float = 10.0
    """From the first byte of a request to the end of its headers; longer is a 408."""
    body_bytes_per_s: int = 256
    """A body that arrives slower than this, measured every `body_window_s`, is a 408."""
    body_window_s: float = 10.0
    keepalive_s: float = 75.0
    """How long an idle connection is kept."""
    write_stall_s: float = 60.0
    """A client that takes no byte for this long while we have some for it is cut off."""
    connections: int = 10_000
    connections_per_peer: int = 4_096
    buffered_bytes: int = 1024 * 1024 * 1024
    """Request bodies held in memory over all connections; a request that would pass it is a 503."""


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """How the application wants a body: whole in memory up to `max_bytes`, or as a stream up to `max_bytes`."""

    max_bytes: int
    stream: bool = False


class Request(msgspec.Struct, eq=False):
    """One request.  `path` is everything before `?` as it was sent, not decoded; `query` excludes the `?`."""

    method: str
    path: str
    query: str
    headers: Headers
    by_name: dict[bytes, bytes]
    """The same, by name; of a name that stands more than once the last value."""
    peer: str
    keep_alive: bool = True
    http_10: bool = False
    body: bytes = b""
    stream: ByteSource | None = None
    """Set instead of `body` where the plan asked for a stream."""
    context: object = None
    """For the application: what `begin` found out and `handle` needs."""
    reserved: int = 0
    """Bytes of the body that count as held in memory."""


class Response(msgspec.Struct, eq=False):
    """An answer.  Framing headers (`content-length`, `transfer-encoding`, `connection`) are the server's to set."""

    status: int
    headers: Headers = []
    body: bytes = b""
    lines: bytes = b""
    """More headers, as lines that end in CRLF: of a response that is passed on as it came."""
    stream: ByteSource | None = None
    """Instead of `body`.  If its `read` raises `Truncated` the connection is cut, so that no client takes the
    answer for whole."""
    length: int | None = None
    """Of a stream, if it is known: sent as content-length instead of chunked."""
    heartbeat: tuple[float, bytes] | None = None
    """`(seconds, bytes)`: sent whenever a chunked stream has been silent for that long."""
    close: bool = False
    bare: bool = False
    """`stream` is the whole answer as it stands on the connection, head and framing included; needs `close`.  For
    servers that break HTTP on purpose."""


class Truncated(Exception):
    """Raised by a stream that ended before its body was whole."""


class App(Protocol):
    """What the server serves."""

    def begin(self, request: Request) -> BodyPlan | Response:
        """Called at the end of the head: say how to take the body, or refuse with an answer right away."""
        ...

    async def handle(self, request: Request) -> Response:
        """Answer.  Cancelled when the client goes away."""
        ...

    def refuse(self, status: int, problem: str, request: Request | None) -> Response:
        """The answer to a request that broke a rule of the protocol or a limit, or whose `handle` raised.

        Args:
            problem: holds no client data.
            request: as far as it was read; None before the end of its head.
        """
        ...


@dataclass(eq=False)
class Server:
    """Listens, counts connections and drains.  `await start(...)`, then `await drain(...)` once."""

    app: App
    limits: ServerLimits = field(default_factory=ServerLimits)

    def __post_init__(self) -> None:
        self.connections: set[_Connection] = set()
        self.per_peer: Counter[str] = Counter()
        self.buffered = 0
        self.draining = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server] = []
        self._empty: asyncio.Future[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen on `host:port` (port 0 picks one) and return the port."""
        loop = asyncio.get_running_loop()
        self.outbox = Outbox(loop)
        listener = await loop.create_server(lambda: _Connection(self, loop), host, port, backlog=2048)
        self._listeners.append(listener)
        return cast(int, listener.sockets[0].getsockname()[1])

    async def drain(self, grace_s: float) -> None:
        """Take no new request, let those under way finish for `grace_s`, then cut what is left."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self.connections):
            connection.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._until_empty()
        for connection in list(self.connections):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):  # an aborted transport reports back within a turn or two of the loop
                await self._until_empty()
        if self.tasks:
            # Their connections are gone; what they still have to write down must be written before we say we are done.
            await asyncio.wait(self.tasks, timeout=1.0)

    async def _until_empty(self) -> None:
        if self.connections:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def forget(self, connection: _Connection) -> None:
        self.connections.discard(connection)
        if self._empty is not None and not self.connections and not self._empty.done():
            self._empty.set_result(None)

    @property
    def requests_under_way(self) -> int:
        return sum(connection.busy for connection in self.connections)


_IDLE, _HEAD, _BODY, _LINGER, _CLOSING, _CLOSED = range(6)
_ABSOLUTE = re.compile(r"https?://([^/?#]*)([/?].*)?", re.IGNORECASE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = (204, 304)
_STATUS_LINES = {code: f"HTTP/1.1 {code} {reason_phrase(code)}\r\n".encode() for code in range(200, 600)}


class _Connection(asyncio.Protocol):
    """One client connection.  One request is answered at a time; requests sent ahead wait in order.

    `_phase` is where the parser stands in the message it is reading; `busy` says whether an answer is under way.
    """

    __slots__ = (
        "_app", "_backlog", "_beat", "_body", "_declared", "_drained", "_framing_bytes", "_head_bytes", "_headers",
        "_last_write_s", "_limits", "_linger_bytes", "_loop", "_max_body", "_out", "_owes_continue", "_parser",
        "_paused_reading", "_paused_writing", "_peer", "_pending_head", "_phase", "_phase_since_s", "_ready",
        "_refusal", "_request", "_reserved", "_retired", "_server", "_taken", "_task", "_timer", "_timer_due",
        "_transport", "_upload", "_url", "_verdict", "_wakeup", "_window_bytes", "busy",
    )  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._app = server.app
        self._limits = server.limits
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set before any other callback
        self._out: Writer = None  # type: ignore[assignment]  # likewise
        self._peer = ""
        self._phase = _IDLE
        self._phase_since_s = loop.time()
        """When the phase began, or the window of a body's rate."""
        self._task: asyncio.Task[None] | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self.busy = False
        """A request is being answered."""
        self._ready: deque[tuple[Request, Response | None]] = deque()
        self._backlog = b""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = inf
        self._paused_reading = False
        self._paused_writing = False
        self._drained: asyncio.Future[None] | None = None
        self._pending_head = b""
        self._last_write_s = 0.0
        self._beat: tuple[float, bytes] | None = None
        self._upload: _Upload | None = None
        self._verdict: Response | None = None
        self._retired = False
        self._linger_bytes = 0
        self._owes_continue = False
        self._reserved = 0
        self._reset_message()

    def _reset_message(self) -> None:
        self._url = b""
        self._headers: Headers = []
        self._head_bytes = 0
        self._request: Request | None = None
        self._taken = False
        """The request was handed on at the end of its head, without its body."""
        self._refusal: tuple[int, str] | None = None
        self._body: bytes | bytearray = b""
        self._max_body = 0
        self._declared: int | None = None
        self._window_bytes = 0
        self._framing_bytes = 0

    # -- the connection -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._out = Writer(self._transport, self._server.outbox)
        peername = transport.get_extra_info("peername")
        self._peer = str(peername[0]) if peername else "local"
        server = self._server
        server.connections.add(self)
        server.per_peer[self._peer] += 1
        limits = self._limits
        if len(server.connections) > limits.connections or server.per_peer[self._peer] > limits.connections_per_peer:
            self._refuse(503, "too many connections are open; close idle ones or raise the connection limit")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _CLOSED
        server = self._server
        server.forget(self)
        server.per_peer[self._peer] -= 1
        if not server.per_peer[self._peer]:
            del server.per_peer[self._peer]
        server.buffered -= self._reserved + sum(request.reserved for request, _ in self._ready)
        self._reserved = 0
        self._ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._upload is not None:
            self._upload.cut()
        if self._task is not None:
            self._task.cancel()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def eof_received(self) -> bool:
        # A client that has stopped sending is taken to have left: nothing that speaks to the Claude API half-closes.
        return False

    def retire(self) -> None:
        """Close as soon as no request is being read or answered."""
        self._retired = True
        if not self.busy and not self._ready and self._phase not in (_HEAD, _BODY):
            self._close()

    def abort(self) -> None:
        self._out.abort()

    def _close(self) -> None:
        """Close in good order.  A client that takes nothing of what is left for it is cut off."""
        if self._phase in (_CLOSING, _CLOSED):
            return
        self._phase = _CLOSING
        self._phase_since_s = self._loop.time()
        self._out.close()
        self._watch()

    # -- reading ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._phase == _LINGER:
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES:
                self._out.abort()
        elif self.busy and self._upload is None:
            # Sent ahead of its turn.  We must go on reading, or we would not see the client leave.
            self._backlog += data
            if len(self._backlog) > READ_AHEAD_BYTES:
                self._pause_reading()
        elif self._phase < _CLOSING:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        before = -1
        if self._phase == _BODY:
            self._window_bytes += len(data)
            before = self._body_bytes()
        else:
            self._head_bytes += len(data)
        while data:
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as offer:
                if self._refusal is not None:
                    break
                data = self._without_offer() + data[offer.args[0] :]
            except httptools.HttpParserInvalidMethodError:
                known_shape = data[:1].isalpha()
                self._refuse(405 if known_shape else 400, "the request does not start with an HTTP/1.1 method we know")
                return
            except httptools.HttpParserError as problem:
                self._refuse(400, f"malformed HTTP: {problem}")
                return
        if self._refusal is not None:
            self._refuse(*self._refusal)
        elif self._phase == _BODY:
            if self._body_bytes() != before:
                self._framing_bytes = 0
            else:
                # No body in all of that: chunk extensions or trailers, which must have an end too.
                self._framing_bytes += len(data)
                if self._framing_bytes > self._limits.head_bytes:
                    self._refuse(431, _head_too_large(self._limits.head_bytes))
                    return
            self._watch()
        elif self._phase == _HEAD:
            if self._head_bytes > self._limits.head_bytes:
                self._refuse(431, _head_too_large(self._limits.head_bytes))
            else:
                self._watch()

    def _body_bytes(self) -> int:
        return self._upload.received if self._upload is not None else len(self._body)

    def _without_offer(self) -> bytes:
        """The head that was just read without its `Upgrade`, for a new parser: this one stops at the end of a head that
        offers another protocol, and a server may ignore the offer (RFC 9110, 7.8).  Java's HttpClient offers h2c to
        every plain-text server."""
        parser = self._parser
        self._parser = httptools.HttpRequestParser(self)
        kept = [header for header in self._headers if header[0] != b"upgrade"]
        version = parser.get_http_version().encode()
        return b"%s %s HTTP/%s\r\n%s\r\n" % (parser.get_method(), self._url, version, header_lines(kept))

    # The parser calls the next six from inside feed_data; none of them may raise.

    def on_message_begin(self) -> None:
        if self._refusal is not None:
            return  # the one before was refused, and it is the last that is answered
        self._reset_message()
        self._phase = _HEAD
        self._phase_since_s = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._request is None:  # afterwards they are trailers, which are not passed on
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if self._refusal is not None:
            return
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                self._refusal = (405, "this server does not tunnel")
            return  # `_feed` goes on with it
        version = parser.get_http_version()
        headers = self._headers
        told = dict(headers)
        target = self._url.decode("latin-1")
        if target[:1] != "/" and (absolute := _ABSOLUTE.fullmatch(target)):
            # Every server must take this form, and its authority stands for Host (RFC 9112, 3.2.2).
            told[b"host"] = absolute[1].encode("latin-1")
            target = absolute[2] or "/"
        path, _, query = target.partition("?")
        request = Request(parser.get_method().decode("ascii"), path, query, headers, told, self._peer)
        request.http_10 = version == "1.0"
        request.keep_alive = parser.should_keep_alive() and not request.http_10
        self._request = request
        self._phase = _BODY
        self._head_bytes = 0
        length = told.get(b"content-length")
        coding = told.get(b"transfer-encoding")
        expects = told.get(b"expect")
        if length is not None:
            self._declared = int(length)
        if len(self._url) + len(b"".join(chain.from_iterable(headers))) + 4 * len(headers) > self._limits.head_bytes:
            self._refusal = (431, _head_too_large(self._limits.head_bytes))
        elif version not in ("1.1", "1.0"):
            self._refusal = (505, "this server speaks HTTP/1.1")
        elif not request.http_10 and (
            b"host" not in told or (len(told) != len(headers) and _count(headers, b"host") != 1)
        ):
            self._refusal = (400, "a request needs exactly one Host header")
        elif coding is not None and (
            request.http_10 or coding.strip().lower() != b"chunked" or _count(headers, b"transfer-encoding") != 1
        ):
            self._refusal = (501, "the only transfer coding we read is chunked, on HTTP/1.1")
        elif expects is not None and expects.lower() != b"100-continue":
            self._refusal = (417, "the only expectation we meet is 100-continue")
        if self._refusal is not None:
            return
        plan = self._app.begin(request)
        if isinstance(plan, Response):
            self._taken = True
            plan.close = plan.close or bool(self._declared) or coding is not None
            self._ready.append((request, plan))
            self._next()
            return
        self._max_body = plan.max_bytes
        declared = self._declared or 0
        if declared > plan.max_bytes:
            self._refusal = (413, _too_large(plan.max_bytes))
        elif plan.stream and self.busy:
            self._refusal = (400, "a body that is passed on while it arrives cannot be sent ahead of its turn")
        elif plan.stream:
            self._taken = True
            request.stream = self._upload = _Upload(self)
            self._ready.append((request, None))
        elif declared:
            self._reserve(declared)
        if expects is not None and self._refusal is None and not request.http_10 and (declared or coding):
            if self.busy or self._ready:
                self._owes_continue = True  # after the answers that come before
            else:
                self._out.write(_CONTINUE)
        if plan.stream and self._refusal is None:
            self._next()

    def on_body(self, chunk: bytes) -> None:
        if self._refusal is not None:
            return
        upload = self._upload
        if upload is not None:
            upload.received += len(chunk)
            if upload.received > self._max_body:
                self._refusal = (413, _too_large(self._max_body))
            else:
                upload.feed(chunk)
            return
        if self._taken:
            return
        body = self._body
        size = len(body) + len(chunk)
        if size > self._max_body:
            self._refusal = (413, _too_large(self._max_body))
        elif self._declared is None and size > self._reserved:
            self._reserve(max(size - self._reserved, 1 << 20))
        if not body:
            self._body = chunk
        elif isinstance(body, bytearray):
            body += chunk
        else:
            self._body = bytearray(body)
            self._body += chunk

    def on_message_complete(self) -> None:
        if self._refusal is not None or self._request is None:
            return
        self._phase = _IDLE
        if self._upload is not None:
            self._upload.complete()
            self._upload = None  # what comes after it is another request's
        elif not self._taken:
            self._request.body = bytes(self._body)
            self._request.reserved, self._reserved = self._reserved, 0
            self._body = b""
            self._ready.append((self._request, None))
            self._next()

    def _reserve(self, size: int) -> None:
        server = self._server
        if server.buffered + size > self._limits.buffered_bytes:
            self._refusal = (503, "too many request bodies are held in memory at once; try again in a moment")
        else:
            server.buffered += size
            self._reserved += size

    # -- answering ----------------------------------------------------------------------------------------------

    def _next(self) -> None:
        if not self.busy and self._ready:
            self.busy = True
            if self._task is None:
                self._task = task = self._loop.create_task(self._serve())
                self._server.tasks.add(task)
                task.add_done_callback(self._server.tasks.discard)
            elif self._wakeup is not None and not self._wakeup.done():
                self._wakeup.set_result(None)

    async def _serve(self) -> None:
        """Answer what is ready, in order, until the connection closes.  One task for all requests of a connection:
        making one costs as much as parsing a request."""
        while True:
            while self.busy:
                await self._answer(*self._ready.popleft())
            self._wakeup = self._loop.create_future()
            await self._wakeup

    async def _answer(self, request: Request, response: Response | None) -> None:
        close = True
        try:
            if response is None:
                response = await self._app.handle(request)
            close = not request.keep_alive or response.close or self._retired or self._server.draining
            if response.stream is None or response.status in _BODILESS:
                self._write_whole(request, response, close)
                if self._paused_writing:
                    await self._until_drained()
            else:
                await self._relay(request, response, response.stream, close)
        except asyncio.CancelledError:
            if self._verdict is None or response is not None:
                self._out.abort()
                raise
            self._write_whole(request, self._verdict, close=True)
        except Truncated:
            self._close()
        except Exception:
            log.exception("a request handler failed")
            if response is None:
                self._write_whole(request, self._app.refuse(500, "internal error", request), close=True)
            else:
                self._out.abort()
        finally:
            if response is not None and response.stream is not None:
                response.stream.close()
            self._beat = None
            self._server.buffered -= request.reserved
            self.busy = bool(self._ready) and not close and self._phase < _CLOSING
            self._after(close)

    def _after(self, close: bool) -> None:
        """The answer is out: keep the connection, or close it without losing what was just written."""
        unread = self._phase == _BODY
        if self._phase >= _CLOSING:
            return
        if (self._upload is not None or close) and unread:
            self._linger()
        elif close:
            self._close()
        elif self._ready:
            pass  # `_serve` goes on with it
        elif self._retired or self._server.draining:
            self._close()
        else:
            self._phase_since_s = self._loop.time()
            self._resume_reading()
            if self._owes_continue:
                self._owes_continue = False
                self._out.write(_CONTINUE)
            if self._backlog:
                data, self._backlog = self._backlog, b""
                self._feed(data)
            self._watch()

    def _refuse(self, status: int, problem: str) -> None:
        """Answer a breach of protocol in its turn, then close."""
        response = self._app.refuse(status, problem, self._request)
        response.close = True
        request = self._request or Request("GET", "", "", [], {}, self._peer)
        if not self.busy:
            self._write_whole(request, response, close=True)
            self._linger()
        elif self._upload is not None and self._ready:
            self._ready[-1] = (request, response)  # it came in one piece: nobody has begun to handle it
        elif self._upload is not None and self._task is not None:
            self._verdict = response
            self._task.cancel()
        else:
            self._phase = _IDLE
            self._ready.append((request, response))

    def _linger(self) -> None:
        self._phase = _LINGER
        self._phase_since_s = self._loop.time()
        self._body = b""
        with contextlib.suppress(OSError):
            self._out.write_eof()
        self._resume_reading()
        self._watch()

    async def _relay(self, request: Request, response: Response, stream: ByteSource, close: bool) -> None:
        length = response.length
        chunked = length is None and not request.http_10 and not response.bare
        self._pending_head = b"" if response.bare else _head(response, close, length, chunked)
        if request.method == "HEAD":
            self._emit(b"")
            return
        loop_time = self._loop.time
        if chunked and response.heartbeat is not None:
            self._beat = response.heartbeat
            self._last_write_s = loop_time()
            self._watch()
        read = stream.read
        left = length
        while data := await read():
            if left is not None:
                left -= len(data)
            if chunked:
                data = b"%x\r\n%s\r\n" % (len(data), data)
            if self._beat is not None:
                self._last_write_s = loop_time()
            self._emit(data)
            if self._paused_writing:
                await self._until_drained()
        if left:
            raise Truncated("the body is not as long as was said")
        self._emit(b"0\r\n\r\n" if chunked else b"")

    def _emit(self, data: bytes) -> None:
        if self._pending_head:
            data = self._pending_head + data
            self._pending_head = b""
        self._out.write(data)

    def _write_whole(self, request: Request, response: Response, close: bool) -> None:
        head = _head(response, close, len(response.body), False)
        bare = request.method == "HEAD" or response.status in _BODILESS
        self._out.write_soon(head if bare else head + response.body)

    async def _until_drained(self) -> None:
        self._drained = self._loop.create_future()
        self._last_write_s = self._loop.time()
        self._watch()
        try:
            await self._drained
        finally:
            self._drained = None

    def pause_writing(self) -> None:
        self._paused_writing = True

    def resume_writing(self) -> None:
        self._paused_writing = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _pause_reading(self) -> None:
        if not self._paused_reading:
            self._paused_reading = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused_reading:
            self._paused_reading = False
            self._phase_since_s = self._loop.time()
            self._window_bytes = 0
            self._transport.resume_reading()

    # -- time ---------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        """When this connection must be looked at again if nothing happens."""
        limits = self._limits
        if self._phase == _LINGER:
            return self._phase_since_s + LINGER_S
        if self._phase == _CLOSING:
            return self._phase_since_s + limits.write_stall_s
        if self._drained is not None:
            return self._last_write_s + limits.write_stall_s
        if self._beat is not None:
            return self._last_write_s + self._beat[0]
        if self.busy and (self._upload is None or self._paused_reading):
            return inf
        if self._phase == _BODY:
            return self._phase_since_s + limits.body_window_s
        return self._phase_since_s + (limits.head_timeout_s if self._phase == _HEAD else limits.keepalive_s)

    def _watch(self) -> None:
        """See to it that the timer fires no later than it is due.  It is moved only forward in time, so that the
        usual request touches it once."""
        due = self._due()
        if due == inf or self._phase == _CLOSED:
            return
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        limits = self._limits
        if self._loop.time() < self._due() - TIMER_SLACK_S:
            pass
        elif self._phase in (_LINGER, _CLOSING) or self._drained is not None:
            self._out.abort()
        elif self._beat is not None:
            self._last_write_s = self._loop.time()
            data = self._beat[1]
            self._emit(b"%x\r\n%s\r\n" % (len(data), data))
        elif self._phase == _BODY:
            if self._window_bytes < limits.body_bytes_per_s * limits.body_window_s:
                self._refuse(408, f"the body arrived slower than {limits.body_bytes_per_s} bytes a second")
            else:
                self._window_bytes = 0
                self._phase_since_s = self._loop.time()
        elif self._phase == _HEAD:
            self._refuse(408, f"the headers were not complete within {limits.head_timeout_s:g} s")
        elif not self.busy:
            self._close()
            return
        self._watch()


class _Upload:
    """A request body as a stream, bounded by stopping the socket."""

    __slots__ = ("_chunks", "_connection", "_end", "_size", "_waiter", "received")

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._end: bool | Truncated = False
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > READ_AHEAD_BYTES:
            self._connection._pause_reading()
        self._wake()

    def complete(self) -> None:
        self._end = True
        self._wake()

    def cut(self) -> None:
        if self._end is False:
            self._end = Truncated("the client went away in the middle of the body")
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(self) -> bytes:
        while not self._chunks:
            if self._end is True:
                return b""
            if isinstance(self._end, Truncated):
                raise self._end
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        self._connection._resume_reading()
        return data

    def close(self) -> None:
        self._chunks.clear()


def _head(response: Response, close: bool, length: int | None, chunked: bool) -> bytes:
    status = response.status
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status, response.lines]
    if response.headers:
        parts.append(header_lines(response.headers))
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    elif length is not None and status not in _BODILESS:
        parts.append(b"content-length: %d\r\n" % length)
    parts.append(b"connection: close\r\n\r\n" if close or (length is None and not chunked) else b"\r\n")
    return b"".join(parts)


def _count(headers: Headers, name: bytes) -> int:
    return sum(1 for each, _ in headers if each == name)


def _head_too_large(limit: int) -> str:
    return f"the request's headers pass the limit of {limit} bytes"


def _too_large(limit: int) -> str:
    return f"the request body passes the limit of {limit} bytes"
