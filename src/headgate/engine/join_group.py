"""Calls that are asked together: who they are, and what each of them bears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf

import msgspec

from headgate.call import Attempt, Call, Reply
from headgate.clock import utc_day
from headgate.core.join import LONGEST_JOINED_BYTES, Item
from headgate.core.join_shares import apportioned, usage_shares
from headgate.core.price import PriceBook
from headgate.engine.join_answer import JoinedAnswer
from headgate.errors import Refused
from headgate.events import ErrorClass, Reason
from headgate.failure import Failure
from headgate.net.http import HeaderBlock
from headgate.usage import MessageFacts, Usage

__all__ = ["Group", "Member"]


class Member:
    """A call in a group.  `turn` is its reply, or None if it is to be asked alone."""

    __slots__ = ("call", "came_s", "group", "item", "turn")

    def __init__(self, group: Group, call: Call, item: Item, came_s: float) -> None:
        self.group = group
        self.call = call
        self.item = item
        self.came_s = came_s
        self.turn: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()


class Group:
    """Open until `closed` is called with it; then nobody joins any more, and `members` are those still there."""

    def __init__(self, closed: Callable[[Group], None]) -> None:
        self.members: list[Member] = []
        self.bytes = 0
        """Of their texts."""
        self._patient_until_s = inf
        self._wanted_by_s = inf
        self._closed: Callable[[Group], None] | None = closed
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self._callbacks: list[Callable[[], None]] = []

    # -- while it is open ---------------------------------------------------------------------------------------------

    def has_room(self, item: Item, spare_s: float) -> bool:
        """Whether `item` still goes in, whose call would have so much time to spare."""
        return spare_s > 0 and self.bytes + item.size <= LONGEST_JOINED_BYTES

    def add(self, call: Call, item: Item, now_s: float, patience_s: float, left_s: float) -> Member:
        """Have `call` wait here, `patience_s` at most; its answer is wanted in `left_s`."""
        member = Member(self, call, item, now_s)
        self.members.append(member)
        self.bytes += item.size
        self._patient_until_s = min(self._patient_until_s, now_s + patience_s)
        self._wanted_by_s = min(self._wanted_by_s, now_s + left_s)
        return member

    def latest_s(self, needs_s: float) -> float:
        """Until when to wait for one more, with whom the request would need so long."""
        return min(self._patient_until_s, self._wanted_by_s - needs_s)

    def close_in(self, wait_s: float) -> None:
        """Close when nobody has come for so long."""
        self._stop_timer()
        if wait_s > 0:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.close)
        else:
            self.close()

    def close(self) -> None:
        self._stop_timer()
        closed, self._closed = self._closed, None
        if closed is not None:
            closed(self)

    def asked_by(self, task: asyncio.Task[None]) -> None:
        """`task` now asks for all of them."""
        self._task = task
        task.add_done_callback(lambda _: self.abandon(None))  # if it was given up before it began
        for member in self.members:
            member.call.under_way = self

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave(self, member: Member) -> None:
        """Its caller has gone.  A request that is under way goes on for the others, and is given up after the last."""
        if self._closed is not None:
            self.members.remove(member)
            self.bytes -= member.item.size
            if not self.members:
                self.close()
        elif self._task is not None and all(each.turn.done() for each in self.members):
            self._task.cancel()

    # -- when it was asked --------------------------------------------------------------------------------------------

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call back when it is known what each of them bears; at once if it is."""
        if self._over:
            callback()
        else:
            self._callbacks.append(callback)

    def settle(self, carrier: Call, prices: PriceBook, answer: JoinedAnswer | None) -> None:
        """Give each of them its share of every attempt that was made for all."""
        count = len(self.members)
        made = carrier.attempts[len(self.members[0].call.attempts) :]
        for attempt in made:
            self._share_out(attempt, carrier, prices, answer if attempt is carrier.attempts[-1] else None)
        for member in self.members:
            call = member.call
            call.backed_off_s += carrier.backed_off_s
            record = call.record
            record.queue_ms += carrier.record.queue_ms
            if made:
                record.joined = count
                record.cache_plan = carrier.record.cache_plan
                record.reason = carrier.record.reason or record.reason or Reason.JOINED
        self._end()

    def _end(self) -> None:
        if not self._over:
            self._over = True
            for callback in self._callbacks:
                callback()
            self._callbacks.clear()
            for member in self.members:
                member.call.under_way = None

    def _share_out(self, attempt: Attempt, carrier: Call, prices: PriceBook, answer: JoinedAnswer | None) -> None:
        members, whole = self.members, attempt.record
        own_bytes = [member.item.size for member in members]
        answer_bytes = answer.sizes if answer is not None else [0] * len(members)
        facts = attempt.facts
        usage = facts.usage if facts is not None else None
        shares = usage_shares(usage or Usage(), len(carrier.body), own_bytes, answer_bytes)
        told = [_facts_of(facts, share, attempt.failure is None) for share in shares]
        costs: list[int | None] = [None] * len(members)
        if whole.cost_pico is not None:
            weights = [_cost_of(each, carrier, prices) for each in told]
            costs = list(apportioned(whole.cost_pico, weights))
        unconfirmed = apportioned(whole.unconfirmed_pico, own_bytes)
        estimated_in = apportioned(whole.estimated_input_tokens, own_bytes)
        estimated_out = apportioned(whole.estimated_output_tokens, [1] * len(members))
        for index, member in enumerate(members):
            attempts = member.call.attempts
            record = msgspec.structs.replace(
                whole,
                call_id=member.call.record.call_id,
                attempt=len(attempts) + 1,
                shared_by=len(members),
                cost_pico=costs[index],
                unconfirmed_pico=unconfirmed[index],
                estimated_input_tokens=estimated_in[index],
                estimated_output_tokens=estimated_out[index],
                hops=None,
            )
            if usage is not None:
                shares[index].write_to(record)
                record.thinking_tokens = shares[index].thinking
            attempts.append(
                Attempt(
                    record, attempt.started_s, attempt.credential, attempt.sent_s, attempt.ended_s, attempt.failure,
                    told[index],
                )
            )  # fmt: skip

    def tell(self, outcomes: Sequence[Reply | Refused | None]) -> None:
        """Give each of them what came of it; who has left gets nothing."""
        for member, outcome in zip(self.members, outcomes, strict=True):
            if member.turn.done():
                continue
            if isinstance(outcome, Refused):
                member.turn.set_exception(outcome)
            else:
                member.turn.set_result(outcome)
        self._let_go()

    def abandon(self, problem: BaseException | None) -> None:
        """A defect ended it; or, without one, its members have left, or the engine ends.  Nothing, if it is over."""
        self._end()
        for member in self.members:
            if member.turn.done():
                continue
            if problem is None:
                member.turn.set_result(Reply(0, HeaderBlock(), failure=Failure(ErrorClass.RESET)))
            else:
                member.turn.set_exception(problem)
        self._let_go()

    def _let_go(self) -> None:
        """Members refer to their group: without this their requests would wait for the garbage collector."""
        self.members = []


def _facts_of(facts: MessageFacts | None, share: Usage, good: bool) -> MessageFacts | None:
    if facts is None:
        return None
    usage = share if facts.usage is not None else None
    return MessageFacts(facts.id, facts.model, facts.stop_reason, facts.refusal_category, good, usage=usage)


def _cost_of(facts: MessageFacts | None, carrier: Call, prices: PriceBook) -> int:
    """What a share would cost by itself: the weight by which the cost of the whole is divided."""
    if facts is None or facts.usage is None:
        return 0
    day = utc_day(carrier.record.started_ms)
    charge = prices.charge(facts, model=carrier.record.model or "", day=day, requested_geo=carrier.geo)
    return charge.pico or 0
