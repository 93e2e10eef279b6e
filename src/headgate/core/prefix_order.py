"""In what order one tenant's calls go: by what Claude's prompt cache holds of them, by which limit has room to
spare, and who waits for a write.

Pure: time is an argument, in seconds on any clock that never goes back.  A waiting ticket is found under the digests
of the beginnings of its prompt.  One that becomes readable is put on a heap of its line, the longest on top;
what is on the heap is checked when it comes to the top, so nothing is walked when an entry of the cache expires.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from math import inf

from headgate.core.mix import Mix, Spare
from headgate.core.prefix import Prefix
from headgate.core.prefix_heat import PrefixHeat
from headgate.core.ticket import Ticket

__all__ = ["Line", "PrefixOrder"]

LOOKED_AT = 64
"""Tickets that one decision puts aside or brings back at most, and entries that it drops; the rest with the next."""
LEAST_REBUILT = 64
LEAST_MIXED = 256
"""Tickets of a line that are kept apart by what they need though nobody has asked for it: more would take long then."""

Places = OrderedDict[int, Ticket]
"""Tickets by their places, in an order of their own."""


class Line:
    """Waiting tickets among which this order decides: one tenant's, of those that can go the same way."""

    __slots__ = ("back", "head", "head_since_s", "hot", "hot_most", "mix", "order", "returned", "warm")

    def __init__(self) -> None:
        self.order: Places = OrderedDict()
        """By place: as they came, and anybody can leave at once."""
        self.mix: Mix | None = None
        """Those in `order`, once somebody has asked for it or they are many."""
        self.returned: Places | None = None
        """Were put aside, and are no longer: ahead of those in `order`.  Most lines never have any."""
        self.back: Places | None = None
        """Had their turn and were sent back by the API: ahead of all.  Most lines never have any."""
        self.hot: list[tuple[float, int, int]] = []
        """A heap of beginnings that the cache may hold: minus tokens, place of the first ticket with it, digest."""
        self.warm: set[int] = set()
        """The digests in `hot`."""
        self.hot_most = LEAST_REBUILT
        self.head: Ticket | None = None
        self.head_since_s = 0.0

    def forget(self) -> None:
        """Nobody waits here: nothing is kept that only those who waited need."""
        self.hot.clear()
        self.warm.clear()
        self.mix = None
        self.head = None

    def mixed(self) -> Mix:
        if self.mix is None:
            self.mix = Mix(self.order.values())
        return self.mix


class PrefixOrder:
    """The order inside all lines of one queue."""

    def __init__(
        self, heat: PrefixHeat, *, follow_s: float, longest_passed_s: float, on_ready: Callable[[Line], None]
    ) -> None:
        self._heat = heat
        self._follow_s = follow_s
        self._longest_passed_s = longest_passed_s
        self._on_ready = on_ready
        self._index: dict[int, Ticket | dict[Line, Ticket | Places]] = {}
        """By digest: the one ticket with such a beginning, or several by line.  Most have one, and in a line too."""
        self.aside: list[tuple[float, int, Ticket]] = []
        """A heap of those that follow a write, by when their patience ends; some have gone since."""
        heat.watch(self._readable, self._failed)

    def add(self, line: Line, ticket: Ticket, now_s: float, *, first: bool) -> None:
        if first:
            if line.back is None:
                line.back = OrderedDict()
            line.back[ticket.place] = ticket
            ticket.queue = line.back
            return
        ticket.queue = queue = line.order
        queue[ticket.place] = ticket
        if line.mix is not None:
            line.mix.add(ticket)
        elif len(queue) >= LEAST_MIXED:
            line.mixed()
        if ticket.prefixes:
            self._put_in_index(line, ticket, now_s)

    def remove(self, line: Line, ticket: Ticket) -> None:
        self._leave(line, ticket)
        ticket.follows = None
        if ticket.prefixes:
            self._take_from_index(line, ticket, inf)

    def _leave(self, line: Line, ticket: Ticket) -> bool:
        """Whether it had a place in `line`; it has none now."""
        queue = ticket.queue
        if queue is None:
            return False
        del queue[ticket.place]
        ticket.queue = None
        if line.mix is not None and queue is line.order:
            line.mix.remove(ticket)
        return True

    def next(self, line: Line, now_s: float, spare: Spare | None = None) -> Ticket | None:
        """The ticket of `line` that is to go next; None if all of them follow, or, if some are not aside yet, so many
        that it takes another look.

        Args:
            spare: the limit of which there is room that would be lost.
        """
        if line.back:
            return next(iter(line.back.values()))
        for _ in range(LOOKED_AT):
            head = next(iter((line.returned or line.order).values()), None)
            ticket = head
            if line.hot or spare is not None:
                if head is not line.head:
                    line.head, line.head_since_s = head, now_s
                if head is None or now_s - line.head_since_s < self._longest_passed_s:
                    ticket = self._hottest(line, now_s)
                    if ticket is None:
                        ticket = head if spare is None or line.returned else line.mixed().first(spare) or head
            if ticket is None or not ticket.prefixes or now_s >= ticket.follow_until_s:
                return ticket
            write = self._heat.write_of(ticket.prefixes, now_s)
            if write is None or self._follow_s <= 0.0:
                return ticket
            self._put_aside(line, ticket, write, now_s)
        return None

    # -- followers ------------------------------------------------------------------------------------------------

    def bring_back(self, now_s: float) -> None:
        """Those whose patience with a write is at its end are no longer aside."""
        for _ in range(LOOKED_AT):
            if self.next_back_s(now_s) > 0.0:
                break
            _, _, ticket = heappop(self.aside)
            self._release(ticket, now_s)

    def next_back_s(self, now_s: float) -> float:
        """Seconds until somebody's patience with a write is at its end."""
        aside = self.aside
        while aside and aside[0][2].follows is None:
            heappop(aside)
        return max(0.0, aside[0][0] - now_s) if aside else inf

    def _put_aside(self, line: Line, ticket: Ticket, write: Prefix, now_s: float) -> None:
        """It is found under what it follows and what is longer, so that it goes as soon as that can be read."""
        if self._leave(line, ticket):
            if ticket.follow_until_s == inf:
                ticket.follow_until_s = now_s + self._follow_s
            heappush(self.aside, (ticket.follow_until_s, ticket.place, ticket))
        ticket.follows = write.digest
        self._take_from_index(line, ticket, write.tokens)

    def _release(self, ticket: Ticket, now_s: float) -> None:
        line: Line = ticket.flow
        ticket.follows = None
        if line.returned is None:
            line.returned = OrderedDict()
        line.returned[ticket.place] = ticket
        ticket.queue = line.returned
        self._put_in_index(line, ticket, now_s)
        self._on_ready(line)

    def _readable(self, prefixes: Sequence[Prefix]) -> None:
        for digest, tokens, _, _ in prefixes:
            for line, first in self._firsts(digest):
                self._warm_up(line, digest, tokens, first.place)
                self._on_ready(line)

    def _failed(self, prefixes: Sequence[Prefix]) -> None:
        """One follower of each line may write instead; the others follow that."""
        for digest, _, _, _ in prefixes:
            for _, first in list(self._firsts(digest)):
                if first.follows == digest:
                    self._release(first, -inf)

    # -- the index ------------------------------------------------------------------------------------------------

    def _put_in_index(self, line: Line, ticket: Ticket, now_s: float) -> None:
        """Under the beginnings that it may write itself, and those that another may write or has written.  There are
        dozens more at which the API would look, and nobody will ever ask for them here."""
        index = self._index
        entries = self._heat.entries
        warm = line.warm
        under: list[Prefix] = []
        readable: list[Prefix] = []
        for prefix in ticket.prefixes:
            digest = prefix[0]
            found = index.get(digest)
            if found is None:
                if not prefix[3] and digest not in entries:
                    continue
                index[digest] = ticket
            elif isinstance(found, dict):
                same = found.get(line)
                if same is None:
                    found[line] = ticket
                elif isinstance(same, OrderedDict):
                    same[ticket.place] = ticket
                elif same is not ticket:
                    found[line] = _both(same, ticket)
            elif found is not ticket:
                other = found.flow
                index[digest] = {line: _both(found, ticket)} if other is line else {other: found, line: ticket}
            under.append(prefix)
            if digest not in warm and (entry := entries.get(digest)) is not None and entry.until_s > now_s:
                readable.append(prefix)
        ticket.under = under
        for digest, tokens, _, _ in readable:
            self._warm_up(line, digest, tokens, ticket.place)

    def _take_from_index(self, line: Line, ticket: Ticket, below_tokens: float) -> None:
        """Under its beginnings that are shorter than `below_tokens` it is no longer found."""
        index = self._index
        for digest, tokens, _, _ in ticket.under:
            if tokens >= below_tokens:
                break
            found = index.get(digest)
            if found is ticket:
                del index[digest]
            elif isinstance(found, dict):
                same = found.get(line)
                if isinstance(same, OrderedDict):
                    same.pop(ticket.place, None)
                    if same:
                        continue
                elif same is not ticket:
                    continue
                del found[line]
                if not found:
                    del index[digest]

    def _firsts(self, digest: int) -> Iterable[tuple[Line, Ticket]]:
        """Each line with tickets that begin so, and the first of these."""
        found = self._index.get(digest)
        if isinstance(found, dict):
            return [(line, _first(same)) for line, same in found.items()]
        return ((found.flow, found),) if found is not None else ()

    # -- heat -----------------------------------------------------------------------------------------------------

    def _warm_up(self, line: Line, digest: int, tokens: float, place: int) -> None:
        if digest in line.warm:
            return
        line.warm.add(digest)
        heappush(line.hot, (-tokens, place, digest))
        if len(line.hot) > line.hot_most:
            line.hot = [each for each in line.hot if _first_in(line, self._index.get(each[2])) is not None]
            line.warm = {each[2] for each in line.hot}
            line.hot_most = max(LEAST_REBUILT, 2 * len(line.hot))
            heapify(line.hot)

    def _hottest(self, line: Line, now_s: float) -> Ticket | None:
        """The first of those of whose prompt the cache holds most.  If much has expired since the last look there may
        be one, and it is not found yet."""
        hot = line.hot
        if not hot:
            return None
        index = self._index
        entries = self._heat.entries
        for _ in range(LOOKED_AT):
            tokens, place, digest = hot[0]
            first = _first_in(line, index.get(digest))
            entry = entries.get(digest)
            if first is None or entry is None or entry.until_s <= now_s:
                heappop(hot)
                line.warm.discard(digest)
                if not hot:
                    break
            elif first.place != place:
                heapreplace(hot, (tokens, first.place, digest))
            else:
                return first
        return None


def _both(one: Ticket, other: Ticket) -> Places:
    return OrderedDict(((one.place, one), (other.place, other)))


def _first(same: Ticket | Places) -> Ticket:
    return next(iter(same.values())) if isinstance(same, OrderedDict) else same


def _first_in(line: Line, found: Ticket | dict[Line, Ticket | Places] | None) -> Ticket | None:
    """Of what the index has under one digest."""
    if isinstance(found, dict):
        same = found.get(line)
        return next(iter(same.values())) if isinstance(same, OrderedDict) else same
    return found if found is not None and found.flow is line else None
