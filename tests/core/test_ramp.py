"""The ramp limit: nothing is held back before the API complains, and then traffic grows no faster than it may."""

from __future__ import annotations

from random import Random

import pytest

from headgate.core.ramp import FORGET_S, Ramp
from headgate.sim.account.ramp import Ramp as ApiRamp

LIMIT = 600_000
CALL = 500


def play(ramp: Ramp, api: ApiRamp, until_s: float, *, began_s: float = 0.0) -> tuple[list[float], list[float]]:
    """Calls of 500 tokens without end through `ramp` to an API with a ramp limit of its own: when each went, and when
    one was refused."""
    went: list[float] = []
    refused: list[float] = []
    now_s = began_s
    while now_s < until_s:
        wait_s = max(ramp.wait_s(CALL, now_s), CALL / LIMIT * 60)
        now_s += wait_s
        if ramp.wait_s(CALL, now_s) > 0:
            continue
        ramp.take(CALL, now_s)
        api_wait_s = api.wait_s(CALL, now_s)
        if api_wait_s > 0:
            refused.append(now_s)
            ramp.hit(now_s, api_wait_s)
            now_s += api_wait_s
        else:
            api.take(CALL, now_s)
            went.append(now_s)
    return went, refused


def used(went: list[float], minute: int) -> int:
    return sum(CALL for at_s in went if minute * 60 <= at_s < minute * 60 + 60)


def test_it_holds_nothing_back_by_itself():
    """The API's thresholds are not published, and a guess would slow down everybody."""
    ramp = Ramp(LIMIT)

    ramp.take(10 * LIMIT, 0.0)

    assert (ramp.wait_s(10 * LIMIT, 0.0), ramp.active) == (0.0, False)


def test_b15_a_prompt_larger_than_may_go_at_once_leaves_a_debt():
    """It would wait for ever otherwise; what follows pays for it."""
    ramp = Ramp(LIMIT)
    ramp.hit(0.0)
    now_s = ramp.wait_s(LIMIT, 0.0)

    ramp.take(LIMIT / 10, now_s)

    assert 55 < ramp.wait_s(CALL, now_s) < 65


@pytest.mark.parametrize("seed", range(20))
def test_b15_who_waits_as_told_may_go(seed):
    """Whatever went before, within a minute; the next one may allow more or less."""
    rng = Random(seed)
    ramp, now_s = Ramp(LIMIT), 0.0
    ramp.hit(now_s)
    while now_s < 60:
        tokens = rng.uniform(1, LIMIT / 300)
        now_s += ramp.wait_s(tokens, now_s)

        assert ramp.wait_s(tokens, now_s) == 0.0, f"seed {seed}"
        ramp.take(tokens, now_s)
        now_s += rng.expovariate(1.0)


@pytest.mark.parametrize("growth", [1.2, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("offset_s", [0, 17, 30, 45])
def test_b15_the_configured_growth_is_never_passed_whenever_the_apis_minutes_begin(growth, offset_s):
    """B15: from a tenth of the limit up, no 429 at all if the figure is right."""
    api = ApiRamp(growth, LIMIT / 10)
    api.take(1, -offset_s)

    _, refused = play(Ramp(LIMIT, growth * 0.97), api, 900)

    assert refused == []


@pytest.mark.parametrize("growth", [1.2, 1.5, 2.0])
def test_b15_what_is_not_configured_is_learned_from_the_complaints(growth):
    """B15: a handful of 429s in half an hour, and the limit is reached all the same."""
    went, refused = play(Ramp(LIMIT), ApiRamp(growth, LIMIT / 10), 3000)

    assert len(refused) <= 6
    assert used(went, 45) > 0.9 * LIMIT


def test_b15_after_idle_it_begins_at_the_floor():
    """While it is active, a minute without traffic takes back what was grown into."""
    ramp = Ramp(LIMIT, 2.0)
    play(ramp, ApiRamp(100, LIMIT), 600)

    went, _ = play(ramp, ApiRamp(100, LIMIT), 860, began_s=800)

    assert used(went, 13) + used(went, 14) == pytest.approx(LIMIT / 10, rel=0.2)


def test_b15_it_forgets_after_an_hour_without_a_complaint():
    """A threshold that was met once is no reason to be slow for ever."""
    ramp = Ramp(LIMIT)
    ramp.take(LIMIT, 0.0)
    ramp.hit(1.0, 5.0)
    assert ramp.wait_s(LIMIT, 2.0) > 0

    assert ramp.wait_s(LIMIT, 2.0 + FORGET_S + 60) == 0.0
    assert not ramp.active
