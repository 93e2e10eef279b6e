"""Know what every attempt used and cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

import msgspec

from headgate.call import Attempt, Call, Kind, Reply
from headgate.clock import Clock, milliseconds, utc_day
from headgate.core.classify import classify_event
from headgate.core.error_words import ApiErrorText, error_event, own_request_id
from headgate.core.estimate import EstimateObserver
from headgate.core.message import StreamFacts, has_untold_passes, read_message
from headgate.core.price import Charge, PriceBook
from headgate.core.sse import EventTooLarge, Splitter, before_event
from headgate.engine.batch_results import BatchResults
from headgate.engine.filter import Proceed
from headgate.events import ErrorClass, UsageSource
from headgate.failure import Failure
from headgate.records import AttemptRecord, OpenAttempt
from headgate.stores.base import Ledger
from headgate.upstream.send import UpstreamStream
from headgate.usage import Usage

__all__ = ["Meter"]

TEXT_KEPT_BYTES = 1024 * 1024
"""Of a stream whose text is to be logged; the log cuts it shorter."""
GROWTH_TOKENS = 256
"""Of a stream that is longer than expected: told to admission whenever it has grown by so much."""
WIND_UP_S = 1.0
"""How long the end of a body may lag behind its last event before the connection is given up."""

OTHER_PAYER = "other_payer"
"""Stands beside a cost of nothing where `billing_policy` has another organisation billed."""

_COSTLY = frozenset((Kind.MESSAGES, Kind.UNMETERED))
"""All others are free: models, token counts, and managing files, batches, skills and user profiles.  What a batch
costs is told with its results."""

_encode = msgspec.json.Encoder().encode


class Meter:
    """Prices each attempt from what the API itself said it used, broken streams included.

    Next to the wire, so that nothing between it and the API can hide usage.  Before an attempt goes out it is written
    to the ledger's journal: what cannot be recorded is not sent.
    """

    def __init__(
        self,
        prices: PriceBook,
        ledger: Ledger,
        clock: Clock,
        *,
        hold_s: float,
        api_error_text: ApiErrorText,
        estimates: EstimateObserver | None = None,
    ) -> None:
        self._prices = prices
        self._ledger = ledger
        self._clock = clock
        self._hold_s = hold_s
        self._api_error_text = api_error_text
        self._estimates = estimates

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        attempt = call.attempts[-1]
        messages = call.kind is Kind.MESSAGES
        if messages:
            self._begin(call, attempt.record)
        try:
            reply = await proceed(call)
        except BaseException:
            self._gone(call, attempt, Failure(ErrorClass.CANCELLED, sent=attempt.sent_s is not None))
            raise
        stream = reply.stream
        if reply.failure is not None:
            self._gone(call, attempt, reply.failure)
        elif stream is None:
            if messages:
                reply.failure = self._read_whole(call, attempt, reply.body)
            elif call.kind is Kind.UNMETERED:
                self.doubt(call, attempt)
            attempt.ended_s = self._clock.now_s()
        elif messages and isinstance(stream, UpstreamStream):
            reply.stream = MessageStream(stream, self, call, attempt, self._clock, self._hold_s)
        else:
            stream.on_end(lambda: self._ended(attempt, stream.failure))
            if call.kind is Kind.UNMETERED:
                self.doubt(call, attempt)
            elif call.kind is Kind.BATCHES:
                reply.stream = BatchResults(stream, call, self._prices, self._ledger, self._clock)
        return reply

    # -- before and after ---------------------------------------------------------------------------------------

    def _begin(self, call: Call, attempt: AttemptRecord) -> None:
        record = call.record
        assert record.model is not None
        self._ledger.begin(
            OpenAttempt(
                record.call_id, attempt.attempt, attempt.started_ms, record.kind, record.workflow, record.user,
                record.session, record.lane, record.caller_key, record.correlation_id, record.model, record.stream,
                attempt.credential, attempt.pool, attempt.estimated_input_tokens, attempt.estimated_output_tokens,
                call.fast, call.geo == "us",
            )
        )  # fmt: skip

    def _read_whole(self, call: Call, attempt: Attempt, body: bytes) -> Failure | None:
        facts = read_message(body)
        if facts is None:
            failure = Failure(ErrorClass.MALFORMED)
            self._gone(call, attempt, failure)
            return failure
        attempt.facts = facts
        if attempt.on_begun is not None:
            attempt.on_begun()
        self.price(call, attempt, UsageSource.VENDOR if facts.usage is not None else UsageSource.UNKNOWN)
        self.learn(call, attempt, None)
        return None

    def _gone(self, call: Call, attempt: Attempt, failure: Failure) -> None:
        """An attempt without an answer."""
        self._ended(attempt, failure)
        if call.kind in _COSTLY and attempt.sent_s is not None and failure.may_have_run:
            self.doubt(call, attempt)

    def doubt(self, call: Call, attempt: Attempt) -> None:
        """The attempt may have run, and nothing says what it used."""
        record = attempt.record
        record.usage_source = UsageSource.UNKNOWN
        if call.kind is Kind.UNMETERED:
            record.cost_pico, record.cost_problem = None, "unmetered"
        else:
            self._estimate(call, record)

    def _estimate(self, call: Call, record: AttemptRecord) -> None:
        """Note what an attempt of unknown cost probably cost, unconfirmed."""
        if _is_billed_to_another(call):
            record.cost_problem = call.record.cost_problem = OTHER_PAYER
            return
        expected = self._prices.expected(
            call.record.model or "",
            utc_day(call.record.started_ms),
            record.estimated_input_tokens,
            record.estimated_output_tokens,
            fast=call.fast,
            us=call.geo == "us",
        )
        if expected.pico is None:
            record.cost_pico, record.cost_problem = None, record.cost_problem or expected.problem
        else:
            record.unconfirmed_pico = expected.pico

    def told(self, call: Call, attempt: Attempt, failure: Failure, whole: bytes) -> bytes:
        """Events that end with the API's error, as the caller may see them."""
        if self._api_error_text.passes(call.record.workflow, failure.error):
            return whole
        return before_event(whole, b"error") + error_event(
            failure, attempt.record.upstream_request_id or own_request_id(call.record.call_id)
        )

    def _ended(self, attempt: Attempt, failure: Failure | None) -> None:
        attempt.ended_s = self._clock.now_s()
        if failure is not None:
            note_failure(attempt, failure)

    def learn(self, call: Call, attempt: Attempt, deltas: int | None) -> None:
        """From an answer that is whole: how many tokens calls like it have, and how good the estimate was."""
        usage = attempt.facts.usage if attempt.facts is not None else None
        if usage is None or attempt.habit is None or usage.anomalies:
            return
        attempt.habit.observe(call.size, usage, deltas, served=attempt.served)
        if self._estimates is not None:
            own = usage.own
            record = attempt.record
            self._estimates.estimate_error(record.pool, "input", record.estimated_input_tokens, own.counted_input)
            self._estimates.estimate_error(record.pool, "output", record.estimated_output_tokens, own.output)

    def price(self, call: Call, attempt: Attempt, source: UsageSource) -> None:
        """Put a price on `attempt.facts`, and write both down."""
        facts = attempt.facts
        record = attempt.record
        model = call.record.model
        assert facts is not None
        assert model is not None
        day = utc_day(call.record.started_ms)
        charge = self._prices.charge(facts, model=model, day=day, requested_geo=call.geo, request=call.document)
        record.model_answered = facts.model
        record.stop_reason = facts.stop_reason
        record.usage_source = source
        record.cost_pico = charge.pico
        record.cost_problem = charge.problem
        record.price_row = charge.row
        if _is_billed_to_another(call):
            charge = Charge(0, charge.row, OTHER_PAYER)
            record.cost_pico, record.cost_problem = charge.pico, charge.problem
            call.record.cost_problem = charge.problem
        elif charge.pico is None:
            self._estimate(call, record)
        usage = facts.usage
        if usage is not None:
            _write_down(usage, record)
            if charge.parts:
                record.hops = _hops(usage.by_model(facts.model or model), dict(charge.parts))


def _is_billed_to_another(call: Call) -> bool:
    """Whether the request has the API bill the organisation behind a user profile; it never bills us instead (§3)."""
    policy = call.document.get("billing_policy") if call.document is not None else None
    return isinstance(policy, dict) and policy.get("bill_to") == "user_profile"


def note_failure(attempt: Attempt, failure: Failure) -> None:
    """Write down why an attempt failed."""
    attempt.failure = failure
    record = attempt.record
    record.error = failure.error
    record.error_type = failure.type
    record.error_code = failure.code
    if failure.retry_after_s is not None:
        record.retry_after_ms = round(failure.retry_after_s * 1000)


def _write_down(usage: Usage, record: AttemptRecord) -> None:
    usage.write_to(record)
    record.thinking_tokens = usage.thinking
    record.web_searches = usage.web_searches
    record.service_tier = usage.service_tier
    record.speed = usage.speed
    record.inference_geo = usage.inference_geo
    record.usage_anomaly = ",".join(usage.anomalies) or None


def _hops(parts: dict[str, Usage], costs: dict[str, int]) -> str:
    """What each model used and cost, as the ledger keeps it."""
    none = Usage()
    rows = []
    for model, cost_pico in costs.items():
        part = parts.get(model, none)  # the model that answered may bear the tools only
        rows.append(
            {
                "model": model,
                "input_tokens": part.input,
                "output_tokens": part.output,
                "cache_read_tokens": part.cache_read,
                "cache_write_5m_tokens": part.cache_write_5m,
                "cache_write_1h_tokens": part.cache_write_1h,
                "cost_pico": cost_pico,
            }
        )
    return _encode(rows).decode()


class MessageStream:
    """The events of one attempt, forwarded as they came and read in passing.

    Always whole events: so a ping of ours, or an error event after a break, never lands in the middle of one.
    """

    __slots__ = (
        "_attempt", "_begun", "_call", "_callbacks", "_clock", "_ended", "_facts", "_handed_over", "_held", "_hold_s",
        "_meter", "_outgrown_at", "_source", "_splitter", "cut", "failure",
    )  # fmt: skip

    def __init__(
        self, source: UpstreamStream, meter: Meter, call: Call, attempt: Attempt, clock: Clock, hold_s: float
    ) -> None:
        self._source = source
        self._meter = meter
        self._call = call
        self._attempt = attempt
        self._clock = clock
        self._hold_s = hold_s
        self._facts = StreamFacts()
        self._splitter = Splitter()
        self._held = b""
        self._handed_over = False
        self._ended = False
        self._callbacks: list[Callable[[], None]] = []
        self.failure: Failure | None = None
        self.cut = False
        attempt.facts = self._facts.facts
        self._begun = attempt.on_begun is None
        self._outgrown_at = (
            inf if attempt.on_growth is None else self._deltas_of(attempt.record.estimated_output_tokens)
        )

    @property
    def error(self) -> bytes | None:
        error = self._facts.error
        return self._source.without_key(error) if error is not None else None

    async def opened(self) -> Failure | None:
        """Read until content has come, the stream has failed, or `hold_s` has passed."""
        facts = self._facts
        timer = None
        try:
            while not facts.progressed and not self._ended:
                if timer is None and self._held:
                    # Only a timer of our own ends the hold: a stream may be silent for long before its content.
                    timer = asyncio.get_running_loop().call_later(self._hold_s, self._source.nudge)
                whole = await self._next()
                if whole is None:
                    break
                if facts.error is not None and not facts.progressed:
                    self._fail(classify_event(facts.error))
                    break
                self._held += whole
        finally:
            if timer is not None:
                timer.cancel()
        if self._ended and not facts.progressed:
            return self.failure
        self._handed_over = True
        return None

    async def read(self) -> bytes:
        if self._held:
            held, self._held = self._held, b""
            self._call.record.bytes_out += len(held)
            return held
        while not self._ended:
            whole = await self._next()
            if whole:
                self._call.record.bytes_out += len(whole)
                return whole
            if self._ended and self.failure is not None:
                # What the caller has is not the whole answer, and it must be told so in words.
                self.cut = True
                return _error_event(self._attempt, self.failure)
        if not self._source.closed:
            await self._source.wind_up(WIND_UP_S)
        return b""

    async def _next(self) -> bytes | None:
        """The next whole events; `b""` if there are none yet or no more; None after a nudge."""
        data = await self._source.read_or_nudge()
        if data is None:
            return None
        if not data:
            self._fail(self._source.failure or Failure(ErrorClass.STREAM_CUT))
            return b""
        try:
            whole = self._splitter.feed(data)
        except EventTooLarge:
            self._fail(Failure(ErrorClass.PROTOCOL))
            return b""
        if not whole:
            return b""
        if self._call.text_kept is not None and len(self._call.text_kept) < TEXT_KEPT_BYTES:
            self._call.text_kept += whole
        facts = self._facts
        if facts.feed(whole):
            self._source.progressed()
            record = self._call.record
            if record.first_byte_ms is None and facts.progressed:
                record.first_byte_ms = milliseconds(self._clock.now_s() - self._call.arrived_s)
        if not self._begun and facts.started:
            self._begin()
        if facts.deltas > self._outgrown_at:
            self._outgrow()
        if facts.finished:
            self._finish()
        elif facts.error is not None and (facts.progressed or self._handed_over):
            failure = classify_event(facts.error)
            self._end(failure)
            whole = self._meter.told(self._call, self._attempt, failure, self._source.without_key(whole))
        return whole

    # -- what admission is told on the way ----------------------------------------------------------------------

    def _begin(self) -> None:
        self._begun = True
        if self._attempt.on_begun is not None:
            self._attempt.on_begun()

    def _outgrow(self) -> None:
        """The answer is longer than it was admitted for, and the API counts output as it is made (§8.1)."""
        tokens = self._tokens_so_far()
        self._outgrown_at = self._deltas_of(tokens + GROWTH_TOKENS)
        if self._attempt.on_growth is not None:
            self._attempt.on_growth(tokens)

    def _tokens_so_far(self) -> int:
        habit = self._attempt.habit
        assert habit is not None
        return habit.output_of_broken_stream(self._facts.deltas)

    def _deltas_of(self, tokens: int) -> float:
        habit = self._attempt.habit
        assert habit is not None
        return tokens / max(1.0, habit.tokens_per_delta)

    # -- the end, which comes once ------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._ended:
            return
        self._price()
        if self._facts.final:
            self._meter.learn(self._call, self._attempt, self._facts.deltas)
        self._over()

    def _fail(self, failure: Failure) -> None:
        self._end(failure)
        self._source.close()

    def _end(self, failure: Failure) -> None:
        if self._ended:
            return
        self.failure = failure
        note_failure(self._attempt, failure)
        if self._facts.started:
            self._price()
        elif failure.may_have_run:
            self._meter.doubt(self._call, self._attempt)
        self._over()

    def _price(self) -> None:
        """By the API's final counts if they came.  Otherwise the input is what `message_start` said, and the output
        what the API had told so far, or more if the deltas hold more; unless there were passes that it had not told
        of."""
        source = UsageSource.VENDOR
        if not self._facts.final:
            if has_untold_passes(self._facts.facts, self._call.document or {}):
                self._meter.doubt(self._call, self._attempt)
                return
            source = UsageSource.OBSERVED
            usage = self._facts.facts.usage
            if usage is None:
                usage = self._facts.facts.usage = Usage(anomalies=["usage"])
            usage.output = max(usage.output, self._tokens_so_far())
        self._meter.price(self._call, self._attempt, source)

    def _over(self) -> None:
        self._ended = True
        self._attempt.ended_s = self._clock.now_s()
        for callback in self._callbacks:
            callback()

    def on_end(self, callback: Callable[[], None]) -> None:
        if self._ended:  # a short answer is over before it was passed up
            callback()
        else:
            self._callbacks.append(callback)

    def close(self) -> None:
        """The caller has what it wants, or has left: then the stream is cut here and what came of it is settled."""
        self._end(Failure(ErrorClass.CANCELLED))
        self._source.close()


def _error_event(attempt: Attempt, failure: Failure) -> bytes:
    """What ends a stream that broke after its content began."""
    error: dict[str, Any] = {
        "type": "timeout_error" if failure.error in _TIMEOUTS else "api_error",
        "message": f"The stream broke off before it was complete ({failure.error}); what was received is not the whole "
        "answer.",
    }
    body = {"type": "error", "error": error, "request_id": attempt.record.upstream_request_id}
    return b"event: error\ndata: " + _encode(body) + b"\n\n"


_TIMEOUTS = frozenset((ErrorClass.IDLE_TIMEOUT, ErrorClass.PROGRESS_TIMEOUT, ErrorClass.DEADLINE))
