"""The SDK's requests become calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from headgate.call import Call, Kind
from headgate.client.context import current
from headgate.config import Loaded
from headgate.edge.intake import (
    Lanes,
    begin_record,
    credential_of,
    deadline_of,
    label,
    note,
    passed_on,
    personal,
    sends_bearer,
    tags_of,
    trace_of,
)
from headgate.edge.routes import Match, Router
from headgate.engine.engine import Engine
from headgate.errors import NotAllowed, Refused
from headgate.events import Reason
from headgate.records import CallRecord

if TYPE_CHECKING:
    import httpx2

__all__ = ["Intake"]

_KEYS = frozenset(("upstream.api_key", "upstream.api_key_file", "upstream.api_key_command"))


class Intake:
    """For one engine; holds what is the same for all its calls.

    Args:
        loaded: the engine's settings: an address or a key that somebody set goes before what the SDK was told.
        post: runs something on the engine's loop; default is at once, for an engine on the caller's own.
    """

    def __init__(
        self,
        engine: Engine,
        loaded: Loaded | None = None,
        post: Callable[[Callable[[], object]], object] = lambda what: what(),
    ) -> None:
        self.engine = engine
        self._post = post
        self._lanes = Lanes(engine.config)
        chosen = loaded.chosen() if loaded is not None else frozenset()
        self._has_address = "upstream.base_url" in chosen
        has_more_keys = loaded is not None and bool(loaded.config.upstream.credentials)
        self._has_key = has_more_keys or not chosen.isdisjoint(_KEYS)

    def begin(self, request: httpx2.Request) -> CallRecord:
        """The record of a call that begins now."""
        record = begin_record(self.engine, Kind.UNMETERED)
        record.bytes_in = len(request.content)
        return record

    def call_of(self, request: httpx2.Request, record: CallRecord, timeout_s: float | None) -> Call:
        """The call that a request asks for.

        Args:
            timeout_s: how long the SDK waits for a byte.

        Raises:
            Refused: it cannot be made; that stands in the log.
        """
        try:
            return self._call_of(request, record, timeout_s)
        except Refused as refusal:
            status, reason = refusal.status, refusal.reason
            self._post(lambda: self.engine.record_refusal(record, status, reason))
            raise

    def _call_of(self, request: httpx2.Request, record: CallRecord, timeout_s: float | None) -> Call:
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        told = dict(headers)
        labels = current()
        if labels.workflow is not None:
            record.workflow = label(labels.workflow)
        if labels.user is not None:
            record.user = personal(labels.user)
        if labels.session is not None:
            record.session = label(labels.session)
        if labels.team is not None:
            record.team = label(labels.team)
        if labels.tags:
            record.tags = tags_of(labels.tags)
        note(record, told)
        raw_path, _, query = request.url.raw_path.decode("ascii").partition("?")
        base, path, match = _placed(request.method, raw_path)
        _refuse_other_clouds(path, told)
        # Code in this process may call what it likes.
        kind, resource_id = (match.route.kind, match.resource_id) if match is not None else (Kind.UNMETERED, None)
        record.kind = kind
        asked = told.get(b"x-headgate-lane", b"").decode("latin-1") or labels.lane
        record.lane = self._lanes.of(asked, record.workflow)
        call = Call(
            record=record,
            kind=kind,
            method=request.method,
            target=f"{path}?{query}" if query else path,
            headers=passed_on(headers, told),
            body=request.content,
            arrived_s=self.engine.clock.now_s(),
            bearer=sends_bearer(told),
            requested_deadline_s=deadline_of(told),
            resource_id=resource_id,
            patience_s=timeout_s,
            trace=trace_of(record, told),
            replayable=kind in (Kind.MESSAGES, Kind.COUNT_TOKENS) or request.method == "GET",
        )
        # The SDK's own helper puts the events of one stream together, and would put those of the next behind them.
        if told.get(b"x-stainless-helper-method") != b"stream":
            call.on_restart = labels.on_stream_restart
        if not self._has_address:
            port = f":{request.url.port}" if request.url.port else ""
            host = f"[{request.url.host}]" if ":" in request.url.host else request.url.host
            call.base_url = f"{request.url.scheme}://{host}{port}{base}"
        if not self._has_key:
            key = credential_of(told)
            call.own_key = key.decode("latin-1") if key is not None else None
        if record.caller_attempts:
            # Every answer of ours tells the SDK not to retry, so this follows an exception: a call whose tries are
            # spent.
            call.attempts_before = self.engine.config.retry.max_attempts - 1
        return call


def _placed(method: str, raw_path: str) -> tuple[str, str, Match | None]:
    """The base URL's part of a path, the API's part, and its route if it is a known one.

    A base URL may hold a `/v1/` of its own (AI gateways have such), and so may an id: the API's part begins at the last
    `/v1/` that makes a known path.
    """
    last = at = raw_path.rfind("/v1/")
    while at >= 0:
        try:
            return raw_path[:at], raw_path[at:], _router().match(method, raw_path[at:])
        except NotAllowed:
            at = raw_path.rfind("/v1/", 0, at + 3)
    last = max(last, 0)
    return raw_path[:last], raw_path[last:], None


def _refuse_other_clouds(path: str, told: Mapping[bytes, bytes]) -> None:
    """Bedrock and Vertex have other paths, bills and limits, and a request signed for AWS cannot be signed anew here.

    Raises:
        NotAllowed: sending it would give the Claude API's key to another host, or leave its cost out of the ledger.
    """
    signed = told.get(b"authorization", b"").startswith(b"AWS4-")
    if signed or not path.startswith("/v1/") or path.endswith((":rawPredict", ":streamRawPredict")):
        raise NotAllowed(
            "Headgate speaks the Claude API only: this client is made for another cloud (Bedrock, Vertex). Take "
            "Headgate's transport out of its http_client, or use anthropic.Anthropic.",
            reason=Reason.NO_SUCH_PATH,
            status=404,
        )


@lru_cache(maxsize=1)
def _router() -> Router:
    return Router(())
