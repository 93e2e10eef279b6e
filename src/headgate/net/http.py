"""What a request and a response are made of, for the server and the client alike."""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult

__all__ = [
    "HOP_BY_HOP",
    "ByteSource",
    "HeaderBlock",
    "Headers",
    "Origin",
    "first",
    "header_lines",
    "nominated",
    "reason_phrase",
]

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, in the order they came; a name can stand more than once."""

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
     b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings")
)  # fmt: skip
"""Headers that belong to one connection and are never passed on (RFC 9110, 7.6.1)."""


_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where connections go: `scheme` is http or https."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: SplitResult) -> Origin:
        """Of a URL that was checked."""
        assert url.hostname is not None
        return cls(url.scheme, url.hostname, url.port or _PORTS[url.scheme])

    @property
    def authority(self) -> str:
        """As it stands in the Host header."""
        host = self.host if self.host.isascii() else self.host.encode("idna").decode("ascii")
        if ":" in host:
            host = f"[{host}]"
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


class ByteSource(Protocol):
    """A body that arrives piece by piece, with back-pressure: nothing is read ahead of a bounded buffer."""

    async def read(self) -> bytes:
        """The next bytes, never empty, or `b""` at the end."""
        ...

    def close(self) -> None:
        """Stop; what was not read is dropped.  May be called at any time and more than once."""
        ...


def first(headers: Headers, name: bytes) -> bytes | None:
    """The first value of `name` (lower case), or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


def nominated(headers: Headers) -> frozenset[bytes]:
    """The header names that `Connection:` declares to be hop-by-hop."""
    values = [value for key, value in headers if key.lower() == b"connection"]
    names = [token.strip().lower() for value in values for token in value.split(b",")]
    return frozenset(names) - _OF_THE_CONNECTION if names else _NONE


_OF_THE_CONNECTION = frozenset((b"keep-alive", b"close"))
"""What `Connection:` mostly says; it names no header."""
_NONE: frozenset[bytes] = frozenset()


_WATCHED = frozenset(
    (*HOP_BY_HOP, b"content-length", b"content-type", b"content-encoding", b"set-cookie", b"request-id", b"retry-after",
     b"retry-after-ms", b"x-should-retry", b"x-correlation-id")
)  # fmt: skip
_OURS = b"x-headgate-"


def _in_any_case(name: bytes) -> bytes:
    """A pattern.  Not the flag IGNORECASE: with it, alternatives are tried one by one; without, they are told apart by
    their first letter."""
    letters = (f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c) for c in name.decode("ascii"))
    return "".join(letters).encode("ascii")


_WATCHED_LINE = re.compile(
    rb"(\r\n(?=[%s])(" % b"".join(sorted({_in_any_case(name[:1])[1:-1] for name in _WATCHED}))
    + b"|".join((*map(_in_any_case, sorted(_WATCHED)), _in_any_case(_OURS) + rb"[^:\r]*"))
    + rb"):[ \t]*([^\r]*))"
)
"""Its groups are the line, the name and the value."""


class HeaderBlock:
    """The headers of a response as they came: one block of lines, each ending in CRLF.

    A proxy passes nearly all of them on and looks at few, so they are neither taken apart nor put together again: one
    pass finds those that proxies care about, and others are looked for when they are asked for.
    """

    __slots__ = ("_found", "_lines", "watched")

    def __init__(self, lines: bytes = b"") -> None:
        self._lines = b"\r\n" + lines
        self.watched: dict[bytes, bytes] = {}
        """Those that proxies care about, by lower-case name, for a look without a search."""
        self._found: list[tuple[bytes, bytes, bytes]] = []
        """All of these, also of a name that stands more than once: line, name and value."""
        for line, any_case, value in _WATCHED_LINE.findall(self._lines):
            name = any_case.lower()
            self.watched[name] = value
            self._found.append((line, name, value))

    def get(self, name: bytes) -> bytes | None:
        """A value of `name` (lower case), or None; of a name that stands more than once any one."""
        value = self.watched.get(name)
        if value is None and name not in _WATCHED:
            at = self._lines.lower().find(b"\r\n%s:" % name)
            if at >= 0:
                start = at + len(name) + 3
                value = self._lines[start : self._lines.find(b"\r\n", start)]
        return value.strip() if value is not None else None

    def in_lower_case(self) -> bytes:
        """All lines, each between line breaks, for one search after many."""
        return self._lines.lower()

    def items(self) -> Headers:
        """All of them, names in lower case."""
        pairs = (line.partition(b":") for line in self._lines.split(b"\r\n") if line)
        return [(name.lower(), value.strip()) for name, _, value in pairs]

    def nominated(self) -> frozenset[bytes]:
        """The header names that `Connection:` declares to be hop-by-hop."""
        watched = self.watched
        if watched.get(b"connection", b"close") in _OF_THE_CONNECTION and len(watched) == len(self._found):
            return _NONE  # it says so once
        return nominated([(name, value) for _, name, value in self._found])

    def without(self, names: Collection[bytes]) -> bytes:
        """The lines of all but `names`, which are among those that proxies care about, and what is for Headgate to
        say."""
        lines = self._lines
        for line, name, _ in self._found:
            if name in names or name.startswith(_OURS):
                lines = lines.replace(line + b"\r\n", b"\r\n", 1)
        return lines[2:]


def header_lines(headers: Headers) -> bytes:
    """`headers` as they stand on the wire."""
    return b"\r\n".join((*map(b": ".join, headers), b""))


def reason_phrase(status: int) -> str:
    """The words after the status code; 529 is Anthropic's own."""
    if status == 529:
        return "Overloaded"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
