"""Misbehaviour that never reaches the model: errors on demand, late, lost and foreign answers.

Works on every endpoint, by the header `x-sim`; on messages also by the text of the prompt.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from hashlib import blake2b

from headgate.net.app import Response
from headgate.net.http import Headers
from headgate.sim.account.spend import ENFORCED, self_set_limit
from headgate.sim.errors import ApiError, envelope_bytes
from headgate.sim.misbehave import Failure, Misbehaviour
from headgate.sim.wire import CLOSED, CutBody, bomb, only_bytes
from headgate.sim.world import Visit, World

__all__ = ["Edge", "asked_error", "json_headers", "spoil"]

MOST_FLAKY = 10_000
"""Bodies that failures are counted for; beyond it the oldest starts over."""
_JSON = (b"content-type", b"application/json")
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
_ELSEWHERE = (b"location", b"https://elsewhere.example/v1/messages")
_TEXTS = {
    401: "invalid x-api-key",
    402: "There is a problem with the payment for this organization.",
    403: "The credential may not do this.",
    404: "Not found.",
    408: "The request took too long to arrive.",
    413: "Request exceeds the maximum size",
    500: "Internal server error",
    503: "Service unavailable",
    504: "The request timed out; use streaming for long work.",
    529: "Overloaded",
}
_CODE_TEXTS = {
    "ramp_limit_exceeded": "Usage is growing too fast; slow down and retry after the time given.",
    **ENFORCED,
}


class Edge:
    """What stands in front of the API, with the count of requests that are to fail for a while."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._failed: OrderedDict[bytes, int] = OrderedDict()

    async def meet(self, asked: Misbehaviour, visit: Visit) -> Response | None:
        """Do to a request what it asked for, or None to let it through.

        Raises:
            ApiError: the error that was asked for.
        """
        if asked.slow_s:
            await self._world.clock.sleep(asked.slow_s)
        if asked.reset:
            return Response(CLOSED, [], stream=CutBody(b"", 0))
        if asked.hang:
            await asyncio.get_running_loop().create_future()
        if asked.html:
            return Response(502, [(b"content-type", b"text/html")], _PAGE)
        if asked.raw is not None:
            return only_bytes(asked.raw)
        if asked.bomb_bytes:
            return bomb(asked.bomb_bytes)
        if asked.redirect:
            return Response(307, [_ELSEWHERE])
        if asked.error_200:
            return Response(200, [_JSON], envelope_bytes(self._error(Failure(529), asked, visit), visit.request_id))
        if asked.error is not None:
            raise self._error(asked.error, asked, visit)
        if asked.flaky is not None:
            times, failure = asked.flaky
            if self._still_fails(visit, times):
                raise self._error(failure, asked, visit)
        return None

    def _still_fails(self, visit: Visit, times: int) -> bool:
        key = blake2b(visit.request.path.encode() + b"\0" + visit.request.body, digest_size=16).digest()
        failed = self._failed.pop(key, 0)
        if failed >= times:
            return False
        self._failed[key] = failed + 1
        if len(self._failed) > MOST_FLAKY:
            self._failed.popitem(last=False)
        return True

    def _error(self, failure: Failure, asked: Misbehaviour, visit: Visit) -> ApiError:
        return asked_error(failure, asked, visit.caller.organisation, visit.began_ms)


def asked_error(failure: Failure, asked: Misbehaviour, organisation: str, now_ms: int) -> ApiError:
    """The error that a directive describes (claude-api.md §6).  An ordinary 429 and the ramp limit carry
    `retry-after: 1` where nothing else is asked for; spend limits never do unasked."""
    status, code = failure.status, failure.code
    if status == 400 and code in ("spend", "spend-workspace"):
        error = self_set_limit(now_ms, workspace=code == "spend-workspace")
    elif status == 401 and code == "cors":
        error = ApiError(401, "CORS requests are not allowed for this organization.")
    elif status == 429 and code is None:
        text = "This request would exceed your organization's rate limit of requests per minute"
        error = ApiError(429, f"{text} (org: {organisation}). Asked for by x-sim.")
    else:
        text = _CODE_TEXTS.get(code or "") or _TEXTS.get(status, "The simulator was asked for this error.")
        error = ApiError(status, text, code=code)
    if asked.message is not None:
        error.message = asked.message
    retry_after = asked.retry_after
    if retry_after is None and status == 429 and code not in ENFORCED:
        retry_after = "1"
    if retry_after is not None:
        error.headers.append((b"retry-after", retry_after.encode()))
    if asked.should_retry is not None:
        error.headers.append((b"x-should-retry", asked.should_retry.encode()))
    return error


def spoil(headers: Headers, asked: Misbehaviour) -> Headers:
    """The rate-limit headers as a request asked for them: true, too good, left out, or nonsense."""
    match asked.headers:
        case "missing":
            return []
        case "garbled":
            return [(name, b"many" if number % 2 else b"-1e9") for number, (name, _) in enumerate(headers)]
        case "lie":
            limits = {name[: -len(b"limit")]: value for name, value in headers if name.endswith(b"-limit")}
            return [(name, limits[name[: -len(b"remaining")]] if name.endswith(b"-remaining") else value)
                    for name, value in headers]  # fmt: skip
    return headers


def json_headers(*more: Headers) -> Headers:
    headers: Headers = [_JSON]
    for part in more:
        headers += part
    return headers
