"""What a caller's headers say of a call, and which of them go on to the API."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from headgate.call import Kind
from headgate.config.schema import Config
from headgate.core.trace_context import TraceContext, read_traceparent
from headgate.engine.engine import Engine
from headgate.errors import BadRequest
from headgate.events import Reason
from headgate.net.http import HOP_BY_HOP, Headers, nominated
from headgate.records import CallRecord

__all__ = [
    "Lanes",
    "begin_record",
    "credential_of",
    "deadline_of",
    "label",
    "note",
    "passed_on",
    "personal",
    "sends_bearer",
    "tags_of",
    "trace_of",
]

Told = Mapping[bytes, bytes]
"""A request's headers by lower-case name."""

LABEL_CHARS = 64
NAMES_KEPT = 1_024
MOST_TAGS = 16
"""Of one call; more are left out."""

_NOT_A_LABEL = re.compile(r"[^A-Za-z0-9._:/@+=-]")
_CORRELATION = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_SECONDS = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,6})?")

DROPPED = HOP_BY_HOP | frozenset(
    (b"host", b"content-length", b"expect", b"accept-encoding", b"x-api-key", b"authorization", b"cookie", b"origin",
     b"referer", b"forwarded", b"via", b"x-real-ip", b"x-http-method-override", b"x-method-override", b"x-http-method",
     b"x-correlation-id", b"traceparent", b"tracestate", b"baggage")
)  # fmt: skip
DROPPED_PREFIXES = (b"x-headgate-", b"x-forwarded-", b"anthropic-ratelimit-", b"x-declined-", b"sec-", b"cf-")
"""Everything else passes: unknown `anthropic-*`, `x-stainless-*` and `x-claude-code-*` headers are the API's to
judge."""


class Lanes:
    """Which lane a call runs in."""

    def __init__(self, config: Config) -> None:
        self._names = frozenset(config.lanes)
        self._by_workflow = {name: policy.lane for name, policy in config.workflows.items() if policy.lane is not None}
        self._default = config.default_lane

    def of(self, asked: str | None, workflow: str) -> str:
        """The lane that was asked for, or the workflow's, or the default.

        Raises:
            BadRequest: there is no such lane.
        """
        if not asked:
            return self._by_workflow.get(workflow, self._default)
        if asked not in self._names:
            raise BadRequest(
                f"x-headgate-lane: there is no such lane; lanes are {', '.join(sorted(self._names))}",
                reason=Reason.BAD_REQUEST,
            )
        return asked


def begin_record(engine: Engine, kind: Kind) -> CallRecord:
    """The record of a call that begins now; nothing is known of it yet, so that its own id stands for the caller's."""
    now_ms = engine.clock.unix_ms()
    call_id = engine.new_call_id(now_ms)
    return CallRecord(
        call_id=call_id,
        correlation_id=call_id,
        started_ms=now_ms,
        kind=kind,
        workflow="unset",
        lane="",
    )


def note(record: CallRecord, told: Told) -> None:
    """Write down on whose behalf a call is made, as far as its headers say."""
    get = told.get
    retried = get(b"x-stainless-retry-count", b"0")
    if retried != b"0" and retried.isdigit() and len(retried) < 4:
        record.caller_attempts = int(retried)
    if _NOTED.isdisjoint(told):
        return
    session = get(b"x-headgate-session")
    workflow = get(b"x-headgate-workflow")
    if (of_claude_code := get(b"x-claude-code-session-id")) is not None:
        session = session or of_claude_code
        workflow = workflow or b"claude-code"
    if workflow:
        record.workflow = label(workflow)
    if session:
        record.session = label(session)
    if user := get(b"x-headgate-user"):
        record.user = personal(user)
    if team := get(b"x-headgate-team"):
        record.team = label(team)
    if tags := get(b"x-headgate-tags"):
        record.tags = tags_of(tags.decode("latin-1").split(","), record.tags)
    if (correlation := get(b"x-correlation-id")) is not None and _CORRELATION.fullmatch(correlation):
        record.correlation_id = correlation.decode("ascii")


_NOTED = frozenset(
    (b"x-headgate-session", b"x-headgate-workflow", b"x-headgate-user", b"x-headgate-team", b"x-headgate-tags",
     b"x-claude-code-session-id", b"x-correlation-id", b"traceparent")
)  # fmt: skip


def trace_of(record: CallRecord, told: Told) -> TraceContext | None:
    """The caller's trace, which is written down, or None."""
    parent = told.get(b"traceparent")
    if parent is None:
        return None
    trace = read_traceparent(parent, told.get(b"tracestate"))
    if trace is not None:
        record.trace_id = trace.trace_id
    return trace


def passed_on(headers: Headers, told: Told) -> Headers:
    """The headers that go on to the API."""
    kept = [header for header in headers if _goes_on[header[0]]]
    if b"connection" in told:
        named = nominated(headers)
        kept = [header for header in kept if header[0] not in named]
    return kept


class _GoesOn(dict[bytes, bool]):
    """Whether a header is passed on, by its name.  Callers choose the names, so only so many are kept."""

    def __missing__(self, name: bytes) -> bool:
        goes_on = name not in DROPPED and not name.startswith(DROPPED_PREFIXES)
        if len(self) < NAMES_KEPT:
            self[name] = goes_on
        return goes_on


_goes_on = _GoesOn()


def deadline_of(told: Told) -> float | None:
    """Seconds the caller gives this call, or None.

    Raises:
        BadRequest: it is no number above 0.
    """
    text = told.get(b"x-headgate-deadline-s")
    if text is None:
        return None
    if not _SECONDS.fullmatch(text) or float(text) <= 0:
        raise BadRequest("x-headgate-deadline-s: must be seconds above 0, such as 30 or 2.5", reason=Reason.BAD_REQUEST)
    return float(text)


def credential_of(told: Told) -> bytes | None:
    """The credential a caller presents: `x-api-key`, or a bearer token."""
    key = told.get(b"x-api-key")
    if key is not None and (key := key.strip()):
        return key
    bearer = told.get(b"authorization", b"")
    if bearer[:7].lower() == b"bearer " and (token := bearer[7:].strip()):
        return token
    return None


def sends_bearer(told: Told) -> bool:
    """Whether the caller's credential came as a bearer token only."""
    return b"x-api-key" not in told


def label(text: bytes | str) -> str:
    """A name that can stand in logs and tables: 64 plain characters at most."""
    name = text.decode("latin-1") if isinstance(text, bytes) else text
    return _NOT_A_LABEL.sub("_", name[:LABEL_CHARS])


def tags_of(tags: Iterable[str], also: str | None = None) -> str | None:
    """Tags as the record has them: labels, each once, in alphabetical order, with commas between; none is None.

    Args:
        tags: which go before those that it has `also`, if they are too many.
    """
    found = {label(tag.strip()): None for tag in tags if tag.strip()}
    if also is not None:
        found.update(dict.fromkeys(also.split(",")))
    return ",".join(sorted(list(found)[:MOST_TAGS])) or None


def personal(text: bytes | str) -> str:
    """A user's name as a label; a mail address is kept as a digest only."""
    content = text.encode() if isinstance(text, str) else text
    if b"@" in content:
        return f"user-{hashlib.blake2b(content, digest_size=6).hexdigest()}"
    return label(text)
