"""What changes while a run goes on: claude-api.md §6, §8.1, §8.3, §17.6."""

from __future__ import annotations

from decimal import Decimal

import pytest

from headgate.sim import SimSettings
from headgate.sim.settings import Access, Conditions, Latency, Limits


def weather(**conditions):
    return SimSettings(weather=Conditions(**conditions))


# -- overload (§6) -------------------------------------------------------------------------------------------------


def test_a_share_of_messages_meets_an_overloaded_platform(make_sim):
    """By the seed: about as many as the share says, in the API's words."""
    sim = make_sim(weather(overload_share=0.3))
    replies = [sim.ask("[[sim: tokens=1]]") for _ in range(300)]
    refused = [reply for reply in replies if reply.status == 529]

    assert 60 <= len(refused) <= 120
    assert refused[0].error == {"type": "overloaded_error", "message": "Overloaded"}


def test_the_same_seed_meets_the_same_overload(make_sim):
    """Chance comes from the seed alone."""
    sims = [make_sim(weather(overload_share=0.5), seed=seed) for seed in (1, 1, 2)]
    first, again, other = ([sim.ask().status for _ in range(30)] for sim in sims)

    assert first == again
    assert first != other


@pytest.mark.parametrize(("after_s", "told"), [(None, None), (2.5, "3")])
def test_an_overload_tells_when_to_retry_only_if_set(make_sim, after_s, told):
    """§17.6: not documented."""
    reply = make_sim(weather(overload_share=1, overload_retry_after_s=after_s)).ask()

    assert reply.headers.get("retry-after") == told


def test_an_overload_takes_nothing_from_the_limits(make_sim):
    """It is the platform's load, not the caller's."""
    sim = make_sim(
        SimSettings(limits=Limits(rpm=1), weather=Conditions(forecast={1: {"overload_share": 0}}, overload_share=1))
    )
    refused = [sim.ask().status for _ in range(3)]
    sim.clock.advance(1)

    assert refused == [529] * 3
    assert sim.ask().status == 200


def test_token_counts_meet_it_too(make_sim):
    """The platform is one."""
    body = {"model": "claude-haiku-5-5", "messages": [{"role": "user", "content": "hi"}]}

    assert make_sim(weather(overload_share=1)).call("POST", "/v1/messages/count_tokens", body).status == 529


# -- the forecast --------------------------------------------------------------------------------------------------


def test_a_forecast_comes_into_force_at_its_instant(make_sim):
    """Phases: 529 from second 60 on, for twelve minutes."""
    sim = make_sim(weather(forecast={60: {"overload_share": 1}, 780: {"overload_share": 0}}))
    statuses = []
    for _ in range(14):
        statuses.append(sim.ask().status)
        sim.clock.advance(60)

    assert statuses == [200] + [529] * 12 + [200]


def test_a_key_can_be_revoked_and_come_back(make_sim):
    """§6: 401, for a key that was known before too."""
    settings = SimSettings(
        access=Access(revoked_keys=frozenset({"old"})),
        weather=Conditions(forecast={10: {"revoked_keys": ["key"]}}),
    )
    sim = make_sim(settings)
    before = [sim.ask(headers={"x_api_key": key}).status for key in ("key", "old")]
    sim.clock.advance(10)

    assert before == [200, 401]
    assert [sim.ask(headers={"x_api_key": key}).status for key in ("key", "old")] == [401, 200]


def test_a_spend_cap_can_begin_in_the_middle(make_sim):
    """§8.3: as at 14:00, when somebody lowers it."""
    sim = make_sim(weather(forecast={10: {"enforced_spend_cap_usd": Decimal(0)}}))
    before = sim.ask().status
    sim.clock.advance(10)
    reply = sim.ask()

    assert (before, reply.status) == (200, 429)
    assert reply.error["details"]["error_code"] == "enforced_spend_limit_reached"


def test_answers_can_become_slower(make_sim):
    """Both the first token and the rest."""
    settings = SimSettings(
        latency=Latency(ttft_s=1, tokens_per_s=10, spread=0), weather=Conditions(forecast={100: {"latency_factor": 3}})
    )
    sim = make_sim(settings)
    sim.ask("[[sim: tokens=11]]")
    took_s = sim.clock.elapsed_s
    sim.clock.advance(100)
    began_s = sim.clock.elapsed_s
    sim.ask("[[sim: tokens=11]]")

    assert took_s == pytest.approx(2)
    assert sim.clock.elapsed_s - began_s == pytest.approx(6)


def test_the_weather_can_be_changed_at_once(sim):
    """By a test or a scenario that holds the world."""
    sim.app.world.weather.change(sim.clock.now_s(), overload_share=1)

    assert sim.ask().status == 529


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"overlaod_share": 1}, "overlaod_share"),
        ({"overload_share": 1.5}, "from 0 to 1"),
        ({"overload_share": True}, "overload_share"),
        ({"overload_share": float("nan")}, "overload_share"),
        ({"latency_factor": "3"}, "latency_factor"),
        ({"enforced_spend_cap_usd": "much"}, "enforced_spend_cap_usd"),
        ({"enforced_spend_cap_usd": -1}, "enforced_spend_cap_usd"),
        ({"revoked_keys": "key"}, "revoked_keys"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_set(changes, named):
    """Not when its instant comes."""
    with pytest.raises(ValueError, match=named):
        weather(forecast={5: changes})
