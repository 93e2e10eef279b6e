"""The operators' listener: the dashboard, its API, and metrics.  Apart from the gateway, on loopback by default."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import msgspec

from headgate.config.schema import AdminConfig
from headgate.config.secrets import read_secret_file
from headgate.core.audit import Act
from headgate.engine.engine import Engine
from headgate.errors import LedgerError, Refused
from headgate.gateway.api.access import LOGIN_BYTES, Access, By, TooManyTries
from headgate.gateway.api.alerts import Alerts, Watching
from headgate.gateway.api.live import Live
from headgate.gateway.api.now import Now
from headgate.gateway.api.page import NO_STORE, PUBLIC, Page
from headgate.gateway.api.panels import NoLedger, Panels
from headgate.gateway.api.query import BadQuestion
from headgate.gateway.api.reader import Reader
from headgate.gateway.api.runbooks import runbook
from headgate.gateway.api.trail import Trail
from headgate.gateway.app import HostCheck
from headgate.gateway.cache import cache_of
from headgate.gateway.limits import limits_of, waiting_call
from headgate.gateway.sources import AdminAddresses, AuthFailures
from headgate.net.app import BodyPlan, Request, Response
from headgate.stores.sqlite.telemetry import TelemetryLost
from headgate.telemetry.metrics.catalogue import AUTH_FAILURES
from headgate.telemetry.metrics.registry import CONTENT_TYPE

__all__ = ["AdminApp"]

_encode = msgspec.json.Encoder().encode
_JSON = [(b"content-type", b"application/json"), *NO_STORE, (b"x-content-type-options", b"nosniff")]
_CALL, _RUNBOOK = "/api/calls/", "/api/runbooks/"
_LOGIN, _LOGOUT, _LIVE = "/login", "/logout", "/api/live"

BODY_BYTES = 16 * 1024

Answer = Callable[[Request], Awaitable[Any]]
Action = Callable[[bytes, By], Awaitable[Any]]
"""Does what a request's body says, on behalf of somebody."""


class NotThere(Exception):
    """What was asked for by name does not exist."""


class AdminApp:
    """Whatever an operator asks is let in here, and answered by one function of its path."""

    def __init__(
        self,
        engine: Engine,
        config: AdminConfig,
        auth_failures: AuthFailures,
        addresses: AdminAddresses | None = None,
        watch: Watching | None = None,
    ) -> None:
        self._engine = engine
        self._hosts = HostCheck(config.host, ())
        token = config.token
        if config.token_file is not None:
            token = read_secret_file("admin.token_file", config.token_file)
        self._access = Access(token, engine.clock)
        self._auth_failures = auth_failures
        self._addresses = addresses
        self._page = Page()
        self._reader = Reader(engine.clock)
        panels = Panels(engine, self._reader)
        self.trail = Trail(engine.ledger, engine.clock, engine.audited)
        self._watched = alerts = Alerts(watch, engine.clock, self.trail.note)
        self._now = now = Now(engine, panels, alerts)
        self._live = Live(engine.clock, now.event)
        self._call = panels.call
        self._answers: dict[str, Answer] = {
            "/api/now": self._stands,
            "/api/limits": self._limits,
            "/api/cache": self._cache,
            "/api/lanes": lambda request: panels.lanes(request.query),
            "/api/workflows": lambda request: panels.workflows(request.query),
            "/api/spend": lambda request: panels.spend(request.query),
            "/api/outlook": lambda request: panels.outlook(request.query),
            "/api/calls": lambda request: panels.calls(request.query),
            "/api/advice": lambda request: panels.advice(request.query),
            "/api/alerts": self._alerts,
        }
        self._actions: dict[str, Action] = {
            "/api/alerts/silence": alerts.silence,
            "/api/alerts/unsilence": alerts.unsilence,
            "/api/alerts/acknowledge": alerts.acknowledge,
            "/api/alerts/test": alerts.test,
        }

    async def close(self) -> None:
        """Tell nobody anything any more."""
        await self._live.close()
        self._reader.close()
        await self.trail.close()

    # -- who, and what ------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> BodyPlan | Response:
        try:
            self._hosts.check(request.by_name.get(b"host"))
        except Refused:
            return self.refuse(400, "this name is not served here")
        path, method = request.path, request.method
        if path == "/healthz" or (path in PUBLIC and method == "GET"):
            return BodyPlan(0)
        if path == _LOGIN and method == "POST" and not self._access.open:
            return BodyPlan(LOGIN_BYTES)
        by = self._access.of(request)
        if by is None:
            return self._unauthorized(request)
        if self._addresses is not None:
            self._addresses.called(request.peer)
        if not self._is_there(path):
            return self.refuse(404, "not found")
        takes = "POST" if path == _LOGOUT or path in self._actions else "GET"
        if method != takes:
            return Response(405, [*_JSON, (b"allow", takes.encode())], _encode({"error": f"use {takes}"}))
        if method == "POST" and not self._access.may_act(request, by):
            return self.refuse(403, "only the dashboard's own page may ask for this, or a program with the token")
        request.context = by
        return BodyPlan(BODY_BYTES if method == "POST" else 0)

    def _is_there(self, path: str) -> bool:
        named = path in self._answers or path in self._actions or path.startswith((_CALL, _RUNBOOK))
        return named or self._page.has(path) or path in ("/metrics", _LIVE, _LOGIN, _LOGOUT)

    def _unauthorized(self, request: Request) -> Response:
        """Says nothing more; to a person at a browser, as the form that asks for the token."""
        if request.path in ("/", _LOGIN) and b"text/html" in request.by_name.get(b"accept", b""):
            return self._page.login(401)
        self._count_failure(request)
        return Response(401, [*_JSON, (b"www-authenticate", b"Bearer")], b'{"error":"unauthorized"}')

    def _count_failure(self, request: Request) -> None:
        self._auth_failures.count(request.peer)
        self.trail.failed_login()
        self._engine.metrics.counter(AUTH_FAILURES, "admin_token").value += 1

    def refuse(self, status: int, problem: str, request: Request | None = None) -> Response:
        return Response(status, list(_JSON), _encode({"error": problem}))

    # -- answers ------------------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        path = request.path
        if path == "/healthz":
            return Response(200, list(_JSON), b'{"status":"ok"}')
        if path == "/metrics":
            return Response(200, [(b"content-type", CONTENT_TYPE)], self._engine.metrics.exposition())
        if self._page.has(path):
            return self._page.answer(request)
        if path == _LIVE:
            return self._listen(request)
        if path == _LOGIN:
            return await self._log_in(request)
        if path == _LOGOUT:
            return await self._log_out(request)
        try:
            told = await self._told(request)
        except BadQuestion as problem:
            return self.refuse(400, str(problem))
        except NotThere as problem:
            return self.refuse(404, str(problem))
        except NoLedger:
            return self.refuse(404, "this process keeps no ledger that can be read")
        except (LedgerError, Refused, TelemetryLost) as problem:
            return self.refuse(503, str(problem))
        return Response(200, list(_JSON), _encode(told))

    def _told(self, request: Request) -> Awaitable[Any]:
        path = request.path
        if path in self._actions:
            assert isinstance(request.context, By)
            return self._actions[path](request.body, request.context)
        if path.startswith(_RUNBOOK):
            return self._runbook(path.removeprefix(_RUNBOOK))
        return (self._answers.get(path) or self._one_call)(request)

    async def _runbook(self, name: str) -> Any:
        told = runbook(name)
        if told is None:
            raise NotThere("there is no such runbook")
        return told

    async def _stands(self, request: Request) -> Any:
        return {**await self._now.told(), "session": request.context is By.SESSION}

    async def _limits(self, request: Request) -> Any:
        call_id = parse_qs(request.query).get("call")
        if call_id is None:
            return limits_of(self._engine)
        told = waiting_call(self._engine, call_id[-1])
        if told is None:
            raise NotThere("no such call waits")
        return told

    async def _cache(self, _: Request) -> Any:
        return cache_of(self._engine)

    async def _alerts(self, _: Request) -> Any:
        return self._watched.told()

    async def _one_call(self, request: Request) -> Any:
        call_id = request.path.removeprefix(_CALL)
        waiting = waiting_call(self._engine, call_id)
        if waiting is not None:
            return {"waiting": waiting}
        told = await self._call(call_id)
        if told is None:
            raise NotThere("there is no such call; one that is under way is written down when it is over")
        return told

    # -- news and sessions --------------------------------------------------------------------------------------

    def _listen(self, request: Request) -> Response:
        session = self._access.session_of(request)
        stream = self._live.listen(lambda: session is None or self._access.lasts(session))
        return stream or self.refuse(503, "too many pages listen already; close some")

    async def _log_in(self, request: Request) -> Response:
        if request.method == "GET":  # with a session, or where none is needed
            return Response(303, [(b"location", b"/"), *NO_STORE])
        try:
            may = self._access.may_log_in(request)
        except TooManyTries:
            return self.refuse(429, "too many wrong tokens; try again in a minute")
        if not may:
            self._count_failure(request)
            return self._page.login(401, wrong=True)
        try:
            await self.trail.note(Act.LOGIN, By.SESSION.value)
        except LedgerError as problem:
            return self.refuse(503, str(problem))
        return Response(303, [(b"location", b"/"), (b"set-cookie", self._access.log_in(request)), *NO_STORE])

    async def _log_out(self, request: Request) -> Response:
        """Also where it cannot be written down: nothing is kept open for that."""
        cookie = self._access.log_out(request)
        with suppress(LedgerError):
            await self.trail.note(Act.LOGOUT, request.context.value if isinstance(request.context, By) else "")
        return Response(204, [(b"set-cookie", cookie), *NO_STORE])
