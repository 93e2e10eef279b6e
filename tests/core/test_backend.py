"""One account's permits for a pool: never more than the API lets in, and no less."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from headgate.core.backend import STALE_AFTER_S
from headgate.core.breaker import Breaker
from headgate.core.ramp import Ramp
from headgate.core.rate_headers import Reading
from support.account import Account, Slot, backend, backlog, bound_s

SILENT = Reading(None, None)
ONE = (1.0, 0.0, 0.0)


def told(requests: float | None = None, *, limit: int = 600) -> tuple[Reading, Reading, Reading]:
    """Headers that tell how many requests are missing."""
    if requests is None:
        return SILENT, SILENT, SILENT
    return Reading(limit, limit - requests, requests), SILENT, SILENT


def go(ours, needs=ONE, now_s: float = 0.0) -> int:
    """How many calls go at once."""
    count = 0
    while not ours.wait_s(needs, now_s):
        ours.take(Slot(needs), now_s)
        count += 1
    return count


# -- room, and no room ----


def test_a_call_that_finds_room_need_not_wait():
    """Nearly every call."""
    assert backend(1_000, 450_000, 90_000).wait_s((1.0, 1_000.0, 100.0), 0.0) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_what_a_backend_says_is_what_its_limiters_say(seed):
    """Where there is plenty they are not asked, and that changes nothing."""
    chance = Random(seed)
    burst_s = chance.choice((1.0, 10.0, 60.0))
    ours = backend(600, 60_000, 6_000, first_burst_s=chance.choice((1.0, burst_s)), burst_s=burst_s)
    now_s, held = 0.0, list[Slot]()
    said, by_limiter = [], []
    for _ in range(300):
        now_s += chance.expovariate(12)
        needs = (1.0, chance.uniform(0, 9_000), chance.uniform(0, 900))
        headroom = chance.choice((0.0, 0.3))
        said.append(ours.wait_s(needs, now_s, headroom=headroom))
        waits = [each.wait_s(need, now_s, headroom) for each, need in zip(ours.limiters, needs, strict=True)]
        by_limiter.append(min(max(waits), STALE_AFTER_S))
        if not said[-1] or chance.random() < 0.1:
            held.append(Slot(needs))
            ours.take(held[-1], now_s)
        if held and chance.random() < 0.7:
            slot = held.pop(chance.randrange(len(held)))
            ours.learn(told(chance.uniform(0, 50)) if chance.random() < 0.3 else told(), now_s)
            ours.outcome(chance.choice(("ok", "ok", "ok", "limited")), slot, now_s)
            ours.settle(slot, [need * chance.uniform(0.5, 2.0) for need in slot.needs], now_s)

    assert said == by_limiter
    assert min(said) == 0.0 < max(said)


@pytest.mark.parametrize(
    ("needs", "wait_s"), [((1, 0, 0), 0.1), ((1, 0, 15), 0.05), ((1, 0, 10), 0.1)],
    ids=["requests", "output", "the-slowest"],
)  # fmt: skip
def test_the_next_call_waits_for_the_slowest_of_its_needs(needs, wait_s):
    """By the rate at which permits come back."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    go(ours, needs)

    assert ours.wait_s(needs, 0.0) == pytest.approx(wait_s, rel=1e-3)


def test_a_shallow_bucket_of_output_is_not_kept_full_for_a_long_answer():
    """§8.1: the API lets a call in while any output is left; a bucket that is full while somebody waits is a loss."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    long = (1.0, 0.0, 100.0)
    go(ours, long)

    assert ours.wait_s(long, 0.0) == pytest.approx(0.2)


def test_a_call_larger_than_the_bucket_waits_until_it_is_full_and_leaves_a_debt():
    """It would never go otherwise; those behind it wait until the debt is paid."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    large = (1.0, 0.0, 1_000.0)

    assert go(ours, large) == 1
    assert ours.wait_s((1.0, 0.0, 10.0), 0.0) == pytest.approx(9.1)


def test_headroom_is_room_that_others_leave_alone():
    """It takes nothing from the rate."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    count = 0
    while not ours.wait_s(ONE, 0.0, headroom=0.3):
        ours.take(Slot(ONE), 0.0)
        count += 1

    assert (count, go(ours)) == (7, 3)


def test_headroom_is_left_alone_while_the_depth_is_unknown_too():
    """Also of the step into the unknown: ten a second, and two more to see."""
    ours = backend(600, 60_000, 6_000)
    count = 0
    while not ours.wait_s(ONE, 0.0, headroom=0.3):
        ours.take(Slot(ONE), 0.0)
        count += 1

    assert (count, go(ours)) == (8, 4)


def test_what_was_not_used_comes_back():
    """Requests that were never sent, output that was never written."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    slot = Slot((1.0, 0.0, 100.0))
    ours.take(slot, 0.0)
    ours.settle(slot, (0.0, 0.0, 0.0), 0.0)

    assert ours.free(0.0) == ours.capacity


def test_the_more_estimates_err_the_more_is_kept_free_until_the_truth_is_known():
    """The API charges the truth at once, and tells us later."""
    went = []
    for truth in (100.0, 130.0):
        ours = backend(600, 60_000, 6_000, burst_s=1.0)
        for _ in range(200):
            slot = Slot((1.0, 100.0, 0.0))
            ours.take(slot, 0.0)
            ours.settle(slot, (1.0, truth, 0.0), 0.0)
        went.append(go(ours, (1.0, 100.0, 0.0), 100.0))

    assert went[1] < went[0] == 9


def test_an_answer_longer_than_expected_takes_from_others_while_it_is_written():
    """And not only at its end."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    slot = Slot((1.0, 0.0, 50.0))
    ours.take(slot, 0.0)
    ours.adjust(slot, (1.0, 0.0, 100.0), 0.0)

    assert ours.wait_s((1.0, 0.0, 50.0), 0.0) == pytest.approx(0.2)


# -- 429s -------------------------------------------------------------------------------------------------------------


def limited(ours, now_s: float, retry_after_s: float | None = None) -> None:
    slot = Slot(ONE)
    ours.take(slot, now_s)
    ours.outcome("limited", slot, now_s, retry_after_s)
    ours.settle(slot, ONE, now_s)


def answered(ours, now_s: float) -> None:
    slot = Slot(ONE)
    ours.take(slot, now_s)
    ours.outcome("ok", slot, now_s)
    ours.settle(slot, ONE, now_s)


def test_inv09_nothing_goes_before_the_api_allows_it():
    """INV-09: its `retry-after` holds for everybody."""
    ours = backend(600, 60_000, 6_000, breaker=Breaker(Random(1)))
    limited(ours, 0.0, 7.0)

    assert (ours.blocked_s(0.0), ours.wait_s(ONE, 6.0)) == (7.0, 1.0)


def test_b04_a_429_that_does_not_say_how_long_holds_for_a_second_and_some_chance():
    """B04: so that processes that share an account do not come back together."""
    holds = []
    for seed in range(20):
        ours = backend(600, 60_000, 6_000, breaker=Breaker(Random(seed)))
        limited(ours, 0.0)
        holds.append(ours.blocked_s(0.0))

    assert 1.0 <= min(holds) < max(holds) <= 1.5


def test_nothing_is_held_back_for_longer_than_set():
    """However long the API asks for; the call itself ends with its answer."""
    ours = backend(600, 60_000, 6_000, breaker=Breaker(Random(1), longest_hold_s=60.0))
    limited(ours, 0.0, 1e6)

    assert ours.blocked_s(0.0) == 60.0


def test_b13_a_429_wins_over_headers_that_tell_of_room():
    """B13: the pace goes down by a sixth with each, and comes back slowly."""
    ours = backend(600, 60_000, 6_000)
    paces = []
    for second in range(0, 30, 10):
        ours.learn(told(0.5), float(second))
        answered(ours, float(second))
        limited(ours, second + 1.0)
        paces.append(ours.refill_per_s[0])
    for second in range(30, 400, 5):
        ours.learn(told(0.5), float(second))

    assert 10 > paces[0] > paces[1] > paces[2] > 5
    assert ours.refill_per_s[0] == 10


def test_429s_of_calls_that_were_under_way_together_count_once():
    """The second tells nothing that was not known when it was sent."""
    once, often = backend(600, 60_000, 6_000), backend(600, 60_000, 6_000)
    for ours, count in ((once, 1), (often, 8)):
        slots = [Slot(ONE) for _ in range(count)]
        for slot in slots:
            ours.take(slot, 0.0)
        ours.learn(told(0.5), 1.0)
        for slot in slots:
            ours.outcome("limited", slot, 1.0, 1.0)

    assert often.refill_per_s == once.refill_per_s < (10.0, 1_000.0, 100.0)


def test_429s_to_everything_do_not_slow_what_comes_after_them():
    """A storm: what was too fast would get an answer now and then."""
    ours = backend(600, 60_000, 6_000)
    for second in range(0, 720, 30):
        ours.learn(told(0.5), float(second))
        limited(ours, float(second))

    assert ours.refill_per_s[0] >= 0.85 * 10


def test_a_streak_of_429s_that_depth_does_not_explain_says_nothing_of_depth():
    """The first came to one of many calls and might have been about depth; those to a full bucket were not."""
    ours = backend(600, 60_000, 6_000)
    answered(ours, 0.0)
    go(ours, now_s=0.0)
    limited(ours, 0.0)
    bound_s = ours.depth.bound_s
    for second in (100.0, 200.0):
        ours.learn(told(0.5), second)
        limited(ours, second)

    assert bound_s < ours.depth.bound_s == inf


# -- others -----------------------------------------------------------------------------------------------------------


def test_b23_what_nobody_has_heard_of_for_long_is_forgotten():
    """Others who took everything may have gone: half as much is believed every thirty seconds."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    for second in range(30):
        ours.learn(told(20.0 + 10 * second), float(second))
    before = ours.refill_per_s[0]
    ours.wait_s(ONE, 150.0)

    assert before < 1 < 9 < ours.refill_per_s[0]


def test_a_probe_needs_no_permits():
    """Whatever the books say: nobody else would find out that they are wrong."""
    breaker = Breaker(Random(1))
    ours = backend(600, 60_000, 6_000, breaker=breaker)
    ours.learn(told(600.0), 0.0)
    for _ in range(3):
        limited(ours, breaker.held_until_s if breaker.held_until_s > 0 else 0.0)

    assert ours.wait_s(ONE, breaker.held_until_s) == 0.0


# -- what is told -----------------------------------------------------------------------------------------------------


def test_b12_what_is_told_to_be_missing_is_missing():
    """§8.4: whoever took it, and however deep the bucket is."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    ours.learn(told(8.5), 0.0)

    assert go(ours) == 2


def test_the_ramp_limit_goes_by_the_input_limit_as_it_is_learned():
    """Its floor is a share of that."""
    ours = backend(600, 60_000, 6_000, ramp=Ramp(60_000.0))
    ours.learn((SILENT, Reading(30_000, 30_000, 0.0, 500.0), SILENT), 0.0)

    assert ours.ramp.limit_per_minute == 30_000


def test_of_a_limit_that_is_not_believed_yet_the_time_to_refill_counts():
    """Half as many permits are missing of half the limit."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    ours.learn(told(16, limit=1_200), 0.0)

    assert go(ours) == 2


def test_b14_where_only_the_reset_is_told_it_tells_what_is_missing():
    """B14: within the second that it is rounded to."""
    ours = backend(600, 60_000, 6_000, burst_s=10.0)
    ours.learn((Reading(600, None, full_in_s=5.0), SILENT, SILENT), 0.0)

    assert ours.limiters[0].missing_at(0.0) == pytest.approx(30)


def test_long_silent_answers_do_not_hold_others_back_for_ever():
    """They may think; after some seconds without news the bucket is taken to refill."""
    ours = backend(600, 60_000, 6_000, burst_s=1.0)
    known = Slot((1.0, 0.0, 100.0))
    ours.take(known, 0.0)
    ours.settle(known, (1.0, 0.0, 100.0), 1.0)
    for second in range(100, 120):
        ours.take(Slot((1.0, 0.0, 0.0)), float(second))
    ours.learn((SILENT, SILENT, Reading(6_000, 5_500, 500.0, 0.0)), 120.0)

    assert ours.wait_s((1.0, 0.0, 1.0), 122.0) > 0
    assert ours.wait_s((1.0, 0.0, 1.0), 300.0) == 0


# -- under a configured ceiling ---------------------------------------------------------------------------------------


def test_b12_a_ceiling_bounds_the_rate():
    """B12: and a minute of it is all that may have been saved up."""
    ours = backend(1_000, 450_000, 90_000, ceilings=(inf, 30_000, inf))
    large = (1.0, 8_000.0, 0.0)
    went = sum(go(ours, large, float(second)) for second in range(600))

    assert 0.95 <= went * large[1] / (10 * 30_000 + 30_000) <= 1.0


def test_what_goes_at_once_under_a_ceiling_is_the_apis_to_say():
    """A second large prompt waits for what the API's bucket lacks, at its rate and not at the ceiling's."""
    ours = backend(1_000, 450_000, 90_000, ceilings=(inf, 30_000, inf), burst_s=60.0, first_burst_s=1.0)
    large = (1.0, 8_000.0, 0.0)
    go(ours, large)

    assert ours.wait_s(large, 0.0) == pytest.approx(500 / 7_500, rel=0.1)


def test_headroom_under_a_ceiling_is_of_all_that_it_lets_go_at_once():
    """Large prompts of others leave a quarter of a minute, and not of a second."""
    ours = backend(1_000, 450_000, 90_000, ceilings=(inf, 30_000, inf))
    large = (1.0, 8_000.0, 0.0)
    for second in range(600):
        while not ours.wait_s(large, float(second), headroom=0.25):
            ours.take(Slot(large), float(second))

    assert ours.free(600.0)[1] >= 0.25 * 30_000


def test_what_is_not_used_under_a_ceiling_comes_back():
    """There as in the API's bucket."""
    ours = backend(1_000, 450_000, 90_000, ceilings=(60, 30_000, 6_000))
    slot = Slot((1.0, 20_000.0, 5_000.0))
    ours.take(slot, 0.0)
    ours.settle(slot, (0.0, 0.0, 0.0), 0.0)

    assert ours.free(0.0) == ours.capacity == (60.0, 30_000.0, 6_000.0)


def test_b13_a_429_that_nothing_explains_slows_what_a_ceiling_allows_too():
    """B13: and it comes back slowly."""
    ours = backend(6_000, 450_000, 90_000, ceilings=(600, inf, inf))
    answered(ours, 0.0)
    limited(ours, 1.0)
    after = ours.refill_per_s[0]
    for second in range(2, 200):
        ours.learn(told(), float(second))

    assert 5 < after < 10 == ours.refill_per_s[0]


@pytest.mark.parametrize(("depth_s", "itpm", "into"), [(5, 300_000, 8_000), (10, 400_000, 40_000)])
def test_calls_under_a_ceiling_prove_no_more_depth_than_there_is(depth_s, itpm, into):
    """What headers tell is of the API's bucket, and so is what a call needs."""
    account = Account(depth_s=depth_s)
    ours = backend(*account.limits, ceilings=(inf, itpm, inf))
    account.play(ours, backlog(200, into, 60))

    assert ours.depth.proven_s <= depth_s


# -- a whole account --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth_s", [1, 10, 60])
@pytest.mark.parametrize("headers", ["first byte", "end"])
def test_a_backlog_of_requests_costs_a_handful_of_429s_and_gets_the_whole_burst(depth_s, headers):
    """§8.1, §17.2: the depth is not published, so it is learned, in the first minute."""
    account = Account(depth_s=depth_s, told=headers)
    asks = backlog(6_000, 200, 50)
    account.play(backend(*account.limits), asks)

    assert len(account.refused) <= 5
    assert account.refused_after(60) <= 0.001
    assert max(ask.sent_s for ask in asks) <= 1.01 * bound_s(asks, account)


def test_b16_sixty_a_minute_may_be_one_a_second():
    """B16."""
    account = Account(depth_s=1, limits=(60, 450_000, 90_000))
    asks = backlog(300, 200, 50)
    account.play(backend(*account.limits), asks)

    assert len(account.refused) <= 2
    assert account.ended_s <= 305


def test_to_see_again_what_was_too_much_half_an_hour_ago_costs_one_429():
    """One call goes to see, and those behind it wait for what it learns."""
    account = Account(depth_s=1, limits=(10_000, 60_000, 90_000), transit_s=0.2)
    account.play(backend(*account.limits), backlog(6_600, 300, 5, error=0.1))

    assert sum(at > 1_700 for at in account.refused) == 1


@pytest.mark.parametrize("depth_s", [10, 60])
def test_b12_without_headers_our_own_books_do(depth_s):
    """B12: the depth is learned by 429s alone, from what is believed to be missing."""
    account = Account(depth_s=depth_s, told="never")
    asks = backlog(6_000, 200, 50)
    account.play(backend(*account.limits), asks)

    assert account.refused_after(60) <= 0.001
    assert max(ask.sent_s for ask in asks) <= 1.2 * bound_s(asks, account)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("depth_s", [10, 60])
@pytest.mark.parametrize(("into", "out"), [(3_000, 60), (500, 600)], ids=["input", "output"])
def test_a_backlog_of_tokens_is_hardly_refused_and_wastes_nothing(into, out, depth_s, seed):
    """Although sizes are estimates, output is charged as it is written, and headers are rounded."""
    account = Account(depth_s=depth_s)
    asks = backlog(4_000, into, out, error=0.1, seed=seed)
    account.play(backend(*account.limits), asks)

    assert account.refused_after(60) <= 0.002
    assert max(ask.sent_s for ask in asks) <= 1.01 * bound_s(asks, account)


@pytest.mark.parametrize(("into", "out"), [(3_000, 60), (10_000, 60), (500, 600)])
def test_a_bucket_of_a_second_is_hardly_overdrawn(into, out):
    """Where single calls are as large as the bucket some of the rate is lost, but hardly any call is refused."""
    account = Account(depth_s=1)
    asks = backlog(4_000, into, out, error=0.1)
    account.play(backend(*account.limits), asks)

    assert account.refused_after(60) <= 0.003
    assert max(ask.sent_s for ask in asks) <= 1.15 * bound_s(asks, account)


@pytest.mark.parametrize("otpm", [20_000, 40_000])
def test_what_is_rounded_away_in_headers_is_counted(otpm):
    """A second of output is less than what headers round to: our own books tell when some is left."""
    account = Account(limits=(1_000, 450_000, otpm), depth_s=1, first_byte_s=0.0, tokens_per_s=1e9)
    asks = backlog(2_000, 300, 200)
    account.play(backend(*account.limits), asks)

    assert account.refused_after(60) <= 0.002
    assert max(ask.sent_s for ask in asks) <= 1.04 * bound_s(asks, account)


@pytest.mark.parametrize("depth_s", [10, 60])
@pytest.mark.parametrize(("calls", "into", "out"), [(12_000, 200, 50), (2_600, 3_000, 60)], ids=["requests", "input"])
def test_b23_a_hidden_consumer_is_given_way_to_and_its_share_is_taken_back(calls, into, out, depth_s):
    """B23: half of every limit goes to somebody else for ten minutes, which only headers tell."""
    account = Account(depth_s=depth_s, weather={120.0: {"others_share": 0.5}, 720.0: {"others_share": 0.0}})
    asks = backlog(calls, into, out, error=0.1)
    account.play(backend(*account.limits), asks)

    index = 0 if into < 1_000 else 1

    def used(since_s: float, until_s: float) -> float:
        amounts = [(1, ask.input)[index] for ask in asks if since_s <= ask.sent_s < until_s]
        return sum(amounts) / account.limits[index] * 60 / (until_s - since_s)

    assert account.refused_after(60) <= 0.005
    assert used(180, 720) >= 0.97 * 0.5
    assert used(760, 900) >= 0.95
