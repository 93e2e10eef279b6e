"""The order inside a tenant where one of two limits would idle: those go first that need most of it."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from headgate.core.fair_queue import LONGEST_PASSED_S, FairQueue, Lane, Ticket
from headgate.core.mix import Spare
from headgate.core.prefix import Prefix
from headgate.core.prefix_heat import PrefixHeat
from headgate.core.prefix_order import LEAST_MIXED


class World:
    """One lane, and as much room as anybody wants."""

    def __init__(self) -> None:
        self.heat = PrefixHeat()
        self.queue = FairQueue([Lane(name="bulk")], self.heat)

    def put(self, inputs: float, outputs: float, *, tenant: str = "a", first: bool = False, prompt: str = "") -> Ticket:
        prefixes = (Prefix(prompt.encode(), inputs, 300.0, True),) if prompt else ()
        ticket = Ticket("bulk", tenant, (1.0, inputs, outputs), 0.0, prefixes)
        self.queue.add(ticket, 0.0, first=first)
        return ticket

    def go(self, spare: Spare | None, now_s: float = 0.0) -> Ticket | None:
        """One turn: whoever goes is charged for all that it needs."""
        ticket, _ = self.queue.pick(now_s, lambda ticket, into_headroom: 0.0, spare)
        if ticket is not None:
            self.queue.charge(ticket, ticket.needs[1] + ticket.needs[2])
        return ticket

    def drain(self, spare: Spare | None) -> list[Ticket]:
        return list(iter(lambda: self.go(spare), None))


def test_those_go_first_that_need_most_of_what_there_is_to_spare():
    """The others go when the limit that they need has refilled."""
    world = World()
    reads, both, writes = world.put(9_000, 10), world.put(900, 900), world.put(10, 9_000)

    assert [world.go("output"), world.go("input"), world.go(None)] == [writes, reads, both]


def test_with_nothing_to_spare_calls_go_as_they_came():
    """Where one limit is all that is short, no order gains anything, and the first to come is the first to go."""
    world = World()
    tickets = [world.put(*needs) for needs in ((900, 900), (9_000, 10), (10, 9_000))]

    assert world.drain(None) == tickets


def test_of_calls_that_need_about_the_same_the_first_to_come_goes_first():
    """A tenth more of the one or the other is no reason to pass anybody."""
    world = World()
    tickets = [world.put(1_000 + number % 3 * 50, 1_000 + number % 2 * 50) for number in range(20)]

    assert world.drain("output") == tickets


def test_the_oldest_is_passed_for_a_minute_at_most():
    """However many come that suit better."""
    world = World()
    reads = world.put(9_000, 10)
    for _ in range(5):
        world.put(10, 9_000)

    passed = [world.go("output", now_s) for now_s in (0.0, LONGEST_PASSED_S - 1.0)]

    assert reads not in passed
    assert world.go("output", LONGEST_PASSED_S) is reads


def test_who_was_sent_back_goes_before_those_that_suit_better():
    """It had its turn."""
    world = World()
    world.put(10, 9_000)
    sent_back = world.put(9_000, 10, first=True)

    assert world.go("output") is sent_back


def test_what_the_prompt_cache_holds_goes_before_those_that_suit_better():
    """Later it would cost more; the others cost the same at any time."""
    world = World()
    world.heat.sent((Prefix(b"rules", 9_000, 300.0, True),), 0.0)
    world.heat.begun((Prefix(b"rules", 9_000, 300.0, True),), 0.0)
    world.put(10, 9_000)
    hot = world.put(9_000, 10, prompt="rules")

    assert world.go("output") is hot


@pytest.mark.parametrize("seed", range(5))
def test_shares_of_tenants_are_the_same_whatever_there_is_to_spare(seed):
    """It decides among the calls of one: nobody gets more for needing what others do not."""
    world, chance = World(), Random(seed)
    for _ in range(2_000):
        world.put(chance.uniform(500, 1_500), 10, tenant="reader")
        world.put(10, chance.uniform(500, 1_500), tenant="writer")
        world.put(chance.uniform(10, 500), chance.uniform(10, 500), tenant="both")
    took: Counter[str] = Counter()

    for _ in range(1_000):
        gone = world.go(chance.choice(("input", "output", None)))
        took[gone.tenant] += gone.share_s

    assert max(took.values()) - min(took.values()) <= 1_500


def test_one_that_leaves_is_not_found_again():
    """Its caller has gone."""
    world = World()
    tickets = [world.put(9_000, 10), world.put(10, 9_000), world.put(900, 900)]
    world.queue.discard(tickets[1], 0.0)

    assert world.drain("output") == [tickets[2], tickets[0]]


def test_many_go_in_the_same_order_as_few():
    """They are kept apart beforehand, few only when somebody asks."""
    world, chance = World(), Random(0)
    tickets = [world.put(chance.choice((10, 9_000)), chance.choice((10, 9_000))) for _ in range(2 * LEAST_MIXED)]

    by_output = sorted(tickets, key=lambda ticket: ticket.needs[1] / ticket.needs[2])

    assert world.drain("output") == by_output
