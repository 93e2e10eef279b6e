"""The operators' listener: what admission knows and does right now.  Apart from the gateway, on loopback by default."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qs

import msgspec

from headgate.config.schema import AdminConfig
from headgate.config.secrets import read_secret_file
from headgate.engine.engine import Engine
from headgate.errors import Refused
from headgate.gateway.app import HostCheck
from headgate.gateway.cache import cache_of
from headgate.gateway.limits import limits_of, waiting_call
from headgate.net.server import BodyPlan, Request, Response
from headgate.secret import Secret
from headgate.telemetry.budget_gauges import budget_gauges
from headgate.telemetry.counters import CONTENT_TYPE

__all__ = ["AdminApp"]

_encode = msgspec.json.Encoder().encode
_JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class AdminApp:
    """Serves `/healthz`, `/metrics`, `/api/cache`, and `/api/limits`, also for one call that waits: `?call=ID`."""

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
        if request.path not in ("/api/cache", "/api/limits", "/metrics"):
            return self.refuse(404, "not found")
        if request.method != "GET":
            return Response(405, [*_JSON, (b"allow", b"GET")], b'{"error":"use GET"}')
        return BodyPlan(0)

    async def handle(self, request: Request) -> Response:
        if request.path == "/healthz":
            return Response(200, list(_JSON), b'{"status":"ok"}')
        if request.path == "/metrics":
            return Response(200, [(b"content-type", CONTENT_TYPE)], self._metrics())
        if request.path == "/api/cache":
            return Response(200, list(_JSON), _encode(cache_of(self._engine)))
        call_id = parse_qs(request.query).get("call")
        if call_id is None:
            return Response(200, list(_JSON), _encode(limits_of(self._engine)))
        told = waiting_call(self._engine, call_id[-1])
        if told is None:
            return self.refuse(404, "no such call waits")
        return Response(200, list(_JSON), _encode(told))

    def _metrics(self) -> bytes:
        counted, budgets = self._engine.counters.exposition(), self._engine.budgets
        if budgets is None:
            return counted
        now_ms = self._engine.clock.unix_ms()
        return counted + budget_gauges(budgets.budgets, budgets.desk.accounts(), now_ms)

    def refuse(self, status: int, problem: str, request: Request | None = None) -> Response:
        return Response(status, list(_JSON), _encode({"error": problem}))

    def _may(self, request: Request) -> bool:
        if self._token is None:
            return True
        presented = request.by_name.get(b"authorization", b"")
        return hmac.compare_digest(presented, b"Bearer " + self._token.reveal().encode())
