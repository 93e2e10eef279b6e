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
from types import FrameType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from headgate.call import Call, Reply, ReplyStream
from headgate.client.intake import Intake
from headgate.client.portal import Portal, running, shared
from headgate.client.portal_call import AsyncPortalCall, Stopped, SyncPortalCall
from headgate.core.error_words import ApiErrorText
from headgate.edge import answers
from headgate.engine.engine import Engine
from headgate.errors import HeadgateError, Refused, Unavailable
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
        self._own = Intake(engine) if engine is not None else None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        _check_sdk_retries(request)
        await request.aread()
        http = _library_of(request)
        record = None
        timeout_s = _read_timeout(request)
        try:
            portal = await _shared_from_a_loop() if self._own is None else None
            intake = self._own or (portal or shared()).intake
            record = intake.begin(request)
            call = intake.call_of(request, record, timeout_s)
            if portal is None:
                reply = await intake.engine.call(call)
            else:
                portal_call = AsyncPortalCall(intake.engine.call, call, portal)
                reply = await portal_call.answer()
        except (HeadgateError, Stopped) as problem:
            return _not_made(http, request, record, problem)
        if reply.stream is None:
            return _whole(http, request, call, reply, intake.engine.api_error_text)
        own_loop = portal is None
        stream = http.OwnLoopStream(reply.stream, timeout_s) if own_loop else http.AsyncStream(portal_call, timeout_s)
        return _streamed(http, request, call, reply, stream)


class Transport(_SyncBase):
    """For `httpx2.Client(transport=...)`: any thread, one shared engine."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        _check_sdk_retries(request)
        request.read()
        http = _library_of(request)
        record = None
        timeout_s = _read_timeout(request)
        try:
            portal = shared()
            record = portal.intake.begin(request)
            call = portal.intake.call_of(request, record, timeout_s)
            portal_call = SyncPortalCall(portal.engine.call, call, portal)
            reply = portal_call.answer()
        except (HeadgateError, Stopped) as problem:
            return _not_made(http, request, record, problem)
        if reply.stream is None:
            return _whole(http, request, call, reply, portal.engine.api_error_text)
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


def _read_timeout(request: httpx2.Request) -> float | None:
    timeout = request.extensions.get("timeout")
    read = timeout.get("read") if isinstance(timeout, dict) else None
    return float(read) if isinstance(read, (int, float)) else None


# -- the reply ---------------------------------------------------------------------------------------------------------


def _not_made(http: Any, request: Any, record: CallRecord | None, problem: HeadgateError | Stopped) -> httpx2.Response:
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
    if record is not None:
        status, headers, body = answers.refused(problem, record.call_id, record.correlation_id)
    else:
        status, headers, body = answers.refused(problem, f"unmade_{uuid4().hex}")
    response: httpx2.Response = http.Response(status, headers=headers, content=body, request=request)
    return response


def _whole(http: Any, request: Any, call: Call, reply: Reply, api_error_text: ApiErrorText) -> httpx2.Response:
    failure = reply.failure
    if failure is None:
        status, lines, body = reply.status, answers.answered(call, reply), reply.body
    elif failure.status is None and not reply.body:
        raise _exception(http, failure, request)
    else:
        status, lines, body = answers.failed(call, reply, api_error_text)
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
