"""Limits that a client cannot see: the ramp limit, and what others use up (claude-api.md §8.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.sim import PoolLimits, SimSettings
from headgate.sim.account.bucket import Bucket
from headgate.sim.settings import Conditions, Limits
from headgate.sim.weather import Weather

TEXT = "water" * 600
"""About 1,000 tokens."""


def remaining(reply, what):
    return int(reply.headers[f"anthropic-ratelimit-{what}-remaining"])


def statuses(sim, count, content="[[sim: tokens=1]]"):
    return [sim.ask(content).status for _ in range(count)]


# -- ramp limits ---------------------------------------------------------------------------------------------------


@pytest.fixture
def ramped(make_sim):
    """At most twice the last minute's input, and 3,500 tokens in any minute."""
    return make_sim(SimSettings(limits=Limits(itpm=1_000_000, ramp_growth=2.0, ramp_floor_share=0.0035)))


def test_there_is_no_ramp_limit_unless_set(make_sim):
    """Thresholds are not published: a sharp rise within the limits passes."""
    assert statuses(make_sim(SimSettings(limits=Limits(itpm=1_000_000))), 50, TEXT) == [200] * 50


def test_usage_that_grows_too_fast_is_a_429_of_its_own_kind(ramped):
    """§6: `ramp_limit_exceeded`, with `retry-after`, although the buckets have room."""
    replies = [ramped.ask(TEXT) for _ in range(5)]
    refused = replies[-1]

    assert [reply.status for reply in replies] == [200] * 3 + [429] * 2
    assert refused.error["type"] == "rate_limit_error"
    assert refused.error["details"] == {"error_code": "ramp_limit_exceeded"}
    assert int(refused.headers["retry-after"]) >= 1
    assert remaining(refused, "input-tokens") > 990_000


def test_waiting_as_long_as_a_ramp_limit_says_is_enough(ramped):
    """Its `retry-after` is the end of the minute."""
    statuses(ramped, 3, TEXT)
    ramped.clock.advance(20)
    refused = ramped.ask(TEXT)
    ramped.clock.advance(float(refused.headers["retry-after"]))

    assert refused.headers["retry-after"] == "40"
    assert ramped.ask(TEXT).status == 200


def test_usage_may_grow_by_the_factor_every_minute(ramped):
    """3,000 tokens a minute, then nearly 6,000, then nearly 12,000."""
    passed = []
    for _ in range(3):
        passed.append(statuses(ramped, 20, TEXT).count(200))
        ramped.clock.advance(60)

    assert passed == [3, 6, 12]


def test_idle_time_begins_the_ramp_anew(ramped):
    """A minute without use forgets how much was used before."""
    for _ in range(2):
        statuses(ramped, 20, TEXT)
        ramped.clock.advance(60)
    ramped.clock.advance(60)

    assert statuses(ramped, 20, TEXT).count(200) == 3


def test_a_request_beyond_the_ramp_may_go_alone(ramped):
    """Or it could never go."""
    assert statuses(ramped, 2, "water" * 6_000) == [200, 429]


def test_ramp_limits_are_counted_apart(ramped):
    """In the books and the statistics."""
    statuses(ramped, 5, TEXT)

    assert ramped.books()["limit_violations"] == {"total": 2, "ramp": 2}
    assert ramped.stats()["limited_by_kind"] == {"ramp": 2}


@pytest.mark.parametrize("limits", [{"ramp_growth": 0.5}, {"ramp_growth": 2.0, "ramp_floor_share": 0.0}])
def test_a_ramp_that_cannot_grow_is_refused(limits):
    """It would let nothing through."""
    with pytest.raises(ValueError, match="ramp_growth"):
        Limits(**limits).check()


# -- others on the account -----------------------------------------------------------------------------------------


def shared(make_sim, limits=None, **conditions):
    return make_sim(SimSettings(limits=limits or Limits(rpm=60), weather=Conditions(**conditions)))


def test_others_slow_the_refill_by_their_share(make_sim):
    """Half the refill is left: 30 of 60 after a minute."""
    sim = shared(make_sim, others_share=0.5)
    statuses(sim, 60)
    sim.clock.advance(60)

    assert statuses(sim, 31) == [200] * 30 + [429]


def test_others_show_in_the_headers(make_sim):
    """Who asks after a pause finds less than a full bucket."""
    sim = shared(make_sim, Limits(rpm=60, itpm=100_000, otpm=60_000), others_rpm=60, others_itpm=150_000)
    sim.ask()
    sim.clock.advance(30)
    reply = sim.ask("[[sim: tokens=1]]")

    assert remaining(reply, "requests") == 58  # as many as it refills
    assert remaining(reply, "input-tokens") == 75_000
    assert remaining(reply, "output-tokens") == 60_000


def test_a_retry_after_knows_nothing_of_others(make_sim):
    """It says when the bucket alone would have room; who comes back then may be refused again."""
    sim = shared(make_sim, others_share=1)
    statuses(sim, 60)
    refused = sim.ask()
    sim.clock.advance(float(refused.headers["retry-after"]))

    assert refused.headers["retry-after"] == "1"
    assert sim.ask().status == 429


def test_others_never_leave_a_debt(make_sim):
    """They are refused like anybody: when they go, the refill begins at nothing."""
    sim = shared(make_sim, others_rpm=600, forecast={600: {"others_rpm": 0}})
    sim.ask()
    sim.clock.advance(600)
    refused = sim.ask().status
    sim.clock.advance(10)

    assert refused == 429
    assert statuses(sim, 11) == [200] * 10 + [429]


def test_a_debt_of_ours_is_refilled_before_others_take_their_share(make_sim):
    """While nothing is left, nobody gets anything."""
    sim = shared(make_sim, Limits(otpm=60), others_share=0.5)
    sim.ask("[[sim: tokens=90]]")  # thirty below nothing: paid after 30 s, then one every 2 s
    refused = []
    for seconds in (29, 2, 2):
        sim.clock.advance(seconds)
        refused.append(sim.ask("[[sim: tokens=1]]").status)

    assert refused == [429, 429, 200]


def test_others_come_and_go_by_the_forecast(make_sim):
    """A profile in time: what they took before they left stays taken."""
    sim = shared(make_sim, others_share=1, forecast={30: {"others_share": 0}})
    statuses(sim, 60)
    sim.clock.advance(60)

    assert statuses(sim, 31) == [200] * 30 + [429]


def test_others_take_from_every_pool(make_sim):
    """The account is theirs too."""
    pools = {"opus-5": PoolLimits(rpm=120, itpm=10_000, otpm=10_000)}
    sim = shared(make_sim, Limits(rpm=60, pools=pools), others_share=0.5, others_rpm=60)
    first = [sim.ask("[[sim: tokens=1]]", model=model) for model in ("claude-haiku-5-5", "claude-opus-5")]
    sim.clock.advance(2)
    then = [sim.ask("[[sim: tokens=1]]", model=model) for model in ("claude-haiku-5-5", "claude-opus-5")]

    assert [remaining(reply, "requests") for reply in first] == [59, 119]
    assert [remaining(reply, "requests") for reply in then] == [57, 118]


SECONDS = st.floats(0, 100)
CHANGES = st.tuples(SECONDS, st.floats(0, 2), st.floats(0, 120))


@given(
    changes=st.lists(CHANGES, max_size=6),
    looks=st.lists(SECONDS, max_size=20),
    taken=st.floats(0, 100),
    depth_s=SECONDS,
)
def test_a_bucket_is_as_full_however_often_it_is_looked_at(changes, looks, taken, depth_s):
    """Lazy refill with others in it is the same as a refill that is watched all the time."""
    planned = {at_s: {"others_share": share, "others_rpm": rpm} for at_s, share, rpm in changes}
    weather = Weather(SimSettings().conditions(), planned, now_s=0)
    seldom, often = (Bucket(60, max(1, depth_s), 0, weather=weather, field=1) for _ in range(2))
    weather.catch_up(100)
    for bucket in (seldom, often):
        bucket.take(taken, 0)
    for now_s in sorted(looks):
        often.missing(now_s)

    assert often.missing(100) == pytest.approx(seldom.missing(100), abs=1e-6)
