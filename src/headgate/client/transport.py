"""Transports for the SDK's `http_client`: the SDK builds the request, the engine makes the call.

    client = anthropic.Anthropic(max_retries=0,
    http_client=anthropic.DefaultHttpxClient(transport=headgate.Transport()))

Works with `httpx2`, which the SDK uses since 1.0, and with `httpx`, which its 0.x line used: the request says which
it is.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from headgate.call import Call, Kind, Reply, ReplyStream
from headgate.client.bridge import AsyncBridge, SyncBridge
from headgate.client.context import current
from headgate.client.portal import Portal, running, shared
from headgate.edge import answers
from headgate.edge.intake import Lanes, credential_of, deadline_of, label, note, passed_on, personal, sends_bearer
from headgate.edge.routes import Router
from headgate.engine.engine import Engine
from headgate.errors import NotAllowed, Refused
from headgate.events import ErrorClass
from headgate.failure import Failure
from headgate.records import CallRecord

if TYPE_CHECKING:
    import httpx2

    _SyncBase = httpx2.BaseTransport
    _AsyncBase = httpx2.AsyncBaseTransport
else:
    try:
        from httpx2 import AsyncBaseTransport as _AsyncBase
        from httpx2 import BaseTransport as _SyncBase
    except ImportError:
        from httpx import AsyncBaseTransport as _AsyncBase
        from httpx import BaseTransport as _SyncBase

__all__ = ["AsyncTransport", "Transport"]

log = logging.getLogger("headgate")


class AsyncTransport(_AsyncBase):
    """For `httpx2.AsyncClient(transport=...)`.

    Args:
        engine: an engine that runs on the caller's own loop; default is the process's shared one.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        _check_sdk_retries(request)
        await request.aread()
        portal = await _shared_from_a_loop() if self._engine is None else None
        engine = self._engine or (portal or shared()).engine
        http = _library_of(request)
        timeout_s = _read_timeout(request)
        try:
            call = _call_of(request, engine, portal, timeout_s)
            if portal is None:
                reply = await engine.call(call)
            else:
                reply = await asyncio.wrap_future(portal.submit(engine.call(call)))
        except Refused as refusal:
            return _refusal(http, request, refusal, engine)
        if reply.stream is None:
            return _whole(http, request, call, reply)
        if portal is None:
            stream = http.OwnLoopStream(reply.stream, http)
        else:
            stream = http.AsyncStream(AsyncBridge(reply.stream, portal.loop), timeout_s, http)
        return _streamed(http, request, call, reply, stream)


class Transport(_SyncBase):
    """For `httpx2.Client(transport=...)`: any thread, one shared engine."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        _check_sdk_retries(request)
        request.read()
        portal = shared()
        engine = portal.engine
        http = _library_of(request)
        timeout_s = _read_timeout(request)
        try:
            call = _call_of(request, engine, portal, timeout_s)
            future = portal.submit(engine.call(call))
            try:
                reply = future.result()
            except BaseException:
                future.cancel()
                raise
        except Refused as refusal:
            return _refusal(http, request, refusal, engine)
        if reply.stream is None:
            return _whole(http, request, call, reply)
        stream = http.SyncStream(SyncBridge(reply.stream, portal.loop), timeout_s, http)
        return _streamed(http, request, call, reply, stream)


async def _shared_from_a_loop() -> Portal:
    """The shared engine; starting it opens a ledger, which is not for an event loop to wait for."""
    portal = running()
    return portal if portal is not None else await asyncio.to_thread(shared)


# -- the request -------------------------------------------------------------------------------------------------------


def _call_of(request: httpx2.Request, engine: Engine, portal: Portal | None, timeout_s: float | None) -> Call:
    clock = engine.clock
    config = engine.config
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    told = dict(headers)
    raw_path, _, query = request.url.raw_path.decode("ascii").partition("?")
    base, path = _split_base(raw_path)
    try:
        match = _router().match(request.method, path)
        kind, resource_id = match.route.kind, match.resource_id
    except NotAllowed:
        kind, resource_id = Kind.OTHER, None  # code in this process may call what it likes
    labels = current()
    record = CallRecord(
        call_id=engine.new_call_id(), started_ms=clock.unix_ms(), kind=kind, workflow="unset", lane="",
        bytes_in=len(request.content),
    )  # fmt: skip
    if labels.workflow is not None:
        record.workflow = label(labels.workflow)
    if labels.user is not None:
        record.user = personal(labels.user)
    if labels.session is not None:
        record.session = label(labels.session)
    note(record, told)
    lanes = Lanes(config.lanes, config.workflows, config.default_lane)
    asked = told.get(b"x-headgate-lane", b"").decode("latin-1") or labels.lane
    record.lane = lanes.of(asked, record.workflow)
    call = Call(
        record=record,
        kind=kind,
        method=request.method,
        target=f"{path}?{query}" if query else path,
        headers=passed_on(headers, told),
        body=request.content,
        arrived_s=clock.now_s(),
        bearer=sends_bearer(told),
        requested_deadline_s=deadline_of(told),
        resource_id=resource_id,
        replayable=kind in (Kind.MESSAGES, Kind.COUNT_TOKENS) or request.method == "GET",
    )
    if portal is None or not _chosen(portal, "upstream.base_url"):
        port = f":{request.url.port}" if request.url.port else ""
        host = f"[{request.url.host}]" if ":" in request.url.host else request.url.host
        call.base_url = f"{request.url.scheme}://{host}{port}{base}"
    if portal is None or not _has_own_keys(portal):
        key = credential_of(told)
        call.own_key = key.decode("latin-1") if key is not None else None
    call.patience_s = timeout_s
    return call


def _split_base(path: str) -> tuple[str, str]:
    """What stands before `/v1/` belongs to the base URL."""
    base, found, rest = path.partition("/v1/")
    return (base, f"/v1/{rest}") if found else ("", path)


@lru_cache(maxsize=1)
def _router() -> Router:
    return Router(())


def _chosen(portal: Portal, path: str) -> bool:
    """Whether a setting was made: then it goes before what the SDK was told."""
    return any(setting.path == path and setting.source != "default" for setting in portal.loaded.settings)


def _has_own_keys(portal: Portal) -> bool:
    names = ("api_key", "api_key_file", "api_key_command")
    return bool(portal.loaded.config.upstream.credentials) or any(_chosen(portal, f"upstream.{n}") for n in names)


def _read_timeout(request: httpx2.Request) -> float | None:
    timeout = request.extensions.get("timeout")
    read = timeout.get("read") if isinstance(timeout, dict) else None
    return float(read) if isinstance(read, (int, float)) else None


# -- the reply ---------------------------------------------------------------------------------------------------------


def _refusal(http: Any, request: Any, refusal: Refused, engine: Engine) -> httpx2.Response:
    status, headers, body = answers.refused(refusal, engine.new_call_id())
    response: httpx2.Response = http.Response(status, headers=headers, content=body, request=request)
    return response


def _whole(http: Any, request: Any, call: Call, reply: Reply) -> httpx2.Response:
    failure = reply.failure
    if failure is None:
        status, lines, body = reply.status, answers.answered(call, reply), reply.body
    elif failure.status is None and not reply.body:
        raise _exception(http, failure, request)
    else:
        status, lines, body = answers.failed(call, reply)
    response: httpx2.Response = http.Response(status, headers=_pairs(lines), content=body, request=request)
    return response


def _streamed(http: Any, request: Any, call: Call, reply: Reply, stream: Any) -> httpx2.Response:
    headers = _pairs(answers.answered(call, reply))
    response: httpx2.Response = http.Response(reply.status, headers=headers, stream=stream, request=request)
    return response


def _pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    parts = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in parts]


_CONNECTING = frozenset((ErrorClass.DNS, ErrorClass.CONNECT, ErrorClass.TLS, ErrorClass.EGRESS_DENIED))
_TIMED_OUT = frozenset(
    (ErrorClass.FIRST_BYTE_TIMEOUT, ErrorClass.IDLE_TIMEOUT, ErrorClass.PROGRESS_TIMEOUT, ErrorClass.DEADLINE)
)


def _exception(http: Any, failure: Failure, request: Any) -> Exception:
    """What the caller's own HTTP library would have raised, so that `except APIConnectionError` keeps working."""
    text = f"headgate: {failure.error}, after all attempts"
    if failure.error in _CONNECTING:
        kind = http.errors.ConnectError
    elif failure.error is ErrorClass.CONNECT_TIMEOUT:
        kind = http.errors.ConnectTimeout
    elif failure.error is ErrorClass.POOL_TIMEOUT:
        kind = http.errors.PoolTimeout
    else:
        kind = http.errors.ReadTimeout if failure.error in _TIMED_OUT else http.errors.RemoteProtocolError
    error: Exception = kind(text, request=request)
    return error


def _library_of(request: Any) -> Any:
    """The HTTP library that made `request`, with stream classes of its own kind."""
    return _library(sys.modules[type(request).__module__.partition(".")[0]])


@lru_cache(maxsize=4)
def _library(module: ModuleType) -> SimpleNamespace:
    base_async: Any = module.AsyncByteStream
    base_sync: Any = module.SyncByteStream

    class AsyncStream(base_async):  # type: ignore[misc]
        def __init__(self, bridge: AsyncBridge, timeout_s: float | None, http: Any) -> None:
            self._bridge = bridge
            self._timeout_s = timeout_s
            self._http = http

        async def __aiter__(self) -> AsyncIterator[bytes]:
            bridge = self._bridge
            try:
                while data := await bridge.read(self._timeout_s):
                    yield data
            except TimeoutError:
                raise self._http.errors.ReadTimeout("headgate: the stream was silent for too long") from None
            if bridge.cut:
                raise self._http.errors.RemoteProtocolError(_CUT)

        async def aclose(self) -> None:
            self._bridge.close()

    class OwnLoopStream(base_async):  # type: ignore[misc]
        def __init__(self, stream: ReplyStream, http: Any) -> None:
            self._stream = stream
            self._http = http

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while data := await self._stream.read():
                yield data
            if self._stream.cut:
                raise self._http.errors.RemoteProtocolError(_CUT)

        async def aclose(self) -> None:
            self._stream.close()

    class SyncStream(base_sync):  # type: ignore[misc]
        def __init__(self, bridge: SyncBridge, timeout_s: float | None, http: Any) -> None:
            self._bridge = bridge
            self._timeout_s = timeout_s
            self._http = http

        def __iter__(self) -> Iterator[bytes]:
            bridge = self._bridge
            try:
                while data := bridge.read(self._timeout_s):
                    yield data
            except TimeoutError:
                raise self._http.errors.ReadTimeout("headgate: the stream was silent for too long") from None
            if bridge.cut:
                raise self._http.errors.RemoteProtocolError(_CUT)

        def close(self) -> None:
            self._bridge.close()

    return SimpleNamespace(
        Response=module.Response, errors=module, AsyncStream=AsyncStream, OwnLoopStream=OwnLoopStream,
        SyncStream=SyncStream,
    )  # fmt: skip


_CUT = "headgate: the stream broke off before it was complete"


# -- the SDK's own retries ---------------------------------------------------------------------------------------------

_told_of_retries = threading.Event()
_looked_at = 0
LOOKS = 20
"""Calls that are looked at; after that a client with retries would have shown itself."""


def _check_sdk_retries(request: Any) -> None:
    """Say once that the SDK retries on top of Headgate.

    A connection error cannot tell the SDK not to retry, as a response can.  The SDK's setting does not travel with the
    request, so it is read from the frame that made it.
    """
    global _looked_at
    if _looked_at >= LOOKS or _told_of_retries.is_set():
        return
    _looked_at += 1
    frame = sys._getframe(1)
    while (frame := frame.f_back) is not None:  # type: ignore[assignment]
        if frame.f_globals.get("__name__") == "anthropic._base_client" and frame.f_code.co_name == "request":
            retries = frame.f_locals.get("max_retries")
            if isinstance(retries, int) and retries > 0 and not _told_of_retries.is_set():
                _told_of_retries.set()
                log.warning(
                    "the anthropic client is made with max_retries=%d; Headgate retries already, so pass max_retries=0",
                    retries,
                )
            return
