"""Posts OTLP to a collector, a batch at a time.

A collector that is slow or dead costs a call nothing: what waits is bounded, the oldest goes first, and what is lost is
counted.  Only what the collector may take later is sent again (specification/protocol/otlp.md, "Failures").
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from random import Random

from headgate._version import __version__
from headgate.clock import Clock
from headgate.net.client import Dial, WireError
from headgate.net.post import Poster
from headgate.telemetry.otel.settings import Target

__all__ = ["Sender"]

log = logging.getLogger("headgate.otel")

KEEPALIVE_S = 90.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
LATER = frozenset((429, 502, 503, 504))


class Sender:
    """One signal's way to the collector."""

    def __init__(self, what: str, target: Target, dial: Dial, clock: Clock, rng: Random) -> None:
        """`what`: for the log."""
        self._what = what
        self._target = target
        self._clock = clock
        self._rng = rng
        self._poster = Poster(target.url, dial, keepalive_s=KEEPALIVE_S)
        self._headers = (
            ("content-type", "application/x-protobuf"),
            ("user-agent", f"OTel-OTLP-Exporter-Headgate/{__version__}"),
            *((("content-encoding", "gzip"),) if target.gzip else ()),
            *target.headers,
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
            answer = await self._poster.post(self._headers, body, within_s=self._target.timeout_s)
        except WireError as problem:
            return 0, str(problem)
        return answer.status, f"status {answer.status}"

    def close(self) -> None:
        self._poster.close()
