"""A finished call as spans: one of its own, and a child for each trip to the API.

The call's is Headgate's, a server's; a trip is an inference in the sense of the GenAI conventions, and has the usage.
So tokens are told once, however many levels a trace has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from headgate.call import Attempt, Call, Kind
from headgate.core.trace_context import TraceContext
from headgate.events import Outcome
from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.otel import conventions as names
from headgate.telemetry.otel.conventions import Semconv
from headgate.telemetry.otel.protobuf import attribute, field, fixed64, low_cardinality, varint_field

__all__ = ["SpanWriter"]

SPANS = 2
"""Of a ScopeSpans: every span is written as this field of it."""
ATTRIBUTES = 9
SERVER, CLIENT = varint_field(6, 2), varint_field(6, 3)
ERROR = field(15, varint_field(3, 2))
_FLAGS = struct.Struct("<HI").pack
_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200

_FINE = frozenset((Outcome.OK, Outcome.REFUSED, Outcome.CLIENT_ERROR, Outcome.CANCELLED))
"""How calls end in which nothing went wrong on this side of the caller."""


class SpanWriter:
    """Writes OTLP.

    Args:
        asked: the model that an attempt asked.
        server: host and port of the API.
    """

    def __init__(
        self, semconv: Semconv, server: tuple[str, int], asked: Callable[[CallRecord, AttemptRecord], str]
    ) -> None:
        self._usage = names.USAGES[semconv]
        self._asked = asked
        address, port = server
        self._place = attribute(ATTRIBUTES, names.SERVER_ADDRESS, address) + attribute(
            ATTRIBUTES, names.SERVER_PORT, port
        )
        self._inference = attribute(ATTRIBUTES, names.OPERATION, names.CHAT) + b"".join(
            [attribute(ATTRIBUTES, provider, names.ANTHROPIC) for provider in names.PROVIDERS[semconv]]
        )

    def write(self, call: Call, trace: TraceContext, now_s: float) -> list[bytes]:
        """The spans of a call that is over."""
        start_ns = call.record.started_ms * 1_000_000

        def at_ns(clock_s: float) -> int:
            return start_ns + max(0, int((clock_s - call.arrived_s) * 1e9))

        spans = [self._call(call, trace, start_ns, at_ns(now_s))]
        for number, attempt in enumerate(call.attempts, 1):
            began_s = attempt.sent_s if attempt.sent_s is not None else attempt.started_s
            spans.append(self._attempt(call, attempt, trace, number, at_ns(began_s), at_ns(attempt.ended_s or now_s)))
        return spans

    def _call(self, call: Call, trace: TraceContext, start_ns: int, end_ns: int) -> bytes:
        record = call.record
        told = [
            attribute(ATTRIBUTES, "headgate.call_id", record.call_id),
            low_cardinality(ATTRIBUTES, names.WORKFLOW, record.workflow),
            low_cardinality(ATTRIBUTES, "headgate.lane", record.lane),
            low_cardinality(ATTRIBUTES, "headgate.outcome", record.outcome),
            low_cardinality(ATTRIBUTES, "headgate.attempts", record.attempts),
            attribute(ATTRIBUTES, "headgate.overhead_s", record.overhead_ms / 1000),
        ]
        if record.correlation_id != record.call_id:
            told.append(attribute(ATTRIBUTES, "headgate.correlation_id", record.correlation_id))
        if record.session is not None:
            told.append(attribute(ATTRIBUTES, names.CONVERSATION, record.session))
        if record.reason is not None:
            told.append(low_cardinality(ATTRIBUTES, "headgate.reason", record.reason))
        if record.queue_ms:
            told.append(attribute(ATTRIBUTES, "headgate.queue_s", record.queue_ms / 1000))
        if record.status is not None:
            told.append(low_cardinality(ATTRIBUTES, names.STATUS_CODE, record.status))
        if record.cost_pico:
            told.append(attribute(ATTRIBUTES, "headgate.cost_usd", record.cost_pico / 1e12))
        trouble = record.error or record.reason
        if record.outcome != Outcome.OK and trouble is not None:
            told.append(low_cardinality(ATTRIBUTES, names.ERROR_TYPE, trouble))
        head = _head(trace, trace.span_id, trace.parent_id, remote=True)
        status = b"" if record.outcome in _FINE else ERROR
        name = f"headgate {record.kind}"
        return _span(head, name, SERVER, start_ns, end_ns, told, status)

    def _attempt(
        self, call: Call, attempt: Attempt, trace: TraceContext, number: int, start_ns: int, end_ns: int
    ) -> bytes:
        record = attempt.record
        told = [self._place, low_cardinality(ATTRIBUTES, "headgate.attempt", number)]
        name = f"headgate {call.record.kind}"
        if call.kind is Kind.MESSAGES:
            asked = self._asked(call.record, record)
            name = f"{names.CHAT} {asked}"
            told += [self._inference, low_cardinality(ATTRIBUTES, names.REQUEST_MODEL, asked)]
            self._tell_answer(call, attempt, told)
        if record.pool:
            told.append(low_cardinality(ATTRIBUTES, "headgate.pool", record.pool))
        if record.status is not None:
            told.append(low_cardinality(ATTRIBUTES, names.STATUS_CODE, record.status))
        if record.upstream_request_id is not None:
            told.append(attribute(ATTRIBUTES, "headgate.upstream_request_id", record.upstream_request_id))
        if record.error is not None:
            told.append(low_cardinality(ATTRIBUTES, names.ERROR_TYPE, record.error))
            if record.decision is not None:
                told.append(low_cardinality(ATTRIBUTES, "headgate.decision", record.decision))
        head = _head(trace, trace.span_of(number), f"{trace.span_id:016x}", remote=False)
        return _span(head, name, CLIENT, start_ns, end_ns, told, b"" if record.error is None else ERROR)

    def _tell_answer(self, call: Call, attempt: Attempt, told: list[bytes]) -> None:
        record, usage = attempt.record, self._usage
        told.append(low_cardinality(ATTRIBUTES, names.STREAM, call.record.stream))
        if call.record.max_tokens is not None:
            told.append(low_cardinality(ATTRIBUTES, names.MAX_TOKENS, call.record.max_tokens))
        if record.model_answered is None:
            return
        told.append(low_cardinality(ATTRIBUTES, names.RESPONSE_MODEL, record.model_answered))
        facts = attempt.facts
        if facts is not None and facts.id is not None:
            told.append(attribute(ATTRIBUTES, names.RESPONSE_ID, facts.id))
        if record.stop_reason is not None:
            told.append(low_cardinality(ATTRIBUTES, names.FINISH_REASONS, (record.stop_reason,)))
        written = record.cache_write_5m_tokens + record.cache_write_1h_tokens
        prompt = record.input_tokens + record.cache_read_tokens + written
        told.append(attribute(ATTRIBUTES, usage.input, prompt))
        told.append(attribute(ATTRIBUTES, usage.output, record.output_tokens))
        if record.cache_read_tokens:
            told.append(attribute(ATTRIBUTES, usage.cache_read, record.cache_read_tokens))
        if written:
            told += [attribute(ATTRIBUTES, each, written) for each in usage.cache_write]
        if record.thinking_tokens:
            told.append(attribute(ATTRIBUTES, usage.reasoning, record.thinking_tokens))
        if call.record.stream and (first_chunk_s := first_chunk_of(attempt)) is not None:
            told.append(attribute(ATTRIBUTES, names.TIME_TO_FIRST_CHUNK, first_chunk_s))
        if record.cost_pico:
            told.append(attribute(ATTRIBUTES, "headgate.cost_usd", record.cost_pico / 1e12))


def first_chunk_of(attempt: Attempt) -> float | None:
    """Seconds from the request to the headers of its answer."""
    record = attempt.record
    if record.first_byte_ms is None or attempt.sent_s is None:
        return None
    return max(0.0, record.first_byte_ms / 1000 - (attempt.sent_s - attempt.started_s))


def _head(trace: TraceContext, span_id: int, parent_id: str | None, *, remote: bool) -> bytes:
    """Who it is, and whose child."""
    flags = trace.sampled | _HAS_REMOTE | (_IS_REMOTE if remote and parent_id is not None else 0)
    head = field(1, bytes.fromhex(trace.trace_id)) + field(2, span_id.to_bytes(8, "big"))
    if trace.state:
        head += field(3, trace.state.encode("ascii"))
    if parent_id is not None:
        head += field(4, bytes.fromhex(parent_id))
    return head + _FLAGS(0x0185, flags)  # the tag of field 16, and a fixed32


def _span(head: bytes, name: str, kind: bytes, start_ns: int, end_ns: int, told: list[bytes], status: bytes) -> bytes:
    times = fixed64(7, start_ns) + fixed64(8, end_ns)
    return field(SPANS, b"".join((head, _name(name), kind, times, *told, status)))


def _name(name: str) -> bytes:
    return field(5, name.encode("utf-8", "replace"))
