"""Whose turn it is: shares by weight, nobody passed for ever, nobody held up by those who cannot go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from random import Random

import pytest

from headgate.core import fair_lane
from headgate.core.fair_lane import IDLE_KEPT, LEAST_SWEPT
from headgate.core.fair_queue import FairQueue, Lane, Ticket
from headgate.core.prefix_heat import PrefixHeat

CHAT, BULK = Lane(name="chat", weight=3.0), Lane(name="bulk", weight=1.0)
GUARDED = (Lane(name="chat", weight=3.0, headroom=0.2), BULK)

Wait = Callable[[Ticket, bool], float]


def make(*lanes: Lane, **settings: float) -> FairQueue:
    return FairQueue(lanes or (CHAT, BULK), PrefixHeat(), **settings)


def put(
    queue: FairQueue, tenant: str = "a", *, lane: str = "bulk", size: float = 1.0, only: str | None = None,
    now_s: float = 0.0, first: bool = False,
) -> Ticket:  # fmt: skip
    """A ticket that waits; `size`: the share of the pool that it takes, in seconds."""
    ticket = Ticket(lane, tenant, (1.0, size, 0.0), now_s, only=only)
    queue.add(ticket, now_s, first=first)
    return ticket


def room(ticket: Ticket, into_headroom: bool) -> float:
    return 0.0


def room_unless(held: Callable[[Ticket], bool], wait_s: float = 1.0) -> Wait:
    return lambda ticket, into_headroom: wait_s if held(ticket) else 0.0


def only_headroom(ticket: Ticket, into_headroom: bool) -> float:
    """All permits that are left are headroom."""
    return 0.0 if into_headroom else 1.0


def go(queue: FairQueue, wait_s: Wait = room, now_s: float = 0.0) -> Ticket | None:
    """One turn: whoever goes is charged for its size."""
    ticket, _ = queue.pick(now_s, wait_s)
    if ticket is not None:
        queue.began(ticket)
        queue.charge(ticket, ticket.needs[1])
    return ticket


def drain(queue: FairQueue, most: int = 1_000_000, wait_s: Wait = room) -> list[Ticket]:
    gone = []
    while len(gone) < most and (ticket := go(queue, wait_s)) is not None:
        gone.append(ticket)
    return gone


def tenants(tickets: list[Ticket]) -> str:
    return "".join(ticket.tenant for ticket in tickets)


# -- shares ----------------------------------------------------------------------------------------------------------


def test_within_a_tenant_the_first_to_come_goes_first():
    """Also where a later one is smaller."""
    queue = make()
    tickets = [put(queue, size=size) for size in (5.0, 1.0, 3.0)]

    assert drain(queue) == tickets


def test_who_was_sent_back_goes_before_others_of_its_tenant():
    """It had its turn, and the API turned it away."""
    queue = make()
    waiting = put(queue)
    sent_back = put(queue, first=True)

    assert drain(queue) == [sent_back, waiting]


def test_tenants_take_turns_however_many_calls_each_has():
    """Ten thousand calls of one tool do not push a person's two to the end."""
    queue = make()
    for _ in range(50):
        put(queue, "a")
    for _ in range(2):
        put(queue, "b")

    assert tenants(drain(queue, 6)) in ("ababaa", "abbaaa")


def test_shares_are_of_the_pool_and_not_of_calls():
    """A tenant with calls four times as large has a quarter as many."""
    queue = make()
    for _ in range(100):
        put(queue, "a", size=4.0)
        put(queue, "b", size=1.0)

    assert Counter(tenants(drain(queue, 50))) == pytest.approx({"a": 10, "b": 40}, abs=1)


def test_lanes_share_by_weight():
    """Whatever the number of tenants in each."""
    queue = make()
    for number in range(100):
        put(queue, str(number % 7), lane="bulk")
        put(queue, "a", lane="chat")

    assert Counter(ticket.lane for ticket in drain(queue, 40)) == pytest.approx({"chat": 30, "bulk": 10}, abs=1)


def test_an_idle_lane_lends_its_share_and_has_it_back_with_the_next_turn():
    """RA10, partitions of concurrency-limits: ten slots, 0.3 and 0.7; lent, never more than ten, and back within one
    completion."""
    queue = make(Lane(name="batch", weight=0.3), Lane(name="live", weight=0.7))
    slots: list[Ticket] = []

    def wait_s(ticket: Ticket, into_headroom: bool) -> float:
        return 0.0 if len(slots) < 10 else inf

    def fill() -> None:
        while (ticket := go(queue, wait_s)) is not None:
            slots.append(ticket)

    for _ in range(60):
        put(queue, lane="batch")
    fill()
    lent = Counter(ticket.lane for ticket in slots)
    for _ in range(60):
        put(queue, lane="live")
    queue.ended(slots.pop(0))
    fill()
    first_back = slots[-1].lane
    for _ in range(40):
        queue.ended(slots.pop(0))
        fill()

    assert (lent, first_back, Counter(ticket.lane for ticket in slots)) == (
        {"batch": 10}, "live", {"batch": 3, "live": 7},
    )  # fmt: skip


def test_nothing_is_owed_for_time_without_calls():
    """A tenant that comes after an hour shares from then on; it is not served for an hour first."""
    queue = make()
    for _ in range(200):
        put(queue, "a")
    put(queue, "b")
    drain(queue, 100)
    for _ in range(100):
        put(queue, "b")

    assert Counter(tenants(drain(queue, 20))) == pytest.approx({"a": 10, "b": 10}, abs=1)


def test_who_took_too_little_is_made_up_for_when_the_truth_is_known():
    """Reserved ten seconds' worth, used one: the nine are its own."""
    queue = make()
    for _ in range(40):
        put(queue, "a", size=10.0)
        put(queue, "b", size=1.0)
    (dear,) = drain(queue, 1)
    drain(queue, 2)
    queue.charge(dear, 1.0)

    assert tenants(drain(queue, 1)) == "a"


def pass_by(queue: FairQueue) -> None:
    """A caller each, and none of them comes again; until the idle have been swept out."""
    for number in range(4 * LEAST_SWEPT):
        queue.discard(put(queue, f"passer-by {number}"), 0.0)


def test_nobody_gains_by_being_forgotten():
    """Tenants are forgotten when they are idle, but not while they have had more than those who wait."""
    queue = make()
    put(queue, "greedy", size=50.0)
    put(queue, "a")
    queue.ended(*drain(queue, 1))
    pass_by(queue)
    for _ in range(60):
        put(queue, "a")
        put(queue, "greedy")

    assert "greedy" not in {ticket.tenant for ticket in drain(queue, 50)}


def test_who_has_an_attempt_under_way_is_not_forgotten():
    """What it took is known when it ends, and counts then."""
    queue = make()
    slow = put(queue, "slow", size=0.1)
    for _ in range(3):
        put(queue, "a")
    drain(queue, 4)
    pass_by(queue)
    queue.ended(slow)
    queue.charge(slow, 50.0)
    for _ in range(40):
        put(queue, "a")
        put(queue, "slow")

    assert "slow" not in {ticket.tenant for ticket in drain(queue, 40)}


def test_corrections_leave_no_old_entries_behind():
    """Each refund moves a tenant forward, and its old place in the heap is cleared away some day."""
    queue = make()
    for number in range(50):
        put(queue, f"{number}", size=10.0)
        put(queue, f"{number}", size=10.0)
    for ticket in drain(queue, 50):
        for share_s in range(100):
            queue.charge(ticket, 9.0 - share_s / 20)

    assert len(queue._lanes["bulk"]._heaps[None]) < 1_000


def test_who_comes_back_after_old_entries_were_cleared_away_competes_again(monkeypatch):
    """Its own was among them."""
    monkeypatch.setattr(fair_lane, "LEAST_SWEPT", 0)
    queue = make()
    for tenant in "abcdefgh":
        queue.discard(put(queue, tenant), 0.0)
    tickets = [put(queue, tenant) for tenant in "ia"]

    assert drain(queue) == tickets


def test_tenants_that_come_once_do_not_stay():
    """Callers choose their names, so memory must not be theirs to fill; also if each of them took something."""
    queue = make()
    put(queue, "a")
    for number in range(3 * IDLE_KEPT):
        put(queue, f"passer-by {number}")
        (ticket,) = drain(queue, 1)
        queue.ended(ticket)

    assert len(queue._lanes["bulk"].tenants) <= 2 * IDLE_KEPT + LEAST_SWEPT


@pytest.mark.parametrize("seed", range(5))
def test_24_backlogged_tenants_get_the_same_of_the_pool(seed):
    """Jain's index of what each took, with calls of very different size, and estimates that are wrong."""
    chance = Random(seed)
    queue = make(BULK)
    taken: Counter[str] = Counter()
    typical = {f"tenant {number}": 0.02 * 1.35**number for number in range(24)}

    def offer(tenant: str) -> None:
        put(queue, tenant, size=typical[tenant] * chance.lognormvariate(0.0, 1.0))

    for tenant in typical:
        for _ in range(3):
            offer(tenant)
    while sum(taken.values()) < 20_000:
        ticket = go(queue)
        assert ticket is not None
        truth = ticket.needs[1] * chance.uniform(0.2, 1.8)
        taken[ticket.tenant] += truth
        queue.charge(ticket, truth)
        queue.ended(ticket)
        offer(ticket.tenant)

    jain = sum(taken.values()) ** 2 / (24 * sum(share**2 for share in taken.values()))
    assert jain >= 0.99


@pytest.mark.parametrize("seed", range(20))
def test_nobody_with_a_call_is_passed_for_ever(seed):
    """Between two turns of a tenant each other one takes no more than two of its largest calls, by weight."""
    chance = Random(seed)
    queue = make(BULK)
    passed_s = dict.fromkeys("abcdefgh", 0.0)
    longest_s = 0.0
    for tenant in passed_s:
        put(queue, tenant)
    for _ in range(3_000):
        ticket = go(queue)
        assert ticket is not None
        for tenant in passed_s:
            passed_s[tenant] += ticket.needs[1]
        longest_s = max(longest_s, passed_s[ticket.tenant] - ticket.needs[1])
        passed_s[ticket.tenant] = 0.0
        put(queue, ticket.tenant, size=chance.uniform(0.0, 10.0))

    assert longest_s <= 7 * 2 * 10.0, f"seed {seed}"


# -- held up ---------------------------------------------------------------------------------------------------------


def test_nobody_goes_past_who_is_due_and_waits_for_permits():
    """Small calls that always fit would push a large one back for ever."""
    queue = make()
    put(queue, "a", size=100.0)
    put(queue, "b")

    assert queue.pick(0.0, room_unless(lambda ticket: ticket.needs[1] > 1.0, 2.5)) == (None, 2.5)


def test_a_lane_with_headroom_passes_one_that_only_headroom_holds_up():
    """That is what headroom is for."""
    queue = make(*GUARDED)
    put(queue, lane="bulk")
    put(queue, lane="chat", size=4.0)
    put(queue, lane="chat")
    drain(queue, 1)  # chat goes first, as it may, and has had its share then

    ticket = go(queue, only_headroom)

    assert ticket is not None
    assert ticket.lane == "chat"


def test_a_lane_without_headroom_passes_nobody():
    """Headroom is its owner's alone."""
    queue = make(*GUARDED, Lane(name="nightly"))
    put(queue, lane="bulk")
    put(queue, lane="nightly")

    assert queue.pick(0.0, only_headroom) == (None, 1.0)


def test_who_only_headroom_holds_up_holds_up_other_lanes_without_it():
    """Also calls for one backend, whose permits the one that is due may be going to take."""
    queue = make(*GUARDED, Lane(name="nightly"), longest_lead_s=1.0)
    for _ in range(2):
        put(queue, lane="chat", size=100.0)
    drain(queue, 1)  # chat has had its lead
    put(queue, lane="bulk")
    put(queue, lane="nightly", only="west")

    assert queue.pick(0.0, lambda ticket, into_headroom: 0.0 if into_headroom or ticket.only else 2.0) == (None, 2.0)


def test_it_is_worth_a_look_as_soon_as_who_is_due_can_be_passed():
    """That is before the permits of the one that is due are there."""
    queue = make(*GUARDED)
    put(queue, lane="bulk")
    put(queue, lane="chat", size=4.0)
    put(queue, lane="chat")
    drain(queue, 1)

    assert queue.pick(0.0, lambda ticket, into_headroom: 3.0 if into_headroom else 10.0) == (None, 3.0)


@pytest.mark.parametrize("only", [None, "west"])
def test_the_lead_that_headroom_gives_is_bounded(only):
    """Beyond it those who were passed go first, or a busy interactive lane would starve all others."""
    queue = make(*GUARDED, longest_lead_s=10.0)
    put(queue, lane="bulk", only=only)
    for _ in range(100):
        put(queue, lane="chat", only=only)

    gone = drain(queue, wait_s=only_headroom)

    assert len(gone) == pytest.approx(10, abs=1)
    assert queue.pick(0.0, room)[0].lane == "bulk"


def test_a_call_for_one_backend_holds_up_only_that_one():
    """A session that lives on another account waits for it alone."""
    queue = make()
    pinned = put(queue, "a", only="west")
    put(queue, "b", only="west")
    free = put(queue, "b")

    assert drain(queue, wait_s=room_unless(lambda ticket: ticket.only == "west")) == [free]
    assert drain(queue)[0] is pinned


def test_other_calls_of_the_same_tenant_go_past_one_for_a_single_backend():
    """One session on an account that is out must not stop a workflow."""
    queue = make()
    put(queue, "a", only="west")
    free = put(queue, "a")

    assert drain(queue, wait_s=room_unless(lambda ticket: ticket.only == "west", inf)) == [free]


def test_a_backend_that_somebody_waits_for_is_spoken_for():
    """Or those for whom any will do would take its permits for ever; if only an event helps they may have it."""
    queue = make()
    seen: list[set[str]] = []

    def wait_s(ticket: Ticket, into_headroom: bool) -> float:
        seen.append(set(queue.spoken_for))
        return {"west": 3.0, "east": inf, None: 7.0}[ticket.only]

    for only in ("west", "east", None):
        put(queue, "a", only=only)

    assert queue.pick(0.0, wait_s) == (None, 3.0)
    assert seen[-1] == {"west"}


def test_a_backend_is_spoken_for_only_while_it_is_waited_for():
    """Each look begins anew."""
    queue = make()
    seen: list[set[str]] = []
    put(queue, "a", only="west")
    put(queue, "b")
    queue.pick(0.0, room_unless(lambda ticket: True))

    queue.pick(1.0, lambda ticket, into_headroom: seen.append(set(queue.spoken_for)) or 0.0)

    assert seen == [set()]


def test_a_backend_is_nobodys_any_more_when_who_waited_for_it_has_gone():
    """Its caller hung up, and the next call need not wait for anybody."""
    queue = make()
    pinned = put(queue, only="west")
    queue.pick(0.0, room_unless(lambda ticket: True))
    queue.discard(pinned, 0.0)

    assert queue.spoken_for == set()


def test_a_tenant_that_could_not_go_for_long_is_not_made_up_for_all_of_it():
    """Its backend was out for an hour."""
    queue = make()
    for _ in range(400):
        put(queue, "a", only="west")
        put(queue, "b", size=10.0)
    drain(queue, 360, room_unless(lambda ticket: ticket.only == "west"))

    assert tenants(drain(queue, 80)).count("b") >= 1


def test_a_lane_that_could_not_go_for_long_is_not_made_up_for_all_of_it():
    """All its calls were for one backend."""
    queue = make(BULK, Lane(name="nightly"))
    for _ in range(400):
        put(queue, lane="bulk", only="west")
        put(queue, lane="nightly", size=10.0)
    drain(queue, 360, room_unless(lambda ticket: ticket.only == "west"))

    assert "nightly" in {ticket.lane for ticket in drain(queue, 80)}


# -- caps and opening hours ------------------------------------------------------------------------------------------


def test_a_tenant_has_no_more_under_way_than_its_cap():
    """One workflow's trouble stays its own: it waits, and the others do not."""
    queue = make()
    queue.set_cap("a", 2)
    for _ in range(4):
        put(queue, "a")
        put(queue, "b")

    gone = drain(queue)

    assert Counter(tenants(gone)) == {"a": 2, "b": 4}


def test_the_cap_counts_in_all_lanes():
    """It is the workflow's."""
    queue = make()
    queue.set_cap("a", 2)
    for _ in range(4):
        put(queue, "a", lane="chat")
        put(queue, "a", lane="bulk")

    assert len(drain(queue)) == 2


def test_an_attempt_that_ends_makes_room_under_the_cap():
    queue = make()
    queue.set_cap("a", 1)
    put(queue, "a")
    put(queue, "a")
    (under_way,) = drain(queue)
    queue.ended(under_way)

    assert len(drain(queue)) == 1


def test_a_cap_that_is_lifted_or_lowered_holds_from_then_on():
    queue = make()
    for _ in range(9):
        put(queue, "a")
    queue.set_cap("a", 3)
    before = drain(queue)
    queue.set_cap("a", 5)
    after = drain(queue)
    queue.set_cap("a", None)

    assert (len(before), len(after), len(drain(queue))) == (3, 2, 4)


def test_a_tenant_under_its_cap_again_is_owed_nothing():
    """Others went while it could not; that was its own cap."""
    queue = make()
    queue.set_cap("a", 1)
    for _ in range(200):
        put(queue, "a")
        put(queue, "b")
    (under_way, *_) = [ticket for ticket in drain(queue, 100) if ticket.tenant == "a"]
    queue.ended(under_way)
    queue.set_cap("a", None)

    assert Counter(tenants(drain(queue, 20))) == pytest.approx({"a": 10, "b": 10}, abs=1)


def test_a_closed_lane_waits_for_its_hour_and_holds_up_nobody():
    """Opening hours."""
    queue = make()
    put(queue, lane="bulk")
    put(queue, lane="chat")
    queue.close("bulk", 100.0)

    assert [ticket.lane for ticket in drain(queue)] == ["chat"]
    assert queue.pick(40.0, room) == (None, 60.0)
    assert queue.pick(100.0, room)[0].lane == "bulk"


def test_a_lane_that_opens_is_owed_nothing():
    queue = make()
    for _ in range(400):
        put(queue, lane="bulk")
        put(queue, lane="chat")
    queue.close("bulk", 100.0)
    drain(queue, 200)
    queue.open("bulk")

    assert Counter(ticket.lane for ticket in drain(queue, 40)) == pytest.approx({"chat": 30, "bulk": 10}, abs=1)


@pytest.mark.parametrize("change", ["cap", "closed", "nothing"])
def test_who_needs_no_place(change):
    """A plain call that finds nobody waiting does not queue; but its tenant's cap and its lane's hours hold for it."""
    queue = make()
    if change == "cap":
        queue.set_cap("a", 0)
    if change == "closed":
        queue.close("bulk", 100.0)

    assert queue.may_go(Ticket("bulk", "a", (1.0, 1.0, 1.0), 0.0), 50.0) == (change == "nothing")


# -- leaving ---------------------------------------------------------------------------------------------------------


def test_who_has_gone_is_not_picked():
    queue = make()
    gone, stays = put(queue), put(queue)
    queue.discard(gone, 0.0)
    queue.discard(gone, 0.0)

    assert drain(queue) == [stays]
    assert queue.waiting == 0


@pytest.mark.parametrize("seed", range(30))
def test_everybody_leaves_exactly_once_and_nobody_waits_beside_room(seed, monkeypatch):
    """Whatever comes, goes, is capped, closed, sent back or corrected, and however often it tidies up."""
    monkeypatch.setattr(fair_lane, "LEAST_SWEPT", (0, 2, LEAST_SWEPT)[seed % 3])
    chance = Random(seed)
    queue = make(*GUARDED, Lane(name="nightly", weight=0.5))
    waiting: set[Ticket] = set()
    under_way: list[Ticket] = []
    left: Counter[Ticket] = Counter()
    for step in range(3_000):
        now_s = step / 10
        match chance.randrange(8):
            case 0 | 1 | 2:
                lane = chance.choice(("chat", "bulk", "nightly"))
                only = chance.choice((None, None, None, "west"))
                waiting.add(put(queue, f"{chance.randrange(6)}", lane=lane, only=only, size=chance.expovariate(1.0),
                                now_s=now_s, first=chance.random() < 0.1))  # fmt: skip
            case 3 if waiting:
                ticket = chance.choice(sorted(waiting, key=lambda each: each.place))
                queue.discard(ticket, now_s)
                waiting.remove(ticket)
                left[ticket] += 1
            case 4:
                queue.set_cap(f"{chance.randrange(6)}", chance.choice((None, 1, 3)))
            case 5:
                queue.close("nightly", now_s + 5.0)
            case _:
                if under_way and chance.random() < 0.6:
                    ticket = under_way.pop(chance.randrange(len(under_way)))
                    queue.ended(ticket)
                    queue.charge(ticket, chance.expovariate(1.0))
                ticket = go(queue, now_s=now_s)
                if ticket is not None:
                    waiting.remove(ticket)
                    under_way.append(ticket)
                    left[ticket] += 1
                else:
                    assert all(may_not_go(queue, each, now_s, under_way) for each in waiting), f"seed {seed}"
        assert queue.waiting == len(waiting), f"seed {seed}"
    for name in range(6):
        queue.set_cap(f"{name}", None)
    queue.open("nightly")
    for ticket in drain(queue):
        waiting.remove(ticket)
        left[ticket] += 1

    assert (waiting, set(left.values()), queue.waiting) == (set(), {1}, 0), f"seed {seed}"


def may_not_go(queue: FairQueue, ticket: Ticket, now_s: float, under_way: list[Ticket]) -> bool:
    cap = queue._caps.get(ticket.tenant)
    capped = cap is not None and sum(each.tenant == ticket.tenant for each in under_way) >= cap
    return capped or queue._lanes[ticket.lane].closed_until_s > now_s


# -- looking ---------------------------------------------------------------------------------------------------------


def test_the_first_to_come_waits_longest():
    queue = make()
    put(queue, now_s=3.0)
    put(queue, now_s=5.0)

    assert (queue.waiting_in("bulk"), queue.oldest_wait_s("bulk", 10.0), queue.oldest_wait_s("chat", 10.0)) == (2, 7, 0)


def test_ahead_of_a_call_are_those_of_its_tenant_and_as_much_of_others_as_they_have_a_right_to():
    """An honest expected wait: a tenant with one call does not wait for another's thousand."""
    queue = make(BULK)
    for _ in range(1_000):
        put(queue, "busy")
    mine = [put(queue, "me") for _ in range(3)]

    assert [queue.position(ticket) for ticket in mine] == [2, 4, 6]
    assert queue.ahead(mine[2]) == (5, 5, 0)


def test_another_lane_is_ahead_by_its_weight():
    queue = make()
    for _ in range(1_000):
        put(queue, lane="chat")

    assert queue.ahead(put(queue, lane="bulk"))[0] == 3


def test_with_a_thousand_tenants_what_is_ahead_is_worked_out_from_some_of_them():
    """It is asked for every call that waits."""
    queue = make(BULK)
    for number in range(1_000):
        for _ in range(1 + number % 3):
            put(queue, f"tenant {number}")
    ticket = put(queue, "me")

    assert queue.ahead(ticket)[0] == pytest.approx(1_000, rel=0.1)


def test_who_moves_up_has_fewer_ahead():
    queue = make()
    *_, last = [put(queue) for _ in range(10)]
    drain(queue, 4)

    assert queue.position(last) == 6


def test_the_standing_of_tenants_can_be_seen():
    queue = make()
    queue.set_cap("a", 1)
    put(queue, "a", size=3.0)
    put(queue, "a")
    drain(queue, 1)

    assert queue.tenants("bulk") == [("a", 1, 1, 1, 3.0)]
