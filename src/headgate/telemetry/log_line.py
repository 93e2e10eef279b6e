"""What stands in the log: a JSON object a line, of a call, an attempt, or what else happened.

Keys are fixed, values typed; the names are the ledger's columns.  Nothing that others wrote is ever a key, no control
character of theirs stays one, and no line is longer than `LONGEST_LINE`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import msgspec

from headgate._version import __version__
from headgate.call import Attempt
from headgate.clock import utc
from headgate.core.price import usd_text
from headgate.core.printable import printable_json
from headgate.core.rate_headers import told_remaining
from headgate.events import Outcome
from headgate.records import CallRecord

__all__ = [
    "LONGEST_LINE", "OF_THE_CALL", "CallFacts", "LogEntry", "LogEvent", "LogSink", "Process", "attempt_line",
    "call_line", "event_line", "lines_of", "this_process",
]  # fmt: skip

SCHEMA = 1
"""Goes up when a key changes its meaning or goes away."""
LONGEST_LINE = 8 * 1024
CUT_TO = (256, 64, 16)
"""Characters of each text in a line that would be longer: the first of these with which it is not."""

_encode = msgspec.json.Encoder().encode


class LogEvent(StrEnum):
    """What a line tells of."""

    CALL = "call"
    """A call is over."""
    ATTEMPT = "attempt"
    """One trip to the API, as it stood when its call was over; right before the line of the call.  With `log.attempts`
    unset only of calls of which that line does not say it all."""
    BUDGET = "budget"
    """A budget has passed one of its thresholds."""
    ALERT = "alert"
    """Somebody is told of an alert, or would be if anybody were configured."""
    CONFIG = "config"
    """A gateway begins with these settings."""
    AUDIT = "audit"
    """An operator did something: a row of the audit trail."""


_WORDS = {
    LogEvent.CALL: "a call is over",
    LogEvent.ATTEMPT: "an attempt is over",
    LogEvent.BUDGET: "a budget has passed a threshold",
    LogEvent.ALERT: "an alert changed its state",
    LogEvent.CONFIG: "a gateway begins",
    LogEvent.AUDIT: "an operator did something",
}
_BAD = frozenset(
    (Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.TRUNCATED, Outcome.INTERNAL, Outcome.CRASHED,
     Outcome.INVALID_OUTPUT)
)  # fmt: skip


class Process(NamedTuple):
    """Who writes."""

    version: str = __version__
    instance: str = ""
    """This machine's name and the number of the process."""
    config_version: str = ""
    """A digest of the settings: the same for the same."""


class CallFacts(msgspec.Struct, kw_only=True, gc=False):
    """What the log says of a call beyond its record."""

    span_id: str | None = None
    """The call's span, with OpenTelemetry."""
    parent_id: str | None = None
    """The caller's span, out of its `traceparent`."""
    deadline_ms: float | None = None
    """Milliseconds that the call was given."""
    prefix_hash: str | None = None
    """Of the longest beginning that Headgate marked for the prompt cache: equal ones have equal digests, in one
    process."""
    cache_breakpoints: int = 0
    """Cache markers in the request as it was sent, its caller's and Headgate's."""
    reserved_pico: int | None = None
    """What one attempt was expected to cost, or under a strict budget can cost at most, in pico-dollars; null where no
    budget covers it."""
    budget_scope: str | None = None
    """Of the budgets that cover it the one of which the most is used."""
    budget_remaining_pico: int | None = None
    """What was left of that budget, as this process knew."""


class _OfTheCall(msgspec.Struct, gc=False):
    """What the line of an attempt says of its call.  The columns of attempts have none of these names."""

    correlation_id: str
    trace_id: str | None
    workflow: str
    lane: str
    team: str | None
    caller_key: str | None
    model: str | None
    outcome: str


OF_THE_CALL = _OfTheCall.__struct_fields__
_of_the_call = attrgetter(*OF_THE_CALL)


class LogEntry(msgspec.Struct, kw_only=True):
    """All that the log is told of a call that is over."""

    record: CallRecord
    attempts: Sequence[Attempt] = ()
    facts: CallFacts | None = None
    content: dict[str, str] | None = None
    """Digests of its text."""
    pii_types: dict[str, int] | None = None
    """What kinds of personal data were found in its text, and how many of each; None: nobody looked."""


class LogSink(Protocol):
    """Takes what the log is told."""

    def write(self, entry: LogEntry) -> None: ...


_NO_FACTS = CallFacts()


def lines_of(entry: LogEntry, process: Process, *, every_attempt: bool) -> list[bytes]:
    """Of attempts, in their order, and of the call.

    Args:
        every_attempt: also the line of an only attempt that went well, which says what the call's does.
    """
    tries = entry.attempts
    if not every_attempt and len(tries) == 1 and tries[0].record.error is None and not tries[0].probe:
        return [call_line(entry, process)]
    return [*[attempt_line(entry.record, each, process) for each in tries], call_line(entry, process)]


def call_line(entry: LogEntry, process: Process) -> bytes:
    """The line of a call: what all lines have, what the record does not, and the record's own fields."""
    record = entry.record
    level = b"info" if record.outcome == Outcome.OK else b"error" if record.outcome in _BAD else b"warn"
    head = _head(LogEvent.CALL, record.started_ms, level, process)
    head += b'"cost_usd":%s,"cached_share":%s,"client_disconnected":%s,' % (
        _usd(record.cost_pico), _cached_share(record), _TRUTH[record.outcome == Outcome.CANCELLED],
    )  # fmt: skip
    facts = entry.facts or _NO_FACTS
    if entry.pii_types is not None:
        head += b'"pii_types":' + _encode(entry.pii_types) + b","
    if entry.content is not None:
        head += b'"content":' + _encode(entry.content) + b","
    return _line(head + _encode(facts)[1:-1] + b"," + _encode(record)[1:])


def attempt_line(call: CallRecord, attempt: Attempt, process: Process) -> bytes:
    """The line of one of a call's attempts."""
    record, headers = attempt.record, attempt.headers
    head = _head(LogEvent.ATTEMPT, record.started_ms, b"info" if record.error is None else b"warn", process)
    left = told_remaining(headers.in_lower_case()) if headers is not None else None
    head += b'"rl_remaining":%s,"breaker":%s,' % (
        _encode(left) if left else b"null", b'"half_open"' if attempt.probe else b'"closed"'
    )  # fmt: skip
    of_call = _OfTheCall(*_of_the_call(call))
    return _line(head + _encode(of_call)[1:-1] + b"," + _encode(record)[1:])


def event_line(event: LogEvent, at_ms: int, facts: Mapping[str, Any], level: str, process: Process) -> bytes:
    """The line of something that is no call.

    Args:
        facts: by keys of ours.
    """
    head = _head(event, at_ms, level.encode(), process)
    return _line(head + _encode(facts)[1:] if facts else head[:-1] + b"}")


def this_process(config_version: str = "") -> Process:
    """Who writes, if we do."""
    return Process(__version__, f"{socket.gethostname()}:{os.getpid()}", config_version)


_TRUTH = (b"false", b"true")


def _head(event: LogEvent, at_ms: int, level: bytes, process: Process) -> bytes:
    seconds, milliseconds = divmod(at_ms, 1000)
    return b'{"ts":"%s.%03dZ","level":"%s",%s' % (_second(seconds), milliseconds, level, _constant(event, process))


@lru_cache(maxsize=64)
def _second(unix_s: int) -> bytes:
    return utc(unix_s * 1000).strftime("%Y-%m-%dT%H:%M:%S").encode()


@lru_cache(maxsize=64)
def _constant(event: LogEvent, process: Process) -> bytes:
    same = {"event": event, "schema": SCHEMA, "service": "headgate", **process._asdict(), "msg": _WORDS[event]}
    return _encode(same)[1:-1] + b","


def _usd(pico: int | None) -> bytes:
    return b"null" if pico is None else b'"%s"' % usd_text(pico).encode()


def _cached_share(record: CallRecord) -> bytes:
    read = record.cache_read_tokens
    whole = record.input_tokens + read + record.cache_write_5m_tokens + record.cache_write_1h_tokens
    return b"%.4f" % (read / whole) if whole else b"null"


def _line(document: bytes) -> bytes:
    line = printable_json(document)
    for most in CUT_TO:
        if len(line) < LONGEST_LINE:
            break
        line = printable_json(_encode(_cut(msgspec.json.decode(document), most)))
    return line + b"\n"


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, str):
        return value[:most]
    return {name: _cut(each, most) for name, each in value.items()} if isinstance(value, dict) else value
