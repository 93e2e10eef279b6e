"""What happens to a finished answer on its way: its headers, its framing, its pace, and where it breaks off.

The model has answered and the books have been written by then.  What HTTP does not allow is put on the wire by hand.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Literal

from headgate.clock import Clock
from headgate.net.app import Response, Truncated
from headgate.net.http import ByteSource, Headers, header_lines, reason_phrase
from headgate.sim.dates import http_date, rfc3339_bytes

__all__ = ["CLOSED", "BadLines", "CutBody", "Wire", "bomb", "only_bytes", "put_on_wire"]

CLOSED = 0
"""Stands for a status where the connection is closed before any byte."""
PIECES_A_SECOND = 10
"""How often a throttled body sends something, if it may send that many bytes."""
BOMB_STEP_BYTES = 1024 * 1024
BadLines = Literal["duplicate", "missing", "unknown", "bad"]
_HEAD_BREAK = b"\r\n"
_INTERIM = (b"HTTP/1.1 103 Early Hints\r\nlink: </>; rel=preload\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n")
_BAD_CHUNK = b"zz\r\nno chunk begins like this\r\n"


@dataclass(slots=True)
class Wire:
    """As built, nothing happens."""

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Names and values; an empty value leaves the header out."""
    header_bytes: int = 0
    skew_s: int = 0
    close: bool = False
    lost: bool = False
    lines: BadLines | None = None
    bytes_per_s: int | None = None
    slice_bytes: int | None = None
    cut_bytes: int | None = None
    length_off: int | None = None
    informational: int = 0
    stall: bool = False
    linger_s: float | None = None
    bad_chunks: bool = False
    trailer_bytes: int = 0

    @property
    def by_hand(self) -> bool:
        """Whether the server must not write the head and the framing itself."""
        return bool(
            self.informational or self.stall or self.linger_s is not None or self.bad_chunks or self.trailer_bytes
        )

    @property
    def in_pieces(self) -> bool:
        return any(bound is not None for bound in (self.bytes_per_s, self.slice_bytes, self.cut_bytes))


def put_on_wire(response: Response, wire: Wire, clock: Clock) -> Response:
    """`response` with everything that `wire` asks for; bytes that are a whole answer are only paced and cut."""
    if wire.lost or response.status == CLOSED:
        if response.stream is not None:
            response.stream.close()
        return Response(CLOSED, [], stream=CutBody(b"", 0))
    headers = _headers(response.headers, wire)
    status = wire.status or response.status
    source: ByteSource = response.stream or _Pieces(_whole(response.body))
    length = response.length if response.stream is not None else len(response.body)
    if wire.lines is not None:
        source, length = _Pieces(_spoiled_lines(source, wire.lines), source.close), None
    if wire.in_pieces:
        source = _Pieces(_paced(source, wire, clock), source.close)
    if response.bare:
        return Response(response.status, stream=source, bare=True, close=True)
    if wire.by_hand or (wire.length_off is not None and length is None):
        return Response(status, stream=_Pieces(_written(status, headers, source, length, wire, clock), source.close),
                        bare=True, close=True)  # fmt: skip
    if wire.length_off is not None and length is not None:
        length = max(0, length + wire.length_off)
    return Response(status, headers, stream=source, length=length, close=wire.close)


def only_bytes(data: bytes) -> Response:
    """An answer that is these bytes, its head included."""
    return Response(200, stream=_Pieces(_whole(data)), bare=True, close=True)


def bomb(size: int) -> Response:
    """A compressed body of `size` bytes: one JSON object, nearly all of it blanks."""
    headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
    return Response(200, headers, _packed(size))


@lru_cache(maxsize=4)
def _packed(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(b'{"type":"message"')]
    for left in range(size, 0, -BOMB_STEP_BYTES):
        parts.append(packer.compress(b" " * min(left, BOMB_STEP_BYTES)))
    parts += [packer.compress(b"}"), packer.flush()]
    return b"".join(parts)


class CutBody:
    """The first `count` bytes of a body, then the end of the connection."""

    def __init__(self, body: bytes, count: int) -> None:
        self._part = body[:count]

    async def read(self) -> bytes:
        """The part, once.

        Raises:
            Truncated: afterwards, or at once if there is no part.
        """
        part, self._part = self._part, b""
        if not part:
            raise Truncated("cut as asked")
        return part

    def close(self) -> None:
        self._part = b""


def _headers(headers: Headers, wire: Wire) -> Headers:
    changed = dict(wire.headers)
    told = [(name, _shifted(name, value, wire.skew_s)) for name, value in headers if name not in changed]
    told += [(name, value) for name, value in wire.headers if value]
    if wire.header_bytes:
        told.append((b"x-padding", b"x" * wire.header_bytes))
    return told


def _shifted(name: bytes, value: bytes, skew_s: int) -> bytes:
    if not skew_s or not (name == b"date" or name.endswith(b"-reset")):
        return value
    try:
        if name == b"date":
            return http_date(int(parsedate_to_datetime(value.decode()).timestamp()) + skew_s)
        return rfc3339_bytes(datetime.fromisoformat(value.decode()).timestamp() + skew_s)
    except (ValueError, OverflowError):  # it is spoilt already, or would leave the calendar
        return value


class _Pieces:
    """Pieces that a coroutine makes, as a `ByteSource`.  None of them may be empty."""

    def __init__(self, pieces: AsyncIterator[bytes], close: Callable[[], None] = lambda: None) -> None:
        self._pieces = pieces
        self._close = close

    async def read(self) -> bytes:
        return await anext(self._pieces, b"")

    def close(self) -> None:
        self._close()


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


async def _read(source: ByteSource) -> AsyncIterator[bytes]:
    while chunk := await source.read():
        yield chunk


async def _paced(source: ByteSource, wire: Wire, clock: Clock) -> AsyncIterator[bytes]:
    """The body in pieces of a size, at a pace, and no further than asked."""
    per_s, left = wire.bytes_per_s, wire.cut_bytes
    size = wire.slice_bytes or (max(1, per_s // PIECES_A_SECOND) if per_s is not None else 64 * 1024)
    if left == 0:
        raise Truncated("cut as asked")
    async for chunk in _read(source):
        for begin in range(0, len(chunk), size):
            piece = chunk[begin : begin + size][:left]
            await clock.sleep(len(piece) / per_s if per_s is not None else 0)
            yield piece
            if left is not None:
                left -= len(piece)
                if not left:
                    raise Truncated("cut as asked")


async def _written(
    status: int, headers: Headers, source: ByteSource, length: int | None, wire: Wire, clock: Clock
) -> AsyncIterator[bytes]:
    """The whole answer as it stands on the connection."""
    if wire.length_off is not None and length is None:
        body = b"".join([chunk async for chunk in _read(source)])
        source, length = _Pieces(_whole(body)), max(0, len(body) + wire.length_off)
    head = [_INTERIM[number % len(_INTERIM)] for number in range(wire.informational)]
    head += [b"HTTP/1.1 %d %s\r\n" % (status, reason_phrase(status).encode()), header_lines(headers)]
    chunked = length is None or wire.bad_chunks or bool(wire.trailer_bytes)
    head.append(b"transfer-encoding: chunked\r\n" if chunked else b"content-length: %d\r\n" % (length or 0))
    if wire.linger_s is None:
        head.append(b"connection: close\r\n")
    yield b"".join((*head, _HEAD_BREAK))
    if wire.stall:
        await asyncio.get_running_loop().create_future()
    async for chunk in _read(source):
        yield b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk
        if wire.bad_chunks:
            yield _BAD_CHUNK
            return
    if chunked:
        yield b"0\r\n" + (b"x-trailer: %s\r\n" % (b"x" * wire.trailer_bytes) if wire.trailer_bytes else b"") + b"\r\n"
    if wire.linger_s is not None:
        await clock.sleep(wire.linger_s)


async def _spoiled_lines(source: ByteSource, how: BadLines) -> AsyncIterator[bytes]:
    """Results, one JSON object a line, with one that is not as it should be."""
    lines = b"".join([chunk async for chunk in _read(source)]).splitlines(keepends=True)
    first = lines[0] if lines else b""
    match how:
        case "duplicate":
            lines.append(first)
        case "missing":
            lines = lines[1:]
        case "unknown":
            lines.append(_UNKNOWN_LINE)
        case "bad":
            lines.insert(len(lines) // 2, first[: len(first) // 2] + b"\n")
    for line in lines:
        if line:
            yield line


_UNKNOWN_LINE = b'{"custom_id":"nobody-asked","result":{"type":"canceled"}}\n'
