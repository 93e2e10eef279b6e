"""When a call may go: three permit buckets and a queue per lane, for one pool of models on one API key.

Pure: `ask` and `pump` decide, the caller waits.  Limits come from the tier, then from the API's headers, never above a
configured ceiling.  The depth of the API's own buckets is not published (claude-api.md §17.2): we assume a few seconds
of refill, halve that when a 429 proves it too deep, and try a little more again after every quiet minute.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

import msgspec

from headgate.core.bucket import Bucket
from headgate.core.rate_headers import LIMITERS, Reading

__all__ = ["UNLIMITED", "Gate", "Lane", "Limit", "Ticket"]

MIN_DEPTH_S = 1.0
WIDEN_AFTER_S = 60.0
WIDEN_BY = 1 / 10
"""Of the configured depth, for each minute without a 429: down by half, up by a tenth."""
UNLIMITED = 1e12
"""Permits a minute of a limiter that does not apply: finite, so that arithmetic stays arithmetic."""
BELIEVE_AFTER = 3
"""A higher limit is believed once this many responses in a row have said the same, and so is one that is lower by
far."""
LOWER_BY_FAR = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One class of traffic."""

    name: str
    weight: float = 1.0
    """Share against other lanes that have calls waiting; 2.0 gets twice what 1.0 gets."""


@dataclass(slots=True)
class Limit:
    """Permits a minute of one limiter, where that figure comes from, and when it was last said (clock seconds)."""

    per_minute: float
    source: str
    at_s: float
    ceiling: float = inf
    """Configured: no header raises the limit above it."""
    rumour: tuple[float, int] = (0.0, 0)
    """Another limit that headers speak of and that is not believed yet, and how many in a row did."""
    remaining: float | None = None
    remaining_at_s: float | None = None


class Ticket(msgspec.Struct, eq=False):
    """One attempt's place: waiting, then holding permits until it is settled."""

    lane: str
    needs: tuple[float, float, float]
    """Requests, input, output."""
    asked_s: float
    granted: bool = False


@dataclass(slots=True)
class _Queue:
    lane: Lane
    waiting: OrderedDict[Ticket, None] = field(default_factory=OrderedDict)
    """In order, and anybody can leave at once."""
    ahead: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """The needs of those waiting, summed."""
    turn: float = 0.0
    """Work served so far over weight: the lane that is furthest behind goes next."""


class Gate:
    """Admission to one pool with one API key.  All times are seconds of one monotonic clock."""

    def __init__(self, limits: Sequence[Limit], lanes: Sequence[Lane], *, depth_s: float, now_s: float) -> None:
        self.limits = list(limits)
        """In the order of `LIMITERS`."""
        self.depth_s = depth_s
        self._full_depth_s = depth_s
        self._depth_at_s = now_s
        self.frozen_until_s = -inf
        self.frozen_by = ""
        self.under_way: set[Ticket] = set()
        """Those that hold permits."""
        self.waiting = 0
        self._turn = 0.0
        """The turn of the lane that went last: where a lane begins that had nothing to ask for."""
        self._queues = {lane.name: _Queue(lane) for lane in lanes}
        self._buckets = [Bucket(self._capacity(limit), limit.per_minute / 60, now_s) for limit in self.limits]

    def _capacity(self, limit: Limit) -> float:
        return max(1.0, limit.per_minute * self.depth_s / 60)

    # -- asking -------------------------------------------------------------------------------------------------

    def ask(self, lane: str, input_tokens: float, output_tokens: float, now_s: float, *, first: bool = False) -> Ticket:
        """A ticket, granted at once if nobody waits and there are permits, else queued.

        Args:
            first: at the head of its lane's queue: for a call that had its turn and was sent back by a 429.
        """
        ticket = Ticket(lane, (1.0, input_tokens, output_tokens), now_s)
        if not self.waiting and now_s >= self.frozen_until_s:
            requests, inputs, outputs = self._buckets
            if (
                requests.refill(now_s) >= 1.0
                and inputs.refill(now_s) >= input_tokens
                and outputs.refill(now_s) >= output_tokens
            ) or self.wait_s(ticket.needs, now_s) <= 0.0:
                self._grant(ticket)
                return ticket
        queue = self._queues[lane]
        if not queue.waiting and queue.turn < self._turn:
            queue.turn = self._turn  # it is owed nothing for the time it asked for nothing
        queue.waiting[ticket] = None
        if first:
            queue.waiting.move_to_end(ticket, last=False)
        self._count(queue, ticket, 1)
        return ticket

    def expected_wait_s(self, ticket: Ticket, now_s: float) -> float:
        """How long `ticket`, which has just asked, will wait if nothing else changes; of one that has left the queue,
        how long it would if it asked again."""
        own = self._queues[ticket.lane]
        queued = ticket in own.waiting
        at_head = queued and next(iter(own.waiting)) is ticket
        longest = 0.0
        for index, bucket in enumerate(self._buckets):
            need = ticket.needs[index]
            ahead = 0.0 if at_head else own.ahead[index] - (need if queued else 0.0)
            # Those ahead leave their debts behind; its own it leaves to others.
            work = ahead + min(need, bucket.capacity)
            for other in self._queues.values():
                if other is not own:
                    work += min(other.ahead[index], (ahead + need) * other.lane.weight / own.lane.weight)
            if bucket.refill_per_s > 0:
                longest = max(longest, (work - bucket.refill(now_s)) / bucket.refill_per_s)
        return max(longest, self.frozen_until_s - now_s)

    def wait_s(self, needs: Sequence[float], now_s: float) -> float:
        """Seconds until permits for `needs` are there; 0 if they are."""
        longest = self.frozen_until_s - now_s
        for bucket, need in zip(self._buckets, needs, strict=True):
            wait = bucket.wait_s(need, now_s)
            if wait > longest:
                longest = wait
        return longest if longest > 0.0 else 0.0

    def pump(self, now_s: float) -> tuple[list[Ticket], float]:
        """Grant what can be granted, in order.  Returns those tickets, and seconds until the next look (`inf`:
        none)."""
        granted: list[Ticket] = []
        while self.waiting:
            queue = min((q for q in self._queues.values() if q.waiting), key=lambda q: q.turn)
            ticket = next(iter(queue.waiting))
            wait_s = self.wait_s(ticket.needs, now_s)
            if wait_s > 0.0:
                return granted, wait_s
            del queue.waiting[ticket]
            self._count(queue, ticket, -1)
            self._grant(ticket)
            self._turn = queue.turn
            self._advance(queue, ticket)
            granted.append(ticket)
        return granted, inf

    def withdraw(self, ticket: Ticket) -> None:
        """The caller of a ticket that still waits has gone."""
        queue = self._queues[ticket.lane]
        if ticket in queue.waiting:
            del queue.waiting[ticket]
            self._count(queue, ticket, -1)

    def _count(self, queue: _Queue, ticket: Ticket, sign: int) -> None:
        self.waiting += sign
        for index, need in enumerate(ticket.needs):
            queue.ahead[index] += sign * need

    def _grant(self, ticket: Ticket) -> None:
        requests, input_tokens, output_tokens = self._buckets
        _, needs_input, needs_output = ticket.needs
        requests.level -= 1.0
        input_tokens.level -= needs_input
        output_tokens.level -= needs_output
        ticket.granted = True
        self.under_way.add(ticket)

    def _advance(self, queue: _Queue, ticket: Ticket) -> None:
        """`queue` had a turn that others waited for: it moves back by the share it took."""
        share = max(need / bucket.refill_per_s for need, bucket in zip(ticket.needs, self._buckets, strict=True))
        queue.turn += share / queue.lane.weight

    # -- settling -----------------------------------------------------------------------------------------------

    def settle(self, ticket: Ticket, input_tokens: float, output_tokens: float) -> None:
        """The attempt is over: what it did not use goes back, what it used beyond its estimate is taken."""
        if ticket not in self.under_way:
            return
        self.under_way.remove(ticket)
        _, needs_input, needs_output = ticket.needs
        _, input_bucket, output_bucket = self._buckets
        input_bucket.take(input_tokens - needs_input)
        output_bucket.take(output_tokens - needs_output)

    def release(self, ticket: Ticket, *, sent: bool) -> None:
        """The attempt used no tokens.  One that was never sent gives its request back too."""
        if not sent and ticket in self.under_way:
            self._buckets[0].take(-1.0)
        self.settle(ticket, 0.0, 0.0)

    # -- learning -----------------------------------------------------------------------------------------------

    def learn(self, readings: Sequence[Reading], now_s: float) -> None:
        """Take what the headers of a response said.  Nonsense was already dropped."""
        if self.depth_s < self._full_depth_s and now_s - self._depth_at_s >= WIDEN_AFTER_S:
            self._resize(min(self._full_depth_s, self.depth_s + self._full_depth_s * WIDEN_BY), now_s)
        for limit, bucket, reading in zip(self.limits, self._buckets, readings, strict=True):
            if reading.limit:
                self._learn_limit(limit, bucket, float(reading.limit), now_s)
            if reading.remaining is not None:
                limit.remaining = reading.remaining
                limit.remaining_at_s = now_s
                # Others may use the account too: there is never more than the API says is left.
                bucket.cap_level(reading.remaining, now_s)

    def _learn_limit(self, limit: Limit, bucket: Bucket, said: float, now_s: float) -> None:
        new = min(said, limit.ceiling)
        if new > limit.per_minute or new * LOWER_BY_FAR < limit.per_minute:
            seen = limit.rumour[1] + 1 if limit.rumour[0] == new else 1
            limit.rumour = (new, seen)
            if seen < BELIEVE_AFTER:
                return
        if new != limit.per_minute:
            limit.per_minute = new
            bucket.resize(self._capacity(limit), new / 60, now_s)
        limit.source = "headers" if said <= limit.ceiling else "configured ceiling"
        limit.at_s = now_s
        limit.rumour = (0.0, 0)

    def freeze(self, until_s: float, why: str) -> None:
        """Nothing goes before `until_s`: the API asked for it."""
        if until_s > self.frozen_until_s:
            self.frozen_until_s = until_s
            self.frozen_by = why

    def narrow(self, now_s: float) -> None:
        """A 429 came though we saw room: the API's buckets are shallower than we thought."""
        self._resize(min(self.depth_s, max(MIN_DEPTH_S, self.depth_s / 2)), now_s)

    def _resize(self, depth_s: float, now_s: float) -> None:
        self.depth_s = depth_s
        self._depth_at_s = now_s
        for limit, bucket in zip(self.limits, self._buckets, strict=True):
            bucket.resize(self._capacity(limit), bucket.refill_per_s, now_s)

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def lanes(self) -> list[str]:
        return list(self._queues)

    def waiting_in(self, lane: str) -> int:
        return len(self._queues[lane].waiting)

    def oldest_wait_s(self, lane: str, now_s: float) -> float:
        waiting = self._queues[lane].waiting
        return now_s - min(ticket.asked_s for ticket in waiting) if waiting else 0.0

    def levels(self, now_s: float) -> Iterator[tuple[str, Limit, float, float]]:
        """For each limiter: its name, its limit, permits free now, permits held."""
        for index, (name, limit, bucket) in enumerate(zip(LIMITERS, self.limits, self._buckets, strict=True)):
            yield name, limit, bucket.refill(now_s), sum(ticket.needs[index] for ticket in self.under_way)
