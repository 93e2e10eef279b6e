"""What a server and the application behind it say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from headgate.net.http import ByteSource, Headers

__all__ = ["App", "BodyPlan", "Request", "Response", "Truncated"]


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
    """What a server serves."""

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
