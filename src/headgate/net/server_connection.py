"""One client's connection: whose turn it is, when it ends, and when it has been silent for too long."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from math import inf
from typing import TYPE_CHECKING, cast

from headgate.net.app import Request, Response, Truncated
from headgate.net.outbox import Writer
from headgate.net.request_reader import BODY, HEAD, IDLE, RequestReader
from headgate.net.response_writer import BODILESS, ResponseWriter
from headgate.net.upload import READ_AHEAD_BYTES

if TYPE_CHECKING:
    from headgate.net.server import Server

__all__ = ["ServerConnection"]

log = logging.getLogger("headgate.net")

LINGER_S = 3.0
LINGER_BYTES = 64 * 1024 * 1024
"""After an early refusal we go on reading for a moment, so that the peer sees the answer and not a reset."""
TIMER_SLACK_S = 0.002
"""Loops round their clock (uvloop to 1 ms); a timer that fires this early counts as due."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_OPEN, _REFUSED, _LINGERING, _CLOSING, _CLOSED = range(5)


class ServerConnection(asyncio.Protocol):
    """Answers one request at a time; requests sent ahead wait in order.

    From `_REFUSED` on nothing is read any more: the client broke a rule, and its last answer is on its way.
    """

    __slots__ = (
        "_app", "_backlog", "_ending_since_s", "_limits", "_linger_bytes", "_loop", "_out", "_owes_continue",
        "_paused_reading", "_peer", "_reader", "_ready", "_responses", "_retired", "_server", "_state", "_task",
        "_timer", "_timer_due", "_transport", "_verdict", "_wakeup", "busy",
    )  # fmt: skip

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._app = server.app
        self._limits = server.limits
        self._loop = loop
        self._state = _OPEN
        self._ending_since_s = 0.0
        self._linger_bytes = 0
        self._retired = False
        self.busy = False
        """A request is being answered."""
        self._ready: deque[tuple[Request, Response | None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._wakeup: asyncio.Future[None] | None = None
        self._verdict: Response | None = None
        """The answer to a request whose body broke a rule while it was being handled."""
        self._backlog = b""
        self._paused_reading = False
        self._owes_continue = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = inf

    # -- its life -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server, limits = self._server, self._limits
        self._transport = cast(asyncio.Transport, transport)
        self._out = Writer(self._transport, server.outbox)
        self._responses = ResponseWriter(self._out, self._loop, self._watch)
        peername = transport.get_extra_info("peername")
        self._peer = str(peername[0]) if peername else "local"
        self._reader = RequestReader(
            self, self._app.begin, server.memory, self._peer, self._loop.time, most_head_bytes=limits.head_bytes
        )
        server.connections.add(self)
        server.per_peer[self._peer] += 1
        if len(server.connections) > limits.connections or server.per_peer[self._peer] > limits.connections_per_peer:
            self._refuse(503, "too many connections are open; close idle ones or raise the connection limit")
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = _CLOSED
        server = self._server
        server.forget(self)
        server.per_peer[self._peer] -= 1
        if not server.per_peer[self._peer]:
            del server.per_peer[self._peer]
        self._reader.stop()
        server.memory.held_bytes -= sum(request.reserved for request, _ in self._ready)
        self._ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
        self._responses.resume()

    def retire(self) -> None:
        """Close as soon as no request is being read or answered."""
        self._retired = True
        if not self.busy and (self._state != _OPEN or self._reader.stage == IDLE):
            self._close()

    def abort(self) -> None:
        self._out.abort()

    def _close(self) -> None:
        """Close in good order.  A client that takes nothing of what is left for it is cut off."""
        if self._state < _CLOSING:
            self._state = _CLOSING
            self._ending_since_s = self._loop.time()
            self._out.close()
            self._watch()

    def _linger(self) -> None:
        """Say that this was all, and wait for the client to have seen it."""
        self._state = _LINGERING
        self._ending_since_s = self._loop.time()
        with contextlib.suppress(OSError):
            self._out.write_eof()
        self.resume_reading()
        self._watch()

    # -- what the client sends ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._state == _OPEN:
            if self.busy and self._reader.upload is None:
                # Sent ahead of its turn.  We must go on reading, or we would not see the client leave.
                self._backlog += data
                if len(self._backlog) > READ_AHEAD_BYTES:
                    self.pause_reading()
            elif (breach := self._reader.feed(data)) is not None:
                self._refuse(*breach)
            elif self._reader.stage != IDLE:
                self._watch()
        elif self._state < _CLOSING:
            self._linger_bytes += len(data)
            if self._linger_bytes > LINGER_BYTES:
                self._out.abort()

    def eof_received(self) -> bool:
        # A client that has stopped sending is taken to have left: nothing that speaks to the Claude API half-closes.
        return False

    def invite(self) -> None:
        """Ask for the body, once the requests before are answered."""
        if self.busy:
            self._owes_continue = True
        else:
            self._out.write(_CONTINUE)

    def pause_reading(self) -> None:
        if not self._paused_reading:
            self._paused_reading = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused_reading:
            self._paused_reading = False
            self._reader.begin_window()
            self._transport.resume_reading()

    # -- answers ------------------------------------------------------------------------------------------------

    def take(self, request: Request, answer: Response | None) -> None:
        """Handle a request, or give the answer that it has already, when it is its turn."""
        self._ready.append((request, answer))
        if self.busy:
            return
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
        responses = self._responses
        try:
            if response is None:
                response = await self._app.handle(request)
            close = not request.keep_alive or response.close or self._retired or self._server.draining
            if response.stream is None or response.status in BODILESS:
                responses.write_whole(request, response, close=close)
                if responses.paused:
                    await responses.until_drained()
            else:
                await responses.relay(request, response, response.stream, close=close)
        except asyncio.CancelledError:
            if self._verdict is None or response is not None:
                self._out.abort()
                raise
            responses.write_whole(request, self._verdict, close=True)
        except Truncated:
            self._close()
        except Exception:
            log.exception("a request handler failed")
            if response is None:
                responses.write_whole(request, self._app.refuse(500, "internal error", request), close=True)
            else:
                self._out.abort()
        finally:
            if response is not None and response.stream is not None:
                response.stream.close()
            self._server.memory.held_bytes -= request.reserved
            self.busy = bool(self._ready) and not close and self._state < _CLOSING
            self._after(close)

    def _after(self, close: bool) -> None:
        """An answer is out: keep the connection, or close it without losing what was just written."""
        if self._state >= _CLOSING:
            return
        reader = self._reader
        unread = self._state == _REFUSED or reader.stage == BODY
        if unread and (close or reader.upload is not None):
            self._linger()
        elif close:
            self._close()
        elif self._ready:
            pass  # `_serve` goes on with it
        elif self._retired or self._server.draining:
            self._close()
        else:
            reader.since_s = self._loop.time()
            if self._paused_reading:
                self.resume_reading()
            if self._owes_continue:
                self._owes_continue = False
                self._out.write(_CONTINUE)
            if self._backlog:
                data, self._backlog = self._backlog, b""
                self.data_received(data)
            self._watch()

    def _refuse(self, status: int, problem: str) -> None:
        """Answer a breach of protocol in its turn, then close."""
        reader = self._reader
        response = self._app.refuse(status, problem, reader.request)
        response.close = True
        request = reader.request or Request("GET", "", "", [], {}, self._peer)
        self._state = _REFUSED
        if not self.busy:
            self._responses.write_whole(request, response, close=True)
            self._linger()
        elif reader.upload is None:
            self._ready.append((request, response))
        elif self._ready:
            self._ready[-1] = (request, response)  # it came in one piece: nobody has begun to handle it
        elif self._task is not None:
            self._verdict = response
            self._task.cancel()

    def pause_writing(self) -> None:
        self._responses.pause()

    def resume_writing(self) -> None:
        self._responses.resume()

    # -- time ---------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        """When this connection must be looked at again if nothing happens."""
        limits, reader, responses = self._limits, self._reader, self._responses
        if self._state == _LINGERING:
            return self._ending_since_s + LINGER_S
        if self._state == _CLOSING:
            return self._ending_since_s + limits.write_stall_s
        if responses.drained is not None:
            return responses.since_s + limits.write_stall_s
        if responses.heartbeat is not None:
            return responses.since_s + responses.heartbeat[0]
        if self.busy and (self._state != _OPEN or reader.upload is None or self._paused_reading):
            return inf
        if reader.stage == BODY:
            return reader.since_s + limits.body_window_s
        return reader.since_s + (limits.head_timeout_s if reader.stage == HEAD else limits.keepalive_s)

    def _watch(self) -> None:
        """See to it that the timer fires no later than it is due.  It is moved only forward in time, so that the
        usual request touches it once."""
        due = self._due()
        if due == inf or self._state == _CLOSED:
            return
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        limits, reader, responses = self._limits, self._reader, self._responses
        if self._loop.time() < self._due() - TIMER_SLACK_S:
            pass
        elif self._state >= _LINGERING or responses.drained is not None:
            self._out.abort()
        elif responses.heartbeat is not None:
            responses.beat()
        elif reader.stage == BODY:
            if reader.window_bytes < limits.body_bytes_per_s * limits.body_window_s:
                self._refuse(408, f"the body arrived slower than {limits.body_bytes_per_s} bytes a second")
            else:
                reader.begin_window()
        elif reader.stage == HEAD:
            self._refuse(408, f"the headers were not complete within {limits.head_timeout_s:g} s")
        elif not self.busy:
            self._close()
            return
        self._watch()
