"""The simulated Claude API as an application for `headgate.net.server`: routes, credentials, and what every answer has.

Every answer carries `request-id`, `date` and, once the credential is known, `anthropic-organization-id`; an error
carries the same id in its body (claude-api.md §1, §6).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from urllib.parse import unquote

from msgspec.json import encode

from headgate.clock import Clock
from headgate.net.app import BodyPlan, Request, Response
from headgate.sim.account.access import Caller, Doorkeeper
from headgate.sim.account.limits import Limited
from headgate.sim.account.spend import ENFORCED
from headgate.sim.dates import http_date
from headgate.sim.edge import Edge, json_headers
from headgate.sim.endpoints.batches import Batches
from headgate.sim.endpoints.catalogue import View, list_models, one_model
from headgate.sim.endpoints.control import Control
from headgate.sim.endpoints.files import list_files, read_upload
from headgate.sim.endpoints.messages import CLIENT_LEFT, Messages
from headgate.sim.endpoints.rate_limits import RateLimitGroups
from headgate.sim.endpoints.reports import Reports
from headgate.sim.errors import ApiError, envelope_bytes, invalid
from headgate.sim.facts import FACTS
from headgate.sim.request.encoding import decoded
from headgate.sim.request.reading import asked_of
from headgate.sim.request.rules import API_VERSIONS
from headgate.sim.scenario.director import Director
from headgate.sim.scenario.plan import Scenario
from headgate.sim.settings import SimSettings
from headgate.sim.wire import put_on_wire
from headgate.sim.world import Visit, World

__all__ = ["SimulatedClaude"]

MB = 1024 * 1024
MOST_ELSEWHERE_BYTES = MB
"""Body limit of endpoints that take no body worth speaking of."""
ADMIN_PATHS = "/v1/organizations/"
"""What takes admin keys, and only those (claude-api.md §1)."""
Handler = Callable[[Visit], Awaitable[Response]]
NamedHandler = Callable[..., Awaitable[Response]]
"""An endpoint on one object, which it takes after the visit, or on a part of one."""
_READING_PROMPTS = frozenset({"/v1/messages", "/v1/messages/count_tokens"})
_BODY_LIMITS = {
    "/v1/messages": FACTS.other_limits.messages_max_body_mb * MB,
    "/v1/messages/count_tokens": FACTS.other_limits.messages_max_body_mb * MB,
    "/v1/messages/batches": FACTS.other_limits.batch_max_body_mb * MB,
    "/v1/files": FACTS.other_limits.files_max_body_mb * MB,
}


class SimulatedClaude:
    """The simulated API.  One instance is one Anthropic account with its limits, caches and books.

    Runs on whichever loop is running, with or without sockets.  All time comes from `clock`, all chance from `rng`: the
    same requests in the same order at the same times get the same bytes.
    """

    def __init__(self, settings: SimSettings, clock: Clock, rng: Random, scenario: Scenario | None = None) -> None:
        self.world = world = World(settings, clock, rng)
        self._director = None if scenario is None else Director(scenario, world.weather, clock, world.seed)
        self._doorkeeper = Doorkeeper(settings.access, world.seed, world.weather)
        self._edge = edge = Edge(world)
        self._messages = messages = Messages(world, edge)
        batches = Batches(world)
        control = Control(world, batches.settle_all)
        groups, reports = RateLimitGroups(world), Reports(world, batches.settle_all)
        self._open: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
            ("GET", "/api/hello"): self._hello,
            ("HEAD", "/api/hello"): self._hello,
            ("GET", "/sim/books"): control.books,
            ("GET", "/sim/stats"): control.stats,
            ("GET", "/sim/clock"): control.clock,
            ("POST", "/sim/clock"): control.advance,
        }
        self.settle = batches.settle_all
        """`await settle()`: process what is due of every Message Batch, so that the books are complete."""
        self._fixed: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/messages"): messages.create,
            ("POST", "/v1/messages/count_tokens"): messages.count_tokens,
            ("POST", "/v1/messages/batches"): batches.create,
            ("GET", "/v1/messages/batches"): batches.list,
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/files"): self._upload,
            ("GET", "/v1/files"): self._files,
            ("GET", f"{ADMIN_PATHS}rate_limits"): groups.of_organisation,
            ("GET", f"{ADMIN_PATHS}usage_report/messages"): reports.usage,
            ("GET", f"{ADMIN_PATHS}cost_report"): reports.costs,
        }
        self._named: tuple[tuple[str, re.Pattern[str], NamedHandler], ...] = (
            ("GET", _pattern("/v1/messages/batches/*"), batches.get),
            ("DELETE", _pattern("/v1/messages/batches/*"), batches.delete),
            ("POST", _pattern("/v1/messages/batches/*/cancel"), batches.cancel),
            ("GET", _pattern("/v1/messages/batches/*/results"), batches.results),
            ("GET", _pattern("/v1/models/*"), self._model),
            ("GET", _pattern("/v1/files/*"), self._file),
            ("DELETE", _pattern("/v1/files/*"), self._delete_file),
            ("GET", _pattern("/v1/files/*/content"), self._file_content),
            ("GET", _pattern(f"{ADMIN_PATHS}workspaces/*/rate_limits"), groups.of_workspace),
            ("POST", _pattern(f"{ADMIN_PATHS}workspaces/*/rate_limits/*"), groups.change),
        )

    # -- the protocol of net.app.App ------------------------------------------------------------------------------

    def begin(self, request: Request) -> BodyPlan:
        """Whole bodies, up to the limits of claude-api.md §1."""
        return BodyPlan(_BODY_LIMITS.get(request.path, MOST_ELSEWHERE_BYTES))

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        world = self.world
        request_id = world.ids.new("req")
        now_s = world.clock.now_s()
        world.weather.catch_up(now_s)
        if self._director is not None:
            self._director.catch_up(now_s)
        caller: Caller | None = None
        visit: Visit | None = None
        if world.events is not None:
            size = len(request.body)
            world.events.add("arrived", request_id, method=request.method, path=request.path, bytes=size)
        try:
            unguarded = self._open.get((request.method, request.path))
            if unguarded is not None:
                response = await unguarded(request)
            elif not request.path.startswith("/v1/"):
                raise ApiError(404, "Not found.")
            else:
                admin = request.path.startswith(ADMIN_PATHS)
                caller = (self._doorkeeper.admit_admin if admin else self._doorkeeper.admit)(request.by_name)
                encoding = request.by_name.get(b"content-encoding")
                if encoding is not None and request.body:
                    accepted = world.settings.validation.accepted_encodings
                    request.body = decoded(request.body, encoding, accepted, self.begin(request).max_bytes)
                visit = Visit(request, request_id, caller, now_s, world.clock.unix_ms(), self._director)
                response = await self._serve(visit)
        except ApiError as error:
            if error.status == 429:
                self._count_429(error, request_id)
            response = Response(error.status, json_headers(error.headers), envelope_bytes(error, request_id))
        except asyncio.CancelledError:
            world.stats.by_status[CLIENT_LEFT] += 1
            raise
        self._sign(response, request_id)
        if caller is not None:
            response.headers.append((b"anthropic-organization-id", caller.organisation.encode()))
            if caller.workspace:
                response.headers.append((b"anthropic-workspace-id", caller.workspace.encode("latin-1")))
        if visit is not None and visit.asked is not None and visit.asked.wire is not None:
            return put_on_wire(response, visit.asked.wire, world.clock)
        return response

    def refuse(self, status: int, problem: str, request: Request | None = None) -> Response:
        """The answer to what never became a request: the edge in front of the API speaks the same envelope (§1)."""
        request_id = self.world.ids.new("req")
        error = ApiError(status, "Request exceeds the maximum size" if status == 413 else problem)
        response = Response(status, json_headers(), envelope_bytes(error, request_id))
        self._sign(response, request_id)
        return response

    def _sign(self, response: Response, request_id: str) -> None:
        self.world.stats.by_status[response.status] += 1
        if self.world.events is not None:
            self.world.events.add("answered", request_id, status=response.status)
        response.headers.append((b"request-id", request_id.encode()))
        response.headers.append((b"date", http_date(int(self.world.unix_s()))))

    # -- routes ---------------------------------------------------------------------------------------------------

    async def _serve(self, visit: Visit) -> Response:
        """Find the endpoint and let it answer.  Endpoints that read a prompt look into it for directives themselves."""
        handler = self._handler(visit.request)
        if handler is None:
            raise ApiError(404, "Not found.")
        if visit.headers.get(b"anthropic-version", b"").decode("latin-1") not in API_VERSIONS:
            known = ", ".join(sorted(API_VERSIONS))
            raise invalid(f"anthropic-version: the header is required and must be one of {known}")
        if visit.request.path not in _READING_PROMPTS:
            response = await self._edge.meet(asked_of(visit), visit)
            if response is not None:
                return response
        return await handler(visit)

    def _handler(self, request: Request) -> Handler | None:
        handler = self._fixed.get((request.method, request.path))
        if handler is not None:
            return handler
        for method, pattern, named in self._named:
            match = pattern.fullmatch(request.path)
            if match is not None and method == request.method:
                return _on(named, [unquote(part) for part in match.groups()])
        return None

    def _count_429(self, error: ApiError, request_id: str) -> None:
        """Statistics know every 429; limit violations are only those that the caller's own traffic caused."""
        if isinstance(error, Limited):
            self.world.books.limit_violations[error.limiter] += 1
            kind = error.limiter
        else:
            code = None if error.details is None else error.details["error_code"]
            kind = code if code in ENFORCED else "asked"  # for, under any code
        self.world.stats.by_429[kind] += 1
        if self.world.events is not None:
            after_s = next((value.decode() for name, value in error.headers if name == b"retry-after"), None)
            self.world.events.add("limited", request_id, kind=kind, retry_after=after_s)

    async def _hello(self, request: Request) -> Response:
        return Response(200, json_headers(), b'{"message":"hello"}')

    async def _models(self, visit: Visit) -> Response:
        return Response(200, json_headers(), encode(list_models(visit.query, self._view(visit))))

    async def _model(self, visit: Visit, object_id: str) -> Response:
        return Response(200, json_headers(), encode(one_model(object_id, self._view(visit))))

    def _view(self, visit: Visit) -> View:
        return View(self.world.today(), visit.betas, self.world.settings.fallbacks)

    async def _upload(self, visit: Visit) -> Response:
        limits = self.world.admit_request(visit, "files")
        upload = read_upload(visit.headers.get(b"content-type", b""), visit.request.body)
        file_id = self.world.ids.new("file")
        file = self.world.files.add(file_id, visit.caller.organisation, upload, visit.began_ms)
        return Response(200, json_headers(limits), encode(file.told()))

    async def _files(self, visit: Visit) -> Response:
        limits = self.world.admit_request(visit, "files")
        body = list_files(self.world.files.of(visit.caller.organisation), visit.query)
        return Response(200, json_headers(limits), encode(body))

    async def _file(self, visit: Visit, object_id: str) -> Response:
        limits = self.world.admit_request(visit, "files")
        file = self.world.files.get(object_id, visit.caller.organisation, visit.began_ms)
        return Response(200, json_headers(limits), encode(file.told()))

    async def _delete_file(self, visit: Visit, object_id: str) -> Response:
        limits = self.world.admit_request(visit, "files")
        self.world.files.delete(object_id, visit.caller.organisation, visit.began_ms)
        return Response(200, json_headers(limits), encode({"id": object_id, "type": "file_deleted"}))

    async def _file_content(self, visit: Visit, object_id: str) -> Response:
        limits = self.world.admit_request(visit, "files")
        file = self.world.files.get(object_id, visit.caller.organisation, visit.began_ms)
        if not file.downloadable:
            raise invalid("The file is not downloadable.", code="file_not_downloadable")
        headers = [(b"content-type", file.upload.mime_type.encode("latin-1")), *limits]
        return Response(200, headers, stream=file.content(), length=len(file.upload.data))


def _on(named: NamedHandler, ids: Sequence[str]) -> Handler:
    async def handle(visit: Visit) -> Response:
        return await named(visit, *ids)

    return handle


def _pattern(path: str) -> re.Pattern[str]:
    """`*` stands for one component of the path."""
    return re.compile(path.replace("*", "([^/]+)"))
