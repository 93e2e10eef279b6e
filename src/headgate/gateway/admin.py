"""The operators' listener: what admission knows and does right now.  Apart from the gateway, on loopback by default."""

from __future__ import annotations

import hmac
from typing import Any

import msgspec

from headgate.config.schema import AdminConfig
from headgate.config.secrets import read_secret_file
from headgate.core.backend import Backend
from headgate.core.limits import UNLIMITED
from headgate.engine.admit import PoolGate
from headgate.engine.engine import Engine
from headgate.errors import Refused
from headgate.gateway.app import HostCheck
from headgate.net.server import BodyPlan, Request, Response
from headgate.secret import Secret
from headgate.telemetry.counters import CONTENT_TYPE

__all__ = ["AdminApp", "limits_of"]

_encode = msgspec.json.Encoder().encode
_JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class AdminApp:
    """Serves `/healthz`, `/metrics` and `/api/limits`."""

    def __init__(self, engine: Engine, config: AdminConfig) -> None:
        self._engine = engine
        self._hosts = HostCheck(config.host, ())
        token = config.token
        if config.token_file is not None:
            token = read_secret_file("admin.token_file", config.token_file)
        self._token: Secret | None = token

    def begin(self, request: Request) -> BodyPlan | Response:
        try:
            self._hosts.check(request.by_name.get(b"host"))
        except Refused:
            return self.refuse(400, "this name is not served here")
        if request.path == "/healthz":
            return BodyPlan(0)
        if not self._may(request):
            return Response(401, [*_JSON, (b"www-authenticate", b"Bearer")], b'{"error":"unauthorized"}')
        if request.path not in ("/api/limits", "/metrics"):
            return self.refuse(404, "not found")
        if request.method != "GET":
            return Response(405, [*_JSON, (b"allow", b"GET")], b'{"error":"use GET"}')
        return BodyPlan(0)

    async def handle(self, request: Request) -> Response:
        if request.path == "/healthz":
            return Response(200, list(_JSON), b'{"status":"ok"}')
        if request.path == "/metrics":
            return Response(200, [(b"content-type", CONTENT_TYPE)], self._engine.counters.exposition())
        now_s = self._engine.clock.now_s()
        pools = [limits_of(state, backend, now_s) for state in self._engine.gates() for backend in state.gate.backends]
        body = {
            "tier": self._engine.config.upstream.tier,
            "pools": sorted(pools, key=lambda p: (p["credential"], p["pool"])),
        }
        return Response(200, list(_JSON), _encode(body))

    def refuse(self, status: int, problem: str, request: Request | None = None) -> Response:
        return Response(status, list(_JSON), _encode({"error": problem}))

    def _may(self, request: Request) -> bool:
        if self._token is None:
            return True
        presented = request.by_name.get(b"authorization", b"")
        return hmac.compare_digest(presented, b"Bearer " + self._token.reveal().encode())


def limits_of(state: PoolGate, backend: Backend, now_s: float) -> dict[str, Any]:
    """What is known of one API key's share of a pool, each fact with its source and age."""
    queue = state.gate.queue
    limiters = {}
    for name, limit, free, held in backend.levels(now_s):
        if limit.per_minute >= UNLIMITED:
            continue
        limiters[name] = {
            "per_minute": round(limit.per_minute),
            "source": limit.source,
            "age_s": round(now_s - limit.at_s, 1),
            "free_now": round(free),
            "held": round(held),
            "remaining_upstream": None if limit.remaining is None else round(limit.remaining),
            "remaining_age_s": None if limit.remaining_at_s is None else round(now_s - limit.remaining_at_s, 1),
        }
    frozen_s = backend.frozen_until_s - now_s
    return {
        "credential": backend.name,
        "pool": state.pool,
        "limiters": limiters,
        "burst_s": round(backend.depth.proven_s, 2),
        "under_way": backend.under_way,
        "queue": {
            lane: {"waiting": queue.waiting_in(lane), "oldest_s": round(queue.oldest_wait_s(lane, now_s), 3)}
            for lane in queue.lanes
        },
        "frozen_for_s": round(frozen_s, 3) if frozen_s > 0 else 0,
        "frozen_because": backend.frozen_by if frozen_s > 0 else None,
    }
