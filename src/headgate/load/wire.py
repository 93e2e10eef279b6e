"""Sends turns to an address with the project's own HTTP client: over sockets, or over the memory of a virtual run."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec

from headgate.clock import Clock
from headgate.load.play import Answer
from headgate.load.requests import Asking
from headgate.load.turns import Turn
from headgate.net.client import Connection, Dial, WireError
from headgate.net.connection_pool import ConnectionPool
from headgate.net.http import HeaderBlock
from headgate.upstream.send import parse_base_url

__all__ = ["Wire"]

CONNECTIONS = 50_000
CONNECT_S = 30.0
SILENCE_S = 600.0
TAIL_BYTES = 4_096
"""The end of a stream, in which its last usage stands."""
_STOP = b"event: message_stop"
_DELTA = b"event: message_delta\ndata: "


class Wire:
    """`await wire(turn)`: one `POST /v1/messages`, read to its end.  Nothing is tried twice.

    Args:
        base_url: without `/v1`.
    """

    def __init__(
        self, base_url: str, dial: Dial, clock: Clock, asking: Asking, *, api_key: str, version: str = "2023-06-01"
    ) -> None:
        origin, prefix = parse_base_url(base_url)
        host = origin.authority
        self._pool = ConnectionPool(origin, dial, max_connections=CONNECTIONS, keepalive_s=15.0)
        self._clock = clock
        self._asking = asking
        self._head = (
            f"POST {prefix}/v1/messages HTTP/1.1\r\nhost: {host}\r\nx-api-key: {api_key}\r\n"
            f"anthropic-version: {version}\r\ncontent-type: application/json\r\naccept-encoding: identity\r\n"
        ).encode("latin-1")

    async def __call__(self, turn: Turn) -> Answer:
        body = self._asking.body(turn)
        lines = b"".join(b"%s: %s\r\n" % header for header in self._asking.headers(turn))
        asked_s = self._clock.now_s()
        try:
            connection = await self._pool.take(CONNECT_S, inf)
            try:
                connection.request(b"%s%scontent-length: %d\r\n\r\n" % (self._head, lines, len(body)), body)
                connection.expect_within(SILENCE_S, "first_byte_timeout")
                status, headers = await connection.head()
                answer = await self._read(connection, status, headers, asked_s)
            except BaseException:
                connection.abort()
                raise
            connection.release()
        except WireError as error:
            return Answer(0, error.kind)
        return answer

    async def _read(self, connection: Connection, status: int, headers: HeaderBlock, asked_s: float) -> Answer:
        chunks: list[bytes] = []
        first_byte_s: float | None = None
        streamed = headers.get(b"content-type") or b""
        while True:
            if not connection.complete:
                connection.expect_within(SILENCE_S, "idle_timeout")
            data = await connection.read()
            if not data:
                break
            if first_byte_s is None:
                first_byte_s = self._clock.now_s() - asked_s
            chunks.append(data)
        whole = b"".join(chunks)
        if streamed.startswith(b"text/event-stream"):
            told, problem = _stream(whole)
        else:
            told, problem = _json(whole, status)
        usage = told.get("usage") or {}
        return Answer(status, problem, first_byte_s, _prompt(usage), _count(usage, "output_tokens"))

    def close(self) -> None:
        self._pool.close()


def _json(body: bytes, status: int) -> tuple[dict[str, Any], str | None]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = None
    if not isinstance(told, dict):
        return {}, "not JSON"
    if status == 200:
        return told, None if isinstance(told.get("usage"), dict) else "no usage"
    error = told.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    return told, f"{status} {kind}" if kind else str(status)


def _stream(body: bytes) -> tuple[dict[str, Any], str | None]:
    tail = body[-TAIL_BYTES:]
    if _STOP not in tail:
        return {}, "stream without its end"
    begin = tail.rfind(_DELTA)
    if begin < 0:
        return {}, None
    begin += len(_DELTA)
    return _json(tail[begin : tail.find(b"\n", begin)], 200)


def _prompt(usage: dict[str, Any]) -> int:
    kinds = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return sum(_count(usage, kind) for kind in kinds)


def _count(usage: dict[str, Any], kind: str) -> int:
    value = usage.get(kind)
    return value if isinstance(value, int) else 0
