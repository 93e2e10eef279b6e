"""The price rules: claude-api.md §0, §4, §5.2, §13, in figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from headgate.sim.account.invoice import Terms, Usage, price_pico, refusal_is_free, usd
from headgate.sim.facts import FACTS

DAY = date(2026, 11, 21)
MILLION = 1_000_000


def dollars(model, usage, day=DAY, **terms):
    return usd(price_pico(usage, Terms(FACTS.by_name[model], day, **terms)))


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        # input, output, 5m write, 1h write, read: the table of §13
        ("claude-fable-5-2", ("8", "40", "10", "16", "0.2")),
        ("claude-mythos-5-2", ("8", "40", "10", "16", "0.2")),
        ("claude-fable-5-1", ("10", "50", "12.5", "20", "0.25")),
        ("claude-mythos-5-1", ("10", "50", "12.5", "20", "0.25")),
        ("claude-fable-5", ("10", "50", "12.5", "20", "1")),
        ("claude-opus-5-5", ("4", "20", "5", "8", "0.2")),
        ("claude-opus-4-8", ("5", "25", "6.25", "10", "0.5")),
        ("claude-sonnet-5-5", ("2", "10", "2.5", "4", "0.1")),
        ("claude-sonnet-4-6", ("3", "15", "3.75", "6", "0.3")),
        ("claude-haiku-4-5", ("1", "5", "1.25", "2", "0.1")),
    ],
)
@pytest.mark.parametrize("batch", [False, True])
def test_each_kind_of_token_has_its_price(model, prices, batch):
    """A million of each; a batch halves every one of them (§10)."""
    kinds = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    told = [float(dollars(model, Usage(**{kind: MILLION}), batch=batch)) for kind in kinds]

    assert told == [float(price) / (2 if batch else 1) for price in prices]


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(input=100_000, output=MILLION), "0.510000000000"),  # 0.01 + 0.5
        (Usage(input=100_001, output=MILLION), "2.550000500000"),  # 0.0500005 + 2.5
        (Usage(input=1, cache_read=100_000), "0.005000500000"),
        (Usage(cache_read=99_999, cache_write_5m=1), "0.001000115000"),
        (Usage(cache_write_5m=60_000, cache_write_1h=40_001), "0.077501000000"),
        (Usage(output=MILLION), "0.500000000000"),
    ],
    ids=["at", "over", "reads-count", "under", "writes-count", "output-does-not"],
)
def test_haiku_5_5_is_priced_by_the_length_of_its_prompt(usage, price):
    """§13: the whole request, output included, when input, reads and writes together exceed 100,000."""
    assert dollars("claude-haiku-5-5", usage) == price


def test_fast_mode_doubles_every_price():
    """§13: caching factors on top."""
    usage = Usage(1_000, 1_000, 1_000, 1_000, 1_000)

    standard = price_pico(usage, Terms(FACTS.by_name["claude-opus-5-5"], DAY))
    assert price_pico(usage, Terms(FACTS.by_name["claude-opus-5-5"], DAY, fast=True)) == 2 * standard


@pytest.mark.parametrize("model", ["claude-fable-5-2", "claude-sonnet-5-5", "claude-haiku-5-5"])
@pytest.mark.parametrize("batch", [False, True])
def test_us_geography_multiplies_every_token_price_by_1_1(model, batch):
    """§13: to the pico-dollar, on top of a batch's half."""
    usage = Usage(7, 11, 13, 17, 19)
    terms = {"model": FACTS.by_name[model], "day": DAY, "batch": batch}

    assert price_pico(usage, Terms(**terms, us=True)) * 10 == price_pico(usage, Terms(**terms)) * 11


@pytest.mark.parametrize("terms", [{}, {"us": True}, {"batch": True}], ids=str)
def test_a_web_search_costs_a_cent_everywhere(terms):
    """§12: $10 per 1,000; geography and batches change token prices only."""
    assert dollars("claude-opus-5-5", Usage(web_searches=3), **terms) == "0.030000000000"


@pytest.mark.parametrize(
    ("day", "price"), [(date(2026, 10, 6), "0.200000000000"), (date(2026, 10, 7), "0.100000000000")]
)
def test_cache_reads_of_sonnet_5_5_got_cheaper_on_their_day(day, price):
    """§0: cut to 0.05x on 2026-10-07."""
    assert dollars("claude-sonnet-5-5", Usage(cache_read=MILLION), day) == price


@pytest.mark.parametrize("category", ["bio", "frontier_llm", "reasoning_extraction"])
def test_three_categories_of_refusal_are_billed_since_their_day(category):
    """§0: since 2026-09-24."""
    assert refusal_is_free(category, date(2026, 9, 23))
    assert not refusal_is_free(category, date(2026, 9, 24))


@pytest.mark.parametrize("category", ["cyber", "general_harms", None])
def test_other_refusals_stay_free(category):
    """§5.2: before any output."""
    assert refusal_is_free(category, DAY)


@pytest.mark.parametrize(
    ("pico", "told"), [(0, "0.000000000000"), (1, "0.000000000001"), (10**15 + 5, "1000.000000000005")]
)
def test_dollars_are_told_exactly(pico, told):
    """Twelve places, no float in between."""
    assert usd(pico) == told


def test_every_price_of_the_sheet_is_whole_pico_dollars():
    """With every factor that can apply; anything else would have to be rounded."""
    one_each = Usage(1, 1, 1, 1, 1, 1)
    for model in FACTS.models:
        for band in model.price_bands:
            long = Usage(input=band.prompt_tokens_over + 1)
            for batch, fast in ((False, False), (True, False), (False, model.fast_mode is not None)):
                for us in (False, True):
                    terms = Terms(model, DAY, batch=batch, fast=fast, us=us)
                    assert isinstance(price_pico(long, terms) + price_pico(one_each, terms), int)


def test_derived_prices_of_the_sheet_agree_with_its_factors():
    """The sheet computes batch and fast rows; reading rows and multiplying must come to the same."""
    for model in FACTS.models:
        for band in model.price_bands:
            assert band.batch_input * 2 == band.input
            assert band.batch_cache_read * 2 == band.cache_read
        if model.fast_mode is not None:
            assert model.fast_mode.cache_write_1h == model.price_bands[0].cache_write_1h * 2


# -- the same, through the API -------------------------------------------------------------------------------------


def billed(sim, **fields):
    sim.ask(**fields)
    return sim.last_entry()


def test_a_request_is_billed_what_its_usage_says(sim):
    """Books, usage and price agree."""
    usage = sim.ask("[[sim: tokens=40]]", model="claude-opus-5-5").json["usage"]

    assert sim.last_entry()["cost_pico"] == usage["input_tokens"] * 4 * MILLION + 40 * 20 * MILLION


@pytest.mark.parametrize(
    ("said", "free"),
    [("refusal", True), ("refusal=cyber", True), ("refusal=bio", False), ("refusal-mid=cyber", False)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_are_billed_by_category_and_by_when_they_come(sim, said, free, stream):
    """§5.2: free before output, except three categories; after output as ever."""
    entry = billed(sim, content=f"[[sim: {said}]]", stream=stream)

    assert entry["outcome"] == "refused"
    assert (entry["cost_pico"] == 0) == free
    assert entry["tokens"]["input"] > 0


def test_before_their_day_all_refusals_were_free(make_sim):
    """§0, by the simulated date."""
    sim = make_sim(epoch=datetime(2026, 9, 23, tzinfo=UTC))

    assert billed(sim, content="[[sim: refusal=bio]]", model="claude-opus-5")["cost_pico"] == 0


def test_speed_and_geography_of_a_request_reach_its_bill(sim):
    """Fast doubles, us multiplies by 1.1; prompt and answer are the same."""
    costs = [
        billed(sim, content="[[sim: tokens=10]]", model="claude-opus-5-5", **more)["cost_pico"]
        for more in ({}, {"speed": "fast"}, {"inference_geo": "us"})
    ]

    assert costs[1] == 2 * costs[0]
    assert costs[2] * 10 == costs[0] * 11


def test_web_searches_are_in_the_usage_and_on_the_bill(sim):
    """§4: `server_tool_use.web_search_requests`."""
    reply = sim.ask("[[sim: web-search=2; tokens=3]]", stream=True)

    assert reply.of("message_delta")[0]["usage"]["server_tool_use"]["web_search_requests"] == 2
    entry = sim.last_entry()
    assert entry["web_searches"] == 2
    assert entry["cost_pico"] > 20_000_000_000
