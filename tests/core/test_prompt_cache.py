"""Where markers go: what is read, what is written, for how long, and what is never risked."""

from __future__ import annotations

from random import Random

import pytest

from headgate.core.cache_plan import Terms
from headgate.core.prefix import TTL_S, Border
from headgate.core.prompt_cache import Planner
from headgate.replay.prompt_cache import Asked, ExactCache, play

TERMS = Terms(input=1.0, write_5m=1.25, write_1h=2.0, read=0.1, least_tokens=512)
BIG = 5_000


def prompt(at_s, *blocks, workflow="w"):
    """A request of blocks, each with its name and its tokens."""
    return Asked(at_s, workflow, tuple(name for name, _ in blocks), tuple(tokens for _, tokens in blocks))


def same_rules(calls, every_s, *, begin_s=0.0, rules="rules"):
    """Calls with the same rules and a question of their own."""
    return [prompt(begin_s + n * every_s, (rules, BIG), (f"{rules} question {n}", 100)) for n in range(calls)]


def many_rules(*, every_s, calls):
    """Forty kinds of such calls in turn."""
    asked = [each for kind in range(40) for each in same_rules(calls, every_s, begin_s=kind * 7.0, rules=f"r{kind}")]
    return sorted(asked, key=lambda each: each.at_s)


def markers_of(asked):
    """What is marked of each request, by the names of the blocks."""
    played = [each for each in play(asked, TERMS) if each.tokens]
    return [[(call.blocks[at], ttl) for at, ttl in each.markers] for call, each in zip(asked, played, strict=True)]


def test_rules_that_all_calls_share_are_cached_and_questions_are_not():
    """Once the first calls have shown it: then the rules are read at a tenth."""
    asked = same_rules(200, 20.0)

    assert markers_of(asked)[-1] == [("rules", "5m")]
    assert sum(each.cost for each in play(asked, TERMS)[100:]) < 0.15 * 100 * (BIG + 100)


def test_a_burst_is_learned_from_while_it_lasts():
    """Sixty calls in a third of a second: what goes for a moment is how prompts are marked, never that they are not."""
    played = play(same_rules(60, 0.005), TERMS)

    assert [each.read for each in played[30:]] == [BIG] * 30


def test_prompts_that_have_nothing_in_common_are_never_marked():
    """However many there are."""
    asked = [prompt(n * 1.0, (f"a{n}", BIG), (f"b{n}", BIG)) for n in range(300)]

    assert not any(markers_of(asked))


def test_a_conversation_is_written_to_its_end_and_read_from_there():
    """Where turns follow each other within minutes, each writes what is new in it."""
    asked = []
    for talk in range(60):
        blocks = []
        for turn in range(6):
            blocks.append((f"talk {talk} turn {turn}", 2_000))
            asked.append(prompt(talk * 200.0 + turn * 30.0, *blocks))
    asked.sort(key=lambda each: each.at_s)

    played = play(asked, TERMS)

    late = [each for call, each in zip(asked, played, strict=True) if call.at_s > 8_000 and len(call.blocks) == 6]
    assert all(each.read == 10_000 for each in late)


def test_what_comes_again_after_ten_minutes_only_is_never_written_for_five():
    """It would be gone each time."""
    asked = same_rules(200, 600.0)

    assert all(ttl == "1h" for each in markers_of(asked) for _, ttl in each)


def test_what_comes_every_ten_minutes_for_hours_is_written_for_an_hour():
    """Two times the price once, a tenth ever after."""
    asked = many_rules(every_s=600.0, calls=30)

    assert all(each == [(each[0][0], "1h")] for each in markers_of(asked)[-60:])
    assert sum(each.cost for each in play(asked, TERMS)[-60:]) < 0.15 * 60 * (BIG + 100)


def test_longer_lifetimes_come_first():
    """§9.2: else the API refuses the request."""
    asked = []
    for n in range(1_000):
        rules, talk = (f"rules {n % 40}", BIG), [(f"talk {n} {turn}", 2_000) for turn in range(3)]
        asked += [prompt(n * 20.0 + turn * 15.0, rules, *talk[: turn + 1]) for turn in range(3)]
    asked.sort(key=lambda each: each.at_s)

    lives = [[TTL_S[ttl] for _, ttl in each] for each in markers_of(asked)]

    assert any(len(set(each)) == 2 for each in lives)
    assert all(each == sorted(each, reverse=True) for each in lives)


def test_there_are_never_more_markers_than_the_api_takes():
    """Four, however often prompts part."""
    rng = Random(3)
    asked = [
        prompt(n * 5.0, *((f"{level}:{rng.randrange(2)}" if level else "root", 600) for level in range(9)))
        for n in range(400)
    ]

    marked = [len(each.markers) for each in play(asked, TERMS)]

    assert max(marked) == 4


def test_below_the_models_minimum_nothing_is_marked():
    """§9.4: the API would not cache it."""
    asked = [prompt(n * 10.0, ("rules", 500), (f"q{n}", 5)) for n in range(300)]

    assert not any(markers_of(asked))


def test_a_block_that_takes_no_marker_gets_none():
    """Thinking, for one: the border before it is marked instead."""
    planner = Planner()
    for n in range(100):
        borders = [
            Border(1, 16_000, "system", 0, 0),
            Border(2, 24_000, None, 0, 1),
            Border(1_000 + n, 26_000, "messages", 1, 0),
        ]
        plan = planner.plan("w", borders, TERMS, tokens_per_byte=0.3, now_s=n * 10.0)
        planner.answered(plan, read=0, written_5m=0, written_1h=0)

    assert {border.digest for border, _ in plan.markers} == {1}


def test_a_request_that_failed_has_written_nothing():
    """So the next one writes, and what was staked is there again."""
    planner, rules = Planner(), [Border(1, 16_000, "system", 0, 0)]

    def ask(now_s):
        return planner.plan("w", rules, TERMS, tokens_per_byte=0.3, now_s=now_s)

    plans = [ask(n * 10.0) for n in range(100)]
    first = next(plan for plan in plans if plan.markers)
    room = planner.stakes.room

    planner.failed(first)

    assert planner.stakes.room > room
    assert ask(1_000.0).staked > 0


def test_inv_19_borders_are_remembered_only_up_to_a_bound():
    """The longest unused are forgotten."""
    planner = Planner(kept=100)

    for n in range(500):
        borders = [Border(n * 3 + k, 16_000 + k, "messages", 0, k) for k in range(3)]
        planner.plan("w", borders, TERMS, tokens_per_byte=0.3, now_s=float(n))

    assert len(planner) == 100


@pytest.mark.parametrize(("busy", "marked"), [(True, True), (False, False)])
def test_a_quiet_workflow_may_stake_what_a_busy_one_allows(busy, marked):
    """The promise is about the hour of all: twelve calls an hour could never stake a write of their own."""
    others = [prompt(n * 10.0, (f"a{n}", BIG), workflow="busy") for n in range(1_000 * busy)]
    asked = sorted([*same_rules(33, 290.0), *others], key=lambda each: each.at_s)

    assert any(markers_of(asked)) is marked


# -- keeping alive -----------------------------------------------------------------------------------------------------


def talks(*, calls, pause_s, begin_s=0.0):
    """Talks of two turns each, with the same rules, the second so long after the first; a new one every half minute."""
    asked = []
    for n in range(calls):
        rules, first = ("rules", BIG), (f"talk {n}", 4_000)
        asked.append(prompt(begin_s + n * 30.0, rules, first, (f"question {n}", 100)))
        if pause_s is not None:
            asked.append(prompt(begin_s + n * 30.0 + pause_s, rules, first, (f"question {n}", 100), (f"more {n}", 100)))
    return sorted(asked, key=lambda each: each.at_s)


def kept(played):
    """Requests that only kept something alive."""
    return [each for each in played if not each.tokens]


def test_what_comes_again_after_eight_minutes_is_kept_alive():
    """A tenth once is less than to write it again."""
    asked = talks(calls=300, pause_s=480.0)

    assert len(kept(play(asked, TERMS))) > 150
    with_it, without = (sum(each.cost for each in play(asked, TERMS, keeps_alive=on)) for on in (True, False))
    assert with_it < 0.9 * without


def test_the_end_of_a_talk_that_is_over_is_not_kept_alive_with_the_rules_that_all_talks_share():
    """Others use these; what only this one had is not asked for again."""
    asked = talks(calls=200, pause_s=60.0) + talks(calls=200, pause_s=None, begin_s=8_000.0)

    assert len(kept(play(asked, TERMS))) < 10


def test_rules_that_come_again_after_seven_minutes_are_kept_alive_without_the_talk_that_had_them_last():
    """The beginning that is worth it is asked for, and no more."""
    asked = [prompt(n * 420.0 + k * 7.0, (f"rules {k}", BIG), (f"{n}/{k} a", 1_000), (f"{n}/{k} b", 500))
             for n in range(12) for k in range(50)]  # fmt: skip

    assert {each.read for each in kept(play(asked, TERMS))} <= {BIG}


FEW = 30
"""Calls in an hour.  A single write costs a quarter more: of fewer than twenty-five calls that is over a hundredth."""


# -- what it must never cost -------------------------------------------------------------------------------------------


def random_workload(rng):
    """Some hours of workflows that begin, change their ways and end: shared rules, talks, and nothing shared at all."""
    asked = []
    for workflow in range(rng.randrange(1, 6)):
        at_s, end_s = rng.uniform(0, 7_200), rng.uniform(3_600, 14_400)
        gap_s, kind = 10 ** rng.uniform(0, 3), rng.choice(["rules", "talk", "nothing", "mixed"])
        size, talk = int(10 ** rng.uniform(2.5, 4.5)), []
        while at_s < end_s and len(asked) < 4_000:
            at_s += rng.expovariate(1 / gap_s)
            if rng.random() < 0.002:
                gap_s, kind = 10 ** rng.uniform(0, 3.3), rng.choice(["rules", "talk", "nothing", "mixed"])
            fresh = (f"{workflow}/{len(asked)}", rng.randrange(20, 3_000))
            how = rng.choice(["rules", "talk", "nothing"]) if kind == "mixed" else kind
            if how == "rules":
                blocks = [(f"{workflow} rules", size), fresh]
            elif how == "talk":
                talk = [] if rng.random() < 0.2 else talk
                blocks = talk = [*talk, fresh]
            else:
                blocks = [(f"{workflow}/{len(asked)} alone", size), fresh]
            asked.append(prompt(at_s, *blocks, workflow=str(workflow)))
    return sorted(asked, key=lambda each: each.at_s)


@pytest.mark.parametrize("keeps_alive", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_no_hour_costs_a_hundredth_more_than_without_a_cache(seed, keeps_alive):
    """Whatever the workload does, and whenever the hour begins; requests that only keep something alive counted in."""
    played = play(random_workload(Random(seed)), TERMS, keeps_alive=keeps_alive)

    for begin_s in range(0, int(played[-1].at_s), 600):
        hour = [each for each in played if begin_s <= each.at_s < begin_s + 3_600]
        cost, uncached = sum(each.cost for each in hour), sum(each.tokens for each in hour)
        if sum(each.tokens > 0 for each in hour) < FEW:
            continue  # a stake may be larger than a hundredth of so few, and come back in the hour after
        assert cost <= 1.01 * uncached, f"seed {seed}, from {begin_s} s: {cost / uncached}, {len(hour)} calls"


def test_the_exact_cache_is_the_simulators():
    """§9: twenty borders back from a marker, entries of markers only, a lifetime from the start of the request."""
    cache = ExactCache(least_tokens=0)
    sizes = [100 * (n + 1) for n in range(25)]
    cache.request(range(25), sizes, [(0, 300.0)], 0.0)

    assert cache.request(range(25), sizes, [(19, 300.0)], 1.0).read == 100
    assert cache.request(range(100, 125), sizes, [(20, 300.0)], 1.0).read == 0
    assert cache.request(range(25), sizes, [(24, 300.0)], 2.0).read == 2_000
    assert cache.request([0], [100], [(0, 300.0)], 301.1).read == 0
