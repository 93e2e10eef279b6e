"""One attempt: write the request, read the response, name what went wrong.  No policy, no second try."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock, milliseconds
from headgate.config.schema import LaneConfig
from headgate.core.classify import classify_response
from headgate.core.least_recent import LeastRecent
from headgate.events import ErrorClass
from headgate.failure import Failure
from headgate.net.client import Connection, Dial, WireError, WireErrorKind
from headgate.net.connection_pool import ConnectionPool
from headgate.net.http import ByteSource, HeaderBlock, Origin
from headgate.secret import Secret
from headgate.upstream.keyring import Credential

__all__ = ["Upstream", "UpstreamStream", "parse_base_url"]

ROUTES_KEPT = 256
"""Addresses that callers in this process name; beyond it the connections to those that nobody uses are closed."""
MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""Of an answer that is read whole."""

_WIRE = {
    "dns": ErrorClass.DNS,
    "connect": ErrorClass.CONNECT,
    "connect_timeout": ErrorClass.CONNECT_TIMEOUT,
    "tls": ErrorClass.TLS,
    "egress_denied": ErrorClass.EGRESS_DENIED,
    "pool_timeout": ErrorClass.POOL_TIMEOUT,
    "first_byte_timeout": ErrorClass.FIRST_BYTE_TIMEOUT,
    "idle_timeout": ErrorClass.IDLE_TIMEOUT,
    "progress_timeout": ErrorClass.PROGRESS_TIMEOUT,
    "deadline": ErrorClass.DEADLINE,
    "reset": ErrorClass.RESET,
    "cut": ErrorClass.STREAM_CUT,
    "protocol": ErrorClass.PROTOCOL,
}


def parse_base_url(base_url: str) -> tuple[Origin, str]:
    """The origin of a base URL that was checked while loading, and the path that goes before each call's own."""
    url = urlsplit(base_url)
    return Origin.of(url), url.path.rstrip("/")


@dataclass(slots=True)
class _Route:
    """What is the same in every request to one origin."""

    pool: ConnectionPool
    prefix: str
    host: bytes


class Upstream:
    """Sends attempts.  One for each engine; its connections live on the engine's loop."""

    def __init__(
        self,
        base_url: str,
        dial: Dial,
        clock: Clock,
        lanes: Mapping[str, LaneConfig],
        *,
        max_connections: int,
        keepalive_s: float,
        traced: bool = False,
    ) -> None:
        """`traced`: whether the API is told the trace that a call is part of."""
        self._dial = dial
        self._clock = clock
        self._lanes = lanes
        self._max_connections = max_connections
        self._keepalive_s = keepalive_s
        self._traced = traced
        self._base_url = base_url
        self._routes = LeastRecent[str, _Route](
            ROUTES_KEPT, in_use=lambda route: route.pool.busy, forget=lambda route: route.pool.close()
        )

    async def send(self, call: Call) -> Reply:
        """One attempt of `call`, with the credential that admission chose."""
        lane = self._lanes[call.record.lane]
        base_url = call.base_url or self._base_url
        route = self._routes.get(base_url) or self._routes.keep(base_url, self._make_route(base_url))
        now_s = self._clock.now_s()
        left_s = call.deadline_s - now_s
        if left_s <= 0:
            return _lost(WireError("deadline", "the call's deadline has passed", sent=False))
        credential = call.attempts[-1].credential
        assert credential is not None
        head = _request_head(call, route, credential, traced=self._traced)
        if head is None:
            return Reply(0, HeaderBlock(), failure=Failure(ErrorClass.UNSENDABLE, sent=False))
        try:
            connection = route.pool.take_idle()
            if connection is None:
                asked_s = now_s
                connection = await route.pool.take(min(lane.connect_timeout_s, left_s), left_s)
                now_s = self._clock.now_s()
                call.attempt.record.connect_ms = milliseconds(now_s - asked_s)
        except WireError as error:
            return _lost(error)
        try:
            return await self._exchange(connection, head, credential.key, call, lane, now_s)
        except WireError as error:
            connection.abort()
            return _lost(error)
        except BaseException:
            connection.abort()
            raise

    async def _exchange(
        self, connection: Connection, head: bytes, key: Secret, call: Call, lane: LaneConfig, now_s: float
    ) -> Reply:
        clock = self._clock
        attempt = call.attempts[-1]
        record = attempt.record
        attempt.sent_s = now_s
        connection.request(head, call.body)
        first_byte_s = lane.first_byte_timeout_s if call.record.stream else lane.answer_timeout_s
        _expect(connection, first_byte_s, "first_byte_timeout", call.deadline_s - now_s)
        if call.upload is None:
            status, headers = await connection.head()
        else:
            status, headers = await self._send_upload(connection, call, first_byte_s)
        record.first_byte_ms = milliseconds(clock.now_s() - attempt.started_s)
        record.status = status
        header = headers.watched.get
        if request_id := header(b"request-id"):
            record.upstream_request_id = request_id.decode("latin-1")[:128]
        if header(b"content-encoding", b"identity") != b"identity":
            raise WireError("protocol", "the upstream compressed its answer although it was asked not to")
        if 200 <= status < 300 and status != 204 and _is_passed_on(call.kind, header(b"content-type", b"").lower()):
            length = header(b"content-length")
            stream = UpstreamStream(connection, clock, lane, call, key)
            return Reply(status, headers, stream=stream, length=int(length) if length else None)
        body = connection.take_whole()
        if body is None:
            body = await self._read_whole(connection, call, lane)
        connection.release()
        if status >= 400:
            body = _without(key, body)
        failure = classify_response(status, headers, body, clock.unix_ms())
        return Reply(status, headers, body, failure=failure)

    async def _send_upload(self, connection: Connection, call: Call, first_byte_s: float) -> tuple[int, HeaderBlock]:
        """Pass the body on while it arrives; the API may answer before it has all of it."""
        upload = call.upload
        assert upload is not None
        # While the caller is still sending, only the deadline counts: how slow it may be is the server's business.
        connection.expect_within(call.deadline_s - self._clock.now_s(), "deadline")
        sending = asyncio.ensure_future(_pump(upload, connection, chunked=call.upload_length is None))
        answering = asyncio.ensure_future(connection.head())
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                sending.result()
                _expect(connection, first_byte_s, "first_byte_timeout", call.deadline_s - self._clock.now_s())
            if not sending.done():
                connection.spoil()
            return await answering
        finally:
            sending.cancel()
            answering.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _read_whole(self, connection: Connection, call: Call, lane: LaneConfig) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            if not connection.complete:
                _expect(connection, lane.idle_timeout_s, "idle_timeout", call.deadline_s - self._clock.now_s())
            data = await connection.read()
            if not data:
                return b"".join(chunks) if len(chunks) != 1 else chunks[0]
            size += len(data)
            if size > MAX_ANSWER_BYTES:
                raise WireError("protocol", f"the upstream's answer passes {MAX_ANSWER_BYTES} bytes")
            chunks.append(data)

    def _make_route(self, base_url: str) -> _Route:
        origin, prefix = parse_base_url(base_url)
        pool = ConnectionPool(origin, self._dial, max_connections=self._max_connections, keepalive_s=self._keepalive_s)
        host = origin.authority.encode("ascii")
        return _Route(pool, prefix, host)

    def close(self) -> None:
        for route in self._routes:
            route.pool.close()


def _is_passed_on(kind: Kind, media: bytes) -> bool:
    """Whether an answer is passed on while it arrives.  Of messages only events are: all else must be a whole message,
    whatever it calls itself.  Elsewhere, with batch results and files, all but JSON and pages are."""
    if kind is Kind.MESSAGES or kind is Kind.COUNT_TOKENS:
        return media.startswith(b"text/event-stream")
    return not media.startswith((b"application/json", b"text/html"))


class UpstreamStream:
    """The body of a streamed response.

    Of messages, progress is told from above, by `progressed()`: only whoever reads the events knows pings from content.
    Of anything else all data is progress.
    """

    __slots__ = ("_call", "_callbacks", "_clock", "_connection", "_idle_by_s", "_key", "_lane", "_progress_by_s",
                 "closed", "cut", "error", "failure")  # fmt: skip

    def __init__(self, connection: Connection, clock: Clock, lane: LaneConfig, call: Call, key: Secret) -> None:
        self._connection = connection
        self._key = key
        self._clock = clock
        self._lane = lane
        self._call = call
        self._progress_by_s = clock.now_s() + lane.progress_timeout_s
        self._idle_by_s: float | None = None
        self._callbacks: list[Callable[[], None]] = []
        self.failure: Failure | None = None
        self.error: bytes | None = None
        self.cut = False
        self.closed = False

    def without_key(self, error: bytes) -> bytes:
        """An error event as callers may see it."""
        return _without(self._key, error)

    def progressed(self) -> None:
        self._progress_by_s = self._clock.now_s() + self._lane.progress_timeout_s

    async def opened(self) -> Failure | None:
        return None

    async def read(self) -> bytes:
        data = None
        while data is None:
            data = await self.read_or_nudge()
        return data

    async def read_or_nudge(self) -> bytes | None:
        """As `read`, or None after `nudge`."""
        if self.closed:
            return b""
        connection = self._connection
        now_s = self._clock.now_s()
        if self._idle_by_s is None:
            self._idle_by_s = now_s + self._lane.idle_timeout_s
        if self._progress_by_s < self._idle_by_s:
            _expect(connection, self._progress_by_s - now_s, "progress_timeout", self._call.deadline_s - now_s)
        else:
            _expect(connection, self._idle_by_s - now_s, "idle_timeout", self._call.deadline_s - now_s)
        try:
            data = await connection.read()
        except WireError as error:
            self.failure = Failure(_WIRE[error.kind])
            self.cut = True
            self._over()
            return b""
        if data is not None:
            self._idle_by_s = None  # a nudge is no sign of life
            if self._call.kind is not Kind.MESSAGES:
                self.progressed()
        if data == b"":
            self._over()
        return data

    def nudge(self) -> None:
        self._connection.nudge()

    async def wind_up(self, within_s: float) -> None:
        """The last event is in; what remains is the end of the body, which lets the connection be used again."""
        if self.closed:
            return
        self._connection.expect_within(within_s, "idle_timeout")
        try:
            while await self._connection.read():
                pass
        except WireError:
            pass
        self._over()

    def on_end(self, callback: Callable[[], None]) -> None:
        if self.closed:
            callback()
        else:
            self._callbacks.append(callback)

    def close(self) -> None:
        if not self.closed:
            self.failure = Failure(ErrorClass.CANCELLED)
            self._over()

    def _over(self) -> None:
        if self.closed:  # closed by its reader while it was being read
            return
        self.closed = True
        self._connection.release()
        for callback in self._callbacks:
            callback()


def _without(key: Secret, error: bytes) -> bytes:
    """Whoever repeats the key in an error must not tell it to our callers."""
    return error.replace(key.reveal().encode("latin-1"), b"***")


def _expect(connection: Connection, within_s: float, kind: WireErrorKind, deadline_in_s: float) -> None:
    if deadline_in_s < within_s:
        connection.expect_within(max(0.0, deadline_in_s), "deadline")
    else:
        connection.expect_within(within_s, kind)


def _lost(error: WireError) -> Reply:
    return Reply(0, HeaderBlock(), failure=Failure(_WIRE[error.kind], sent=error.sent))


def _request_head(call: Call, route: _Route, credential: Credential, *, traced: bool) -> bytes | None:
    """The head as it goes out; None if something in it would break out of its line.

    The gateway's callers have passed its parser, but code in this process hands over what it likes.
    """
    key = credential.key.reveal().encode("latin-1")
    lines = [
        f"{call.method} {route.prefix}{call.target} HTTP/1.1".encode("latin-1"),
        b"host: %s" % route.host,
        *map(b": ".join, call.headers),
        b"authorization: Bearer %s" % key if call.bearer else b"x-api-key: %s" % key,
        b"accept-encoding: identity",
    ]
    trace = call.trace
    if trace is not None and traced:
        own = trace.span_of(len(call.attempts)) if trace.span_id else 0
        lines.append(b"traceparent: " + trace.traceparent(own).encode("ascii"))
        if trace.state:
            lines.append(b"tracestate: " + trace.state.encode("ascii"))
    if call.upload is None:
        if call.body or call.method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d" % len(call.body))
    elif call.upload_length is not None:
        lines.append(b"content-length: %d" % call.upload_length)
    else:
        lines.append(b"transfer-encoding: chunked")
    text = b"".join(lines)
    if _LF in text or _CR in text or _NUL in text:
        return None
    lines += (b"", b"")
    return b"\r\n".join(lines)


_LF, _CR, _NUL = b"\n\r\0"


async def _pump(upload: ByteSource, connection: Connection, *, chunked: bool) -> None:
    while data := await upload.read():
        await connection.send(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
    if chunked:
        await connection.send(b"0\r\n\r\n")
