"""The stream of one attempt: its events passed on as they came, and read in passing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

import msgspec

from headgate.call import Attempt, Call
from headgate.clock import Clock, milliseconds
from headgate.core.classify import classify_event
from headgate.core.error_words import ApiErrorText, error_event, own_request_id
from headgate.core.message import StreamFacts, has_untold_passes
from headgate.core.sse import EventTooLarge, Splitter, before_event
from headgate.engine.books import Books, note_failure
from headgate.events import ErrorClass, UsageSource
from headgate.failure import Failure
from headgate.upstream.send import UpstreamStream
from headgate.usage import Usage

__all__ = ["MessageStream"]

GROWTH_TOKENS = 256
"""Of a stream that is longer than expected: told to admission whenever it has grown by so much."""
WIND_UP_S = 1.0
"""How long the end of a body may lag behind its last event before the connection is given up."""

_encode = msgspec.json.Encoder().encode


class MessageStream:
    """The events of one attempt, forwarded as they came and read in passing.

    Always whole events: so a ping of ours, or an error event after a break, never lands in the middle of one.
    """

    __slots__ = (
        "_api_error_text", "_attempt", "_begun", "_books", "_call", "_callbacks", "_clock", "_ended", "_facts",
        "_handed_over", "_held", "_hold_s", "_outgrown_at", "_source", "_splitter", "cut", "failure",
    )  # fmt: skip

    def __init__(
        self,
        source: UpstreamStream,
        call: Call,
        attempt: Attempt,
        *,
        books: Books,
        clock: Clock,
        hold_s: float,
        api_error_text: ApiErrorText,
    ) -> None:
        self._source = source
        self._books = books
        self._call = call
        self._attempt = attempt
        self._clock = clock
        self._hold_s = hold_s
        self._api_error_text = api_error_text
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
        kept = self._call.text_kept
        if kept is not None and len(kept) < self._call.text_room:
            kept += whole
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
            whole = self._told(failure, self._source.without_key(whole))
        return whole

    def _told(self, failure: Failure, whole: bytes) -> bytes:
        """Events that end with the API's error, as the caller may see them."""
        if self._api_error_text.passes(self._call.record.workflow, failure.error):
            from headgate.safety.content.error_words import scrubbed_error_event  # takes a tenth of a second to load

            return scrubbed_error_event(whole)
        request_id = self._attempt.record.upstream_request_id or own_request_id(self._call.record.call_id)
        return before_event(whole, b"error") + error_event(failure, request_id)

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
            self._books.learn(self._call, self._attempt, self._facts.deltas)
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
            self._books.doubt(self._call, self._attempt)
        self._over()

    def _price(self) -> None:
        """By the API's final counts if they came.  Otherwise the input is what `message_start` said, and the output
        what the API had told so far, or more if the deltas hold more; unless there were passes that it had not told
        of."""
        source = UsageSource.VENDOR
        if not self._facts.final:
            if has_untold_passes(self._facts.facts, self._call.document or {}):
                self._books.doubt(self._call, self._attempt)
                return
            source = UsageSource.OBSERVED
            usage = self._facts.facts.usage
            if usage is None:
                usage = self._facts.facts.usage = Usage(anomalies=["usage"])
            usage.output = max(usage.output, self._tokens_so_far())
        self._books.price(self._call, self._attempt, source)

    def _over(self) -> None:
        self._ended = True
        self._attempt.ended_s = self._clock.now_s()
        self._attempt.on_begun = self._attempt.on_growth = None  # they hold the call, which holds the attempt
        callbacks, self._callbacks = self._callbacks, []  # they hold the reply, which holds this
        for callback in callbacks:
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
