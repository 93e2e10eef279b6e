"""Admission to one pool: whose turn it is meets where there is room."""

from __future__ import annotations

from math import inf
from random import Random
from typing import Any

import pytest

from headgate.core.backend import Backend
from headgate.core.breaker import Breaker
from headgate.core.concurrency import Concurrency
from headgate.core.fair_queue import Lane
from headgate.core.gate import LENT_AFTER_S, Gate
from headgate.core.limits import Limit
from headgate.core.ramp import Ramp
from headgate.core.ticket import NOTHING, Ticket

LANES = (Lane(name="chat", weight=3.0, headroom=0.3), Lane(name="bulk"))


class World:
    """A gate of 10 requests, 1,000 input and 100 output tokens a second per backend, two seconds' worth at once."""

    def __init__(self, *names: str) -> None:
        self.rests: dict[str, float] = {}
        self.gate = Gate(LANES, rests_s=lambda name, now_s: max(0.0, self.rests.get(name, 0.0) - now_s), now_s=0.0)
        self.gate.backends += [_backend(name) for name in names or ("first",)]

    def ask(
        self, lane: str, now_s: float = 0.0, *, needs: tuple[float, float, float] = (1, 0, 0), **more: Any
    ) -> Ticket:
        first = more.pop("first", False)
        ticket = Ticket(lane, more.pop("tenant", lane), needs, now_s, **more)
        self.gate.ask(ticket, now_s, first=first)
        return ticket

    def drain(self, now_s: float = 0.0, *, until_s: float = inf, settled: bool = False) -> list[tuple[float, Ticket]]:
        """Pump whenever the gate says that it is worth it; each ticket with the second it was granted.

        Args:
            settled: they use at once what was expected of them.
        """
        granted: list[tuple[float, Ticket]] = []
        for _ in range(10_000):
            tickets, wait_s = self.gate.pump(now_s)
            granted += [(round(now_s, 3), ticket) for ticket in tickets]
            for ticket in tickets if settled else ():
                self.gate.settle(ticket, ticket.needs, now_s)
            now_s += wait_s
            if now_s > until_s or wait_s == inf:
                break
        return granted


def _backend(name: str) -> Backend:
    limits = [Limit(figure, "headers", 0.0) for figure in (600.0, 60_000.0, 6_000.0)]
    return Backend(
        name, limits, breaker=Breaker(Random(1)), concurrency=Concurrency(), ramp=Ramp(60_000.0),
        now_s=0.0, first_burst_s=2.0, burst_s=2.0,
    )  # fmt: skip


def empty(world: World, lane: str = "bulk") -> None:
    """Take all that goes at once."""
    while world.ask(lane).granted:
        pass
    world.drain(until_s=0.0)


# -- backends in order ----


def test_the_first_backend_with_room_is_used():
    """The operator's order: the second only gets what the first has no room for."""
    world = World("first", "second")

    used = [world.ask("chat").backend.name for _ in range(40)]

    assert used == ["first"] * 20 + ["second"] * 20


def test_a_backend_that_rests_is_passed_over_and_looked_for_when_it_is_back():
    """A key that was refused or is spent."""
    world = World("first", "second")
    world.rests = {"second": 0.05}
    while world.ask("chat").granted:
        pass

    [(at_s, ticket), *_] = world.drain()

    assert (at_s, ticket.backend.name) == (0.05, "second")


def test_if_all_rest_the_first_is_used():
    """Its refusal tells the caller more than ours would."""
    world = World("first", "second")
    world.rests = {"first": 60.0, "second": 60.0}

    assert world.ask("chat").backend.name == "first"


def test_a_call_that_one_backend_alone_will_do_for_waits_for_that_and_holds_up_nobody_else():
    """Whose file it names: others go on where there is room."""
    world = World("first", "second")
    while world.ask("chat", only="first").granted:
        pass

    other = world.ask("chat")
    granted = [ticket for _, ticket in world.drain(until_s=0.0)]

    assert granted == [other]
    assert other.backend.name == "second"


# -- headroom ----

# -- two limits at once ----


READS, WRITES = (1, 1_000, 5), (1, 100, 190)
"""A second of input, and two of output."""


def test_neither_limit_idles_while_calls_of_a_tenant_wait_that_need_it():
    """Thirty seconds of input wait before a minute of output: one after the other they would take a minute and a
    half."""
    world = World()
    for needs in (*[READS] * 30, *[WRITES] * 30):
        world.ask("bulk", needs=needs)

    last_s, _ = world.drain(settled=True)[-1]

    assert last_s < 60.0


def test_where_what_is_short_is_also_what_is_needed_most_calls_go_as_they_came():
    """Nothing is lost that anybody will lack."""
    world = World()
    tickets = [world.ask("bulk", needs=needs) for needs in (*[READS] * 30, WRITES, *[READS] * 10)]

    granted = [ticket for _, ticket in world.drain(settled=True)]

    assert granted == [ticket for ticket in tickets if ticket in granted]


def test_calls_for_which_there_is_room_soon_go_as_they_came():
    """What is left is enough for all that wait: there is nothing to save."""
    world = World()
    world.ask("bulk", needs=(1, 500, 5))
    empty(world)
    tickets = [world.ask("bulk", needs=needs) for needs in ((1, 100, 5), (1, 10, 50))]

    assert [ticket for _, ticket in world.drain() if ticket in tickets] == tickets


def test_headroom_is_left_alone_by_other_lanes_and_found_by_its_own():
    """Three tenths of what goes at once."""
    world = World()
    empty(world)

    chats = [world.ask("chat") for _ in range(6)]
    world.drain(until_s=0.0)

    assert [chat.granted for chat in chats] == [True] * 6


def test_headroom_takes_nothing_from_the_rate_of_others():
    """It is a level, not a share of what flows."""
    world = World()
    empty(world)
    for _ in range(100):
        world.ask("bulk")

    granted = world.drain(until_s=10.0)

    assert 99 <= len(granted) <= 101


class Roomy:
    """A backend with room for all, that notes how much is kept from whom it is asked for."""

    name = "first"
    headroom = 0.0

    def wait_s(self, needs: Any, now_s: float, *, headroom: float, prompt_tokens: float) -> float:
        self.headroom = headroom
        return 0.0

    def take(self, ticket: Ticket, now_s: float) -> None:
        pass


@pytest.mark.parametrize("seed", range(20))
def test_headroom_is_kept_from_all_other_lanes_and_only_while_its_lane_asks_for_something(seed):
    """Whatever asked when: the share of every other lane that has asked for something of late."""
    shares = {"chat": 0.25, "search": 0.125, "bulk": 0.0}
    lanes = [Lane(name=name, headroom=share) for name, share in shares.items()]
    gate, backend = Gate(lanes, rests_s=lambda name, now_s: 0.0, now_s=0.0), Roomy()
    backends: list[Any] = gate.backends
    backends.append(backend)
    chance = Random(seed)
    now_s, asked_s = 0.0, dict.fromkeys(shares, 0.0)
    kept, by_rule = [], []
    for _ in range(200):
        now_s += chance.choice((1.0, LENT_AFTER_S / 3, LENT_AFTER_S))
        lane = chance.choice(list(shares))
        asked_s[lane] = now_s
        gate.ask(Ticket(lane, lane, (1.0, 0.0, 0.0), now_s), now_s)
        kept.append(backend.headroom)
        by_rule.append(sum(shares[each] for each in shares if each != lane and now_s - asked_s[each] < LENT_AFTER_S))

    assert kept == pytest.approx(by_rule)


def test_a_lane_that_has_been_quiet_lends_its_headroom():
    """After ten minutes; its next call has it back."""
    world = World()
    now_s = LENT_AFTER_S + 1

    quiet = [world.ask("bulk", now_s).granted for _ in range(20)]

    assert all(quiet)


# -- settling ----


def test_what_was_not_sent_gives_everything_back():
    """The request too."""
    world = World()
    before = world.gate.backends[0].free(0.0)

    world.gate.settle(world.ask("chat", needs=(1, 500, 50)), NOTHING, 0.0)

    assert world.gate.backends[0].free(0.0) == before
    assert world.gate.under_way == 0


def test_the_true_share_counts_for_the_next_turns():
    """Two tenants of a lane ask for the same, but one uses ten times as much: it waits for its turn accordingly."""
    world = World()
    empty(world)
    for _ in range(60):
        world.ask("bulk", tenant="modest")
        world.ask("bulk", tenant="greedy")
    went = {"modest": 0, "greedy": 0}
    now_s = 0.0

    while now_s < 4.0:
        granted, wait_s = world.gate.pump(now_s)
        for ticket in granted:
            if ticket.tenant in went:
                went[ticket.tenant] += 1
                used = 20.0 if ticket.tenant == "greedy" else 2.0
                world.gate.settle(ticket, (1.0, 0.0, used), now_s)
        now_s += min(wait_s, 0.1)

    assert went["modest"] > went["greedy"]


def test_what_another_model_used_is_missing_from_its_own_pool():
    """A server-side fallback: nobody had asked for permits there."""
    world = World()

    world.gate.spent("first", (1.0, 400.0, 40.0), 0.0)

    assert world.gate.backends[0].free(0.0) == (19.0, 1_600.0, 160.0)


# -- waits ----


@pytest.mark.parametrize(("ahead", "expected_s"), [(0, 0.1), (10, 1.1), (50, 5.1)])
def test_the_expected_wait_is_what_comes_true(ahead, expected_s):
    """If nothing else changes: what a refusal tells its caller."""
    world = World()
    empty(world, "chat")
    waiting = [world.ask("chat") for _ in range(ahead)]
    ticket = world.ask("chat")

    expected = world.gate.expected_wait_s(ticket, 0.0)
    granted = {ticket: at_s for at_s, ticket in world.drain()}

    assert len(waiting) == ahead
    assert granted[ticket] == pytest.approx(expected, abs=0.11)
    assert expected == pytest.approx(expected_s, abs=0.11)


def test_a_pool_that_fails_everywhere_says_so():
    """So that a refusal can tell trouble of the API from limits of the account."""
    world = World("first", "second")
    for _ in range(40):
        ticket = world.ask("bulk", 0.0)
        if ticket.granted:
            ticket.backend.outcome("failing", ticket, 0.0)
            world.gate.settle(ticket, (1.0, 0.0, 0.0), 0.0)

    assert world.gate.is_failing(world.ask("chat"), 0.0)
    assert world.gate.expected_wait_s(world.ask("chat"), 0.0) >= 4.0


def lasting(world: World, seconds: float) -> None:
    """An attempt takes so long."""
    ticket = world.ask("bulk", 0.0, tenant="another")
    world.gate.settle(ticket, ticket.needs, seconds)


@pytest.mark.parametrize(("waiting", "expected_s"), [(0, 10.0), (1, 20.0), (3, 40.0)])
def test_who_waits_for_its_own_cap_is_told_how_long_attempts_take(waiting, expected_s):
    """Two at a time, 20 s each: one ends every 10 s.  Permits there are; whether it goes in time is not certain, so
    nobody is refused for it."""
    world = World()
    world.gate.queue.set_cap("bulk", 2)
    lasting(world, 20.0)
    for _ in range(2 + waiting):
        world.ask("bulk", 20.0)

    ticket = world.ask("bulk", 20.0)

    assert (world.gate.expected_wait_s(ticket, 20.0), world.gate.least_wait_s(ticket, 20.0)) == (expected_s, 0.0)


def test_who_waits_because_the_api_was_overloaded_is_told_how_long_attempts_take():
    """Calls under way are bounded after a 529; four at a time, 20 s each."""
    world = World()
    lasting(world, 20.0)
    world.gate.backends[0].concurrency.limit = 4.0
    for _ in range(5):
        world.ask("bulk", 20.0)

    ticket = world.ask("bulk", 20.0)

    assert world.gate.expected_wait_s(ticket, 20.0) == 10.0


def test_without_a_bound_on_concurrency_nobody_waits_for_others_to_end():
    """However long they take."""
    world = World()
    lasting(world, 1_000.0)

    assert world.gate.expected_wait_s(world.ask("bulk", 1_000.0), 1_000.0) == 0.0
