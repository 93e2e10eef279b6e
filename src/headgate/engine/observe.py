"""Exactly one record a call, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from headgate.call import Attempt, Call, Kind, Reply
from headgate.clock import Clock, milliseconds
from headgate.engine.filter import Proceed
from headgate.engine.log_facts import entry_of
from headgate.errors import Refused
from headgate.events import ErrorClass, Outcome, Reason, UsageSource, Validation
from headgate.failure import Failure
from headgate.records import AttemptRecord, CallRecord
from headgate.stores.base import Ledger
from headgate.telemetry.log_line import LogEntry, LogSink

if TYPE_CHECKING:
    from headgate.safety.content.desk import ContentDesk

__all__ = ["Observe", "Tracer"]

TEXT_KEPT_BYTES = 1024 * 1024
"""Of a stream whose text is to be logged; the log cuts it shorter."""


class Tally(Protocol):
    """Something that counts finished calls.  Never raises."""

    def call_over(self, call: CallRecord, attempts: Sequence[AttemptRecord]) -> None: ...


class Tracer(Protocol):
    """Gives calls a place in a trace.  Never raises."""

    def begin(self, call: Call) -> None:
        """A call comes in."""
        ...

    def over(self, call: Call) -> None:
        """It has ended; its record is complete."""
        ...


class Observe:
    """Writes the call's record to the ledger and to the log when it is over: answered, refused, failed, or left.

    First of all filters, because refusals are news too.
    """

    def __init__(
        self,
        ledger: Ledger,
        sink: LogSink | None,
        tally: Tally,
        clock: Clock,
        content: ContentDesk | None,
        tracer: Tracer | None = None,
    ) -> None:
        self._ledger = ledger
        self._tally = tally
        self._sink = sink
        self._clock = clock
        self._content = content
        self._tracer = tracer

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        if self._content is not None and _text_is_wanted(call, self._content):
            call.keep_text(TEXT_KEPT_BYTES)
        if self._tracer is not None:
            self._tracer.begin(call)
        try:
            reply = await proceed(call)
        except Refused as refusal:
            call.record.reason = refusal.reason
            self._over(call, None, refusal.status, _outcome_of_refusal(refusal.status))
            raise
        except asyncio.CancelledError:
            call.when_settled(lambda: self._over(call, None, None, Outcome.CANCELLED))
            raise
        except BaseException:
            call.record.reason = Reason.INTERNAL
            self._over(call, None, 500, Outcome.INTERNAL)
            raise
        stream = reply.stream
        if stream is None:
            call.record.bytes_out = len(reply.body)
            self._over(call, reply, reply.status, _outcome(call, reply, reply.failure))
        else:
            stream.on_end(lambda: self._over(call, reply, reply.status, _outcome(call, reply, stream.failure)))
        return reply

    def record_refusal(self, record: CallRecord, status: int, reason: Reason) -> None:
        """A call that an edge refused, so that it never came down the path.

        It is logged and has no row in the ledger: who may not call must not be able to fill the disk on which money is
        written down.
        """
        record.status = status
        record.reason = reason
        record.outcome = _outcome_of_refusal(status)
        self._tally.call_over(record, ())
        if self._sink is not None:
            self._sink.write(LogEntry(record=record))

    def _over(self, call: Call, reply: Reply | None, status: int | None, outcome: Outcome) -> None:
        record = call.record
        record.status = status or None
        record.outcome = outcome
        now_s = self._clock.now_s()
        upstream_s = 0.0
        attempts: list[AttemptRecord] = []
        for attempt in call.attempts:
            attempts.append(attempt.record)
            upstream_s += _add(record, attempt, now_s)
        if attempts:
            record.attempts = len(attempts)
            _tell_of_last(record, call.attempts[-1])
        total_s = now_s - call.arrived_s
        record.total_ms = milliseconds(total_s)
        record.upstream_ms = milliseconds(upstream_s)
        known_s = (record.queue_ms + record.connect_ms) / 1000 + upstream_s + call.backed_off_s
        if total_s > known_s:
            record.overhead_ms = milliseconds(total_s - known_s)
        if call.judging is None:
            self._write(call, reply, attempts)
        else:
            call.judging.add_done_callback(lambda _: self._write(call, reply, attempts))

    def _write(self, call: Call, reply: Reply | None, attempts: list[AttemptRecord]) -> None:
        record = call.record
        if record.validation == Validation.INVALID:
            record.outcome = Outcome.INVALID_OUTPUT
        self._ledger.record(record, attempts)
        self._tally.call_over(record, attempts)
        if self._tracer is not None:
            self._tracer.over(call)
        if self._content is not None and _text_is_wanted(call, self._content):
            streamed = bool(call.text_kept)
            answer = bytes(call.text_kept or b"") if streamed else reply.body if reply is not None else b""
            self._content.take(entry_of(call), call.body, answer, streamed=streamed)  # which writes the line
        elif self._sink is not None:
            self._sink.write(entry_of(call))


def _text_is_wanted(call: Call, content: ContentDesk) -> bool:
    """Of what somebody asked; a request of Headgate's own has nothing else in it, and no answer."""
    return call.kind is Kind.MESSAGES and call.record.own is None and content.policy.wants(call.record.workflow)


def _add(record: CallRecord, attempt: Attempt, now_s: float) -> float:
    """Add what an attempt took to the call's record.  Returns its seconds upstream.  Most of it mostly is 0."""
    part = attempt.record
    ended_s = attempt.ended_s or now_s
    part.total_ms = milliseconds(ended_s - attempt.started_s)
    if part.queue_ms:
        record.queue_ms += part.queue_ms
    if part.connect_ms:
        record.connect_ms += part.connect_ms
    record.input_tokens += part.input_tokens
    record.output_tokens += part.output_tokens
    if part.cache_read_tokens:
        record.cache_read_tokens += part.cache_read_tokens
    if part.cache_write_5m_tokens:
        record.cache_write_5m_tokens += part.cache_write_5m_tokens
    if part.cache_write_1h_tokens:
        record.cache_write_1h_tokens += part.cache_write_1h_tokens
    if part.thinking_tokens:
        record.thinking_tokens += part.thinking_tokens
    if part.unconfirmed_pico:
        record.unconfirmed_pico += part.unconfirmed_pico
    if part.cost_pico is None or record.cost_pico is None:
        record.cost_pico = None
        record.cost_problem = record.cost_problem or part.cost_problem
    else:
        record.cost_pico += part.cost_pico
    source = part.usage_source
    record.usage_source = source if part.attempt == 1 else _weaker(record.usage_source, source)
    if attempt.facts is not None:
        record.refusal_category = attempt.facts.refusal_category
    return ended_s - attempt.sent_s if attempt.sent_s is not None else 0.0


def _tell_of_last(record: CallRecord, attempt: Attempt) -> None:
    """The last attempt's answer is the call's."""
    part = attempt.record
    record.upstream_request_id = part.upstream_request_id
    record.model_answered = part.model_answered
    if record.max_tokens != 0:  # else it is no answer that was cut: none was asked for
        record.stop_reason = part.stop_reason
    record.price_row = part.price_row
    if part.error is not None:
        record.error = part.error


_STRENGTH: dict[str, int] = {
    UsageSource.NONE: 0,
    UsageSource.VENDOR: 1,
    UsageSource.OBSERVED: 2,
    UsageSource.UNKNOWN: 3,
}


def _weaker(one: str, other: str) -> str:
    """Of two sources, the one that can be trusted less: a sum is as good as its worst part."""
    return other if _STRENGTH[other] > _STRENGTH[one] else one


_OUTCOMES = {
    ErrorClass.RATE_LIMIT: Outcome.RATE,
    ErrorClass.RAMP_LIMIT: Outcome.RATE,
    ErrorClass.SPEND_LIMIT: Outcome.RATE,
    ErrorClass.HELD_BACK: Outcome.RATE,
    ErrorClass.INVALID_REQUEST: Outcome.CLIENT_ERROR,
    ErrorClass.NOT_FOUND: Outcome.CLIENT_ERROR,
    ErrorClass.TOO_LARGE: Outcome.CLIENT_ERROR,
    ErrorClass.CONFLICT: Outcome.CLIENT_ERROR,
    ErrorClass.CLIENT_ERROR: Outcome.CLIENT_ERROR,
    ErrorClass.UNSENDABLE: Outcome.CLIENT_ERROR,
    ErrorClass.PERMISSION: Outcome.CLIENT_ERROR,
    ErrorClass.LINKED_BILLING: Outcome.CLIENT_ERROR,
    ErrorClass.CANCELLED: Outcome.CANCELLED,
    ErrorClass.CONNECT_TIMEOUT: Outcome.TIMEOUT,
    ErrorClass.FIRST_BYTE_TIMEOUT: Outcome.TIMEOUT,
    ErrorClass.IDLE_TIMEOUT: Outcome.TIMEOUT,
    ErrorClass.PROGRESS_TIMEOUT: Outcome.TIMEOUT,
    ErrorClass.TIMEOUT_ERROR: Outcome.TIMEOUT,
    ErrorClass.DEADLINE: Outcome.TIMEOUT,
    ErrorClass.STREAM_CUT: Outcome.TRUNCATED,
}


def _outcome(call: Call, reply: Reply, failure: Failure | None) -> Outcome:
    if failure is not None:
        outcome = _OUTCOMES.get(failure.error, Outcome.UPSTREAM_ERROR)
        return Outcome.TRUNCATED if reply.stream is not None and outcome is Outcome.UPSTREAM_ERROR else outcome
    if reply.own is not None:
        return Outcome.OK
    answered = call.answered
    facts = answered.facts if answered is not None else None
    return Outcome.REFUSED if facts is not None and facts.stop_reason == "refusal" else Outcome.OK


def _outcome_of_refusal(status: int) -> Outcome:
    if status in (429, 503):
        return Outcome.SHED
    return Outcome.INTERNAL if status == 500 else Outcome.CLIENT_ERROR
