"""When a backend is left alone, and how it is found out that it is back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf
from random import Random

import pytest

from headgate.core.breaker import FAILURES_IN_A_ROW, LONGEST_OPEN_S, OPEN_S, Breaker, OutcomeKind, outcome_of
from headgate.events import ErrorClass
from headgate.failure import Failure

Api = Callable[[float], OutcomeKind]


def make(seed: int = 1) -> Breaker:
    return Breaker(Random(seed))


def fail(breaker: Breaker, times: int = FAILURES_IN_A_ROW, now_s: float = 0.0, kind: OutcomeKind = "failing") -> None:
    """So many calls go and end at once."""
    for _ in range(times):
        breaker.ended(kind, breaker.take(now_s), now_s)


def opened(seed: int = 1) -> tuple[Breaker, float]:
    """One that has just opened, and the second at which it lets a probe go."""
    breaker = make(seed)
    fail(breaker)
    return breaker, breaker.held_until_s


def storm(
    api: Api,
    *,
    until_s: float,
    answer_s: float = 10.0,
    refusal_s: float = 0.2,
    every_s: float = 0.2,
    retry_after_s: float | None = None,
    seed: int = 1,
) -> tuple[list[float], list[tuple[float, OutcomeKind]]]:
    """Callers come every `every_s` and wait as long as the breaker says, each retried until it is answered.  Limits
    pace attempts: twenty a second at most.

    Returns:
        When callers came; and when each attempt went, with what became of it.
    """
    breaker = make(seed)
    came: list[float] = []
    went: list[tuple[float, OutcomeKind]] = []
    ending: list[tuple[float, int, OutcomeKind, bool]] = []
    waiting, now_s, next_s = 0, 0.0, 0.0
    while now_s < until_s:
        while next_s <= now_s:
            came.append(next_s)
            waiting += 1
            next_s += every_s
        ending.sort()
        while ending and ending[0][0] <= now_s:
            _, number, kind, probe = ending.pop(0)
            breaker.ended(kind, probe, now_s, retry_after_s if kind != "ok" else None, number=number)
            waiting += kind != "ok"
        if waiting and breaker.wait_s(now_s) <= 0:
            probe = breaker.take(now_s)
            kind = api(now_s)
            went.append((now_s, kind))
            ending.append((now_s + (answer_s if kind == "ok" else refusal_s), breaker.taken, kind, probe))
            waiting -= 1
        now_s += 0.05
    return came, went


# -- what counts -------------------------------------------------------------------------------------------------------

FAILING = {
    ErrorClass.API_ERROR, ErrorClass.TIMEOUT_ERROR, ErrorClass.INTERMEDIARY, ErrorClass.MALFORMED,
    ErrorClass.RESET, ErrorClass.PROTOCOL, ErrorClass.FIRST_BYTE_TIMEOUT, ErrorClass.IDLE_TIMEOUT,
    ErrorClass.PROGRESS_TIMEOUT, ErrorClass.STREAM_CUT,
}  # fmt: skip
OTHERS = {
    ErrorClass.OVERLOADED: "overloaded", ErrorClass.RATE_LIMIT: "limited", ErrorClass.RAMP_LIMIT: "ramp",
    ErrorClass.DNS: "unreachable", ErrorClass.CONNECT: "unreachable", ErrorClass.CONNECT_TIMEOUT: "unreachable",
    ErrorClass.TLS: "unreachable",
}  # fmt: skip


@pytest.mark.parametrize("error", ErrorClass)
def test_only_failures_of_the_service_count(error):
    """RA2: 5xx, 529, timeouts and lost connections; never 400, 401, 403, 404, 413, a spend limit, or a caller that
    left.  A 429 holds back and opens nothing."""
    expected = "failing" if error in FAILING else OTHERS.get(error, "neutral")

    assert outcome_of(Failure(error)) == expected


def test_a_refusal_of_the_model_is_an_answer():
    """It comes with status 200 and no failure."""
    assert outcome_of(None) == "ok"


@pytest.mark.parametrize("kind", ["neutral", "ok"])
def test_what_is_no_failure_never_opens_it(kind):
    """However often."""
    breaker = make()

    fail(breaker, 1000, kind=kind)

    assert (breaker.state(0.0), breaker.wait_s(0.0)) == ("closed", 0.0)


# -- opening -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["failing", "overloaded"])
def test_b01_it_opens_after_five_failures_in_a_row(kind):
    """B01: the sixth call waits."""
    breaker = make()

    fail(breaker, 4, kind=kind)
    assert breaker.wait_s(0.0) == 0.0
    fail(breaker, 1, kind=kind)

    assert breaker.state(0.0) == "open"
    assert OPEN_S * 0.8 <= breaker.wait_s(0.0) <= OPEN_S * 1.2


@pytest.mark.parametrize(
    ("kind", "between"),
    [("failing", "ok"), ("unreachable", "ok"), ("unreachable", "failing")],
)
def test_an_answer_between_failures_begins_the_row_anew(kind, between):
    """Four, an answer, four: no row.  To the row of those that were not connected, an error is an answer."""
    breaker = make()

    for _ in range(2):
        fail(breaker, 4, kind=kind)
        fail(breaker, 1, kind=between)

    assert breaker.state(0.0) == "closed"


def test_a01_failures_to_connect_are_counted_apart():
    """A01: the trouble may be on this side, and the breaker says which it opened for."""
    breaker = make()

    fail(breaker, 4)
    fail(breaker, 4, kind="unreachable")
    before = breaker.state(0.0)
    fail(breaker, 1, kind="unreachable")

    assert (before, breaker.state(0.0), breaker.held_for) == ("closed", "open", "unreachable")


def test_a01_where_nothing_connects_it_is_tried_every_second():
    """A probe that does not get through burdens nobody, however often."""
    breaker, at_s = make(), [0.0]
    fail(breaker, kind="unreachable")
    for _ in range(20):
        at_s.append(at_s[-1] + breaker.wait_s(at_s[-1]))
        fail(breaker, 1, at_s[-1], kind="unreachable")

    assert all(0.8 <= later - earlier <= 1.2 for earlier, later in pairwise(at_s))


def test_an_answer_to_a_call_from_before_the_failures_does_not_end_the_row():
    """Long answers of calls that began when all was well go on ending while the service is down."""
    breaker = make()
    for _ in range(5):
        breaker.take(60.0)

    for step in range(5):
        fail(breaker, 1, now_s=100.0 + step)
        breaker.ended("ok", False, 100.5 + step, number=1 + step)

    assert breaker.state(105.0) == "open"


def test_it_opens_when_half_of_twenty_fail():
    """Without any five in a row."""
    breaker = make()

    for _ in range(9):
        fail(breaker, 1)
        fail(breaker, 1, kind="ok")
    assert breaker.state(0.0) == "closed"
    fail(breaker, 2)

    assert breaker.state(0.0) == "open"


@pytest.mark.parametrize("seed", range(10))
def test_b02_a_third_of_failures_does_not_open_it_though_answers_take_longer(seed):
    """RA4: failures end at once and answers after half a minute.  Weighed against what ended, all would seem lost."""
    rng = Random(seed)

    _, went = storm(
        lambda _: "overloaded" if rng.random() < 0.3 else "ok", until_s=300, answer_s=30.0, every_s=0.1, seed=seed
    )

    assert len(went) > 0.97 * 300 / 0.1


def test_ra4_a_dead_service_is_noticed_from_the_first_timeouts():
    """Calls that hang for 90 s each: the first five to fail are enough, and probes that hang are joined by few."""
    _, went = storm(lambda _: "failing", until_s=300, refusal_s=90.0, every_s=1.0)

    assert len([at_s for at_s, _ in went if at_s > 96]) <= 10


@pytest.mark.parametrize(("asked_s", "wait_s"), [(None, (4, 6)), (2, (4, 6)), (30, (30, 30)), (9e9, (3600, 3600))])
def test_a_529_that_asks_for_time_gets_it(asked_s, wait_s):
    """INV-09; and no more than is reasonable."""
    breaker = make()
    fail(breaker, 4, kind="overloaded")

    breaker.ended("overloaded", breaker.take(0.0), 0.0, asked_s)

    assert wait_s[0] <= breaker.wait_s(0.0) <= wait_s[1]


# -- open, half open, closed -------------------------------------------------------------------------------------------


def test_after_the_time_that_a_529_asked_for_one_call_goes_first():
    """All those who have waited meanwhile would be refused together; its answer lets them go, and nothing slowly."""
    breaker = make()
    fail(breaker, 1, kind="ok")
    breaker.ended("overloaded", breaker.take(0.0), 0.0, 7.0)
    first = breaker.take(7.0)
    waits = breaker.wait_s(7.0)

    assert (first, waits > 0) == (True, True)
    assert not breaker.ended("ok", first, 8.0)
    assert breaker.wait_s(8.0) == 0.0


def test_inv09_a_429_of_a_call_from_before_is_obeyed_too():
    """INV-09: late as it comes, it asks for time from now on."""
    breaker = make()
    slow = breaker.take(0.0), breaker.taken
    fail(breaker)
    breaker.ended("ok", breaker.take(10.0), 10.0)
    breaker.ended("limited", slow[0], 11.0, 7.0, number=slow[1])

    assert breaker.wait_s(11.0) == 7.0


def test_b01_one_probe_at_a_time():
    """When the time is over one call goes, and the others wait for what becomes of it."""
    breaker, at_s = opened()

    assert (breaker.wait_s(at_s), breaker.take(at_s)) == (0.0, True)
    assert breaker.state(at_s) == "half_open"
    assert breaker.wait_s(at_s + 1) > 0


def test_b01_a_good_probe_closes_it_and_says_so():
    """The backend then begins slowly."""
    breaker, at_s = opened()

    closed = breaker.ended("ok", breaker.take(at_s), at_s + 1)

    assert (closed, breaker.state(at_s + 1), breaker.wait_s(at_s + 1)) == (True, "closed", 0.0)


def test_b01_a_bad_probe_doubles_the_time_up_to_a_minute():
    """5, 10, 20, 40, 60, 60 s, each more or less by a fifth so that many of us do not return together."""
    breaker, at_s = opened()
    waits = []

    for _ in range(6):
        breaker.ended("overloaded", breaker.take(at_s), at_s)
        waits.append(breaker.wait_s(at_s))
        at_s += waits[-1]

    for wait_s, expected_s in zip(waits, (10, 20, 40, 60, 60, 60), strict=True):
        assert expected_s * 0.8 <= wait_s <= min(expected_s, LONGEST_OPEN_S) * 1.2
    assert len(set(waits)) == 6


@pytest.mark.parametrize("kind", ["failing", "overloaded", "ok", "neutral"])
def test_a_call_from_before_the_opening_changes_nothing(kind):
    """It neither reopens nor lengthens nor closes."""
    breaker, at_s = opened()

    breaker.ended(kind, False, 1.0, number=1)
    probe = breaker.take(at_s)
    breaker.ended(kind, False, at_s + 1, number=2)

    assert (breaker.held_until_s, breaker.state(at_s + 1), probe) == (at_s, "half_open", True)


def test_a_call_from_before_does_not_reopen_what_has_closed():
    """A hundred that hung through the outage time out after it."""
    breaker, at_s = opened()
    breaker.ended("ok", breaker.take(at_s), at_s + 1)

    for _ in range(100):
        breaker.ended("failing", False, at_s + 60, number=1)

    assert breaker.state(at_s + 60) == "closed"


def test_a_probe_that_was_cancelled_teaches_nothing_and_makes_room():
    """So does one whose request was refused as wrong."""
    breaker, at_s = opened()

    breaker.ended("neutral", breaker.take(at_s), at_s + 1)

    assert (breaker.state(at_s + 1), breaker.wait_s(at_s + 1), breaker.take(at_s + 1)) == ("half_open", 0.0, True)


def test_a_probe_with_a_long_answer_does_not_keep_the_others_waiting():
    """After as long again one more may try, then after twice that: one probe an interval."""
    breaker, at_s = opened()
    breaker.take(at_s)

    waits = [breaker.wait_s(at_s), breaker.wait_s(2 * at_s), breaker.wait_s(2 * at_s)]
    breaker.take(2 * at_s)
    waits.append(breaker.wait_s(2 * at_s))

    assert waits == pytest.approx([at_s, 0.0, 0.0, 2 * at_s])


def test_it_begins_with_short_times_again_after_a_calm_minute():
    """Sooner it goes on where it was: it was not over."""

    def second_opening(after_s: float) -> float:
        breaker, at_s = opened()
        for _ in range(3):
            breaker.ended("failing", breaker.take(at_s), at_s)
            at_s = breaker.held_until_s
        breaker.ended("ok", breaker.take(at_s), at_s)
        fail(breaker, now_s=at_s + after_s)
        return breaker.wait_s(at_s + after_s)

    assert second_opening(61) < 7 < 40 < second_opening(30)


# -- 429 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked_s", "least_s", "most_s"), [(7.0, 7.0, 7.0), (None, 1.0, 1.2), (0.0, 1.0, 1.2)])
@pytest.mark.parametrize("kind", ["limited", "ramp"])
def test_b03_b04_a_429_holds_everybody_for_as_long_as_the_api_asks(kind, asked_s, least_s, most_s):
    """INV-09, B03, B04: at least a second; and then all go on as before."""
    breaker = make()

    breaker.ended(kind, breaker.take(0.0), 0.0, asked_s)

    assert breaker.state(0.0) == "held"
    assert least_s <= breaker.wait_s(0.0) <= most_s
    assert (breaker.take(8.0), breaker.state(8.0), breaker.wait_s(8.0)) == (False, "closed", 0.0)


def test_a_burst_of_429s_is_one_hold():
    """They were all on their way when the first came back."""
    breaker = make()

    for _ in range(50):
        breaker.take(0.0)
    for number in range(50):
        breaker.ended("limited", False, 0.5, 2.0, number=number + 1)

    assert (breaker.wait_s(0.5), breaker.state(3.0)) == (2.0, "closed")


def test_now_and_then_a_429_among_answers_never_ends_in_probes():
    """A limit that is met exactly: each hold is as long as the API asks, and all go on."""
    breaker, now_s = make(), 0.0

    for _ in range(20):
        for _ in range(9):
            breaker.take(now_s)
        breaker.ended("limited", breaker.take(now_s), now_s + 0.3, 0.5)
        assert breaker.wait_s(now_s + 0.3) <= 1.2
        now_s += 5.0  # the nine are still being answered

    assert not breaker.half_open


def test_429s_without_end_end_in_probes_with_growing_holds():
    """1, 2, 4 ... 60 s and one call at a time, although no failure was counted."""
    breaker, now_s, holds = make(), 0.0, []

    for _ in range(9):
        went = [(breaker.take(now_s), breaker.taken) for _ in range(1 if breaker.half_open else 8)]
        for probe, number in went:
            breaker.ended("limited", probe, now_s + 0.2, number=number)
        holds.append(breaker.wait_s(now_s + 0.2))
        now_s += 0.2 + holds[-1]

    for hold_s, expected_s in zip(holds, (1, 2, 4, 8, 16, 32, 60, 60, 60), strict=True):
        assert expected_s <= hold_s <= expected_s * 1.2
    assert breaker.half_open


def test_one_answer_ends_a_streak_of_429s():
    """The limit has room again."""
    breaker, now_s = make(), 0.0
    for _ in range(4):
        breaker.ended("limited", breaker.take(now_s), now_s)
        now_s = breaker.held_until_s

    closed = breaker.ended("ok", breaker.take(now_s), now_s + 1)

    assert (closed, breaker.state(now_s + 1), breaker.wait_s(now_s + 1)) == (True, "closed", 0.0)


# -- a whole storm -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("kind", "retry_after_s"),
    [("overloaded", None), ("overloaded", 5), ("limited", None), ("limited", 3), ("limited", 30), ("failing", None)],
)
def test_b01_a_storm_of_twelve_minutes_costs_a_few_probes_and_ends_when_it_ends(kind, retry_after_s, seed):
    """B01: 40 s calls, five a second: at most a fifth more attempts than calls, one probe an interval, and full service
    within two probe intervals of the end."""
    storm_s = (60.0, 780.0)

    came, went = storm(
        lambda now_s: kind if storm_s[0] <= now_s < storm_s[1] else "ok",
        until_s=storm_s[1] + 2 * LONGEST_OPEN_S * 1.2, answer_s=40.0, retry_after_s=retry_after_s, seed=seed,
    )  # fmt: skip

    in_storm = [at_s for at_s, outcome in went if outcome != "ok"]
    assert len(in_storm) <= 40
    assert len(went) <= 1.2 * len(came)
    probes = [at_s for at_s in in_storm if at_s > storm_s[0] + 120]
    assert all(later - sooner >= 0.8 * 30 for sooner, later in pairwise(probes))
    first_s = min(at_s for at_s, outcome in went if outcome == "ok" and at_s >= storm_s[1])
    assert first_s - storm_s[1] <= LONGEST_OPEN_S * 1.2
    last_s = storm_s[1] + 2 * LONGEST_OPEN_S
    assert len([at_s for at_s, _ in went if last_s <= at_s < last_s + 20]) >= 0.95 * 20 * 20


@pytest.mark.parametrize("seed", range(20))
def test_liveness_whatever_has_happened_calls_go_again(seed):
    """Random outcomes, lost probes, stragglers: at any time the wait is finite, and five good answers close it."""
    rng, breaker, now_s = Random(seed), make(seed), 0.0
    kinds: list[OutcomeKind] = ["ok", "failing", "unreachable", "overloaded", "limited", "ramp", "neutral"]
    under_way: list[tuple[int, bool]] = []

    for _ in range(3_000):
        now_s += rng.expovariate(2)
        wait_s = breaker.wait_s(now_s)
        assert wait_s < inf, f"seed {seed}"
        if wait_s <= 0 and rng.random() < 0.6:
            probe = breaker.take(now_s)
            under_way.append((breaker.taken, probe))
        elif under_way and rng.random() < 0.7:
            number, probe = under_way.pop(rng.randrange(len(under_way)))
            breaker.ended(rng.choice(kinds), probe, now_s, rng.choice((None, 1.0, 20.0)), number=number)
    for _ in range(5):
        now_s += breaker.wait_s(now_s)
        breaker.ended("ok", breaker.take(now_s), now_s)

    assert (breaker.state(now_s), breaker.wait_s(now_s)) == ("closed", 0.0), f"seed {seed}"
