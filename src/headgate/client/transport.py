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
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import lru_cache
from types import FrameType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from headgate.call import Call, Kind, Reply, ReplyStream
from headgate.client.context import current
from headgate.client.portal import Portal, running, shared
from headgate.client.portal_call import AsyncPortalCall, Stopped, SyncPortalCall
from headgate.edge import answers
from headgate.edge.intake import Lanes, credential_of, deadline_of, label, note, passed_on, personal, sends_bearer
from headgate.edge.routes import Match, Router
from headgate.engine.engine import Engine
from headgate.errors import HeadgateError, NotAllowed, Refused, Unavailable
from headgate.events import ErrorClass, Reason
from headgate.failure import Failure
from headgate.net.http import HeaderBlock
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
        http = _library_of(request)
        call = None
        try:
            portal = await _shared_from_a_loop() if self._engine is None else None
            engine = self._engine or (portal or shared()).engine
            timeout_s = _read_timeout(request)
            call = _call_of(request, engine, portal, timeout_s)
            if portal is None:
                reply = await engine.call(call)
            else:
                portal_call = AsyncPortalCall(engine.call, call, portal)
                reply = await portal_call.answer()
        except (HeadgateError, Stopped) as problem:
            return _not_made(http, request, call, problem)
        if reply.stream is None:
            return _whole(http, request, call, reply)
        own_loop = portal is None
        stream = http.OwnLoopStream(reply.stream, timeout_s) if own_loop else http.AsyncStream(portal_call, timeout_s)
        return _streamed(http, request, call, reply, stream)


class Transport(_SyncBase):
    """For `httpx2.Client(transport=...)`: any thread, one shared engine."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        _check_sdk_retries(request)
        request.read()
        http = _library_of(request)
        call = None
        try:
            portal = shared()
            timeout_s = _read_timeout(request)
            call = _call_of(request, portal.engine, portal, timeout_s)
            portal_call = SyncPortalCall(portal.engine.call, call, portal)
            reply = portal_call.answer()
        except (HeadgateError, Stopped) as problem:
            return _not_made(http, request, call, problem)
        if reply.stream is None:
            return _whole(http, request, call, reply)
        return _streamed(http, request, call, reply, http.SyncStream(portal_call, timeout_s))


async def _shared_from_a_loop() -> Portal:
    """The shared engine; starting it opens a ledger, which is not for an event loop to wait for.

    Raises:
        Unavailable: this is trio's loop, or no loop at all.
    """
    portal = running()
    if asyncio._get_running_loop() is None:
        raise Unavailable(
            "Headgate's AsyncTransport needs asyncio's event loop; under another one, such as trio's, call a sync "
            "client with headgate.Transport from a worker thread.",
            reason=Reason.NOT_STARTED, status=503, retry_after_s=None,
        )  # fmt: skip
    return portal if portal is not None else await asyncio.to_thread(shared)


# -- the request -------------------------------------------------------------------------------------------------------


def _call_of(request: httpx2.Request, engine: Engine, portal: Portal | None, timeout_s: float | None) -> Call:
    clock = engine.clock
    config = engine.config
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    told = dict(headers)
    raw_path, _, query = request.url.raw_path.decode("ascii").partition("?")
    base, path, match = _placed(request.method, raw_path)
    _refuse_other_clouds(path, told)
    # Code in this process may call what it likes.
    kind, resource_id = (match.route.kind, match.resource_id) if match is not None else (Kind.UNMETERED, None)
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
    if record.caller_attempts:
        # Every answer of ours tells the SDK not to retry, so this follows an exception: a call whose tries are spent.
        call.attempts_before = config.retry.max_attempts - 1
    return call


def _placed(method: str, raw_path: str) -> tuple[str, str, Match | None]:
    """The base URL's part of a path, the API's part, and its route if it is a known one.

    A base URL may hold a `/v1/` of its own (AI gateways have such), and so may an id: the API's part begins at the last
    `/v1/` that makes a known path.
    """
    last = at = raw_path.rfind("/v1/")
    while at >= 0:
        try:
            return raw_path[:at], raw_path[at:], _router().match(method, raw_path[at:])
        except NotAllowed:
            at = raw_path.rfind("/v1/", 0, at + 3)
    last = max(last, 0)
    return raw_path[:last], raw_path[last:], None


def _refuse_other_clouds(path: str, told: Mapping[bytes, bytes]) -> None:
    """Bedrock and Vertex have other paths, bills and limits, and a request signed for AWS cannot be signed anew here.

    Raises:
        NotAllowed: sending it would give the Claude API's key to another host, or leave its cost out of the ledger.
    """
    signed = told.get(b"authorization", b"").startswith(b"AWS4-")
    if signed or not path.startswith("/v1/") or path.endswith((":rawPredict", ":streamRawPredict")):
        raise NotAllowed(
            "Headgate speaks the Claude API only: this client is made for another cloud (Bedrock, Vertex). Take "
            "Headgate's transport out of its http_client, or use anthropic.Anthropic.",
            reason=Reason.NO_SUCH_PATH,
            status=404,
        )


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


def _not_made(http: Any, request: Any, call: Call | None, problem: HeadgateError | Stopped) -> httpx2.Response:
    """The answer to a call that Headgate does not send.

    An exception would reach the caller as "Connection error.", after the SDK's own retries; an answer says what it is.
    """
    if isinstance(problem, Stopped):
        raise http.errors.RemoteProtocolError(_STOPPED, request=request) from None
    if not isinstance(problem, Refused):
        log.error("the engine cannot start: %s", problem)
        problem = Unavailable(
            f"Headgate cannot start in this process: {problem}",
            reason=Reason.NOT_STARTED, status=503, retry_after_s=None,
        )  # fmt: skip
    call_id = call.record.call_id if call is not None else f"unmade_{uuid4().hex}"
    status, headers, body = answers.refused(problem, call_id)
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
    response: httpx2.Response = http.Response(status, headers=HeaderBlock(lines).items(), content=body, request=request)
    return response


def _streamed(http: Any, request: Any, call: Call, reply: Reply, stream: Any) -> httpx2.Response:
    headers = HeaderBlock(answers.answered(call, reply)).items()
    response: httpx2.Response = http.Response(reply.status, headers=headers, stream=stream, request=request)
    return response


_CONNECTING = frozenset((ErrorClass.DNS, ErrorClass.CONNECT, ErrorClass.TLS, ErrorClass.EGRESS_DENIED))
_TIMED_OUT = frozenset(
    (ErrorClass.FIRST_BYTE_TIMEOUT, ErrorClass.IDLE_TIMEOUT, ErrorClass.PROGRESS_TIMEOUT, ErrorClass.DEADLINE)
)


def _exception(http: Any, failure: Failure, request: Any) -> Exception:
    """What the caller's own HTTP library would have raised, so that `except APIConnectionError` keeps working."""
    text = f"headgate: {failure.error}, after all attempts"
    if failure.error is ErrorClass.UNSENDABLE:
        text, kind = _UNSENDABLE, http.errors.LocalProtocolError
    elif failure.error in _CONNECTING:
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

    def silent() -> Exception:
        error: Exception = module.ReadTimeout("headgate: the stream was silent for too long")
        return error

    def broken() -> Exception:
        error: Exception = module.RemoteProtocolError(_CUT)
        return error

    class AsyncStream(base_async):  # type: ignore[misc]
        def __init__(self, portal_call: AsyncPortalCall, timeout_s: float | None) -> None:
            self._portal_call = portal_call
            self._timeout_s = timeout_s

        async def __aiter__(self) -> AsyncIterator[bytes]:
            portal_call = self._portal_call
            try:
                while data := await portal_call.read(self._timeout_s):
                    yield data
            except TimeoutError:
                raise silent() from None
            if portal_call.cut:
                raise broken()

        async def aclose(self) -> None:
            self._portal_call.close()

        def __del__(self) -> None:
            self._portal_call.close()  # dropped without a word: nobody will read the rest

    class OwnLoopStream(base_async):  # type: ignore[misc]
        def __init__(self, stream: ReplyStream, timeout_s: float | None) -> None:
            self._stream = stream
            self._timeout_s = timeout_s

        async def __aiter__(self) -> AsyncIterator[bytes]:
            stream = self._stream
            try:
                while data := await asyncio.wait_for(stream.read(), self._timeout_s):
                    yield data
            except TimeoutError:
                raise silent() from None
            if stream.cut:
                raise broken()

        async def aclose(self) -> None:
            self._stream.close()

    class SyncStream(base_sync):  # type: ignore[misc]
        def __init__(self, portal_call: SyncPortalCall, timeout_s: float | None) -> None:
            self._portal_call = portal_call
            self._timeout_s = timeout_s

        def __iter__(self) -> Iterator[bytes]:
            portal_call = self._portal_call
            try:
                while data := portal_call.read(self._timeout_s):
                    yield data
            except TimeoutError:
                raise silent() from None
            if portal_call.cut:
                raise broken()

        def close(self) -> None:
            self._portal_call.close()

        def __del__(self) -> None:
            self._portal_call.close()

    return SimpleNamespace(
        Response=module.Response, errors=module, AsyncStream=AsyncStream, OwnLoopStream=OwnLoopStream,
        SyncStream=SyncStream,
    )  # fmt: skip


_CUT = "headgate: the stream broke off before it was complete"
_UNSENDABLE = "headgate: a header, the path or the API key holds a line break or a NUL; nothing was sent"
_STOPPED = "headgate: the engine was shut down while the call was under way"


# -- the SDK's own retries ---------------------------------------------------------------------------------------------

_told_of_retries = threading.Event()


def _check_sdk_retries(request: httpx2.Request) -> None:
    """Say once that the SDK retries on top of Headgate.

    A connection error cannot tell the SDK not to retry, as a response can.  The SDK's setting does not travel with the
    request, so it is read from the frame that made it.
    """
    if _told_of_retries.is_set():
        return
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name in _SDK_LOOPS and frame.f_globals.get("__name__") == "anthropic._base_client":
            retries = frame.f_locals.get("max_retries")
            if isinstance(retries, (int, float)):
                if retries > 0 and not _told_of_retries.is_set():
                    _told_of_retries.set()
                    log.warning(
                        "an anthropic client is made with max_retries=%s; Headgate retries already, so pass "
                        "max_retries=0",
                        retries,
                    )
                return
        frame = frame.f_back


_SDK_LOOPS = frozenset(("_request", "request"))
"""Where the SDK's retry loop is, in 1.0 and later, and in 0.x."""
