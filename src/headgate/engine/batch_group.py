"""Calls that go into one Message Batch: who they are, and what is written down of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

import msgspec

from headgate.call import Attempt, Call, Kind, Reply
from headgate.clock import Clock, milliseconds
from headgate.core.classify import classify_event
from headgate.core.defer import Result
from headgate.core.estimate import Habit
from headgate.core.fallback import REFUSAL
from headgate.core.message import read_message
from headgate.engine.books import note_failure
from headgate.engine.meter import Meter
from headgate.engine.own_answer import whole_reply
from headgate.errors import Refused
from headgate.events import ErrorClass, Reason, UsageSource
from headgate.failure import Failure
from headgate.net.http import HeaderBlock
from headgate.records import AttemptRecord

__all__ = ["BatchGroup", "BatchMember"]


class BatchMember:
    """A call in a batch.  `turn` is its reply, or None if it is to be asked alone."""

    __slots__ = ("call", "came_s", "give_up_s", "turn")

    def __init__(self, call: Call, came_s: float, give_up_s: float) -> None:
        self.call = call
        self.came_s = came_s
        self.give_up_s = give_up_s
        """When it is asked alone if it has no answer by then."""
        self.turn: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()


class BatchGroup:
    """Collects until it is sent; from then on every member has an attempt, and each attempt is settled once."""

    def __init__(self) -> None:
        self.members: dict[str, BatchMember] = {}
        """By call id, which is the item's `custom_id`."""
        self.bytes = 0
        self.send_by_s = inf
        self.give_up_s = inf
        """Of the member that gives up first; known once it is sent."""
        self.sent = False
        self.deserted = asyncio.Event()
        """Nobody waits for it any more."""
        self._open: dict[str, BatchMember] = {}
        self._over = False
        self._callbacks: list[Callable[[], None]] = []

    def add(self, member: BatchMember, send_by_s: float) -> None:
        self.members[member.call.record.call_id] = member
        self.bytes += len(member.call.body)
        self.send_by_s = min(self.send_by_s, send_by_s)

    def leave(self, member: BatchMember) -> None:
        """Its caller has gone.  What is on its way stays there: the API bills what it has answered."""
        if not self.sent:
            del self.members[member.call.record.call_id]
            self.bytes -= len(member.call.body)
        elif all(each.turn.done() for each in self.members.values()):
            self.deserted.set()

    def send(self, meter: Meter, habit_of: Callable[[Call], Habit], clock: Clock) -> None:
        """Every member has an attempt from now on, which is in the ledger's journal before it goes out.  One that
        cannot be written down is left out, and goes on alone."""
        self.sent = True
        now_s, now_ms = clock.now_s(), clock.unix_ms()
        for name, member in [*self.members.items()]:
            call = member.call
            habit = habit_of(call)
            input_tokens, output_tokens = habit.expect(call.size, call.record.max_tokens)
            record = AttemptRecord(
                call_id=name, attempt=len(call.attempts) + 1, started_ms=now_ms, pool=Kind.BATCHES,
                queue_ms=milliseconds(now_s - member.came_s), estimated_input_tokens=round(input_tokens),
                estimated_output_tokens=round(output_tokens),
            )  # fmt: skip
            try:
                meter.begin(call, record)
            except Refused:
                del self.members[name]
                member.turn.set_result(None)
                continue
            call.attempts.append(Attempt(record, member.came_s, sent_s=now_s, habit=habit))
            call.under_way = self
        self._open = dict(self.members)
        self.give_up_s = min([member.give_up_s for member in self.members.values()], default=inf)

    def made(self, batch_id: str, credential: str) -> None:
        """The API has taken it."""
        for member in self.members.values():
            member.call.record.batch_id = batch_id
            member.call.attempt.record.credential = credential

    def take(self, name: str, result: Result, meter: Meter, clock: Clock, *, declined: bool = True) -> None:
        """What became of one item.  An answer in which the model declines is one unless `declined` is false: then its
        call is asked alone."""
        member = self._open.get(name)
        if member is None:
            return
        call, attempt = member.call, member.call.attempt
        facts = read_message(bytes(result.message)) if result.type == "succeeded" else None
        if facts is None:
            self._alone(member, _failure_of(result), meter, clock)
            return
        del self._open[name]
        if facts.usage is not None:
            facts.usage.service_tier = "batch"
        attempt.facts = facts
        attempt.ended_s = clock.now_s()
        attempt.record.status = 200
        meter.books.price(call, attempt, UsageSource.VENDOR if facts.usage is not None else UsageSource.UNKNOWN)
        meter.books.learn(call, attempt, None)
        if call.placement is not None:
            call.placement.settle(facts.usage)
        if not member.turn.done():
            final = declined or facts.stop_reason != REFUSAL
            reply = _reply_to(call, bytes(result.message), clock.now_s()) if final else None
            call.record.reason = Reason.BATCHED if reply is not None else Reason.ASKED_ALONE
            member.turn.set_result(reply)

    @property
    def is_answered(self) -> bool:
        """Whether it is known of every member what became of it."""
        return not self._open

    def give_up(self, failure: Failure, meter: Meter, clock: Clock) -> None:
        """Nothing came of the members that are left: each is asked alone.  It is known now what each of them used."""
        for member in [*self._open.values()]:
            self._alone(member, failure, meter, clock)
        self._over = True
        for callback in self._callbacks:
            callback()
        for member in self.members.values():
            member.call.under_way = None

    def on_end(self, callback: Callable[[], None]) -> None:
        if self._over:
            callback()
        else:
            self._callbacks.append(callback)

    def abandon(self, problem: BaseException | None = None) -> None:
        """A defect of ours ended it, and whoever still waits is told so; or Headgate stops, which is like a lost
        connection: nobody is told that it was cancelled who did not cancel it."""
        for member in self.members.values():
            if member.turn.done():
                continue
            if problem is None or isinstance(problem, asyncio.CancelledError):
                member.turn.set_result(Reply(0, HeaderBlock(), failure=Failure(ErrorClass.RESET)))
            else:
                member.turn.set_exception(problem)

    def _alone(self, member: BatchMember, failure: Failure, meter: Meter, clock: Clock) -> None:
        call, attempt = member.call, member.call.attempt
        del self._open[call.record.call_id]
        attempt.ended_s = clock.now_s()
        if not member.turn.done():
            attempt.record.decision = call.record.reason = Reason.ASKED_ALONE
        # All of it was waiting: trying again counts from here.
        attempt.record.queue_ms = milliseconds(attempt.ended_s - attempt.started_s)
        attempt.sent_s = None
        note_failure(attempt, failure)
        if call.placement is not None:
            call.placement.settle(None)
        if failure.may_have_run:
            meter.books.doubt(call, attempt)
        if not member.turn.done():
            member.turn.set_result(None)


def _reply_to(call: Call, message: bytes, now_s: float) -> Reply | None:
    """The answer as its caller wants it; None if it cannot be made a stream of, which must not hurt the others."""
    try:
        return whole_reply(call, message, now_s)
    except (msgspec.MsgspecError, RecursionError, LookupError, TypeError, AttributeError):
        return None


def _failure_of(result: Result) -> Failure:
    """Of an item without an answer.  None of them is billed (claude-api.md §10), but one that cannot be read may be."""
    if result.type == "errored":
        return classify_event(bytes(result.error))
    if result.type == "succeeded":
        return Failure(ErrorClass.MALFORMED)
    return Failure(ErrorClass.CANCELLED, type=result.type[:64])
