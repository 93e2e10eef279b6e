"""Try again where that helps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from random import Random

from headgate.call import Attempt, Call, Kind, Reply, ReplyStream, StreamRestart
from headgate.clock import Clock, milliseconds
from headgate.config.schema import LaneConfig
from headgate.core.least_recent import LeastRecent
from headgate.core.retry import HOLDS_UP_ALL, RETRYABLE, Again, GiveUp, RetryPolicy, decide
from headgate.engine.filter import Proceed
from headgate.engine.retry_turns import RetryTurns
from headgate.engine.stream_buffer import StreamBuffer
from headgate.engine.stream_restart import RestartingStream
from headgate.errors import Refused, Unavailable
from headgate.events import ErrorClass, Reason
from headgate.failure import Failure
from headgate.net.http import HeaderBlock
from headgate.records import AttemptRecord
from headgate.upstream.keyring import Keyring

__all__ = ["Retry"]

UPSTREAMS_KEPT = 256
"""Addresses that callers in this process name; beyond it those without a call under way are forgotten."""
_OF_THE_KEY = frozenset((ErrorClass.AUTHENTICATION, ErrorClass.BILLING, ErrorClass.SPEND_LIMIT))


class Retry:
    """The one place that repeats an attempt.

    Above Admit, since every attempt asks again for its permits; below everything that must happen once per call.  A
    stream is looked into until its content begins, or until it is complete where its workflow says so: a failure before
    is repeated unseen.  Afterwards it is committed, and this filter stands aside, unless the reader has said that it
    can begin again.

    No second attempt without room in the upstream's retry budget.  A call that the API has sent back (429, 529) waits
    for that as long as its lane waits for anything; after other failures there is nothing to wait for.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        keyring: Keyring,
        clock: Clock,
        rng: Random,
        lanes: Mapping[str, LaneConfig],
        *,
        buffered: Collection[str] = (),
        buffer_bytes: int = 0,
    ) -> None:
        """Streams of the workflows in `buffered` are held until they are complete, in `buffer_bytes` for all of
        them."""
        self._policy = policy
        self._keyring = keyring
        self._clock = clock
        self._rng = rng
        self._lanes = lanes
        self._buffered = frozenset(buffered)
        self._buffer = StreamBuffer(buffer_bytes)
        self._upstreams = LeastRecent[str | None, RetryTurns](
            UPSTREAMS_KEPT, in_use=lambda turns: turns.budget.in_flight > 0
        )

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        turns = self._upstreams.get(call.base_url) or self._upstreams.keep(call.base_url, RetryTurns(self._clock))
        turns.budget.begun()
        try:
            reply = await self._attempts(call, proceed, turns)
        except BaseException:
            turns.ended(call)
            raise
        stream = reply.stream
        if stream is None:
            turns.ended(call)
            return reply
        if call.on_restart is not None and call.kind is Kind.MESSAGES:
            stream = reply.stream = RestartingStream(stream, partial(self._restart, call, proceed, turns))
        stream.on_end(partial(turns.ended, call))
        return reply

    async def _attempts(self, call: Call, proceed: Proceed, turns: RetryTurns, failed: Reply | None = None) -> Reply:
        """The reply to the first good attempt or to the last bad one.

        Args:
            failed: the reply to a stream that broke when its reader had seen a part of it, and which is now begun
                anew.
        """
        clock = self._clock
        attempts = call.attempts
        reply = failed
        while True:
            if reply is not None and not await self._again(call, turns, reply, restarting=failed is not None):
                return reply
            number = len(attempts) + 1
            record = AttemptRecord(call_id=call.record.call_id, attempt=number, started_ms=clock.unix_ms())
            attempt = Attempt(record, clock.now_s())
            attempts.append(attempt)
            fresh: Reply | None = None
            try:
                fresh = await proceed(call)
                if fresh.stream is not None:
                    fresh = await self._look_into(call, fresh, fresh.stream)
            except BaseException as problem:
                if attempt.failure is None and attempt.sent_s is None:
                    attempts.pop()  # it only waited for its turn: no trip, so no row
                    call.record.queue_ms += record.queue_ms
                    if reply is not None and isinstance(problem, Unavailable):
                        # There is no room for another try in time: what the API said is the better answer.
                        attempts[-1].record.decision = call.record.reason = problem.reason
                        return reply
                raise
            reply = fresh
            turns.came_back(call, attempt.ended_s or clock.now_s())
            if reply.failure is None:
                return reply

    async def _look_into(self, call: Call, reply: Reply, stream: ReplyStream) -> Reply:
        """`reply`, once its content begins, or once it is complete; a failure, if the stream broke before."""
        try:
            failure = await stream.opened()
        except BaseException:
            stream.close()
            raise
        if failure is None and call.record.workflow in self._buffered and call.kind is Kind.MESSAGES:
            held = await self._buffer.complete(call, stream)
            if isinstance(held, Failure):
                failure = held
            else:
                reply.stream = held
        if failure is None:
            return reply
        # Nothing of it has been seen by the caller, so it can still become an ordinary error reply.
        stream.close()
        return Reply(0, reply.headers, stream.error or b"", failure=failure)

    async def _restart(
        self, call: Call, proceed: Proceed, turns: RetryTurns, broken: ReplyStream, failure: Failure, seen: bool
    ) -> ReplyStream | None:
        """The stream of another attempt, of which the reader has been told if it had `seen` a part of the one that
        broke; None if there is none."""
        assert call.on_restart is not None
        if call.text_kept is not None:
            call.text_kept.clear()
        try:
            reply = await self._attempts(
                call, proceed, turns, Reply(0, HeaderBlock(), broken.error or b"", failure=failure)
            )
        except Refused as refusal:
            call.record.reason = refusal.reason
            return None
        if reply.stream is not None and seen:
            try:
                call.on_restart(StreamRestart(call.record.call_id, len(call.attempts), failure.error))
            except BaseException:
                reply.stream.close()
                raise
        return reply.stream

    # -- whether, and when --------------------------------------------------------------------------------------

    async def _again(self, call: Call, turns: RetryTurns, reply: Reply, *, restarting: bool) -> bool:
        """Whether there is to be another attempt; returns when it is time for it."""
        failure = reply.failure
        assert failure is not None
        clock = self._clock
        attempt = call.attempts[-1]
        decision = self._decide(call, attempt, failure, restarting=restarting)
        if isinstance(decision, Again) and not decision.elsewhere:
            asked_s = clock.now_s()
            patience_s = 0.0
            if failure.error in HOLDS_UP_ALL:
                patience_s = min(self._lanes[call.record.lane].max_wait_s, call.deadline_s - asked_s - decision.wait_s)
            if not await turns.take(call, patience_s):
                decision = GiveUp(Reason.RETRY_BUDGET)
            call.record.queue_ms += milliseconds(clock.now_s() - asked_s)
        if isinstance(decision, GiveUp):
            attempt.record.decision = decision.reason
            if decision.reason is not Reason.NOT_RETRYABLE or failure.error in RETRYABLE:
                call.record.reason = decision.reason  # that a wrong request is not sent again needs no telling
            return False
        attempt.record.decision = call.record.reason = Reason.RETRIED
        # Where the API asked everybody for time, admission holds all back until then, and this call goes first.
        if decision.wait_s > 0 and not (failure.retry_after_s and failure.error in HOLDS_UP_ALL):
            await clock.sleep(decision.wait_s)
            call.backed_off_s += decision.wait_s
        return True

    def _decide(self, call: Call, attempt: Attempt, failure: Failure, *, restarting: bool) -> Again | GiveUp:
        made = len(call.attempts)
        free = call.credential is None and call.own_key is None and call.upload is None
        another = failure.error in _OF_THE_KEY and free and self._keyring.other_than(attempt.record.credential)
        # What the caller has tried counts, but not so that a good key is left untried behind a refused one.
        tried = made + max(call.record.caller_attempts, call.attempts_before)
        if (
            another
            and made < self._policy.max_attempts
            and (tried < self._policy.max_attempts or made < len(self._keyring.all()))
        ):
            return Again(0.0, elsewhere=True)
        now_s = self._clock.now_s()
        first = call.attempts[0]
        # Waiting for a turn is no trying: it must not use up the time for trying again.  Nor does what was read of a
        # stream that broke.
        waited_s = (call.record.queue_ms + sum([each.record.queue_ms for each in call.attempts])) / 1000
        decision = decide(
            self._policy,
            failure,
            attempts=made,
            caller_attempts=max(call.record.caller_attempts, call.attempts_before),
            replayable=call.replayable,
            elapsed_s=0.0 if restarting else now_s - first.started_s - waited_s,
            left_s=call.deadline_s - now_s,
            rng=self._rng,
        )
        if isinstance(decision, Again) and call.upload is not None and attempt.sent_s is not None:
            return GiveUp(Reason.NOT_REPLAYABLE)  # what was passed on while it arrived is gone
        return decision
