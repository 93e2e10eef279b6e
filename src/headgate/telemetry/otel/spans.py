"""A finished call as spans: one of its own, and a child for each trip to the API.

The call's is Headgate's, a server's; a trip is an inference in the sense of the GenAI conventions, and has the usage.
So tokens are told once, however many levels a trace has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from headgate.call import Attempt, Kind
from headgate.core.trace_context import TraceContext
from headgate.events import Outcome
from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.otel import conventions as names
from headgate.telemetry.otel.conventions import Semconv
from headgate.telemetry.otel.protobuf import Key, Value, attribute, attributes, field, varint_field

__all__ = ["Finished", "SpanWriter", "first_chunk_of"]

SPANS = 2
"""Of a ScopeSpans: every span is written as this field of it."""
ATTRIBUTES = 9
SERVER, CLIENT = varint_field(6, 2), varint_field(6, 3)
ERROR = field(15, varint_field(3, 2))
_FLAGS, FLAGS_TAG = struct.Struct("<HI").pack, 0x0185
"""Field 16, a fixed32."""
_TIMES, START_TAG, END_TAG = struct.Struct("<BQBQ").pack, 0x39, 0x41
"""Fields 7 and 8, each a fixed64."""
_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200

MOST_KEPT = 4096

_CALL_ID = Key(ATTRIBUTES, "headgate.call_id")
_CORRELATION_ID = Key(ATTRIBUTES, "headgate.correlation_id")
_UPSTREAM_ID = Key(ATTRIBUTES, "headgate.upstream_request_id")
_OVERHEAD = Key(ATTRIBUTES, "headgate.overhead_s")
_QUEUE = Key(ATTRIBUTES, "headgate.queue_s")
_COST = Key(ATTRIBUTES, "headgate.cost_usd")
_CONVERSATION = Key(ATTRIBUTES, names.CONVERSATION)
_RESPONSE_ID = Key(ATTRIBUTES, names.RESPONSE_ID)
_FIRST_CHUNK = Key(ATTRIBUTES, names.TIME_TO_FIRST_CHUNK)

_FINE = frozenset((Outcome.OK, Outcome.REFUSED, Outcome.CLIENT_ERROR, Outcome.CANCELLED))
"""How calls end in which nothing went wrong on this side of the caller."""


class Finished(NamedTuple):
    """A call that is over, without its text."""

    record: CallRecord
    attempts: Sequence[Attempt]
    trace: TraceContext
    arrived_s: float
    ended_s: float


class SpanWriter:
    """Writes OTLP.

    Args:
        asked: the model that an attempt asked.
        server: host and port of the API.
    """

    def __init__(
        self, semconv: Semconv, server: tuple[str, int], asked: Callable[[CallRecord, AttemptRecord], str]
    ) -> None:
        self._usage = usage = names.USAGES[semconv]
        self._input, self._output = Key(ATTRIBUTES, usage.input), Key(ATTRIBUTES, usage.output)
        self._asked = asked
        self._place = attributes(ATTRIBUTES, dict(zip((names.SERVER_ADDRESS, names.SERVER_PORT), server, strict=True)))
        providers = dict.fromkeys(names.PROVIDERS[semconv], names.ANTHROPIC)
        self._inference = attributes(ATTRIBUTES, {names.OPERATION: names.CHAT, **providers})
        self._alike: dict[tuple[object, ...], bytes] = {}
        """What calls and attempts say that are alike: most of it."""

    def write(self, call: Finished) -> bytes:
        """Its spans."""
        record, attempts, trace, arrived_s, ended_s = call
        start_ns = record.started_ms * 1_000_000
        trace_id, own_id = bytes.fromhex(trace.trace_id), trace.span_id.to_bytes(8, "big")
        spans = self._call(record, trace, trace_id, own_id, _times(start_ns, 0.0, ended_s - arrived_s))
        for number, attempt in enumerate(attempts, 1):
            began_s = attempt.sent_s if attempt.sent_s is not None else attempt.started_s
            times = _times(start_ns, began_s - arrived_s, (attempt.ended_s or ended_s) - arrived_s)
            spans += self._attempt(record, attempt, trace, trace_id, own_id, number, times)
        return spans

    def _call(self, record: CallRecord, trace: TraceContext, trace_id: bytes, own_id: bytes, times: bytes) -> bytes:
        key = (record.kind, record.workflow, record.lane, record.outcome, record.attempts, record.status, record.reason,
               record.error, record.own)  # fmt: skip
        parent_id = bytes.fromhex(trace.parent_id) if trace.parent_id is not None else b""
        told = [
            _head(trace, trace_id, own_id, parent_id, _IS_REMOTE if parent_id else 0),
            times,
            self._alike.get(key) or self._keep(key, self._alike_of_call(record)),
            _CALL_ID.text(record.call_id),
            _OVERHEAD.double(record.overhead_ms / 1000),
        ]
        if record.correlation_id != record.call_id:
            told.append(_CORRELATION_ID.text(record.correlation_id))
        if record.session is not None:
            told.append(_CONVERSATION.text(record.session))
        if record.queue_ms:
            told.append(_QUEUE.double(record.queue_ms / 1000))
        if record.cost_pico:
            told.append(_COST.double(record.cost_pico / 1e12))
        return field(SPANS, b"".join(told))

    def _alike_of_call(self, record: CallRecord) -> bytes:
        told: dict[str, Value] = {
            names.WORKFLOW: record.workflow,
            "headgate.lane": record.lane,
            "headgate.outcome": record.outcome,
            "headgate.attempts": record.attempts,
        }
        trouble = record.error or record.reason
        if record.reason is not None:
            told["headgate.reason"] = record.reason
        if record.own is not None:
            told["headgate.own"] = record.own
        if record.status is not None:
            told[names.STATUS_CODE] = record.status
        if record.outcome != Outcome.OK and trouble is not None:
            told[names.ERROR_TYPE] = trouble
        status = b"" if record.outcome in _FINE else ERROR
        return _name(f"headgate {record.kind}") + SERVER + attributes(ATTRIBUTES, told) + status

    def _attempt(
        self,
        call: CallRecord,
        attempt: Attempt,
        trace: TraceContext,
        trace_id: bytes,
        call_id: bytes,
        number: int,
        times: bytes,
    ) -> bytes:
        record = attempt.record
        key = (number, call.kind, call.model, call.stream, call.max_tokens, record.pool, record.status, record.error,
               record.decision, record.model_answered, record.stop_reason)  # fmt: skip
        told = [
            _head(trace, trace_id, trace.span_of(number).to_bytes(8, "big"), call_id, 0),
            times,
            self._alike.get(key) or self._keep(key, self._alike_of_attempt(call, record, number)),
        ]
        if record.upstream_request_id is not None:
            told.append(_UPSTREAM_ID.text(record.upstream_request_id))
        if record.model_answered is not None:
            self._tell_answer(call, attempt, told)
        return field(SPANS, b"".join(told))

    def _alike_of_attempt(self, call: CallRecord, record: AttemptRecord, number: int) -> bytes:
        told: dict[str, Value] = {"headgate.attempt": number}
        name, inference = f"headgate {call.kind}", b""
        if call.kind == Kind.MESSAGES:
            asked, inference = self._asked(call, record), self._inference
            name = f"{names.CHAT} {asked}"
            told |= {names.REQUEST_MODEL: asked, names.STREAM: call.stream}
            if call.max_tokens is not None:
                told[names.MAX_TOKENS] = call.max_tokens
        if record.model_answered is not None:
            told[names.RESPONSE_MODEL] = record.model_answered
        if record.stop_reason is not None:
            told[names.FINISH_REASONS] = (record.stop_reason,)
        if record.pool:
            told["headgate.pool"] = record.pool
        if record.status is not None:
            told[names.STATUS_CODE] = record.status
        if record.error is not None:
            told[names.ERROR_TYPE] = record.error
        if record.decision is not None:
            told["headgate.decision"] = record.decision
        status = b"" if record.error is None else ERROR
        return _name(name) + CLIENT + self._place + inference + attributes(ATTRIBUTES, told) + status

    def _tell_answer(self, call: CallRecord, attempt: Attempt, told: list[bytes]) -> None:
        record, usage, facts = attempt.record, self._usage, attempt.facts
        if facts is not None and facts.id is not None:
            told.append(_RESPONSE_ID.text(facts.id))
        written = record.cache_write_5m_tokens + record.cache_write_1h_tokens
        prompt = record.input_tokens + record.cache_read_tokens + written
        told.append(self._input.integer(prompt))
        told.append(self._output.integer(record.output_tokens))
        if record.cache_read_tokens:
            told.append(attribute(ATTRIBUTES, usage.cache_read, record.cache_read_tokens))
        if written:
            told += [attribute(ATTRIBUTES, each, written) for each in usage.cache_write]
        if record.thinking_tokens:
            told.append(attribute(ATTRIBUTES, usage.reasoning, record.thinking_tokens))
        if call.stream and (first_chunk_s := first_chunk_of(attempt)) is not None:
            told.append(_FIRST_CHUNK.double(first_chunk_s))
        if record.cost_pico:
            told.append(_COST.double(record.cost_pico / 1e12))

    def _keep(self, key: tuple[object, ...], content: bytes) -> bytes:
        if len(self._alike) < MOST_KEPT:
            self._alike[key] = content
        return content


def first_chunk_of(attempt: Attempt) -> float | None:
    """Seconds from the request to the headers of its answer."""
    record = attempt.record
    if record.first_byte_ms is None or attempt.sent_s is None:
        return None
    return max(0.0, record.first_byte_ms / 1000 - (attempt.sent_s - attempt.started_s))


def _head(trace: TraceContext, trace_id: bytes, span_id: bytes, parent_id: bytes, remote: int) -> bytes:
    """Who it is, and whose child."""
    told = b"\x0a\x10" + trace_id + b"\x12\x08" + span_id + _FLAGS(FLAGS_TAG, trace.sampled | _HAS_REMOTE | remote)
    if parent_id:
        told += b"\x22\x08" + parent_id
    if trace.state:
        told += field(3, trace.state.encode("ascii"))
    return told


def _times(start_ns: int, from_s: float, to_s: float) -> bytes:
    """From and to so long after the start."""
    return _TIMES(
        START_TAG, start_ns + int(from_s * 1e9) if from_s > 0.0 else start_ns,
        END_TAG, start_ns + int(to_s * 1e9) if to_s > 0.0 else start_ns,
    )  # fmt: skip


def _name(name: str) -> bytes:
    return field(5, name.encode("utf-8", "replace"))
