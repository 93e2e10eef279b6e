"""What caching saved and could save, in exact pico-dollars."""

from __future__ import annotations

from datetime import date

import pytest

from headgate.core.cache_advice import Advice, CachedCall, advise
from headgate.core.price import PriceBook
from headgate.data import read_data
from headgate.usage import Usage

MODEL = "claude-sonnet-5"
"""$2 for a million input tokens, $2.50 to write five minutes, $4 an hour, $0.20 to read."""
USD = 10**12


@pytest.fixture(scope="module")
def prices() -> PriceBook:
    return PriceBook.load([("prices.toml", read_data("prices.toml"))])


def called(prices, usage, *, at_s=0.0, workflow="chat", system="s1", model=MODEL):
    from headgate.usage import MessageFacts

    day = date(2026, 11, 21)
    cost = prices.charge(MessageFacts(model=model, usage=usage), model=model, day=day).pico
    return CachedCall(workflow, model, system, day, int(at_s * 1000), usage, cost)


def advice_on(prices, *calls, least=0) -> Advice:
    (advice,) = advise(calls, prices, lambda model: least)
    return advice


def test_a_read_saves_what_it_would_have_cost_as_plain_input(prices):
    advice = advice_on(prices, called(prices, Usage(input=10, cache_read=1_000_000, output=5)))

    assert advice.saved_pico == 1_800_000_000_000


def test_a_write_that_nothing_reads_is_a_loss(prices):
    advice = advice_on(
        prices, called(prices, Usage(cache_write_5m=1_000_000)), called(prices, Usage(cache_write_1h=1_000_000))
    )

    assert advice.saved_pico == -2_500_000_000_000


def test_the_band_of_a_long_prompt_is_its_own(prices):
    """Haiku 5.5 costs five times as much above 100,000 tokens, cached or not (§13)."""
    short = called(prices, Usage(cache_read=100_000), model="claude-haiku-5-5")
    long = called(prices, Usage(cache_read=100_000, input=1), model="claude-haiku-5-5")

    assert advice_on(prices, long).saved_pico == 5 * advice_on(prices, short).saved_pico


def test_calls_with_one_system_prompt_could_share_the_shortest_of_their_prompts(prices):
    """Ten calls a minute apart, 1,000,000 tokens each: one write and nine reads instead of ten times plain input."""
    calls = [called(prices, Usage(input=1_000_000 + n), at_s=60 * n) for n in range(10)]

    assert advice_on(prices, *calls).could_pico == 9 * 1_800_000_000_000 - 500_000_000_000


def test_calls_too_far_apart_could_save_nothing(prices):
    calls = [called(prices, Usage(input=1_000_000), at_s=301 * n) for n in range(10)]

    assert advice_on(prices, *calls).could_pico == 0


def test_what_was_saved_is_not_there_to_be_saved_again(prices):
    calls = [called(prices, Usage(cache_write_5m=1_000_000))]
    calls += [called(prices, Usage(cache_read=1_000_000), at_s=60 * n) for n in range(1, 10)]
    advice = advice_on(prices, *calls)

    assert (advice.saved_pico, advice.could_pico) == (9 * 1_800_000_000_000 - 500_000_000_000, 0)


def test_prompts_below_the_models_minimum_could_save_nothing(prices):
    calls = [called(prices, Usage(input=1_000), at_s=n) for n in range(10)]
    advice = advice_on(prices, *calls, least=1_024)

    assert (advice.could_pico, advice.too_short) == (0, 10)


def test_calls_that_share_their_system_prompt_with_no_other_are_counted(prices):
    """A time in it: there is nothing to save as it is, and that must not look like nothing to do."""
    calls = [called(prices, Usage(input=9_000), at_s=n, system=f"own {n}") for n in range(5)]
    calls += [called(prices, Usage(input=9_000), at_s=n) for n in range(2)]
    advice = advice_on(prices, *calls)

    assert (advice.calls, advice.unshared) == (7, 5)


def test_the_workflow_with_most_to_gain_comes_first(prices):
    calls = [
        called(prices, Usage(input=size), at_s=n, workflow=name)
        for n in range(3)
        for name, size in (("a", 2_000), ("b", 9_000))
    ]

    assert [advice.workflow for advice in advise(calls, prices, lambda model: 0)] == ["b", "a"]


def test_without_calls_there_is_no_advice(prices):
    assert advise([], prices, lambda model: 0) == []
