"""What the simulator adds to the API, under `/sim/`: its books, its statistics, and its clock.  No credential needed.

- `GET /sim/books`: what was used and billed, in sum, by model, workspace and key; the container hours of code
  execution, which are on no request's bill; and how often a limit was broken.  `?requests=1` adds every request,
  `?cache=1` what was written to the prompt cache and read from it, entry by entry.
- `GET /sim/stats`: what happened on the wire.
- `GET /sim/clock`: the simulated time.  `POST /sim/clock {"advance_s": 86400}` lets that time pass at once, for whoever
  waits for it too, so that a batch expires and a month ends in no time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from msgspec.json import encode

from headgate.net.app import Request, Response
from headgate.sim.dates import rfc3339
from headgate.sim.edge import json_headers
from headgate.sim.errors import ApiError, invalid
from headgate.sim.request.parsing import parsed
from headgate.sim.world import World

__all__ = ["BOOKS", "MOST_ADVANCE_S", "Control"]

MOST_ADVANCE_S = 10 * 366 * 86_400
"""Ten years: prices and models beyond are nobody's guess."""


BOOKS = {
    "requests": "Requests to `POST /v1/messages` and items of batches, failed ones included.",
    "tokens": "What was billed, by kind: `input`, `output`, `cache_read`, `cache_write_5m`, `cache_write_1h`.",
    "web_searches": "Searches that were billed.",
    "cost_pico": "The bill in pico-dollars (10⁻¹² USD), exact.",
    "cost_usd": "The same in dollars.",
    "cached_share": "The share of all prompt tokens that was read from the prompt cache.",
    "by_model": "The six above for each model; one that took part in a request counts it as one of its own.",
    "by_workspace": "The same for each workspace; the default one is the empty name.",
    "by_key": "The same for each key, under the id that the usage report knows it by.",
    "code_execution": "`container_hours`, and what they cost in a month, which is on no request's bill.",
    "limit_violations": "429s for a rate or ramp limit, by limiter; what `x-sim` asked for is not among them.",
    "entries[].request_id": "Of each request, with `?requests=1`: as in the header `request-id`.",
    "entries[].message_id": "The id of the answer, or null where there was none.",
    "entries[].at": "When it ended, by the simulated clock.",
    "entries[].workspace_id": "Null in the default workspace.",
    "entries[].api_key_id": "As in `by_key`.",
    "entries[].model": "The model that answered.",
    "entries[].status": "The HTTP status; 499 where the client left before it, 0 where nothing was answered.",
    "entries[].outcome": "`complete`, `refused`, `error`, `limited`, `cut`, `client_left`, `broken` by an error.",
    "entries[].streamed": "Whether it was a stream.",
    "entries[].batch": "Whether it was an item of a batch.",
    "entries[].tokens": "As above.",
    "entries[].web_searches": "As above.",
    "entries[].cost_pico": "As above.",
    "entries[].cost_usd": "As above.",
    "cache[].key": "Of each prefix that was ever cached, with `?cache=1`: its hash.",
    "cache[].model": "The model that has it.",
    "cache[].tokens": "How long it is.",
    "cache[].ttl_s": "How long it lives.",
    "cache[].writes": "How often it was written: more than once where it had expired, or was asked for side by side.",
    "cache[].reads": "For how many requests it was the furthest that could be read.",
    "cache[].tokens_read": "Tokens read of it in all.",
}
"""The fields of `GET /sim/books`."""


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
        body["code_execution"] = self._world.containers.told()
        if _asked(query, "cache"):
            body["cache"] = self._world.cache.told()
        return Response(200, json_headers(), encode(body))

    async def stats(self, request: Request) -> Response:
        return Response(200, json_headers(), encode(self._world.stats.told()))

    async def clock(self, request: Request) -> Response:
        return self._now()

    async def advance(self, request: Request) -> Response:
        """Put the clock forward, where it is one that can be."""
        body = parsed(request.body)
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
