"""A line that goes bad: TCP between a client and anything it talks to, byte by byte, with faults that can be changed.

    line = await start_shim("http://127.0.0.1:8789", latency_s=0.2)
    ...                                        # talk to line.base_url
    line.change(cut_after=100)                 # towards the client, from the next byte on
    line.change("up", bytes_per_s=1000)        # towards the server
    await line.stop()

It knows nothing of HTTP, so it stands before a database or a webhook receiver as well.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from math import isfinite
from pathlib import Path
from random import Random
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Literal
from urllib.parse import urlsplit

from headgate.clock import Clock, SystemClock

__all__ = ["Direction", "Faults", "Shim", "start_shim"]

READ_BYTES = 64 * 1024
AHEAD = 16
"""Pieces that may be on their way, late, in one direction; more stops the sender."""
Direction = Literal["down", "up"]
_AT_ONCE = struct.pack("ii", 1, 0)
_WHOLE = frozenset({"slice_bytes", "cut_after", "reset_after"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What happens to the bytes of one direction; as built, nothing."""

    latency_s: float = 0.0
    """Every byte comes so much later."""
    jitter_s: float = 0.0
    """And up to so much more or less, by the seed; never out of order."""
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    """In pieces of 1 up to so many bytes, by the seed."""
    cut_after: int | None = None
    """After so many bytes of a connection it is closed, in good order."""
    reset_after: int | None = None
    """After so many bytes it is reset; 0 before any."""
    silent: bool = False
    """Half open: bytes vanish, and so does the news that the other end has closed."""
    slow_close_s: float = 0.0
    """The end of the connection comes so much later than its last byte."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "silent":
                if not isinstance(value, bool):
                    raise ValueError(f"silent is {value!r}, and must be true or false")
                continue
            if value is None and item.default is None:
                continue
            least = 1 if item.name in ("bytes_per_s", "slice_bytes") else 0
            kind, what = (int, "a whole number") if item.name in _WHOLE else (int | float, "a number")
            if isinstance(value, bool) or not isinstance(value, kind) or not isfinite(value) or value < least:
                raise ValueError(f"{item.name} is {value!r}, and must be {what}, {least} or more")


class Shim:
    """A listener that passes every connection on to its target."""

    def __init__(self, target: str, seed: int, clock: Clock, tls: ssl.SSLContext | None) -> None:
        self._scheme, self._host, self._port = _address(target)
        self._seed = seed
        self._clock = clock
        self._tls = tls
        self._faults: dict[str, Faults] = {"down": Faults(), "up": Faults()}
        self._listener: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self._count = 0
        self.host = ""
        self.port = 0

    @property
    def base_url(self) -> str:
        """Where clients are pointed at, instead of the target."""
        return f"{'https' if self._tls is not None else self._scheme}://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many have been accepted so far."""
        return self._count

    def faults(self, direction: Direction) -> Faults:
        return self._faults[direction]

    def change(self, direction: Direction = "down", /, **changes: Any) -> None:
        """Change the faults of a direction, for connections that are open too.

        Args:
            direction: `down` towards the client, `up` towards the target.

        Raises:
            ValueError: a value that cannot be; nothing has changed then.
            TypeError: a fault there is not.
        """
        if direction not in self._faults:
            raise ValueError(f"the direction is {direction!r}, and must be down or up")
        self._faults[direction] = replace(self._faults[direction], **changes)

    async def refuse(self, refused: bool = True) -> None:
        """Refuse new connections, or take them again; those that are open stay."""
        if refused and self._listener is not None:
            self._listener.close()
            self._listener = None
        elif not refused and self._listener is None:
            await self.listen(self.host, self.port)

    async def drop(self) -> None:
        """Reset every connection that is open."""
        for line in list(self._lines):
            line.reset()

    async def listen(self, host: str, port: int) -> None:
        self._listener = await asyncio.start_server(self._accept, host, port, ssl=self._tls)
        self.host, self.port = host, self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more and close what is open."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        lines = list(self._lines)
        for line in lines:
            line.stop()
        await asyncio.gather(*(line.ended.wait() for line in lines))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._count += 1
        line = _Line(self, self._clock, Random(f"{self._seed} {self._count}"))  # noqa: S311  # reproducible on purpose
        self._lines.add(line)
        try:
            await line.carry(reader, writer, self._host, self._port)
        finally:
            self._lines.discard(line)
            line.ended.set()


class _Line:
    """One connection of a client, and the one to the target behind it."""

    def __init__(self, shim: Shim, clock: Clock, rng: Random) -> None:
        self._shim = shim
        self._clock = clock
        self._rng = rng
        self._writers: list[asyncio.StreamWriter] = []
        self._task: asyncio.Task[Any] | None = None
        self.ended = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        """Pass bytes on, both ways, until both ends have closed or one is reset."""
        self._writers.append(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(host, port)
        except OSError:
            self.reset()
            return
        self._writers.append(far_writer)
        self._task = asyncio.ensure_future(
            _until_done(self._pump(far_reader, writer, "down"), beside=self._pump(reader, far_writer, "up"))
        )
        try:
            await self._task
        except (OSError, _Broken):
            self.reset()
        except asyncio.CancelledError:
            pass
        finally:
            for each in self._writers:
                each.close()
            for each in self._writers:
                with suppress(OSError):
                    await each.wait_closed()

    def reset(self) -> None:
        """End both connections without a good-bye."""
        for writer in self._writers:
            sock = writer.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)
            writer.transport.abort()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:
            self.reset()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """Read as bytes come, send them when they are due."""
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(AHEAD)

        async def collect() -> None:
            due_s = 0.0
            while True:
                data = await reader.read(READ_BYTES)
                faults = self._shim.faults(direction)
                late_s = faults.latency_s + faults.jitter_s * self._rng.uniform(-1, 1)
                due_s = max(due_s, self._clock.now_s() + max(0.0, late_s))
                await on_the_way.put((due_s, data))
                if not data:
                    return

        await _until_done(self._send(on_the_way, writer, direction), beside=collect())

    async def _send(
        self, on_the_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        sent = 0
        while True:
            due_s, data = await on_the_way.get()
            faults = self._shim.faults(direction)
            if faults.reset_after is not None and sent >= faults.reset_after and (data or sent):
                raise _Broken
            if (wait_s := due_s - self._clock.now_s()) > 0:
                await self._clock.sleep(wait_s)
            if not data:
                await self._end(writer, direction)
                return
            while data:
                faults = self._shim.faults(direction)
                piece, data = self._cut(data, faults, sent)
                if piece and not faults.silent:
                    if faults.bytes_per_s is not None:
                        await self._clock.sleep(len(piece) / faults.bytes_per_s)
                    writer.write(piece)
                    await writer.drain()
                    if data and faults.slice_bytes is not None:
                        await self._clock.sleep(0)
                sent += len(piece)
                if faults.reset_after is not None and sent >= faults.reset_after:
                    await self._until_sent(writer)
                    raise _Broken
                if faults.cut_after is not None and sent >= faults.cut_after:
                    self._close(writer, direction)
                    return

    def _cut(self, data: bytes, faults: Faults, sent: int) -> tuple[bytes, bytes]:
        """The next piece of `data`, and what is left of it."""
        size = len(data)
        if faults.slice_bytes is not None:
            size = self._rng.randint(1, faults.slice_bytes)
        elif faults.bytes_per_s is not None:
            size = max(1, int(faults.bytes_per_s / 20))
        for end in (faults.cut_after, faults.reset_after):
            if end is not None:
                size = min(size, max(0, end - sent))
        return data[:size], data[size:] if size else b""

    async def _until_sent(self, writer: asyncio.StreamWriter) -> None:
        """A reset throws away what the kernel has not sent yet; give it a moment."""
        await writer.drain()
        await self._clock.sleep(0.01)

    async def _end(self, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """One end has closed: tell the other."""
        faults = self._shim.faults(direction)
        if faults.slow_close_s:
            await self._clock.sleep(faults.slow_close_s)
        if self._shim.faults(direction).silent:
            await asyncio.get_running_loop().create_future()
        self._close(writer, direction)

    def _close(self, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """The end of what the client says leaves the target free to answer; the end of the answer ends it all."""
        if direction == "down":
            for each in self._writers:
                each.close()
        elif writer.can_write_eof():
            writer.write_eof()


class _Broken(Exception):
    """The connection is to be reset."""


async def _until_done(main: Coroutine[Any, Any, None], *, beside: Coroutine[Any, Any, None]) -> None:
    """Run both until `main` is done, or either fails."""
    tasks = [asyncio.ensure_future(main), asyncio.ensure_future(beside)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[1].done():
            tasks[1].result()
        await tasks[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def start_shim(
    target: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 0,
    clock: Clock | None = None,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    up: Faults | None = None,
    **down: Any,
) -> Shim:
    """Listen, and pass connections on to `target`.

    Args:
        target: `http://host:port` or `host:port`.
        port: 0 picks a free one.
        seed: decides jitter and slices.
        certificate: a PEM file, however bad: clients speak TLS to the shim.  The target is spoken to in the clear.
        key: its private key, if that is in a file of its own.
        up: faults on the way to the target.
        down: faults on the way to the client, by name, as in `Faults`.

    Raises:
        ValueError: the target, a fault, the certificate or its key cannot be.
        OSError: the port is taken.
    """
    if key is not None and certificate is None:
        raise ValueError("a key is of no use without its certificate")
    tls = None if certificate is None else _tls(certificate, key)
    shim = Shim(target, seed, clock or SystemClock(), tls)
    shim.change("down", **down)
    if up is not None:
        shim.change("up", **{item.name: getattr(up, item.name) for item in fields(up)})
    await shim.listen(host, port)
    return shim


def _tls(certificate: str | Path, key: str | Path | None) -> ssl.SSLContext:
    told = str(certificate) if key is None else f"{certificate} with the key {key}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        raise ValueError(f"{told}: not a certificate and its private key, in PEM") from None
    except OSError as problem:
        raise ValueError(f"{told}: cannot be read: {problem.strerror}") from None
    return context


def _address(target: str) -> tuple[str, str, int]:
    """Scheme, host and port of what is behind the shim."""
    parts = urlsplit(target if "://" in target else f"tcp://{target}")
    try:
        port = {"http": 80, "https": 443}.get(parts.scheme) if parts.port is None else parts.port
    except ValueError:
        port = None
    if not parts.hostname or not port:
        raise ValueError(f"{target!r} cannot be a target: write http://host:port or host:port")
    return parts.scheme, parts.hostname, port
