"""Admission to one pool: never more than the limit allows, in turn, and no longer than needed."""

from __future__ import annotations

from collections import defaultdict
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.admission import BELIEVE_AFTER, MIN_DEPTH_S, WIDEN_AFTER_S, Gate, Lane, Limit, Ticket
from headgate.core.rate_headers import Reading

NOTHING = Reading(None, None)
LANES = (Lane(name="chat", weight=3.0), Lane(name="bulk", weight=1.0))


def make(
    rpm: float = 600, itpm: float = 60_000, otpm: float = 6_000, *, depth_s: float = 5.0, ceiling: float = inf
) -> Gate:
    """A gate of 10 requests, 1,000 input and 100 output tokens a second, with five seconds' worth at once."""
    limits = [Limit(figure, "tier start", 0.0, ceiling=ceiling) for figure in (rpm, itpm, otpm)]
    return Gate(limits, LANES, depth_s=depth_s, now_s=0.0)


def drain(gate: Gate, now_s: float = 0.0, *, until_s: float = inf) -> list[tuple[float, Ticket]]:
    """Pump whenever the gate says that it is worth it; each ticket with the second it was granted."""
    granted: list[tuple[float, Ticket]] = []
    for _ in range(10_000):
        tickets, wait_s = gate.pump(now_s)
        granted += [(now_s, ticket) for ticket in tickets]
        now_s += wait_s
        if now_s > until_s or wait_s == inf:
            break
    return granted


# -- room, and no room -----------------------------------------------------------------------------------------------


def test_a_call_that_finds_room_goes_at_once():
    """No queue, no timer: nearly every call."""
    gate = make()

    ticket = gate.ask("chat", 100, 10, 0.0)

    assert ticket.granted
    assert (gate.waiting, gate.under_way) == (0, {ticket})


@pytest.mark.parametrize(
    ("needs", "most"), [((0, 0), 50), ((500, 0), 10), ((0, 100), 5)], ids=["requests", "input", "output"]
)
def test_b16_what_goes_at_once_is_bounded_by_each_limiter(needs, most):
    """B16: five seconds' worth, not a minute's: the API may enforce 60 a minute as one a second."""
    gate = make()

    granted = [gate.ask("chat", *needs, 0.0).granted for _ in range(most + 3)]

    assert granted == [True] * most + [False] * 3


@pytest.mark.parametrize(
    ("needs", "wait_s"), [((0, 0), 0.1), ((500, 0), 0.5), ((0, 100), 1.0), ((500, 100), 1.0)],
    ids=["requests", "input", "output", "the-slowest"],
)  # fmt: skip
def test_the_next_call_waits_for_the_slowest_of_its_needs(needs, wait_s):
    """By the rate at which permits come back."""
    gate = make()
    while gate.ask("chat", *needs, 0.0).granted:
        pass

    (next_s, _), *_ = drain(gate)

    assert next_s == pytest.approx(wait_s)


def test_a_call_larger_than_the_bucket_waits_until_it_is_full_and_leaves_a_debt():
    """It would never go otherwise; those behind it wait until the debt is paid."""
    gate = make()
    gate.ask("chat", 1_000, 0, 0.0)
    gate.ask("chat", 12_000, 0, 0.0)
    gate.ask("chat", 100, 0, 0.0)

    assert [at_s for at_s, _ in drain(gate)] == pytest.approx([1.0, 8.1])


def test_what_was_asked_for_is_counted_until_it_is_settled():
    """`headgate limits` shows it as held."""
    gate = make()
    gate.ask("chat", 700, 40, 0.0)

    assert [(name, free, held) for name, _, free, held in gate.levels(0.0)] == [
        ("requests", 49, 1), ("input", 4_300, 700), ("output", 460, 40),
    ]  # fmt: skip


# -- turns -----------------------------------------------------------------------------------------------------------


def test_within_a_lane_the_first_to_come_goes_first():
    """Also where a later, smaller one would fit: it would push the large one back for ever."""
    gate = make()
    gate.ask("chat", 5_000, 0, 0.0)
    tickets = [gate.ask("chat", needs, 0, 0.0) for needs in (4_000, 1, 2_000, 1)]

    assert [ticket for _, ticket in drain(gate)] == tickets


def test_nobody_overtakes_a_queue():
    """While somebody waits a new call waits too, even for permits that are there."""
    gate = make()
    gate.ask("chat", 5_000, 0, 0.0)
    gate.ask("chat", 3_000, 0, 0.0)

    assert not gate.ask("chat", 1, 0, 0.5).granted
    assert not gate.ask("bulk", 1, 0, 0.5).granted


def test_b03_a_call_that_was_sent_back_is_first_again():
    """B03: it had its turn; the queue keeps its order behind it."""
    gate = make()
    gate.freeze(7.0, "rate_limit")
    second = gate.ask("chat", 10, 0, 0.0)
    first = gate.ask("chat", 10, 0, 1.0, first=True)

    assert drain(gate) == [(7.0, first), (7.0, second)]


@pytest.mark.parametrize("needs", [(0, 0), (1_000, 0), (0, 100)], ids=["requests", "input", "output"])
def test_inv_11_lanes_that_wait_share_by_weight(needs):
    """INV-11: three to one, whichever limiter is short; neither starves."""
    gate = make()
    for _ in range(200):
        gate.ask("bulk", *needs, 0.0)
        gate.ask("chat", *needs, 0.0)
    gate.pump(0.0)

    lanes = [ticket.lane for _, ticket in drain(gate)][:80]

    assert lanes.count("chat") == pytest.approx(60, abs=2)


def test_inv_11_a_flooded_lane_does_not_hold_up_the_other():
    """INV-11: a call in the other lane waits for its own share only."""
    gate = make()
    for _ in range(1_000):
        gate.ask("bulk", 0, 0, 0.0)
    gate.pump(0.0)
    chat = gate.ask("chat", 0, 0, 0.0)

    waited_s = next(at_s for at_s, ticket in drain(gate) if ticket is chat)

    assert waited_s <= 0.2 + 1e-9


def test_a_lane_is_owed_nothing_for_the_time_it_asked_for_nothing():
    """Otherwise the first hour of a day's chats would shut the bulk out."""
    gate = make()
    for _ in range(300):
        gate.ask("bulk", 0, 0, 0.0)
    drain(gate, until_s=20.0)
    for _ in range(100):
        gate.ask("chat", 0, 0, 20.0)

    lanes = [ticket.lane for _, ticket in drain(gate, 20.0)][:40]

    assert lanes.count("bulk") == pytest.approx(10, abs=2)


def test_inv_12_a_lane_alone_gets_everything():
    """INV-12: the share of a lane that has no work is lent."""
    gate = make()
    for _ in range(150):
        gate.ask("bulk", 0, 0, 0.0)

    assert drain(gate)[-1][0] == pytest.approx(10.0)


def test_the_expected_wait_is_the_wait():
    """What a caller is told when its wait cannot be met."""
    gate = make()
    gate.ask("chat", 5_000, 0, 0.0)
    for needs in (900, 100, 2_500):
        gate.ask("chat", needs, 0, 0.0)

    last = gate.ask("chat", 500, 0, 0.0)
    told_s = gate.expected_wait_s(last, 0.0)

    assert told_s == pytest.approx(4.0)
    assert drain(gate)[-1] == (pytest.approx(told_s), last)


@pytest.mark.parametrize("before", [0, 700, 9_000])
def test_the_expected_wait_of_a_call_larger_than_the_bucket_is_that_for_a_full_one(before):
    """Its own debt is paid by those behind it; those of the calls ahead it has to wait for."""
    gate = make()
    gate.ask("chat", 1, 0, 0.0)
    if before:
        gate.ask("chat", before, 0, 0.0)

    large = gate.ask("chat", 20_000, 0, 0.0)
    told_s = gate.expected_wait_s(large, 0.0)

    assert drain(gate)[-1] == (pytest.approx(told_s), large)


def test_a_call_that_was_sent_back_does_not_wait_for_those_behind_it():
    """B03: it is at the head, and its wait is told as such."""
    gate = make()
    gate.ask("chat", 5_000, 0, 0.0)
    for _ in range(20):
        gate.ask("chat", 1_000, 0, 0.0)

    back = gate.ask("chat", 500, 0, 0.0, first=True)

    assert gate.expected_wait_s(back, 0.0) == pytest.approx(0.5)


def test_who_has_left_is_told_how_long_the_wait_would_be_now():
    """At the end of the queue, behind those that stayed."""
    gate = make()
    gate.ask("chat", 5_000, 0, 0.0)
    gone = gate.ask("chat", 500, 0, 0.0)
    gate.ask("chat", 1_000, 0, 0.0)

    gate.withdraw(gone)

    assert gate.expected_wait_s(gone, 0.0) == pytest.approx(1.5)


def test_the_expected_wait_counts_the_other_lanes_share():
    """A chat waits for one bulk call in three, however many there are."""
    gate = make()
    for _ in range(50 + 90):
        gate.ask("bulk", 0, 0, 0.0)
    gate.pump(0.0)
    for _ in range(8):
        gate.ask("chat", 0, 0, 0.0)

    last = gate.ask("chat", 0, 0, 0.0)
    told_s = gate.expected_wait_s(last, 0.0)

    waited_s = next(at_s for at_s, ticket in drain(gate) if ticket is last)
    assert told_s == pytest.approx(1.2)
    assert waited_s == pytest.approx(told_s, abs=0.1)


def test_a_caller_that_leaves_is_waited_for_no_longer():
    """Those behind it move up."""
    gate = make()
    gate.ask("chat", 5_000, 0, 0.0)
    gone, next_ = gate.ask("chat", 5_000, 0, 0.0), gate.ask("chat", 100, 0, 0.0)

    gate.withdraw(gone)
    gate.withdraw(gone)

    assert gate.waiting == 1
    assert drain(gate) == [(pytest.approx(0.1), next_)]


def test_to_withdraw_a_granted_ticket_changes_nothing():
    """Leaving races with the grant; permits go back by `release`."""
    gate = make()
    ticket = gate.ask("chat", 100, 0, 0.0)

    gate.withdraw(ticket)

    assert gate.under_way == {ticket}
    assert gate.waiting == 0


def test_the_queue_can_be_looked_at():
    """For `headgate limits`."""
    gate = make()
    gate.freeze(9.0, "rate_limit")
    gate.ask("chat", 0, 0, 1.0)
    gate.ask("chat", 0, 0, 3.0)

    assert (gate.waiting_in("chat"), gate.waiting_in("bulk")) == (2, 0)
    assert (gate.oldest_wait_s("chat", 4.0), gate.oldest_wait_s("bulk", 4.0)) == (3.0, 0.0)
    assert gate.lanes == ["chat", "bulk"]


# -- freezing --------------------------------------------------------------------------------------------------------


def test_inv_09_after_a_429_nothing_goes_before_its_time():
    """INV-09, B03: every lane, permits or not; then at once."""
    gate = make()
    gate.freeze(7.0, "rate_limit")

    tickets = [gate.ask(lane, 0, 0, 1.0) for lane in ("chat", "bulk")]

    assert not any(ticket.granted for ticket in tickets)
    assert gate.pump(6.99)[0] == []
    assert [at_s for at_s, _ in drain(gate, 1.0)] == [7.0, 7.0]
    assert gate.frozen_by == "rate_limit"


def test_a_freeze_is_never_shortened():
    """The longest wish counts: the others came from answers to earlier calls."""
    gate = make()
    gate.freeze(7.0, "rate_limit")

    gate.freeze(3.0, "overloaded")

    assert (gate.frozen_until_s, gate.frozen_by) == (7.0, "rate_limit")


def test_the_expected_wait_counts_the_freeze():
    """Whether somebody waits already or not."""
    gate = make()
    gate.freeze(7.0, "rate_limit")

    first, second = gate.ask("chat", 0, 0, 2.0), gate.ask("chat", 0, 0, 2.0)

    assert gate.expected_wait_s(first, 2.0) == gate.expected_wait_s(second, 2.0) == 5.0


# -- settling --------------------------------------------------------------------------------------------------------


def free(gate: Gate, now_s: float = 0.0) -> list[float]:
    return [level for _, _, level, _ in gate.levels(now_s)]


@pytest.mark.parametrize(
    ("used", "left"),
    [((1_000, 100), [49, 4_000, 400]), ((300, 20), [49, 4_700, 480]), ((0, 0), [49, 5_000, 500]),
     ((4_000, 450), [49, 1_000, 50])],
    ids=["exact", "less", "none", "more"],
)  # fmt: skip
def test_settling_replaces_the_estimate_by_the_truth(used, left):
    """What was not used goes back, what was used beyond is taken."""
    gate = make()
    ticket = gate.ask("chat", 1_000, 100, 0.0)

    gate.settle(ticket, *used)

    assert free(gate) == left
    assert not gate.under_way


def test_e12_an_estimate_that_was_ten_times_too_low_is_paid_by_those_who_follow():
    """E12: the bucket goes into debt, and nothing goes until it is worked off."""
    gate = make()
    ticket = gate.ask("chat", 1_000, 0, 0.0)

    gate.settle(ticket, 10_000, 0)
    gate.ask("chat", 1_000, 0, 0.0)

    assert free(gate)[1] == -5_000
    assert drain(gate)[0][0] == pytest.approx(6.0)


def test_inv_02_a_ticket_is_settled_once():
    """INV-02: a second settling, or a release after it, changes nothing."""
    gate = make()
    ticket = gate.ask("chat", 1_000, 100, 0.0)
    gate.settle(ticket, 400, 50)
    before = free(gate)

    gate.settle(ticket, 0, 0)
    gate.release(ticket, sent=False)

    assert free(gate) == before


@pytest.mark.parametrize(("sent", "requests"), [(True, 49), (False, 50)])
def test_an_attempt_without_tokens_gives_them_back_and_its_request_only_if_it_was_never_sent(sent, requests):
    """The API counts what reached it."""
    gate = make()
    ticket = gate.ask("chat", 1_000, 100, 0.0)

    gate.release(ticket, sent=sent)

    assert free(gate) == [requests, 5_000, 500]


# -- learning --------------------------------------------------------------------------------------------------------


def learn(gate: Gate, limit: int | None = None, remaining: float | None = None, *, now_s: float = 0.0) -> Limit:
    """Take a reading of the request limiter; the others say nothing."""
    gate.learn((Reading(limit, remaining), NOTHING, NOTHING), now_s)
    return gate.limits[0]


def test_a_lower_limit_is_believed_at_once():
    """The tier was set too high: every second at the wrong rate is a 429."""
    limit = learn(make(), 300, now_s=4.0)

    assert (limit.per_minute, limit.source, limit.at_s) == (300, "headers", 4.0)


def test_b12_a_higher_limit_is_believed_when_three_in_a_row_say_the_same():
    """B12: one header that speaks of ten times the limit changes nothing."""
    gate = make()

    told = [learn(gate, 6_000).per_minute for _ in range(BELIEVE_AFTER)]

    assert told == [600, 600, 6_000]


def test_b12_other_words_in_between_start_the_count_again():
    """B12: in a row, and the same."""
    gate = make()

    told = [learn(gate, said).per_minute for said in (6_000, 6_000, 600, 6_000, 7_000, 6_000, 6_000, 6_000)]

    assert told == [600] * 7 + [6_000]


def test_b12_a_limit_that_falls_below_a_tenth_needs_three_as_well():
    """B12: believed at once, a single broken header would stop everything for minutes."""
    gate = make()

    told = [learn(gate, 1).per_minute for _ in range(BELIEVE_AFTER)]

    assert told == [600, 600, 1]


def test_b12_missing_headers_change_nothing():
    """B12: the last good ones, and our own counting."""
    gate = make()
    learn(gate, 300, 100)
    before = gate.limits[0].per_minute, free(gate)

    gate.learn((NOTHING, NOTHING, NOTHING), 0.0)
    learn(gate, 0)

    assert (gate.limits[0].per_minute, free(gate)) == before


@pytest.mark.parametrize("said", [601, 6_000, 10**14])
def test_b12_no_header_raises_a_limit_above_the_configured_ceiling(said):
    """B12: however often it is said."""
    gate = make(rpm=500, ceiling=600)

    for _ in range(10):
        limit = learn(gate, said)

    assert (limit.per_minute, limit.source) == (600, "configured ceiling")


def test_b12_below_the_ceiling_headers_rule():
    """The ceiling is no floor."""
    limit = learn(make(rpm=500, ceiling=600), 400)

    assert (limit.per_minute, limit.source) == (400, "headers")


def test_b23_what_others_used_of_the_account_is_not_there_for_us():
    """B23: the API's `remaining` caps ours; it never adds to it."""
    gate = make()

    learn(gate, 600, 7)
    assert free(gate)[0] == 7
    learn(gate, 600, 500)
    assert free(gate)[0] == 7


def test_a_raised_limit_gives_nothing_at_once():
    """Only the refill is faster, and the bucket larger."""
    gate = make()
    for _ in range(50):
        gate.ask("chat", 0, 0, 0.0)
    for _ in range(BELIEVE_AFTER):
        learn(gate, 1_200)

    assert free(gate)[0] == 0
    assert free(gate, 1.0)[0] == pytest.approx(20)


def test_b13_a_429_though_there_was_room_halves_what_may_go_at_once():
    """B13: whatever the headers say; down to a second's worth, not further."""
    gate = make(depth_s=5.0)

    depths = []
    for _ in range(5):
        gate.narrow(0.0)
        depths.append(gate.depth_s)

    assert depths == [2.5, 1.25, MIN_DEPTH_S, MIN_DEPTH_S, MIN_DEPTH_S]
    assert free(gate) == [10, 1_000, 100]


def test_b13_after_quiet_minutes_a_little_more_may_go_at_once_again():
    """B13: down by half, up by a tenth a minute, and never above what is configured."""
    gate = make(depth_s=5.0)
    gate.narrow(0.0)

    depths = []
    for minute in range(1, 8):
        learn(gate, now_s=minute * WIDEN_AFTER_S - 1)
        learn(gate, now_s=minute * WIDEN_AFTER_S)
        depths.append(gate.depth_s)

    assert depths == [3.0, 3.5, 4.0, 4.5, 5.0, 5.0, 5.0]


def test_a_depth_configured_below_a_second_is_kept():
    """A 429 makes nothing wider."""
    gate = make(depth_s=0.5)

    gate.narrow(0.0)

    assert gate.depth_s == 0.5


def test_a_limiter_that_does_not_apply_never_holds_anybody_up():
    """Token counting has no token limits."""
    gate = make(rpm=60_000, itpm=1e12, otpm=1e12)

    assert all(gate.ask("chat", 1e6, 1e6, 0.0).granted for _ in range(1_000))


# -- whatever happens ------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(["chat", "bulk"]), st.integers(0, 5_000), st.integers(0, 500)),
        st.tuples(st.just("wait"), st.floats(0, 3)),
        st.tuples(st.just("settle"), st.integers(0, 50), st.floats(0, 1), st.floats(0, 1)),
        st.tuples(st.just("release"), st.integers(0, 50), st.booleans()),
        st.tuples(st.just("withdraw"), st.integers(0, 50)),
        st.tuples(st.just("freeze"), st.floats(0, 4)),
        st.tuples(st.just("narrow")),
        st.tuples(st.just("learn"), st.integers(0, 700), st.integers(0, 60)),
    ),
    max_size=60,
)


class Watch:
    """Drives a gate as the engine does, and notes when each ticket went."""

    def __init__(self) -> None:
        self.gate = make()
        self.now_s = 0.0
        self.asked: list[Ticket] = []
        self.went: list[tuple[float, Ticket]] = []

    def note(self, tickets: list[Ticket]) -> None:
        assert not tickets or self.now_s >= self.gate.frozen_until_s, "somebody went although the API said wait"
        self.went += [(self.now_s, ticket) for ticket in tickets]

    def play(self, steps: list[tuple]) -> None:  # type: ignore[type-arg]
        for step, *values in steps:
            getattr(self, step)(*values)
            granted, wait_s = self.gate.pump(self.now_s)
            self.note(granted)
            assert (wait_s == inf) == (self.gate.waiting == 0)
            assert self.gate.waiting == sum(self.gate.waiting_in(lane) for lane in self.gate.lanes)

    def ask(self, lane: str, input_tokens: int, output_tokens: int) -> None:
        ticket = self.gate.ask(lane, input_tokens, output_tokens, self.now_s)
        self.asked.append(ticket)
        if ticket.granted:
            self.note([ticket])

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def pick(self, number: int) -> Ticket | None:
        held = [ticket for ticket in self.asked if ticket in self.gate.under_way]
        return held[number % len(held)] if held else None

    def settle(self, number: int, input_share: float, output_share: float) -> None:
        if ticket := self.pick(number):
            self.gate.settle(ticket, ticket.needs[1] * input_share, ticket.needs[2] * output_share)

    def release(self, number: int, sent: bool) -> None:
        if ticket := self.pick(number):
            self.gate.release(ticket, sent=sent)

    def withdraw(self, number: int) -> None:
        if self.asked:
            self.gate.withdraw(self.asked[number % len(self.asked)])

    def freeze(self, seconds: float) -> None:
        self.gate.freeze(self.now_s + seconds, "rate_limit")

    def narrow(self) -> None:
        self.gate.narrow(self.now_s)

    def learn(self, limit: int, remaining: int) -> None:
        learn(self.gate, limit, float(remaining), now_s=self.now_s)


@given(STEPS)
def test_whatever_happens_lanes_keep_their_order_and_permits_stay_within_bounds(steps):
    """First come first served within each lane, nothing before a freeze ends, no bucket above its capacity."""
    watch = Watch()

    watch.play(steps)

    for lane in ("chat", "bulk"):
        went = [ticket for _, ticket in watch.went if ticket.lane == lane]
        assert went == [ticket for ticket in watch.asked if ticket in went]
    for (_, limit, level, _), depth_s in zip(watch.gate.levels(watch.now_s), [watch.gate.depth_s] * 3, strict=True):
        assert level <= max(1.0, limit.per_minute * depth_s / 60) + 1e-6


@given(STEPS)
def test_inv_12_whoever_waits_gets_through_in_the_time_that_was_told(steps):
    """INV-11, INV-12: nobody is forgotten, whatever came before: `pump` says when to look again, and then it moves."""
    watch = Watch()
    watch.play([step for step in steps if step[0] != "learn"])
    waiting = watch.gate.waiting

    went = drain(watch.gate, watch.now_s)

    assert len(went) == waiting
    assert watch.gate.waiting == 0


@given(
    st.lists(
        st.tuples(st.floats(0, 2), st.sampled_from(["chat", "bulk"]), st.integers(0, 5_000), st.integers(0, 500)),
        max_size=80,
    )
)
def test_inv_10_no_window_holds_more_than_the_rate_and_the_depth_allow(arrivals):
    """INV-10: for every limiter and in every window, however the calls come."""
    watch = Watch()
    for gap_s, lane, input_tokens, output_tokens in arrivals:
        until_s = watch.now_s + gap_s
        while watch.gate.waiting:
            granted, wait_s = watch.gate.pump(watch.now_s)
            watch.note(granted)
            if watch.now_s + wait_s > until_s:
                break
            watch.now_s += wait_s
        watch.now_s = until_s
        watch.ask(lane, input_tokens, output_tokens)
    watch.went += drain(watch.gate, watch.now_s)

    assert len(watch.went) == len(arrivals)
    per_second = (10.0, 1_000.0, 100.0)
    for start in range(len(watch.went)):
        used: dict[int, float] = defaultdict(float)
        for at_s, ticket in watch.went[start:]:
            for index, rate in enumerate(per_second):
                used[index] += ticket.needs[index]
                assert used[index] <= rate * (5.0 + at_s - watch.went[start][0]) + 1e-3
