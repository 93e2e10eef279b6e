"""When a call may go, and on which backend: one fair queue in front of a pool's backends, in the operator's order.

Pure: `ask` and `pump` decide, the caller waits.  The queue knows whose turn it is (core/fair_queue.py), each backend
knows what its account lets through (core/backend.py); what stands here is only how the two meet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from headgate.core.backend import INPUT, OUTPUT, Backend
from headgate.core.fair_queue import FairQueue, Lane
from headgate.core.mix import Spare
from headgate.core.prefix_heat import PrefixHeat
from headgate.core.ticket import Needs, Ticket

__all__ = ["Gate"]

LENT_AFTER_S = 600.0
"""A lane that has asked for nothing for so long lends its headroom too; its next call has it back at once."""

LEARNING = 1 / 16
"""Weight of one attempt in what is taken to be typical."""


class Gate:
    """Admission to one pool.  All times are seconds of one monotonic clock.

    Args:
        rests_s: for how many seconds the backend of that name is out of service: a key that was refused, or is spent.
    """

    def __init__(self, lanes: Sequence[Lane], *, rests_s: Callable[[str, float], float], now_s: float) -> None:
        self.heat = PrefixHeat()
        self.queue = FairQueue(lanes, self.heat)
        self.backends: list[Backend] = []
        """In the order in which they are used: the first that has room."""
        self.rests_s = rests_s
        self._headroom = {lane.name: lane.headroom for lane in lanes if lane.headroom}
        self._asked_s = dict.fromkeys(self._headroom, now_s)
        # Counted anew when a lane begins or ends to lend its headroom: the share of the permits that is kept from lanes
        # without any, and from each of those that have some.
        self._kept = 0.0
        self._kept_from: dict[str, float] = {}
        self._kept_until_s = -inf if self._headroom else inf
        self._typical_s = 0.0
        """How long attempts have lately been under way."""

    @property
    def waiting(self) -> int:
        return self.queue.waiting

    @property
    def under_way(self) -> int:
        """Attempts that hold permits."""
        return sum([backend.under_way for backend in self.backends])

    # -- asking -------------------------------------------------------------------------------------------------

    def ask(self, ticket: Ticket, now_s: float, *, first: bool = False) -> bool:
        """Grant `ticket` if nobody waits and there is room, else queue it.  What it needs is by what the prompt cache
        holds now.

        Args:
            first: at the head of its tenant's queue: for a call that had its turn and was sent back by the API.
        """
        if ticket.lane in self._headroom:
            if now_s - self._asked_s[ticket.lane] >= LENT_AFTER_S:
                self._kept_until_s = -inf
            self._asked_s[ticket.lane] = now_s
        queue = self.queue
        if not queue.waiting and queue.may_go(ticket, now_s) and self._wait_s(ticket, False, now_s) <= 0.0:
            self._grant(ticket, now_s)
            return True
        queue.add(ticket, now_s, first=first)
        return False

    def pump(self, now_s: float) -> tuple[list[Ticket], float]:
        """Grant what can be granted, in order.  Returns those tickets, and seconds until the next look (`inf`:
        none before something happens)."""
        granted: list[Ticket] = []
        queue = self.queue
        known: Ticket | None = None

        def wait_s(ticket: Ticket, into_headroom: bool) -> float:
            nonlocal known
            if ticket.prefixes and ticket is not known:
                known = ticket
                self._read_cache(ticket, now_s)
            return self._wait_s(ticket, into_headroom, now_s)

        spare = self._spare(now_s) if queue.waiting > 1 else None
        while queue.waiting:
            ticket, next_s = queue.pick(now_s, wait_s, spare)
            if ticket is None:
                return granted, next_s
            self._grant(ticket, now_s)
            queue.charge(ticket, self._share_s(ticket.needs))
            granted.append(ticket)
        return granted, inf

    def withdraw(self, ticket: Ticket, now_s: float) -> None:
        """The caller of a ticket that still waits has gone."""
        self.queue.discard(ticket, now_s)

    def expected_wait_s(self, ticket: Ticket, now_s: float) -> float:
        """How long `ticket`, which waits, will wait if nothing else changes; of one that has left the queue, how long
        it would if it asked again.

        The least wait, or as long as attempts have lately taken to make way, where a bound on concurrency is in the
        way as well: its tenant's, or that of the backends.
        """
        rounds = self.queue.rounds(ticket)
        backends = self._choice(ticket, now_s)
        most = sum([backend.concurrency.limit for backend in backends])
        if most < inf:
            before = self.queue.ahead(ticket)[0] + sum([backend.under_way for backend in backends])
            rounds = max(rounds, (before + 1 - most) / most)
        return max(self.least_wait_s(ticket, now_s), rounds * self._typical_s)

    def least_wait_s(self, ticket: Ticket, now_s: float) -> float:
        """How long `ticket` must wait at least: for permits, for the API, for its lane to open."""
        backends = self._choice(ticket, now_s)
        ahead = self.queue.ahead(ticket)
        longest_s = 0.0
        refill = [backend.refill_per_s for backend in backends]
        free = [backend.free(now_s) for backend in backends]
        capacity = [backend.capacity for backend in backends]
        for index, need in enumerate(ticket.needs):
            # Those ahead leave their debts behind; its own it leaves to others.
            work = ahead[index] + min(need, max([each[index] for each in capacity]))
            missing = work - sum([each[index] for each in free])
            if missing > 0:
                per_s = sum([each[index] for each in refill])
                longest_s = max(longest_s, missing / per_s if per_s > 0 else inf)
        blocked_s = min([backend.blocked_s(now_s) for backend in backends])
        return max(longest_s, blocked_s, self.queue.closed_for_s(ticket.lane, now_s))

    def is_failing(self, ticket: Ticket, now_s: float) -> bool:
        """Whether every backend that would do has failed so often that nothing, or a probe at most, is sent there."""
        return all(backend.breaker.state(now_s) in ("open", "half_open") for backend in self._choice(ticket, now_s))

    def is_idle(self, now_s: float) -> bool:
        """Whether nothing would be lost with it but what was learned."""
        return not (self.waiting or self.under_way or any(backend.blocked_s(now_s) > 0 for backend in self.backends))

    # -- room -------------------------------------------------------------------------------------------------------

    def _choice(self, ticket: Ticket, now_s: float) -> Sequence[Backend]:
        """The backends that would do.  If all are out of service the first is taken all the same: its refusal tells the
        caller more than ours would."""
        backends = self.backends
        if len(backends) == 1:
            return backends
        if ticket.only is not None:
            return [backend for backend in backends if backend.name == ticket.only]
        return [each for each in backends if self.rests_s(each.name, now_s) <= 0.0] or backends[:1]

    def _next_back_s(self, ticket: Ticket, now_s: float) -> float:
        """Seconds until another backend is in service."""
        if ticket.only is not None:
            return inf
        rests = [self.rests_s(backend.name, now_s) for backend in self.backends]
        return min([seconds for seconds in rests if seconds > 0.0], default=inf)

    def _read_cache(self, ticket: Ticket, now_s: float) -> None:
        """What `ticket` needs depends on what the prompt cache holds by now."""
        requests, _, outputs = ticket.needs
        inputs = ticket.prompt_tokens - self.heat.served(ticket.prefixes, now_s)
        ticket.needs = (requests, inputs if inputs > 0.0 else 0.0, outputs)

    def _wait_s(self, ticket: Ticket, into_headroom: bool, now_s: float) -> float:
        """Seconds until there is room for `ticket` on one of its backends, which it is given; 0 now."""
        if now_s >= self._kept_until_s:
            self._keep(now_s)
        headroom = self._kept_from.get(ticket.lane)
        if headroom is None:  # one without any, asked perhaps to know whether headroom is all that is in the way
            headroom = 0.0 if into_headroom else self._kept
        backends = self.backends
        if len(backends) == 1:
            backend = ticket.backend = backends[0]
            return backend.wait_s(ticket.needs, now_s, headroom=headroom, prompt_tokens=ticket.prompt_tokens)
        shortest_s = self._next_back_s(ticket, now_s)
        spoken_for = self.queue.spoken_for
        for backend in self._choice(ticket, now_s):
            if spoken_for and ticket.only is None and backend.name in spoken_for:
                continue  # somebody whose turn it is waits for just this one
            wait_s = backend.wait_s(ticket.needs, now_s, headroom=headroom, prompt_tokens=ticket.prompt_tokens)
            if wait_s <= 0.0:
                ticket.backend = backend
                return 0.0
            if wait_s < shortest_s:
                shortest_s = wait_s
        return shortest_s

    def _keep(self, now_s: float) -> None:
        """Count whose headroom is kept.  A lane that has been quiet for long lends its own."""
        until_s = {name: asked_s + LENT_AFTER_S for name, asked_s in self._asked_s.items()}
        kept = {name: share for name, share in self._headroom.items() if now_s < until_s[name]}
        self._kept = sum(kept.values())
        self._kept_from = {name: self._kept - kept.get(name, 0.0) for name in self._headroom}
        self._kept_until_s = min([until_s[name] for name in kept], default=inf)

    def _spare(self, now_s: float) -> Spare | None:
        """Of input and output the one that those who wait will need for longer, while less of it is missing than of the
        other, and more is needed than is left: what refills meanwhile would be lost."""
        _, need, other_need = self.queue.needs(now_s)
        per_s = other_per_s = 0.0
        for backend in self.backends:
            _, inputs, outputs = backend.binding
            per_s += inputs.refill_per_s
            other_per_s += outputs.refill_per_s
        spare: Spare = "input"
        index, other = INPUT, OUTPUT
        if other_need * per_s > need * other_per_s:
            spare, index, other, need = "output", OUTPUT, INPUT, other_need
        room = other_room = missing = other_missing = 0.0
        for backend in self.backends:
            limiter = backend.binding[index]
            room += limiter.room
            missing += limiter.missing_at(now_s) + limiter.margin
            limiter = backend.binding[other]
            other_room += limiter.room
            other_missing += limiter.missing_at(now_s) + limiter.margin
        if need <= room - missing or missing * other_room >= other_missing * room:
            return None
        return spare

    def _grant(self, ticket: Ticket, now_s: float) -> None:
        ticket.granted = True
        ticket.granted_s = now_s
        ticket.backend.take(ticket, now_s)
        self.queue.began(ticket)
        if ticket.prefixes:
            self.heat.sent(ticket.prefixes, now_s)

    def _share_s(self, needs: Needs) -> float:
        """What part of the pool `needs` are, in seconds of all it lets through: the dominant of the three."""
        requests_per_s = input_per_s = output_per_s = 0.0
        for backend in self.backends:
            requests, inputs, outputs = backend.binding
            requests_per_s += requests.refill_per_s
            input_per_s += inputs.refill_per_s
            output_per_s += outputs.refill_per_s
        share_s = needs[0] / requests_per_s
        if needs[1] > share_s * input_per_s:
            share_s = needs[1] / input_per_s
        if needs[2] > share_s * output_per_s:
            share_s = needs[2] / output_per_s
        return share_s

    # -- settling -----------------------------------------------------------------------------------------------

    def settle(self, ticket: Ticket, used: Needs, now_s: float) -> None:
        """The attempt is over: what it did not use goes back, what it used beyond its estimate is taken."""
        ticket.backend.settle(ticket, used, now_s)
        self.queue.ended(ticket)
        if used[0]:
            self._typical_s += (now_s - ticket.granted_s - self._typical_s) * (LEARNING if self._typical_s else 1.0)
        if ticket.share_s:  # others waited when it went: its true share counts for the next turns
            self.queue.charge(ticket, self._share_s(used))

    def spent(self, backend: str, used: Needs, now_s: float) -> None:
        """Permits were used at `backend` that nobody had asked for here: by a model that another one handed over to."""
        for each in self.backends:
            if each.name == backend:
                each.spent(used, now_s)
