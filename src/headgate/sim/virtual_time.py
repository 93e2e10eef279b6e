"""An event loop whose clock jumps to the next timer, with a network that is only memory.

The production engine, the gateway and the simulated Claude run on it unchanged: a minute of timeouts passes in
milliseconds, nothing waits for the machine, and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from heapq import heapify, heappop
from typing import Any, TypeVar

from headgate.net.client import Connection, WireError
from headgate.net.http import Origin

__all__ = ["EPOCH", "Deadlock", "VirtualLoop", "memory_dial", "run"]

T = TypeVar("T")

EPOCH = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
"""The wall-clock instant at which a run begins unless it says otherwise: a Saturday morning, after the last price
change that the book knows."""

HIGH_WATER_BYTES = 64 * 1024
MANY_TIMERS = 100


class Deadlock(Exception):
    """Everybody waits and no timer is set: in real life this run would hang for ever."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, in virtual time that begins at 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Never waits: when nothing is ready it is the time of the next timer."""

    _ready: deque[Any]
    _scheduled: list[Any]
    _stopping: bool
    _timer_cancelled_count: int

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_NoSelector())
        # Timers this close are due.  Finer, and after half a year a float cannot hold the last step to a timer.
        self._clock_resolution = 1e-6
        self._listening: dict[int, Callable[[], asyncio.Protocol]] = {}
        self._next_port = 1

    def time(self) -> float:
        return self._now_s

    def _run_once(self) -> None:
        """One turn, as asyncio's own, but that nothing outside is looked at and time is what the next timer says."""
        if len(self._scheduled) > MANY_TIMERS and self._timer_cancelled_count * 2 > len(self._scheduled):
            self._forget_cancelled_timers()
        ready, scheduled = self._ready, self._scheduled
        if not ready and not self._stopping:
            while scheduled and scheduled[0]._cancelled:
                heappop(scheduled)._scheduled = False
                self._timer_cancelled_count -= 1
            if not scheduled:
                raise Deadlock("every task waits and no timer is set")
            self._now_s = max(self._now_s, scheduled[0]._when)
        due_s = self._now_s + self._clock_resolution
        while scheduled and scheduled[0]._when < due_s:
            timer = heappop(scheduled)
            timer._scheduled = False
            if timer._cancelled:
                self._timer_cancelled_count -= 1
            else:
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _forget_cancelled_timers(self) -> None:
        """Every call sets timers that it cancels when all goes well; they would be kept for minutes of virtual time."""
        for timer in self._scheduled:
            timer._scheduled = not timer._cancelled
        self._scheduled = [timer for timer in self._scheduled if timer._scheduled]
        heapify(self._scheduled)
        self._timer_cancelled_count = 0

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """What is meant for a thread runs here and now: a thread would bring the machine's own pace into the run."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as problem:
            done.set_exception(problem)
        return done

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Every name is this machine; nobody else is asked."""
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", int(port or 0)))]

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        port = port or self._take_port()
        if port in self._listening:
            raise OSError(98, "address in use")
        self._listening[port] = protocol_factory
        return _Listener(self, port)

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        accept = self._listening.get(port)
        await asyncio.sleep(0)
        if accept is None:
            raise ConnectionRefusedError(111, "connection refused")
        ours, theirs = protocol_factory(), accept()
        near, far = _Pipe(self, ours, ("127.0.0.1", self._take_port())), _Pipe(self, theirs, ("127.0.0.1", port))
        near.peer, far.peer = far, near
        theirs.connection_made(far)
        ours.connection_made(near)
        return near, ours

    def stop_listening(self, port: int) -> None:
        self._listening.pop(port, None)

    def _take_port(self) -> int:
        self._next_port += 1
        return 40_000 + self._next_port


async def memory_dial(origin: Origin, factory: Callable[[], Connection], within_s: float) -> Connection:
    """`Dial` over the memory network."""
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(factory, origin.host, origin.port)
    except OSError:
        raise WireError("connect", "connection refused", sent=False) from None
    return connection


class _NoSelector(selectors.BaseSelector):
    """Nothing outside can become ready."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, -1, 0, None)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class _Listener:
    """What `create_server` returns."""

    def __init__(self, loop: VirtualLoop, port: int) -> None:
        self._loop = loop
        self._port = port
        self.sockets = (self,)

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    def close(self) -> None:
        self._loop.stop_listening(self._port)

    async def wait_closed(self) -> None:
        return


class _Pipe(asyncio.Transport):
    """One end of a connection.  What is written arrives at the other end in the next turn of the loop; a reader that
    pauses makes the writer pause."""

    peer: _Pipe

    def __init__(self, loop: VirtualLoop, protocol: asyncio.Protocol, address: tuple[str, int]) -> None:
        super().__init__({"peername": address})
        self._loop = loop
        self._protocol = protocol
        self._arrived: list[bytes] = []
        self._size = 0
        self._reading = True
        self._scheduled = False
        self._eof = False
        self._closing = False
        self._lost = False
        self._writer_paused = False

    def write(self, data: Any) -> None:
        if self._closing or self.peer._lost or not data:
            return
        peer = self.peer
        peer._arrived.append(bytes(data))
        peer._size += len(data)
        if peer._size > HIGH_WATER_BYTES and not self._writer_paused:
            self._writer_paused = True
            self._protocol.pause_writing()
        peer._schedule()

    def write_eof(self) -> None:
        self.peer._eof = True
        self.peer._schedule()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.write_eof()
            if not self.peer._size:  # else once the other side has taken what is left
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        if not self._lost:
            self._closing = True
            peer = self.peer
            peer._arrived.clear()
            self._loop.call_soon(peer._lose, ConnectionResetError(104, "connection reset by peer"))
            self._loop.call_soon(self._lose, None)

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._schedule()

    def is_reading(self) -> bool:
        return self._reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return self.peer._size

    def _schedule(self) -> None:
        if not self._scheduled and not self._lost:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        if self._lost or not self._reading or self._closing:
            return
        if self._arrived:
            data = b"".join(self._arrived)
            self._arrived.clear()
            self._size = 0
            if self.peer._writer_paused:
                self.peer._writer_paused = False
                self._loop.call_soon(self.peer._protocol.resume_writing)
            if self.peer._closing:
                self._loop.call_soon(self.peer._lose, None)
            self._protocol.data_received(data)
            if self._eof:
                self._schedule()
        elif self._eof and not self._protocol.eof_received():
            self.close()

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = self._closing = True
            if self.peer._closing:
                self._loop.call_soon(self.peer._lose, None)
            self._protocol.connection_lost(error)
