"""Whose turn it is: weighted fair queueing across lanes, inside a lane across tenants, by the share of the pool taken.

Pure: time is an argument, in seconds on any clock that never goes back.  Whoever has had least of the pool, by weight,
goes next (start-time fair queueing): a lane and a tenant have a `turn`, the seconds of the whole pool that they took so
far, and who was idle begins at the turn of who goes now, so nothing is owed for time without calls.  What a call takes
is its dominant share: whoever grants says it with `charge`, and again when the truth is known.  core/fair_lane.py keeps
the turns of tenants, core/prefix_order.py decides inside a tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from operator import attrgetter
from typing import NamedTuple

from headgate.core.fair_lane import MOST_OWED_S, FairLane, Flow, Lane
from headgate.core.mix import Spare
from headgate.core.prefix_heat import PrefixHeat
from headgate.core.prefix_order import Line, PrefixOrder
from headgate.core.ticket import NOTHING, Needs, Ticket

__all__ = ["FairQueue", "Lane", "Standing", "Ticket"]

FOLLOW_S = 5.0
LONGEST_PASSED_S = 60.0
LONGEST_LEAD_S = 15.0


class Standing(NamedTuple):
    """How one tenant of a lane stands, for those who look."""

    tenant: str
    waiting: int
    under_way: int
    """In all lanes."""
    cap: int | None
    lead_s: float
    """Seconds of the pool that it has had beyond who goes now."""


class FairQueue:
    """The tickets that wait for one pool.

    Args:
        heat: what orders the tickets of a tenant; it tells this queue what changes.
        follow_s: longest that a ticket waits for another to write the beginning of its prompt to the prompt cache.
        longest_passed_s: longest that the oldest ticket of a tenant is passed by those with a hotter prefix.
        longest_lead_s: how far, in seconds of the pool, a lane with headroom may get ahead of one that only headroom
            holds up.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        heat: PrefixHeat,
        *,
        follow_s: float = FOLLOW_S,
        longest_passed_s: float = LONGEST_PASSED_S,
        longest_lead_s: float = LONGEST_LEAD_S,
    ) -> None:
        self.waiting = 0
        self.spoken_for: set[str] = set()
        """While `pick` asks: backends that a ticket waits for whose turn it is and that no other will do for.  Tickets
        for which any will do must leave them alone, or it could wait for ever."""
        self._heat = heat
        self._order = PrefixOrder(heat, follow_s=follow_s, longest_passed_s=longest_passed_s, on_ready=_push_again)
        self._longest_lead_s = longest_lead_s
        self._lanes = {lane.name: FairLane(lane) for lane in lanes}
        self._latest = 0.0
        """The turn of the lane that went last."""
        self._places = 0
        self._running: dict[str, int] = {}
        """Attempts under way by tenant, in all lanes."""
        self._caps: dict[str, int] = {}
        self._closed: set[str] = set()
        """Lanes that are closed, or whose time to open has come since anybody looked."""

    # -- coming and going -----------------------------------------------------------------------------------------

    def add(self, ticket: Ticket, now_s: float, *, first: bool = False) -> None:
        """Let `ticket` wait.

        Args:
            first: it had its turn and was sent back by the API: before the others of its tenant.
        """
        lane = self._lanes[ticket.lane]
        ticket.flow = flow = lane.flow(ticket, self._running)
        self._places += 1
        ticket.place = self._places
        self.waiting += 1
        lane.came(ticket, flow, first=first)
        self._order.add(flow, ticket, now_s, first=first)
        if not flow.ready:
            self._enter(lane, flow)
        elif not flow.entry:
            lane.push(flow)

    def discard(self, ticket: Ticket, now_s: float) -> None:
        """The caller of `ticket` has gone.  Nothing happens to one that does not wait."""
        lane = self._lanes[ticket.lane]
        if ticket.place in lane.tickets:
            self._remove(lane, ticket)

    def _remove(self, lane: FairLane, ticket: Ticket) -> None:
        self.waiting -= 1
        if not self.waiting:
            self.spoken_for.clear()
        self._order.remove(ticket.flow, ticket)
        lane.left(ticket, ticket.flow)

    def _enter(self, lane: FairLane, flow: Flow) -> None:
        """`flow` competes from now on, unless its tenant has as many under way as it may."""
        if self._caps and self.is_full(flow.tenant.name):
            return
        if not lane.ready and lane.turn < self._latest:
            lane.turn = self._latest
        lane.enter(flow)

    # -- choosing -------------------------------------------------------------------------------------------------

    def pick(
        self, now_s: float, wait_s: Callable[[Ticket, bool], float], spare: Spare | None = None
    ) -> tuple[Ticket | None, float]:
        """The ticket that goes now, taken out; or None, and seconds until it is worth another look (`inf`: only an
        event helps, 0: there is more to look at).

        Whoever is due and held up by permits holds up everybody, or a large call would wait for ever.  There are three
        exceptions: those for whom one backend alone will do hold up only that one; those who follow a write hold up
        nobody; and a lane that only headroom holds up is passed by lanes with headroom, within `longest_lead_s`.

        Args:
            wait_s: seconds until the permits of a ticket are there: 0 now, `inf` if only an event helps.  Its second
                argument says that headroom may be drawn down.
            spare: the limit of which there is room that would be lost: of a tenant's calls those go that need it most.
        """
        order = self._order
        if order.aside:
            order.bring_back(now_s)
        next_s = inf
        spoken_for = self.spoken_for
        spoken_for.clear()
        out: set[str | None] = set()
        kept_out: set[str | None] = set()
        passed_turn = inf
        lanes = self._in_turn(now_s)
        for lane in lanes:
            if lane.closed_until_s > now_s:
                next_s = min(next_s, lane.closed_until_s - now_s)
                continue
            privileged = lane.headroom > 0.0
            if kept_out and not (privileged and (lane.turn - passed_turn) * lane.weight <= self._longest_lead_s):
                if None in kept_out:
                    continue
                out |= kept_out
            while (flow := lane.due(out | kept_out if kept_out and not privileged else out)) is not None:
                ticket = order.next(flow, now_s, spare)
                if ticket is None:
                    lane.rest(flow)
                    if flow.order or flow.returned:
                        lane.push(flow)
                        next_s = 0.0
                        break
                    continue
                held_s = wait_s(ticket, privileged)
                if held_s <= 0.0:
                    self._take(lane, flow, ticket)
                    return ticket, 0.0
                # From when only headroom holds it up, others may pass it.
                passable_s = inf if privileged or not any(map(_headroom, lanes)) else wait_s(ticket, True)
                next_s = min(next_s, held_s, passable_s if passable_s > 0.0 else inf)
                only = flow.only
                if passable_s <= 0.0:
                    passed_turn = min(passed_turn, lane.turn)
                    kept_out.add(only)
                elif only is None:
                    return None, min(next_s, order.next_back_s(now_s))
                else:
                    out.add(only)
                    if held_s < inf:
                        spoken_for.add(only)
                if only is None:
                    break
        return None, min(next_s, order.next_back_s(now_s))

    def _in_turn(self, now_s: float) -> list[FairLane]:
        if self._closed:
            for name in list(self._closed):
                if self._lanes[name].ready and self._lanes[name].closed_until_s <= now_s:
                    self.open(name)
        lanes = [lane for lane in self._lanes.values() if lane.ready]
        if len(lanes) > 1:
            lanes.sort(key=_turn)
        return lanes

    def _take(self, lane: FairLane, flow: Flow, ticket: Ticket) -> None:
        if lane.turn > self._latest:
            self._latest = lane.turn
        elif lane.turn < self._latest - MOST_OWED_S:
            lane.turn = self._latest - MOST_OWED_S
        lane.served(flow.tenant)
        self._remove(lane, ticket)

    def may_go(self, ticket: Ticket, now_s: float) -> bool:
        """Whether `ticket`, when nobody waits, needs no place: its lane is open, its tenant may have one more under
        way, and it does not follow a write."""
        if self._lanes[ticket.lane].closed_until_s > now_s or (self._caps and self.is_full(ticket.tenant)):
            return False
        return not ticket.prefixes or self._heat.write_of(ticket.prefixes, now_s) is None

    # -- what was granted -----------------------------------------------------------------------------------------

    def charge(self, ticket: Ticket, share_s: float) -> None:
        """`ticket` takes `share_s` seconds of the whole pool, instead of what was said of it before."""
        more_s = share_s - ticket.share_s
        if more_s:
            ticket.share_s = share_s
            lane = self._lanes[ticket.lane]
            if ticket.flow is None:
                ticket.flow = lane.flow(ticket, self._running)
            lane.charge(ticket.flow.tenant, more_s)

    def began(self, ticket: Ticket) -> None:
        """`ticket` was granted: it counts against the cap of its tenant until it has `ended`."""
        name = ticket.tenant
        running = self._running[name] = self._running.get(name, 0) + 1
        if self._caps and running == self._caps.get(name):
            self._keep_out(name)

    def ended(self, ticket: Ticket) -> None:
        name = ticket.tenant
        running = self._running.get(name, 0)
        if running > 1:
            self._running[name] = running - 1
        else:
            self._running.pop(name, None)
        if self._caps and running == self._caps.get(name):
            self._let_in(name)

    # -- caps and opening hours -----------------------------------------------------------------------------------

    def set_cap(self, tenant: str, most: int | None) -> None:
        """No more than `most` attempts of `tenant` are under way at a time, in all lanes; None: as many as there
        are."""
        if most is None:
            self._caps.pop(tenant, None)
        else:
            self._caps[tenant] = most
        if self.is_full(tenant):
            self._keep_out(tenant)
        else:
            self._let_in(tenant)

    def close(self, lane: str, until_s: float) -> None:
        """Nothing of `lane` goes before `until_s`.  It is owed nothing for that time."""
        self._lanes[lane].closed_until_s = until_s
        self._closed.add(lane)

    def closed_for_s(self, lane: str, now_s: float) -> float:
        """Seconds until `lane` opens; 0 if it is open."""
        return max(0.0, self._lanes[lane].closed_until_s - now_s)

    def open(self, lane: str) -> None:
        if lane in self._closed:
            self._closed.remove(lane)
            state = self._lanes[lane]
            state.closed_until_s = -inf
            state.turn = max(state.turn, self._latest)

    def is_full(self, tenant: str) -> bool:
        """Whether `tenant` has as many under way as it may."""
        most = self._caps.get(tenant)
        return most is not None and self._running.get(tenant, 0) >= most

    def _keep_out(self, tenant: str) -> None:
        for flow in self._flows_of(tenant):
            if flow.ready:
                flow.tenant.lane.leave(flow)

    def _let_in(self, tenant: str) -> None:
        for flow in self._flows_of(tenant):
            if flow.waiting and not flow.ready:
                self._enter(flow.tenant.lane, flow)

    def _flows_of(self, tenant: str) -> Iterator[Flow]:
        for lane in self._lanes.values():
            if tenant in lane.tenants:
                yield from lane.tenants[tenant].flows.values()

    # -- looking --------------------------------------------------------------------------------------------------

    @property
    def lanes(self) -> list[str]:
        return list(self._lanes)

    def needs(self, now_s: float) -> Needs:
        """Of all that wait in lanes that are open."""
        requests, inputs, outputs = NOTHING
        for lane in self._lanes.values():
            if lane.tickets and lane.closed_until_s <= now_s:
                lane_requests, lane_inputs, lane_outputs = lane.needs
                requests += lane_requests
                inputs += lane_inputs
                outputs += lane_outputs
        return (requests, inputs, outputs)

    def waiting_in(self, lane: str) -> int:
        return len(self._lanes[lane].tickets)

    def one_too_many(self, ticket: Ticket, most: int) -> Ticket | None:
        """Who has to go, so that no more than `most` wait in the lane of `ticket`, which waits; None: nobody.

        The last to come of a tenant that has more than an even share of the places: `ticket` itself if its tenant has.
        So a tenant that floods the lane keeps nobody out.
        """
        lane = self._lanes[ticket.lane]
        if len(lane.tickets) <= most:
            return None
        share = most / lane.tenants_waiting
        if ticket.flow.tenant.waiting > share:
            return ticket
        return next(each for each in reversed(lane.tickets.values()) if each.flow.tenant.waiting > share)

    def oldest_wait_s(self, lane: str, now_s: float) -> float:
        tickets = self._lanes[lane].tickets
        return now_s - next(iter(tickets.values())).asked_s if tickets else 0.0

    def position(self, ticket: Ticket) -> int:
        """The how-manieth of the whole queue it is by right: 1 is next."""
        return round(self.ahead(ticket)[0]) + 1

    def ahead(self, ticket: Ticket) -> Needs:
        """Needs of those that will go before `ticket` by right; of one that does not wait, if it came now.

        An estimate: its tenant's calls go in the order they came, and other tenants and lanes get, until it is served
        too, as much as their weight gives them, and not more than waits of them now.
        """
        lane = self._lanes[ticket.lane]
        needs = ticket.counted if ticket.place in lane.tickets else ticket.needs
        ahead = lane.ahead(ticket, needs)
        others = [each for each in self._lanes.values() if each is not lane and each.ready]
        for index in range(3):
            until = ahead[index] + needs[index]
            ahead[index] += sum([min(each.needs[index], until * each.weight / lane.weight) for each in others])
        return (ahead[0], ahead[1], ahead[2])

    def rounds(self, ticket: Ticket) -> float:
        """How often all that its tenant may have under way must end before the tenant's cap lets `ticket` go; 0: there
        is none, or it is not in the way."""
        most = self._caps.get(ticket.tenant)
        if most is None:
            return 0.0
        before = self._lanes[ticket.lane].before(ticket)[0] + self._running.get(ticket.tenant, 0)
        return max(0.0, before + 1 - most) / most

    def tenants(self, lane: str) -> list[Standing]:
        """Those who have tickets in `lane`, waiting or under way."""
        state = self._lanes[lane]
        return [
            Standing(
                each.name,
                each.waiting,
                self._running.get(each.name, 0),
                self._caps.get(each.name),
                max(0.0, each.turn - state.latest),
            )
            for each in state.tenants.values()
            if each.waiting or each.name in self._running
        ]


_turn = attrgetter("turn")
_headroom = attrgetter("headroom")


def _push_again(line: Line) -> None:
    """Somebody in a flow that rested can go."""
    assert isinstance(line, Flow)
    if line.ready and not line.entry:
        line.tenant.lane.push(line)
