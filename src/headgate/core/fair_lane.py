"""Whose turn it is inside a lane: the tenant that has had least goes next.

A tenant's tickets compete as a flow, or as several if some of them can go one way only: those that one backend alone
will do for must not hold up the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace
from math import inf

from headgate.core.prefix_order import Line
from headgate.core.ticket import NOTHING, Needs, Ticket

__all__ = ["FairLane", "Flow", "Lane", "Tenant"]

MOST_OWED_S = 60.0
"""A tenant that could not go for longer, since its one backend was out, does not have all of it made up for."""
IDLE_KEPT = 10_000
LEAST_SWEPT = 256
LOOKED_AT = 16
"""Tenants whose queues an expected wait is worked out from; of more it takes every so-manieth for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One class of traffic."""

    name: str
    weight: float = 1.0
    """Share against other lanes that have calls waiting; 2.0 gets twice what 1.0 gets."""
    headroom: float = 0.0
    """Share of every bucket that other lanes may not draw down."""


class Flow(Line):
    """The tickets of one tenant in one lane that the same backends will do for."""

    __slots__ = ("entry", "key", "only", "ready", "tenant", "waiting")

    def __init__(self, tenant: Tenant, only: str | None) -> None:
        super().__init__()
        self.tenant = tenant
        self.only = only
        self.waiting = 0
        self.ready = False
        """It competes: it has tickets, and its tenant has not as many under way as it may."""
        self.entry = 0
        """The one entry in the heap that counts; 0: none."""
        self.key = 0.0


class Tenant:
    """A workflow or caller in one lane.  `turn`: seconds of the pool that it took, from an arbitrary zero."""

    __slots__ = ("came", "flows", "lane", "left", "name", "ready", "seat", "turn", "waiting")

    def __init__(self, name: str, lane: FairLane) -> None:
        self.name = name
        self.lane = lane
        self.turn = lane.latest
        self.flows: dict[str | None, Flow] = {}
        self.ready = 0
        """Flows that compete."""
        self.waiting = 0
        self.seat = -1
        """Its place in the list of those who wait."""
        self.came = NOTHING
        """Needs of all tickets that came since it last had none waiting."""
        self.left = NOTHING


class FairLane:
    """The tickets of one lane.  `turn`: seconds of the pool that it took over its weight."""

    __slots__ = (
        "_heaps", "_places", "_waiting", "closed_until_s", "headroom", "latest", "needs", "ready", "sweep_at",
        "tenants", "tickets", "turn", "weight",
    )  # fmt: skip

    def __init__(self, lane: Lane) -> None:
        self.weight = lane.weight
        self.headroom = lane.headroom
        self.turn = 0.0
        self.latest = 0.0
        """The turn of the tenant that went last: where one begins that had nothing to ask for."""
        self.closed_until_s = -inf
        self.ready = 0
        """Flows that compete."""
        self.tenants: dict[str, Tenant] = {}
        self.tickets: OrderedDict[int, Ticket] = OrderedDict()
        """By place, as they came."""
        self.needs = NOTHING
        self.sweep_at = LEAST_SWEPT
        self._waiting: list[Tenant] = []
        self._places = 0
        self._heaps: dict[str | None, list[tuple[float, int, Flow]]] = {None: []}
        """Flows by the turn of their tenant, apart for each backend that alone will do.  An entry may be out of date;
        it is looked at again when it comes to the top."""

    # -- coming and going -----------------------------------------------------------------------------------------

    def flow(self, ticket: Ticket, running: Collection[str]) -> Flow:
        """Where `ticket` belongs.

        Args:
            running: tenants that have attempts under way, who must not be forgotten.
        """
        tenant = self.tenants.get(ticket.tenant)
        if tenant is None:
            if len(self.tenants) >= self.sweep_at:
                self._sweep(running)
            tenant = self.tenants[ticket.tenant] = Tenant(ticket.tenant, self)
        flow = tenant.flows.get(ticket.only)
        if flow is None:
            flow = tenant.flows[ticket.only] = Flow(tenant, ticket.only)
        return flow

    def _sweep(self, running: Collection[str]) -> None:
        """Forget the idle who have had no more than a newcomer is taken to have had.  Of too many others those go that
        have had least, and newcomers begin where these stood: nobody gains by being forgotten."""
        idle = [each for each in self.tenants.values() if not each.waiting and each.name not in running]
        turns = sorted((each.turn for each in idle if each.turn > self.latest), reverse=True)
        if len(turns) > IDLE_KEPT:
            self.latest = turns[IDLE_KEPT // 2]
        for each in idle:
            if each.turn <= self.latest:
                del self.tenants[each.name]
        self.sweep_at = 2 * len(self.tenants) + LEAST_SWEPT

    def came(self, ticket: Ticket, flow: Flow, *, first: bool) -> None:
        tenant = flow.tenant
        ticket.counted = needs = ticket.needs
        ticket.before = tenant.left if first else tenant.came
        tenant.came = _plus(tenant.came, needs)
        self.needs = _plus(self.needs, needs)
        self.tickets[ticket.place] = ticket
        flow.waiting += 1
        tenant.waiting += 1
        if tenant.seat < 0:
            tenant.seat = len(self._waiting)
            self._waiting.append(tenant)

    def left(self, ticket: Ticket, flow: Flow) -> None:
        tenant = flow.tenant
        del self.tickets[ticket.place]
        self.needs = _minus(self.needs, ticket.counted) if self.tickets else NOTHING
        flow.waiting -= 1
        tenant.waiting -= 1
        if tenant.waiting:
            tenant.left = _plus(tenant.left, ticket.counted)
        else:
            tenant.came = tenant.left = NOTHING
            last = self._waiting.pop()
            if last is not tenant:
                self._waiting[tenant.seat] = last
                last.seat = tenant.seat
            tenant.seat = -1
        if not flow.waiting:
            flow.forget()
            if flow.ready:
                self.leave(flow)

    # -- who competes ---------------------------------------------------------------------------------------------

    def enter(self, flow: Flow) -> None:
        """`flow` has tickets and competes from now on."""
        tenant = flow.tenant
        if not tenant.ready and tenant.turn < self.latest:
            tenant.turn = self.latest  # it is owed nothing for the time it asked for nothing
        flow.ready = True
        tenant.ready += 1
        self.ready += 1
        if not flow.entry or tenant.turn < flow.key:
            self.push(flow)

    def leave(self, flow: Flow) -> None:
        flow.ready = False
        flow.tenant.ready -= 1
        self.ready -= 1

    def charge(self, tenant: Tenant, share_s: float) -> None:
        self.turn += share_s / self.weight
        tenant.turn += share_s
        if share_s < 0.0:  # what moves back is found in its old place, what moves forward is not
            for flow in tenant.flows.values():
                if flow.entry and flow.ready and tenant.turn < flow.key:
                    self.push(flow)

    def served(self, tenant: Tenant) -> None:
        """`tenant` goes now: those who come have had as much."""
        if tenant.turn > self.latest:
            self.latest = tenant.turn
        elif tenant.turn < self.latest - MOST_OWED_S:
            tenant.turn = self.latest - MOST_OWED_S

    def push(self, flow: Flow) -> None:
        heap = self._heaps.get(flow.only)
        if heap is None:
            heap = self._heaps[flow.only] = []
        elif len(heap) > LEAST_SWEPT + 4 * self.ready:
            self._rebuild(heap)
        self._places += 1
        flow.entry = self._places
        flow.key = flow.tenant.turn
        heappush(heap, (flow.key, flow.entry, flow))

    def _rebuild(self, heap: list[tuple[float, int, Flow]]) -> None:
        kept = []
        for each in heap:
            flow = each[2]
            if flow.entry == each[1]:
                if flow.ready:
                    kept.append(each)
                else:
                    flow.entry = 0
        heapify(kept)
        heap[:] = kept

    # -- turns ----------------------------------------------------------------------------------------------------

    def due(self, out: Collection[str | None]) -> Flow | None:
        """The flow whose turn it is, but for those of backends that are `out`."""
        heaps = self._heaps
        if len(heaps) == 1:
            return None if None in out else self._top(heaps[None])
        best: Flow | None = None
        for only in [each for each in heaps if each not in out]:
            flow = self._top(heaps[only])
            if flow is None:
                if only is not None:
                    del heaps[only]
            elif best is None or (flow.key, flow.entry) < (best.key, best.entry):
                best = flow
        return best

    def _top(self, heap: list[tuple[float, int, Flow]]) -> Flow | None:
        while heap:
            key, entry, flow = heap[0]
            if entry != flow.entry:
                heappop(heap)  # another took its place
            elif not flow.ready:
                heappop(heap)
                flow.entry = 0
            elif flow.tenant.turn > key:
                self._places += 1
                flow.entry = self._places
                flow.key = flow.tenant.turn
                heapreplace(heap, (flow.key, flow.entry, flow))
            else:
                return flow
        return None

    def rest(self, flow: Flow) -> None:
        """`flow`, which is due, has nobody who can go: until it is pushed again it is not looked at."""
        heappop(self._heaps[flow.only])
        flow.entry = 0

    # -- looking --------------------------------------------------------------------------------------------------

    @property
    def tenants_waiting(self) -> int:
        return len(self._waiting)

    def before(self, ticket: Ticket) -> Needs:
        """Needs of those of its own tenant that go before `ticket` in this lane."""
        tenant = self.tenants.get(ticket.tenant)
        if tenant is None:
            return NOTHING
        return _minus(ticket.before if ticket.place in self.tickets else tenant.came, tenant.left)

    def ahead(self, ticket: Ticket, needs: Needs) -> list[float]:
        """Needs that go before `ticket` in this lane by right: see `FairQueue.ahead`."""
        tenant = self.tenants.get(ticket.tenant)
        own = self.before(ticket)
        many = len(self._waiting)
        looked_at = self._waiting
        if many > LOOKED_AT:
            looked_at = [self._waiting[number * many // LOOKED_AT] for number in range(LOOKED_AT)]
        found = []
        for index in range(3):
            before = max(0.0, own[index])
            until = before + needs[index]
            beside = [min(each.came[index] - each.left[index], until) for each in looked_at if each is not tenant]
            found.append(before + sum(beside) * max(1.0, many / LOOKED_AT))
        return found


def _plus(one: Needs, other: Needs) -> Needs:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])


def _minus(one: Needs, other: Needs) -> Needs:
    return (one[0] - other[0], one[1] - other[1], one[2] - other[2])
