"""Try again where that helps."""

from __future__ import annotations

from random import Random

from headgate.call import Attempt, Call, Reply, ReplyStream
from headgate.clock import Clock
from headgate.core.retry import HOLDS_UP_ALL, GiveUp, RetryPolicy, decide
from headgate.engine.filter import Proceed
from headgate.errors import Unavailable
from headgate.events import ErrorClass, Reason
from headgate.failure import Failure
from headgate.records import AttemptRecord
from headgate.upstream.keyring import Keyring

__all__ = ["Retry"]

_OF_THE_KEY = frozenset((ErrorClass.AUTHENTICATION, ErrorClass.BILLING, ErrorClass.SPEND_LIMIT))


class Retry:
    """The one place that repeats an attempt.

    Above Admit, since every attempt asks again for its permits; below everything that must happen once per call.  A
    stream is looked into until its content begins: a failure before is repeated unseen, and afterwards the attempt is
    committed and this filter stands aside.
    """

    def __init__(self, policy: RetryPolicy, keyring: Keyring, clock: Clock, rng: Random) -> None:
        self._policy = policy
        self._keyring = keyring
        self._clock = clock
        self._rng = rng

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        clock = self._clock
        attempts = call.attempts
        reply: Reply | None = None
        now_s = clock.now_s()
        while True:
            number = len(attempts) + 1
            record = AttemptRecord(call_id=call.record.call_id, attempt=number, started_ms=clock.unix_ms())
            attempt = Attempt(record, now_s)
            attempts.append(attempt)
            try:
                reply = await proceed(call)
                if reply.stream is not None:
                    reply = await self._look_into(reply, reply.stream)
            except BaseException as problem:
                if attempt.failure is None and attempt.sent_s is None:
                    attempts.pop()  # it only waited for its turn: no trip, so no row
                    call.record.queue_ms += record.queue_ms
                    if reply is not None and isinstance(problem, Unavailable):
                        # There is no room for another try in time: what the API said is the better answer.
                        attempts[-1].record.decision = call.record.reason = problem.reason
                        return reply
                raise
            if reply.failure is None:
                return reply
            now_s = clock.now_s()
            wait_s = self._decide(call, attempt, reply.failure, now_s)
            if wait_s is None:
                return reply
            record.decision = call.record.reason = Reason.RETRIED
            if wait_s > 0:
                await clock.sleep(wait_s)
                call.backed_off_s += wait_s
                now_s = clock.now_s()

    async def _look_into(self, reply: Reply, stream: ReplyStream) -> Reply:
        """`reply`, once its content begins; a failure, if the stream broke before."""
        try:
            failure = await stream.opened()
        except BaseException:
            stream.close()
            raise
        if failure is None:
            return reply
        # Nothing of it has been seen by the caller, so it can still become an ordinary error reply.
        stream.close()
        return Reply(0, reply.headers, stream.error or b"", failure=failure)

    def _decide(self, call: Call, attempt: Attempt, failure: Failure, now_s: float) -> float | None:
        """Seconds to wait before the next attempt, or None if this was the last."""
        made = len(call.attempts)
        first = call.attempts[0]
        free = call.credential is None and call.own_key is None and call.upload is None
        another = failure.error in _OF_THE_KEY and free and self._keyring.other_than(attempt.record.credential)
        if another and made < self._policy.max_attempts:
            return 0.0
        decision = decide(
            self._policy,
            failure,
            attempts=made,
            caller_attempts=max(call.record.caller_attempts, call.attempts_before),
            replayable=call.replayable,
            # A long wait for the first turn is no trying: it must not use up the time for trying again.
            elapsed_s=now_s - first.started_s - first.record.queue_ms / 1000,
            left_s=call.deadline_s - now_s,
            rng=self._rng,
        )
        if not isinstance(decision, GiveUp) and call.upload is not None and attempt.sent_s is not None:
            decision = GiveUp(Reason.NOT_REPLAYABLE)  # what was passed on while it arrived is gone
        if isinstance(decision, GiveUp):
            attempt.record.decision = decision.reason
            if decision.reason is not Reason.NOT_RETRYABLE:
                call.record.reason = decision.reason
            return None
        # Where the API asked everybody for time, admission holds all back until then, and this call goes first.
        return 0.0 if failure.retry_after_s and failure.error in HOLDS_UP_ALL else decision.wait_s
