"""The gateway's application: a request in, a call through the engine, a reply out."""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec

from headgate.call import Call, Kind, Reply, ReplyStream
from headgate.config.hosts import is_loopback
from headgate.config.schema import CallerKey
from headgate.edge import answers
from headgate.edge.intake import Lanes, begin_record, deadline_of, passed_on, sends_bearer, trace_of
from headgate.edge.routes import METHODS, Match, Router, check_query
from headgate.engine.engine import Engine
from headgate.errors import BadRequest, NotAllowed, Refused
from headgate.events import Reason
from headgate.gateway.callers import Callers
from headgate.gateway.penalty import Penalties
from headgate.gateway.sources import AuthFailures
from headgate.net.app import BodyPlan, Request, Response, Truncated
from headgate.net.http import Headers
from headgate.records import CallRecord
from headgate.stores.sqlite import SqliteLedger

__all__ = ["GatewayApp", "HostCheck"]

MB = 1024 * 1024
_SMALL = BodyPlan(MB)
_NO_BODY = BodyPlan(0)
SEEN_HOSTS = 64
_BREACHES = {413: Reason.BODY_TOO_LARGE, 503: Reason.OVERLOADED, 405: Reason.METHOD_NOT_ALLOWED, 500: Reason.INTERNAL}
"""Why the server below refused, by its status; all others are bad requests."""
_UNKNOWN_CALLER = frozenset((Reason.CALLER_UNKNOWN, Reason.NOT_ALLOWED))
PING = b'event: ping\ndata: {"type": "ping"}\n\n'

_RESULTS_URL = re.compile(rb'("results_url"\s*:\s*")https?:(?:\\?/){2}[^"/\\]+')
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


class _Admitted(msgspec.Struct, eq=False):
    """What `begin` found out, for `handle`."""

    match: Match
    key: CallerKey | None
    call: Call | None = None
    """From when the engine has it: what becomes of it is the engine's to record."""


class GatewayApp:
    """Serves the Claude API on top of an engine."""

    def __init__(self, engine: Engine, auth_failures: AuthFailures) -> None:
        config = engine.config
        self._engine = engine
        self._config = config.gateway
        self._router = Router(config.gateway.unmetered_paths)
        self._callers = Callers(config.gateway.keys, Lanes(config))
        self._hosts = HostCheck(config.gateway.host, config.gateway.hosts)
        self._penalties = Penalties(engine.clock)
        self._auth_failures = auth_failures
        self._plans = {
            None: BodyPlan(config.gateway.max_body_mb * MB),
            "batch": BodyPlan(config.gateway.max_batch_mb * MB, stream=True),
            "file": BodyPlan(config.gateway.max_file_mb * MB, stream=True),
        }
        self._heartbeat = (config.gateway.ping_interval_s, PING)

    # -- the head ------------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> BodyPlan | Response:
        """Everything that can be decided before a body is read: who asks, and for what."""
        if request.path in ("/healthz", "/readyz"):
            return _NO_BODY
        try:
            self._hosts.check(request.by_name.get(b"host"))
            if request.path == "/api/hello" and request.method in ("HEAD", "GET"):
                return _NO_BODY
            match = self._router.match(request.method, request.path)
            if request.query:
                check_query(request.query)
            request.context = _Admitted(match, self._callers.identify(request.by_name))
            if b"content-encoding" in request.by_name and _is_encoded(request.headers):
                raise BadRequest(
                    "content-encoding: compressed bodies are not taken; send the body as it is",
                    reason=Reason.BODY_ENCODING,
                    status=415,
                )
        except Refused as refusal:
            return self._turn_away(request, refusal)
        if request.method != "POST":
            return _SMALL
        return self._plans[match.route.upload]

    def refuse(self, status: int, problem: str, request: Request | None) -> Response:
        """A request that broke HTTP itself, or passes a limit."""
        refusal = Refused(
            problem,
            status=status,
            type=answers.type_of(status),
            reason=_BREACHES.get(status, Reason.BAD_REQUEST),
            retry_after_s=1.0 if status == 503 else None,
        )
        if status == 405:
            refusal.allow = METHODS  # what came is no request yet, so there is no path to ask
        return self._turn_away(request, refusal)

    def _turn_away(self, request: Request | None, refusal: Refused) -> Response:
        """The answer to a call that does not reach the engine, which has its line in the log all the same."""
        self._note_source(request, refusal)
        admitted = request.context if request is not None else None
        if not isinstance(admitted, _Admitted):
            admitted = None
        if admitted is not None and admitted.call is not None:
            # Refused in the middle of its body: the engine records the call, once, and we know why it ended.
            record = admitted.call.record
            record.reason = refusal.reason
        else:
            record = begin_record(self._engine, admitted.match.route.kind if admitted is not None else Kind.OTHER)
            if request is not None and admitted is not None:
                trace_of(record, request.by_name)
                with suppress(Refused):  # whatever else is wrong with it
                    self._callers.note(record, request.by_name, admitted.key)
            self._engine.record_refusal(record, refusal.status, refusal.reason)
        return Response(*answers.refused(refusal, record.call_id, record.correlation_id))

    # -- the call -------------------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        admitted = request.context
        if not isinstance(admitted, _Admitted):
            return self._health(request)
        engine = self._engine
        record = begin_record(engine, admitted.match.route.kind)
        record.bytes_in = len(request.body)
        try:
            call = self._call(request, admitted, record)
        except Refused as refusal:
            self._note_source(request, refusal)
            engine.record_refusal(record, refusal.status, refusal.reason)
            return Response(*answers.refused(refusal, record.call_id, record.correlation_id))
        admitted.call = call
        try:
            reply = await engine.call(call)
        except Refused as refusal:
            if refusal.retry_after_s is not None:
                who = admitted.key.name if admitted.key is not None else request.peer
                refusal.retry_after_s = self._penalties.stretch(who, request.body, refusal.retry_after_s)
            return Response(*answers.refused(refusal, record.call_id, record.correlation_id))
        return self._respond(request, call, reply)

    def _note_source(self, request: Request | None, refusal: Refused) -> None:
        if request is not None and refusal.reason in _UNKNOWN_CALLER:
            self._auth_failures.count(request.peer)

    def _call(self, request: Request, admitted: _Admitted, record: CallRecord) -> Call:
        clock = self._engine.clock
        told = request.by_name
        match = admitted.match
        kind = match.route.kind
        trace = trace_of(record, told)
        self._callers.note(record, told, admitted.key)
        call = Call(
            record=record,
            kind=kind,
            method=request.method,
            target=f"{match.path}?{request.query}" if request.query else match.path,
            headers=passed_on(request.headers, told),
            body=request.body,
            arrived_s=clock.now_s(),
            bearer=sends_bearer(told),
            requested_deadline_s=deadline_of(told),
            resource_id=match.resource_id,
            trace=trace,
        )
        if kind is not Kind.MESSAGES and kind is not Kind.COUNT_TOKENS:
            call.replayable = request.method == "GET"
        if request.stream is not None:
            call.upload = request.stream
            length = told.get(b"content-length")
            call.upload_length = int(length) if length is not None else None
        return call

    def _respond(self, request: Request, call: Call, reply: Reply) -> Response:
        if reply.failure is not None:
            status, lines, body = answers.failed(call, reply, self._engine.api_error_text)
            return Response(status, body=body, lines=lines)
        lines = answers.answered(call, reply)
        stream = reply.stream
        if stream is not None:
            beats = (reply.headers.get(b"content-type") or b"").startswith(b"text/event-stream")
            return Response(
                reply.status,
                lines=lines,
                stream=_Relay(stream),
                length=reply.length,
                heartbeat=self._heartbeat if beats else None,
            )
        body = reply.body
        if call.kind is Kind.BATCHES:
            body = _RESULTS_URL.sub(rb"\1" + self._public_url(request), body)
        return Response(reply.status, body=body, lines=lines)

    def _public_url(self, request: Request) -> bytes:
        """Where callers reach us: links that the API returns must lead back here, since SDKs send a credential
        along."""
        if self._config.public_url is not None:
            return self._config.public_url.rstrip("/").encode()
        return b"http://" + (request.by_name.get(b"host") or f"{self._config.host}:{self._config.port}".encode())

    # -- health ---------------------------------------------------------------------------------------------------

    def _health(self, request: Request) -> Response:
        json = [(b"content-type", b"application/json")]
        if request.path == "/api/hello":
            return Response(200, json, b'{"ok":true}')
        if request.path == "/readyz":
            ledger = self._engine.ledger
            problem = ledger.problem if isinstance(ledger, SqliteLedger) else None
            if problem is not None:
                return Response(503, json, b'{"status":"not ready","reason":"the ledger cannot be written"}')
            return Response(200, json, b'{"status":"ready"}')
        return Response(200, json, b'{"status":"ok"}')


def _is_encoded(headers: Headers) -> bool:
    return any(name == b"content-encoding" and value.strip().lower() != b"identity" for name, value in headers)


class _Relay:
    """A reply's stream as the body of a response."""

    __slots__ = ("_stream",)

    def __init__(self, stream: ReplyStream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        data = await self._stream.read()
        if not data and self._stream.cut:
            raise Truncated
        return data

    def close(self) -> None:
        self._stream.close()


class HostCheck:
    """Which names in the Host header are served.

    On loopback only this machine's own: otherwise any web page could point a name of its own at 127.0.0.1 and have the
    browser call us (DNS rebinding).
    """

    def __init__(self, bound_to: str, also: tuple[str, ...]) -> None:
        self._any = not is_loopback(bound_to) and not also
        self._seen: set[bytes] = set()
        self._names = {bound_to.lower(), "localhost", "127.0.0.1", "[::1]", *(name.lower() for name in also)}

    def check(self, host: bytes | None) -> None:
        if host in self._seen:
            return
        match = _HOST.fullmatch(host or b"")
        if match is None:
            raise BadRequest("the Host header is malformed", reason=Reason.BAD_REQUEST)
        if not self._any and match[1].decode("ascii").lower() not in self._names:
            raise NotAllowed(
                "this name is not served here; add it to gateway.hosts if it should be",
                reason=Reason.BAD_REQUEST,
                status=400,
            )
        if host is not None and len(self._seen) < SEEN_HOSTS:
            self._seen.add(host)
