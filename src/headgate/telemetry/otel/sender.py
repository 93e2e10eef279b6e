"""Posts OTLP to a collector, a batch at a time.

A collector that is slow or dead costs a call nothing: what waits is bounded, the oldest goes first, and what is lost is
counted.  Only what the collector may take later is sent again (specification/protocol/otlp.md, "Failures").
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from contextlib import suppress
from random import Random
from urllib.parse import urlsplit

from headgate._version import __version__
from headgate.clock import Clock
from headgate.net.client import Connection, Dial, Pool, WireError
from headgate.net.http import Origin
from headgate.telemetry.otel.settings import Target

__all__ = ["Sender"]

log = logging.getLogger("headgate.otel")

KEEPALIVE_S = 90.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
LATER = frozenset((429, 502, 503, 504))
MOST_ANSWER_BYTES = 64 * 1024


class Sender:
    """One signal's way to the collector."""

    def __init__(self, what: str, target: Target, dial: Dial, clock: Clock, rng: Random) -> None:
        """`what`: for the log."""
        url = urlsplit(target.url)
        assert url.hostname is not None
        origin = Origin(url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80))
        self._what = what
        self._target = target
        self._clock = clock
        self._rng = rng
        self._pool = Pool(origin, dial, max_connections=1, keepalive_s=KEEPALIVE_S)
        told = [
            ("host", str(origin).partition("://")[2]),
            ("content-type", "application/x-protobuf"),
            ("user-agent", f"OTel-OTLP-Exporter-Headgate/{__version__}"),
            ("accept-encoding", "identity"),
            *([("content-encoding", "gzip")] if target.gzip else []),
            *target.headers,
        ]
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._head = f"POST {path} HTTP/1.1\r\n" + "".join(
            [f"{name}: {value}\r\n" for name, value in told if _is_safe(name, value)]
        )
        self._failing = False
        self._wait_s = FIRST_WAIT_S

    async def send(self, body: bytes) -> bool:
        """Have the collector take `body`; whether it has.  Tries again for as long as it asks for that, waiting longer
        each time, until it is cancelled."""
        if self._target.gzip:
            body = await asyncio.get_running_loop().run_in_executor(None, gzip.compress, body, 1)
        while True:
            status, why = await self._post(body)
            if 200 <= status < 300:
                if self._failing:
                    log.warning("the collector takes %s again", self._what)
                self._failing, self._wait_s = False, FIRST_WAIT_S
                return True
            if not self._failing:
                self._failing = True
                log.warning("the collector at %s does not take %s: %s", self._target.url, self._what, why)
            if status and status not in LATER:
                return False
            await self._clock.sleep(self._wait_s * self._rng.uniform(0.5, 1.0))
            self._wait_s = min(LONGEST_WAIT_S, 2 * self._wait_s)

    async def _post(self, body: bytes) -> tuple[int, str]:
        """The status, 0 if nobody answers; and what that means."""
        try:
            async with asyncio.timeout(self._target.timeout_s):
                connection = await self._pool.take(self._target.timeout_s, self._target.timeout_s)
                try:
                    head = f"{self._head}content-length: {len(body)}\r\n\r\n".encode("latin-1", "replace")
                    connection.request(head, b"")
                    await connection.send(body)
                    connection.expect_within(self._target.timeout_s, "first_byte_timeout")
                    status, _ = await connection.head()
                    await _read(connection)
                except BaseException:
                    connection.abort()
                    raise
                connection.release()
                return status, f"status {status}"
        except WireError as problem:
            return 0, str(problem)
        except TimeoutError:
            return 0, "it does not answer in time"

    def close(self) -> None:
        self._pool.close()


async def _read(connection: Connection) -> None:
    """To the end, or as far as anybody might want to."""
    size = 0
    while size < MOST_ANSWER_BYTES:
        data = await connection.read()
        if not data:
            return
        size += len(data)
    with suppress(WireError):
        connection.spoil()


def _is_safe(name: str, value: str) -> bool:
    """Whether a header ends where it should."""
    return name.isascii() and value.isascii() and (name + value).isprintable() and ":" not in name
