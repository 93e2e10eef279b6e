"""The order inside a tenant: what the prompt cache holds goes first, and who follows a write lets others pass."""

from __future__ import annotations

from random import Random

import pytest

from headgate.core.fair_queue import FairQueue, Lane, Ticket
from headgate.core.prefix import Prefix
from headgate.core.prefix_heat import PrefixHeat
from headgate.core.prefix_order import LOOKED_AT

TTL_S = 300.0


class World:
    """One lane, and as much room as anybody wants."""

    def __init__(self, **settings: float) -> None:
        self.heat = PrefixHeat()
        self.queue = FairQueue([Lane(name="bulk")], self.heat, **settings)

    def put(self, *blocks: str, tenant: str = "a", now_s: float = 0.0, first: bool = False) -> Ticket:
        """A call whose prompt is these blocks, each of 2,000 tokens and with a marker."""
        ticket = Ticket("bulk", tenant, (1.0, 1.0, 0.0), now_s, prefixes=prompt(*blocks))
        self.queue.add(ticket, now_s, first=first)
        return ticket

    def go(self, now_s: float = 0.0) -> Ticket | None:
        ticket, self.next_s = self.queue.pick(now_s, lambda ticket, into_headroom: 0.0)
        if ticket is not None:
            self.queue.charge(ticket, 1.0)
            self.heat.sent(ticket.prefixes, now_s)
        return ticket

    def drain(self, now_s: float = 0.0) -> list[Ticket]:
        return list(iter(lambda: self.go(now_s), None))

    def write(self, *blocks: str, now_s: float = 0.0) -> None:
        self.heat.sent(prompt(*blocks), now_s)
        self.heat.begun(prompt(*blocks), now_s)


def prompt(*blocks: str) -> tuple[Prefix, ...]:
    return tuple(
        Prefix("/".join(blocks[: number + 1]).encode(), 2_000.0 * (number + 1), TTL_S, True)
        for number in range(len(blocks))
    )


# -- heat first ------------------------------------------------------------------------------------------------------


def test_the_call_of_whose_prompt_most_is_cached_goes_first():
    """It costs least of the limit now, and later it would cost more."""
    world = World()
    world.write("rules", "document", "question")
    cold, warm, hot = world.put("other"), world.put("rules", "x"), world.put("rules", "document", "y")

    assert world.drain() == [hot, warm, cold]


def test_what_becomes_readable_while_calls_wait_counts_too():
    """The one that goes first is followed by those that share with it."""
    world = World(follow_s=0.0)
    a, b, c = world.put("one"), world.put("two"), world.put("one", "more")
    first = world.go()
    world.heat.begun(a.prefixes, 0.0)

    assert [first, *world.drain()] == [a, c, b]


def test_of_calls_with_the_same_beginning_the_oldest_goes_first():
    """A prompt that all share gives no order."""
    world = World()
    world.write("rules")
    tickets = [world.put("rules", f"{number}") for number in range(5)]

    assert world.drain() == tickets


def test_a_beginning_that_has_expired_gives_no_order():
    world = World()
    world.write("rules")
    cold, warm = world.put("other"), world.put("rules")

    assert world.drain(TTL_S) == [cold, warm]


def test_one_tenants_heat_gives_it_no_turn_of_anothers():
    """Order by prefix is among calls of equal right."""
    world = World()
    world.write("rules")
    for number in range(3):
        world.put("rules", tenant="hot")
        world.put(f"{number}", tenant="cold")

    assert [ticket.tenant for ticket in world.drain()] == ["hot", "cold"] * 3


def test_tenants_share_what_is_cached():
    """It is the account's, so what one wrote orders another's calls."""
    world = World(follow_s=0.0)
    writer = world.put("rules", tenant="a")
    cold, hot = world.put("other", tenant="b"), world.put("rules", tenant="b")
    world.go()
    world.heat.begun(writer.prefixes, 0.0)

    assert world.drain() == [hot, cold]


def test_who_was_sent_back_goes_before_those_that_are_hot():
    world = World()
    world.write("rules")
    hot = world.put("rules")
    sent_back = world.put("other", first=True)

    assert world.drain() == [sent_back, hot]


def test_the_oldest_is_passed_for_a_bounded_time():
    """Hot calls that keep coming must not keep it for ever."""
    world = World(longest_passed_s=60.0)
    oldest = world.put("other")
    gone = []
    for second in range(100):
        world.write("rules", now_s=second)
        world.put("rules", f"{second}", now_s=second)
        gone.append(world.go(second))

    assert gone.index(oldest) == 60


# -- followers -------------------------------------------------------------------------------------------------------


def test_who_shares_a_beginning_that_is_being_written_waits_for_it():
    """Side by side both would pay for it in full; the others pass meanwhile."""
    world = World()
    writer, follower, other = world.put("rules", "a"), world.put("rules", "b"), world.put("other")

    before = world.drain()
    world.heat.begun(writer.prefixes, 1.0)

    assert (before, world.drain(1.0)) == ([writer, other], [follower])


def test_a_call_that_comes_while_its_beginning_is_written_waits_too():
    """Also if nobody waits: it needs a place then."""
    world = World()
    world.put("rules")
    world.drain()
    follower = world.put("rules", now_s=1.0)

    assert world.drain(1.0) == []
    assert not world.queue.may_go(follower, 1.0)


def test_a_follower_waits_for_a_bounded_time():
    """Paying for the prompt is better than a late answer."""
    world = World(follow_s=5.0)
    world.put("rules", "a")
    follower = world.put("rules", "b")
    world.drain()

    assert world.next_s == 5.0
    assert world.drain(5.0) == [follower]


def test_a_follower_does_not_begin_its_wait_again():
    """One write after another fails; it waits five seconds in all."""
    world = World(follow_s=5.0)
    world.put("rules", "a")
    follower = world.put("rules", "b")
    world.drain()
    for second in (1.0, 2.0, 3.0, 4.0):
        world.heat.failed(prompt("rules"), second)
        world.heat.sent(prompt("rules"), second)
        assert world.drain(second) == []

    assert world.drain(5.0) == [follower]


def test_when_a_write_fails_one_follower_writes_and_the_others_follow_it():
    """Not all of them at once: that would be the storm which following avoids."""
    world = World()
    writer = world.put("rules", "a")
    followers = [world.put("rules", f"{number}") for number in range(4)]
    world.drain()
    world.heat.failed(writer.prefixes, 1.0)

    assert world.drain(1.0) == followers[:1]
    world.heat.begun(followers[0].prefixes, 2.0)
    assert world.drain(2.0) == followers[1:]


def test_a_tenant_whose_calls_all_follow_holds_up_nobody():
    world = World()
    world.put("rules", "a", tenant="a")
    world.put("rules", "b", tenant="a")
    other = [world.put(f"{number}", tenant="b") for number in range(3)]

    assert set(world.drain()) > set(other)


def test_a_follower_whose_caller_goes_is_gone():
    world = World()
    writer = world.put("rules", "a")
    follower = world.put("rules", "b")
    world.drain()
    world.queue.discard(follower, 1.0)
    world.heat.begun(writer.prefixes, 2.0)

    assert (world.drain(10.0), world.queue.waiting, world.queue._order._index) == ([], 0, {})


def test_many_followers_are_put_aside_over_several_looks():
    """One decision must not take as long as there are calls waiting."""
    world = World()
    world.put("rules", "a")
    for number in range(3 * LOOKED_AT):
        world.put("rules", f"{number}")
    other = world.put("other")
    world.go()
    looks = 1
    while world.go() is not other:
        looks += 1
        assert world.next_s == 0.0

    assert looks == 4


def test_nothing_is_kept_of_the_prompts_of_a_tenant_that_no_longer_waits():
    """Tenants are remembered longer than their calls."""
    world = World(follow_s=0.0)
    tickets = [world.put("rules", f"{number}") for number in range(9)]
    world.write("rules")
    world.drain()

    assert (tickets[0].flow.hot, tickets[0].flow.warm, tickets[0].flow.head) == ([], set(), None)


def test_what_was_put_aside_and_comes_back_goes_before_those_that_came_later():
    """It had the turn already; only what is hot goes before it."""
    world = World(follow_s=5.0)
    world.put("rules", "a")
    follower = world.put("rules", "b")
    world.go()
    world.queue.pick(0.0, lambda ticket, into_headroom: 1.0)
    later = world.put("other", now_s=1.0)

    assert world.drain(5.0) == [follower, later]


def test_a_tenant_with_many_hot_prefixes_forgets_those_that_nobody_has_any_more():
    """What is hot is kept on a heap, and cleared away when it has doubled."""
    world = World(follow_s=0.0, longest_passed_s=1e9)
    world.write("longest", "of", "all")
    for number in range(1_000):
        world.write(f"{number}")
        world.queue.discard(world.put(f"{number}"), 0.0)
        world.put("longest", "of", "all", f"{number}")

    assert len(world.put("x").flow.hot) < 200


# -- altogether ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(30))
def test_everybody_leaves_exactly_once_and_leaves_nothing_behind(seed):
    """Writes that fail, entries that expire, callers that go: the order changes, and nobody is lost in it."""
    chance = Random(seed)
    world = World(follow_s=3.0, longest_passed_s=20.0)
    waiting: dict[Ticket, None] = {}
    under_way: list[Ticket] = []
    longest_s = 0.0
    for step in range(2_000):
        now_s = step * 0.4
        match chance.randrange(6):
            case 0 | 1 if len(waiting) < 40:
                blocks = [f"{chance.randrange(3)}" for _ in range(chance.randrange(5))]
                waiting[world.put(*blocks, tenant=chance.choice("ab"), now_s=now_s, first=chance.random() < 0.1)] = None
            case 2 if waiting:
                ticket = chance.choice(list(waiting))
                world.queue.discard(ticket, now_s)
                del waiting[ticket]
            case 3 if under_way:
                ticket = under_way.pop(chance.randrange(len(under_way)))
                (world.heat.failed if chance.random() < 0.3 else world.heat.begun)(ticket.prefixes, now_s)
            case _:
                ticket = world.go(now_s)
                if ticket is not None:
                    del waiting[ticket]
                    under_way.append(ticket)
                    longest_s = max(longest_s, now_s - ticket.asked_s)
                elif world.next_s > 0:
                    assert all(each.follows for each in waiting), f"seed {seed}: there was room"
    while waiting:
        now_s += 1.0
        for ticket in world.drain(now_s):
            del waiting[ticket]

    assert (world.queue.waiting, world.queue._order._index) == (0, {}), f"seed {seed}"
    assert longest_s < 40 * 20.0, f"seed {seed}"
