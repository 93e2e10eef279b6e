"""What the simulator adds to the API, under `/sim/`: its books, its statistics, and its clock.  No credential needed.

- `GET /sim/books`: what was used and billed, in sum, by model, workspace and key, and how often a limit was broken;
  `?requests=1` adds every request, `?cache=1` what was written to the prompt cache and read from it, entry by entry.
- `GET /sim/stats`: what happened on the wire.
- `GET /sim/clock`: the simulated time.  `POST /sim/clock {"advance_s": 86400}` lets that time pass at once, for whoever
  waits for it too, so that a batch expires and a month ends in no time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from msgspec import DecodeError
from msgspec.json import decode, encode

from headgate.net.server import Request, Response
from headgate.sim.dates import rfc3339
from headgate.sim.edge import json_headers
from headgate.sim.errors import ApiError, invalid
from headgate.sim.world import World

__all__ = ["Control"]

MOST_ADVANCE_S = 10 * 366 * 86_400
"""Ten years: prices and models beyond are nobody's guess."""


class Control:
    """The endpoints, over one world."""

    def __init__(self, world: World, settle: Callable[[], Awaitable[None]]) -> None:
        """`settle` brings the books up to date before they are read."""
        self._world = world
        self._settle = settle

    async def books(self, request: Request) -> Response:
        """What was used and billed, after whatever batches have ended meanwhile."""
        await self._settle()
        query = parse_qs(request.query)
        body = self._world.books.told(with_requests=_asked(query, "requests"))
        return Response(200, json_headers(), encode(body))

    async def stats(self, request: Request) -> Response:
        return Response(200, json_headers(), encode(self._world.stats.told()))

    async def clock(self, request: Request) -> Response:
        return self._now()

    async def advance(self, request: Request) -> Response:
        """Put the clock forward, where it is one that can be."""
        try:
            body = decode(request.body)
        except (DecodeError, UnicodeDecodeError, RecursionError):
            raise invalid("The request body is not valid JSON.") from None
        seconds = body.get("advance_s") if isinstance(body, dict) else None
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MOST_ADVANCE_S:
            raise invalid(f"advance_s: seconds to let pass, from 0 to {MOST_ADVANCE_S}")
        advance: Callable[[float], None] | None = getattr(self._world.clock, "advance", None)
        if advance is None:
            raise ApiError(409, "The clock of this simulator cannot be put forward: its time is somebody else's.")
        advance(float(seconds))
        self._world.weather.catch_up(self._world.clock.now_s())
        return self._now()

    def _now(self) -> Response:
        clock = self._world.clock
        return Response(200, json_headers(), encode({"now": rfc3339(clock.unix_ms()), "now_s": clock.now_s()}))


def _asked(query: dict[str, list[Any]], name: str) -> bool:
    return query.get(name, ["0"])[-1] not in ("", "0")
