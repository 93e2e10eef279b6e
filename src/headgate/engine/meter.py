"""Know what every attempt used and cost."""

from __future__ import annotations

from functools import partial

from headgate.call import Attempt, Call, Kind, Reply, ReplyStream
from headgate.clock import Clock
from headgate.core.error_words import ApiErrorText
from headgate.core.estimate import EstimateObserver
from headgate.core.message import read_message
from headgate.core.price import PriceBook
from headgate.engine.batch_results import BatchResults
from headgate.engine.books import Books, note_failure
from headgate.engine.filter import Proceed
from headgate.engine.message_stream import MessageStream
from headgate.events import ErrorClass, UsageSource
from headgate.failure import Failure
from headgate.records import AttemptRecord, OpenAttempt
from headgate.stores.base import Ledger
from headgate.upstream.send import UpstreamStream

__all__ = ["Meter"]

_COSTLY = frozenset((Kind.MESSAGES, Kind.UNMETERED))
"""All others are free: models, token counts, and managing files, batches, skills and user profiles.  What a batch
costs is told with its results."""


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
        self.books = Books(prices, estimates)
        """Also for those who read an answer that came another way."""
        self._hold_s = hold_s
        self._api_error_text = api_error_text

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        attempt = call.attempts[-1]
        messages = call.kind is Kind.MESSAGES
        if messages:
            self.begin(call, attempt.record)
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
                self.books.doubt(call, attempt)
            attempt.ended_s = self._clock.now_s()
        elif messages and isinstance(stream, UpstreamStream):
            reply.stream = MessageStream(
                stream,
                call,
                attempt,
                books=self.books,
                clock=self._clock,
                hold_s=self._hold_s,
                api_error_text=self._api_error_text,
            )
        else:
            stream.on_end(partial(self._stream_ended, attempt, stream))
            if call.kind is Kind.UNMETERED:
                self.books.doubt(call, attempt)
            elif call.kind is Kind.BATCHES:
                reply.stream = BatchResults(stream, call, self._prices, self._ledger, self._clock)
        return reply

    # -- before and after ---------------------------------------------------------------------------------------

    def begin(self, call: Call, attempt: AttemptRecord) -> None:
        """Write an attempt to the journal, before it goes out."""
        record = call.record
        assert record.model is not None
        self._ledger.begin(
            OpenAttempt(
                record.call_id, attempt.attempt, attempt.started_ms, record.kind, record.workflow, record.user,
                record.session, record.lane, record.caller_key, record.correlation_id, record.model, record.stream,
                attempt.credential, attempt.pool, attempt.estimated_input_tokens, attempt.estimated_output_tokens,
                call.fast, call.geo == "us", record.team, record.tags, record.own,
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
        self.books.price(call, attempt, UsageSource.VENDOR if facts.usage is not None else UsageSource.UNKNOWN)
        self.books.learn(call, attempt, None)
        return None

    def _gone(self, call: Call, attempt: Attempt, failure: Failure) -> None:
        """An attempt without an answer."""
        self._ended(attempt, failure)
        if call.kind in _COSTLY and attempt.sent_s is not None and failure.may_have_run:
            self.books.doubt(call, attempt)

    def _stream_ended(self, attempt: Attempt, stream: ReplyStream) -> None:
        self._ended(attempt, stream.failure)

    def _ended(self, attempt: Attempt, failure: Failure | None) -> None:
        attempt.ended_s = self._clock.now_s()
        if failure is not None:
            note_failure(attempt, failure)
