"""What an answer costs, to the pico-dollar: every dimension of claude-api.md §4, §5.2, §12 and §13, worked out by hand.

The expected sums are written as arithmetic on the prices of §13: `1_000 * at("2.50")` is a thousand tokens at $2.50 per
million.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.price import Charge, PriceBook, usd, usd_text
from headgate.engine.load import load_prices
from headgate.errors import PriceError
from headgate.sim.account import invoice
from headgate.sim.facts import FACTS
from headgate.usage import Iteration, MessageFacts, Usage

DAY = date(2026, 11, 21)
MILLION = 1_000_000
BOOK = load_prices(None)


def at(dollars: str) -> int:
    """Pico-dollars a token, at `dollars` per million tokens."""
    pico = Decimal(dollars) * 10**6
    assert pico == int(pico)
    return int(pico)


def bill(
    model: str = "claude-sonnet-5",
    *,
    day: date = DAY,
    geo: str | None = None,
    request: dict[str, object] | None = None,
    **facts: object,
) -> Charge:
    """The charge for an answer of `model`; what is no fact of the message is a field of its usage."""
    message = {name: facts.pop(name) for name in list(facts) if name in MessageFacts.__struct_fields__}
    message.setdefault("usage", Usage(**facts))  # type: ignore[arg-type]
    message.setdefault("has_content", True)
    answer = MessageFacts(model=model, **message)  # type: ignore[arg-type]
    return BOOK.charge(answer, model=model, day=day, requested_geo=geo, request=request)


# -- the table of §13 ------------------------------------------------------------------------------------------------

KINDS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
SHEET = {
    #                              in      out     5m write 1h write read
    "claude-fable-5-2":           ("8",    "40",   "10",    "16",    "0.20"),
    "claude-mythos-5-2":          ("8",    "40",   "10",    "16",    "0.20"),
    "claude-fable-5-1":           ("10",   "50",   "12.50", "20",    "0.25"),
    "claude-mythos-5-1":          ("10",   "50",   "12.50", "20",    "0.25"),
    "claude-fable-5":             ("10",   "50",   "12.50", "20",    "1"),
    "claude-mythos-5":            ("10",   "50",   "12.50", "20",    "1"),
    "claude-opus-5-5":            ("4",    "20",   "5",     "8",     "0.20"),
    "claude-opus-5":              ("5",    "25",   "6.25",  "10",    "0.50"),
    "claude-opus-4-8":            ("5",    "25",   "6.25",  "10",    "0.50"),
    "claude-opus-4-7":            ("5",    "25",   "6.25",  "10",    "0.50"),
    "claude-opus-4-6":            ("5",    "25",   "6.25",  "10",    "0.50"),
    "claude-opus-4-5-20251101":   ("5",    "25",   "6.25",  "10",    "0.50"),
    "claude-opus-4-5":            ("5",    "25",   "6.25",  "10",    "0.50"),
    "claude-sonnet-5-5":          ("2",    "10",   "2.50",  "4",     "0.10"),
    "claude-sonnet-5":            ("2",    "10",   "2.50",  "4",     "0.20"),
    "claude-sonnet-4-6":          ("3",    "15",   "3.75",  "6",     "0.30"),
    "claude-sonnet-4-5-20250929": ("3",    "15",   "3.75",  "6",     "0.30"),
    "claude-sonnet-4-5":          ("3",    "15",   "3.75",  "6",     "0.30"),
    "claude-haiku-5-5":           ("0.10", "0.50", "0.125", "0.20",  "0.01"),
    "claude-haiku-4-5-20251001":  ("1",    "5",    "1.25",  "2",     "0.10"),
    "claude-haiku-4-5":           ("1",    "5",    "1.25",  "2",     "0.10"),
}  # fmt: skip
BATCH = {
    #                    in      out
    "claude-fable-5-2":  ("4",    "20"),
    "claude-fable-5-1":  ("5",    "25"),
    "claude-fable-5":    ("5",    "25"),
    "claude-opus-5-5":   ("2",    "10"),
    "claude-opus-5":     ("2.50", "12.50"),
    "claude-opus-4-8":   ("2.50", "12.50"),
    "claude-opus-4-7":   ("2.50", "12.50"),
    "claude-opus-4-6":   ("2.50", "12.50"),
    "claude-opus-4-5":   ("2.50", "12.50"),
    "claude-sonnet-5-5": ("1",    "5"),
    "claude-sonnet-5":   ("1",    "5"),
    "claude-sonnet-4-6": ("1.50", "7.50"),
    "claude-sonnet-4-5": ("1.50", "7.50"),
    "claude-haiku-5-5":  ("0.05", "0.25"),
    "claude-haiku-4-5":  ("0.50", "2.50"),
}  # fmt: skip
FAST = {
    #                   in    out
    "claude-fable-5-2": ("16", "80"),
    "claude-opus-5-5":  ("8",  "40"),
    "claude-opus-5":    ("10", "50"),
    "claude-opus-4-8":  ("10", "50"),
}  # fmt: skip
US = set(SHEET) - {name for name in SHEET if "-4-5" in name}


@pytest.mark.parametrize("model", SHEET)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_token_has_its_own_rate(model, kind):
    """§13, the table: every model, every column.  An alias costs what its model costs."""
    assert bill(model, **{kind: 1_000}).pico == 1_000 * at(SHEET[model][KINDS.index(kind)])


@pytest.mark.parametrize("model", BATCH)
def test_a_batch_costs_half_of_everything(model):
    """§10, §13: input and output as the table has them; it stacks with the factors of the prompt cache."""
    batch_input, batch_output = BATCH[model]
    usage = {"input": 1_000, "output": 100, "cache_write_5m": 40, "cache_write_1h": 20, "cache_read": 200}
    _, _, five, hour, read = (at(price) for price in SHEET[model])

    told = bill(model, service_tier="batch", **usage)

    assert told.pico == 1_000 * at(batch_input) + 100 * at(batch_output) + (40 * five + 20 * hour + 200 * read) // 2


@pytest.mark.parametrize("model", FAST)
def test_fast_mode_has_its_own_rates_and_the_cache_factors_on_top(model):
    """§13: input and output as the table has them; a write is 1.25 or 2 of fast input, a read its model's share."""
    fast_input, fast_output = FAST[model]
    _, _, five, hour, read = (at(price) for price in SHEET[model])
    usage = {"input": 1_000, "output": 100, "cache_write_5m": 40, "cache_write_1h": 20, "cache_read": 200}

    told = bill(model, speed="fast", **usage)

    assert told.pico == 1_000 * at(fast_input) + 100 * at(fast_output) + 2 * (40 * five + 20 * hour + 200 * read)


@pytest.mark.parametrize("model", sorted(US))
def test_inference_in_the_us_costs_a_tenth_more(model):
    """§13: every token price times 1.1, on Claude 4.6 and later."""
    for index, kind in enumerate(KINDS):
        assert bill(model, inference_geo="us", **{kind: 1_000}).pico == 1_100 * at(SHEET[model][index])


GOLDEN = {
    # id: (model, usage, the arithmetic)
    "a chat turn on a cached prompt": (
        "claude-sonnet-5-5",
        {"input": 312, "output": 845, "cache_read": 18_204, "cache_write_5m": 1_120},
        312 * at("2") + 845 * at("10") + 18_204 * at("0.10") + 1_120 * at("2.50"),
    ),
    "thinking is part of the output": (
        "claude-opus-5-5",
        {"input": 10, "output": 2_000, "thinking": 1_500},
        10 * at("4") + 2_000 * at("20"),
    ),
    "batch in the us": (
        "claude-sonnet-5-5",
        {"input": 1_000, "output": 100, "cache_read": 500, "service_tier": "batch", "inference_geo": "us"},
        # 0.5 x 1.1 = 0.55
        1_000 * at("1.10") + 100 * at("5.50") + 500 * at("0.055"),
    ),
    "fast in the us": (
        "claude-opus-5-5",
        {"input": 1_000, "output": 100, "cache_write_1h": 50, "speed": "fast", "inference_geo": "us"},
        # 2 x 1.1 = 2.2
        1_000 * at("8.80") + 100 * at("44") + 50 * at("17.60"),
    ),
    "global is the plain price": (
        "claude-opus-5-5",
        {"input": 7, "output": 3, "inference_geo": "global", "service_tier": "standard", "speed": "standard"},
        7 * at("4") + 3 * at("20"),
    ),
    "web searches": (
        "claude-opus-5-5",
        {"input": 100, "output": 10, "web_searches": 3},
        # $10 per 1,000 searches: a cent each (§12)
        100 * at("4") + 10 * at("20") + 3 * 10**10,
    ),
    "a search in a batch is billed in full": (
        "claude-opus-5-5",
        {"input": 100, "output": 10, "web_searches": 3, "service_tier": "batch"},
        100 * at("2") + 10 * at("10") + 3 * 10**10,
    ),
    "a search in the us costs no more": (
        "claude-opus-5-5",
        {"input": 100, "web_searches": 1, "inference_geo": "us"},
        100 * at("4.40") + 10**10,
    ),
    "a search in fast mode costs no more": (
        "claude-opus-5-5",
        {"input": 100, "web_searches": 1, "speed": "fast"},
        100 * at("8") + 10**10,
    ),
    "web fetches are free": ("claude-sonnet-5", {"input": 100, "web_fetches": 9}, 100 * at("2")),
    "code execution beside a web search is free": (
        "claude-sonnet-5",
        {"input": 100, "web_searches": 1, "code_executions": 4},
        100 * at("2") + 10**10,
    ),
    "code execution beside a web fetch is free": (
        "claude-sonnet-5",
        {"input": 100, "web_fetches": 1, "code_executions": 4},
        100 * at("2"),
    ),
    "nothing costs nothing": ("claude-sonnet-5", {}, 0),
    "a pre-warm writes and says nothing": ("claude-opus-5", {"cache_write_1h": 4_096}, 4_096 * at("10")),
}  # fmt: skip


@pytest.mark.parametrize(("model", "usage", "pico"), GOLDEN.values(), ids=GOLDEN)
def test_golden(model, usage, pico):
    """§4, §12, §13: each with its arithmetic."""
    assert bill(model, **usage) == Charge(pico, BOOK.find(model, DAY).id, None)


@pytest.mark.parametrize("model", ["claude-haiku-5-5"])
@pytest.mark.parametrize(
    ("usage", "pico"),
    [
        # The lower band up to and at 100,000 tokens of prompt; beyond it the upper one for everything, output included.
        ({"input": 99_999, "output": 10}, 99_999 * at("0.10") + 10 * at("0.50")),
        ({"input": 100_000, "output": 10}, 100_000 * at("0.10") + 10 * at("0.50")),
        ({"input": 100_001, "output": 10}, 100_001 * at("0.50") + 10 * at("2.50")),
        ({"input": 1, "cache_read": 99_999}, 1 * at("0.10") + 99_999 * at("0.01")),
        ({"input": 2, "cache_read": 99_999}, 2 * at("0.50") + 99_999 * at("0.05")),
        ({"cache_write_5m": 60_000, "cache_write_1h": 40_000}, 60_000 * at("0.125") + 40_000 * at("0.20")),
        ({"cache_write_5m": 60_000, "cache_write_1h": 40_001}, 60_000 * at("0.625") + 40_001 * at("1.00")),
        ({"input": 100_000, "output": 128_000}, 100_000 * at("0.10") + 128_000 * at("0.50")),
        ({"input": 100_001, "service_tier": "batch"}, 100_001 * at("0.25")),
        ({"input": 100_001, "inference_geo": "us"}, 100_001 * at("0.55")),
    ],
    ids=["below", "at", "above", "reads-at", "reads-above", "writes-at", "writes-above", "output-does-not-count",
         "batch", "us"],
)  # fmt: skip
def test_haiku_5_5_is_priced_by_the_length_of_its_prompt(model, usage, pico):
    """§13: input plus cache reads plus cache writes over 100,000; the edge at the exact token."""
    assert bill(model, **usage).pico == pico


@pytest.mark.parametrize("model", sorted(set(SHEET) - {"claude-haiku-5-5"}))
def test_no_other_model_charges_more_for_a_long_prompt(model):
    """§13: the same up to a million tokens."""
    assert bill(model, input=MILLION).pico == MILLION * at(SHEET[model][0])


# -- geography that the answer does not tell -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "asked", "rate"),
    [(None, "us", "2.20"), ("not_available", "us", "2.20"), ("us", None, "2.20"), ("us", "global", "2.20"),
     ("global", "us", "2"), (None, None, "2"), ("not_available", None, "2"), (None, "global", "2")],
)  # fmt: skip
def test_the_answers_geography_wins_and_the_requests_stands_in_for_it(told, asked, rate):
    """§4: `inference_geo` is where it ran; some paths say `not_available`."""
    assert bill("claude-sonnet-5-5", input=1_000, inference_geo=told, geo=asked).pico == 1_000 * at(rate)


# -- passes and hops -------------------------------------------------------------------------------------------------


def passed(kind: str, model: str | None = None, **usage: int) -> Iteration:
    return Iteration(kind, model, Usage(**usage))


def test_what_each_model_cost_is_told_where_several_took_part():
    """§5.2: each hop at its own model's price; searches with the model that answered.  Together it is the whole."""
    iterations = [
        passed("message", "claude-opus-5-5", input=1_000, output=200),
        passed("fallback_message", "claude-opus-5", input=1_100, output=500),
    ]

    told = bill("claude-opus-5", iterations=iterations, web_searches=1, fallback_triggers=[("claude-opus-5-5", "bio")])

    assert dict(told.parts) == {
        "claude-opus-5-5": (1_000 * 4 + 200 * 20) * 10**6,
        "claude-opus-5": (1_100 * 5 + 500 * 25) * 10**6 + 10**10,
    }
    assert sum(pico for _, pico in told.parts) == told.pico


def test_an_answer_of_one_model_has_no_parts():
    """A summary and the answer after it were made by the same one."""
    iterations = [passed("compaction", input=150_000, output=2_000), passed("message", input=2_400, output=300)]

    assert bill("claude-opus-5", iterations=iterations).parts == ()


def test_a_compaction_is_billed_although_the_totals_leave_it_out():
    """§4: where `iterations` is present, it is the sum over them that is billed, not the top-level counts."""
    iterations = [passed("compaction", input=150_000, output=2_000), passed("message", input=2_400, output=300)]

    told = bill("claude-opus-5", input=2_400, output=300, iterations=iterations)

    assert told.pico == (150_000 + 2_400) * at("5") + (2_000 + 300) * at("25")


def test_each_hop_of_a_fallback_is_billed_at_its_own_model():
    """§4: the first hop wrote something before it declined, so it is billed; the answer is the second model's."""
    iterations = [
        passed("message", "claude-fable-5-2", input=1_000, output=40),
        passed("fallback_message", "claude-opus-5-5", input=1_100, output=500),
    ]

    told = bill(
        "claude-opus-5-5", input=1_100, output=500, iterations=iterations,
        fallback_triggers=[("claude-fable-5-2", "cyber")],
    )  # fmt: skip

    assert told.pico == 1_000 * at("8") + 40 * at("40") + 1_100 * at("4") + 500 * at("20")


@pytest.mark.parametrize(
    ("request_speed", "entry", "answer_speed", "first", "second"),
    [
        ("fast", {}, "fast", "8", "10"),
        ("fast", {"speed": None}, "standard", "8", "5"),
        ("fast", {"speed": "standard"}, "standard", "8", "5"),
        (None, {"speed": "fast"}, "fast", "4", "10"),
        (None, {}, "standard", "4", "5"),
    ],
)
def test_a_hop_that_declined_is_billed_at_the_speed_it_was_asked_for(request_speed, entry, answer_speed, first, second):
    """§5.2: each entry may override `speed`, and the answer tells only that of the model that served it."""
    iterations = [
        passed("message", "claude-opus-5-5", input=1_000),
        passed("fallback_message", "claude-opus-5", input=1_000),
    ]

    told = bill(
        "claude-opus-5", iterations=iterations, speed=answer_speed, fallback_triggers=[("claude-opus-5-5", "bio")],
        request={"speed": request_speed, "fallbacks": [{"model": "claude-opus-5", **entry}]},
    )  # fmt: skip

    assert told.pico == 1_000 * at(first) + 1_000 * at(second)


def test_a_hop_in_the_middle_is_billed_at_the_speed_of_its_own_entry():
    """Named by its alias or not; a model without fast mode ran at standard speed."""
    names = ("claude-fable-5-2", "claude-opus-5", "claude-sonnet-5", "claude-opus-4-8")
    iterations = [passed("message", name, input=1_000) for name in names]
    entries = [{"model": "claude-opus-5", "speed": "standard"}, {"model": "claude-sonnet-5"}, "nonsense", None]

    told = bill(
        "claude-opus-4-8", iterations=iterations, speed="fast", request={"speed": "fast", "fallbacks": entries},
        fallback_triggers=[(name, "bio") for name in names[:3]],
    )  # fmt: skip

    assert told.pico == 1_000 * (at("16") + at("5") + at("2") + at("10"))


@pytest.mark.parametrize(
    ("category", "day", "first_hop"),
    [
        ("cyber", DAY, 0),
        ("general_harms", DAY, 0),
        (None, DAY, 0),
        ("bio", DAY, 1_000 * at("5")),
        ("frontier_llm", DAY, 1_000 * at("5")),
        ("reasoning_extraction", date(2026, 9, 24), 1_000 * at("5")),
        ("bio", date(2026, 9, 23), 0),
    ],
)
def test_a_hop_that_declined_before_output_is_free_but_for_three_categories(category, day, first_hop):
    """§4, §0: `bio`, `frontier_llm` and `reasoning_extraction` are billed since 2026-09-24."""
    iterations = [
        passed("message", "claude-opus-5", input=1_000),
        passed("fallback_message", "claude-sonnet-5", input=1_000, output=5),
    ]

    told = bill("claude-sonnet-5", day=day, iterations=iterations, fallback_triggers=[("claude-opus-5", category)])

    assert told.pico == first_hop + 1_000 * at("2") + 5 * at("10")


@pytest.mark.parametrize("declined", ["claude-opus-4-5", "claude-opus-4-5-20251101"])
@pytest.mark.parametrize("hop", ["claude-opus-4-5", "claude-opus-4-5-20251101"])
def test_a_hop_named_by_its_alias_is_the_same_hop(declined, hop):
    """A `fallback` block names the model as the caller did, an iteration as the API does."""
    iterations = [
        passed("message", hop, input=1_000),
        passed("fallback_message", "claude-sonnet-5", input=10),
    ]

    told = bill("claude-sonnet-5", iterations=iterations, fallback_triggers=[(declined, "cyber")])

    assert told.pico == 10 * at("2")


def test_an_advisor_is_billed_at_its_own_price():
    """§4: `advisor_message` names the model that was asked for advice."""
    iterations = [
        passed("message", input=100, output=10),
        passed("advisor_message", "claude-opus-5-5", input=200, output=20),
        passed("message", input=300, output=30),
    ]

    told = bill("claude-sonnet-5", iterations=iterations)

    assert told.pico == 400 * at("2") + 40 * at("10") + 200 * at("4") + 20 * at("20")


def test_each_pass_is_priced_by_the_length_of_its_own_prompt():
    """§13: Haiku 5.5's band is that of the prompt it read in that pass."""
    iterations = [passed("compaction", input=150_000, output=100), passed("message", input=5_000, output=100)]

    told = bill("claude-haiku-5-5", iterations=iterations)

    assert told.pico == 150_000 * at("0.50") + 100 * at("2.50") + 5_000 * at("0.10") + 100 * at("0.50")


def test_factors_of_the_request_hold_for_every_pass():
    """§13: a batch is a batch in all its passes; the search it made is billed once and in full."""
    iterations = [passed("compaction", input=1_000), passed("message", input=100, output=10)]

    told = bill("claude-sonnet-5", iterations=iterations, service_tier="batch", inference_geo="us", web_searches=1)

    assert told.pico == 1_100 * at("1.10") + 10 * at("5.50") + 10**10


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "day", "pico"),
    [
        ("cyber", DAY, 0),
        ("general_harms", DAY, 0),
        (None, DAY, 0),
        ("a_new_category", DAY, 0),
        ("bio", DAY, 500 * at("4") + 2 * at("20")),
        ("frontier_llm", DAY, 500 * at("4") + 2 * at("20")),
        ("reasoning_extraction", DAY, 500 * at("4") + 2 * at("20")),
        ("bio", date(2026, 9, 24), 500 * at("4") + 2 * at("20")),
        ("bio", date(2026, 9, 23), 0),
    ],
)
def test_a_refusal_before_any_output_is_free_but_for_three_categories(category, day, pico):
    """§5.2, §0: tokens are reported either way."""
    usage = Usage(input=500, output=2)

    told = bill(
        "claude-opus-5-5", day=day, usage=usage, stop_reason="refusal", refusal_category=category, has_content=False
    )

    assert told.pico == pico


def test_a_refusal_in_the_middle_is_billed_for_what_it_said():
    """§5.2: partial content was streamed and costs what it costs."""
    told = bill("claude-opus-5-5", input=500, output=80, stop_reason="refusal", refusal_category="cyber")

    assert told.pico == 500 * at("4") + 80 * at("20")


def test_when_every_hop_declined_before_output_nothing_is_billed():
    """§4, §5.2: the answer is a refusal, its content the marks of the hand-over only."""
    iterations = [
        passed("message", "claude-fable-5-2", input=900),
        passed("fallback_message", "claude-opus-5-5", input=900),
    ]

    told = bill(
        "claude-opus-5-5", iterations=iterations, fallback_triggers=[("claude-fable-5-2", "cyber")],
        stop_reason="refusal", refusal_category="cyber",
    )  # fmt: skip

    assert told.pico == 0


# -- what is not known is named, never zero --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "usage", "problem"),
    [
        ("claude-opus-9", {"input": 1}, "model:claude-opus-9"),
        ("claude-mythos-preview", {"input": 1}, "model:claude-mythos-preview"),
        ("claude-sonnet-5 ", {"input": 1}, "model:claude-sonnet-5 "),
        ("claude-s\u043ennet-5", {"input": 1}, "model"),
        ("x" * 65, {"input": 1}, "model"),
        ("claude-sonnet-5", {"input": 1, "service_tier": "priority"}, "service_tier:priority"),
        ("claude-sonnet-5", {"input": 1, "service_tier": "flex"}, "service_tier:flex"),
        ("claude-sonnet-5", {"input": 1, "speed": "fast"}, "speed:fast"),
        ("claude-opus-5-5", {"input": 1, "speed": "ludicrous"}, "speed:ludicrous"),
        ("claude-opus-5-5", {"input": 1, "speed": "fast", "service_tier": "batch"}, "batch"),
        ("claude-sonnet-5", {"input": 1, "inference_geo": "eu"}, "geo:eu"),
        ("claude-haiku-4-5", {"input": 1, "inference_geo": "us"}, "geo:us"),
        ("claude-sonnet-5", {"input": 1, "inference_geo": "\x1b[2J"}, "geo"),
        ("claude-sonnet-5", {"input": 1, "code_executions": 2}, "code_execution"),
        ("claude-sonnet-5", {"iterations": [passed("dream", input=1)]}, "iteration:dream"),
        ("claude-sonnet-5", {"iterations": [passed("advisor_message", input=1)]}, "iteration:advisor_message"),
        ("claude-sonnet-5", {"iterations": [passed("message", "gpt-7", input=1)]}, "model:gpt-7"),
    ],
)  # fmt: skip
def test_e07_what_the_book_does_not_know_is_a_named_problem(model, usage, problem):
    """Unknown model or dimension: no cost, and the words say which."""
    told = bill(model, **usage)

    assert (told.pico, told.problem) == (None, problem)


def test_a_hop_without_a_model_in_a_fallback_is_not_guessed():
    """Whose tokens they were decides what they cost."""
    told = bill("claude-sonnet-5", iterations=[passed("message", input=9)], fallback_triggers=[("claude-opus-5", None)])

    assert (told.pico, told.problem) == (None, "iteration:message")


@pytest.mark.parametrize(
    "name",
    ["cache_creation", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
     "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "web_search_requests", "code_execution_requests",
     "usage", "iterations", "server_tool_use", "service_tier", "speed", "inference_geo"],
)  # fmt: skip
def test_c18_an_answer_whose_billed_counts_cannot_be_read_has_no_price(name):
    """A count that was not taken would make the price too low."""
    told = bill("claude-sonnet-5", input=100, anomalies=[name])

    assert (told.pico, told.problem) == (None, f"usage:{name}")


@pytest.mark.parametrize("name", ["output_tokens:fell", "thinking_tokens", "web_fetch_requests"])
def test_c18_an_anomaly_that_bears_on_no_bill_leaves_the_price(name):
    """A total that fell leaves the higher one; thinking is inside the output; a fetch is free."""
    assert bill("claude-sonnet-5", input=100, anomalies=[name]).pico == 100 * at("2")


def test_an_answer_without_usage_has_no_price():
    """There is nothing to price."""
    assert bill("claude-sonnet-5", usage=None) == Charge(None, None, "usage")


def test_an_answer_that_names_no_model_is_priced_as_the_one_that_was_asked():
    """The name is the request's then."""
    facts = MessageFacts(model=None, usage=Usage(input=1_000))

    assert BOOK.charge(facts, model="claude-haiku-4-5", day=DAY).pico == 1_000 * at("1")


# -- dated rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "read"), [(date(2026, 9, 28), "0.20"), (date(2026, 10, 6), "0.20"), (date(2026, 10, 7), "0.10")]
)
def test_the_day_of_the_request_chooses_the_row(day, read):
    """§0: cache reads on Sonnet 5.5 were cut on 2026-10-07."""
    assert bill("claude-sonnet-5-5", day=day, cache_read=1_000).pico == 1_000 * at(read)


@pytest.mark.parametrize(("day", "pico"), [(date(2026, 11, 29), 1_000 * at("10")), (date(2026, 11, 30), None)], ids=str)
def test_fast_mode_of_opus_4_8_ends_on_its_day(day, pico):
    """§13: removed 2026-11-30; a fast answer after that would be news, not a price."""
    assert bill("claude-opus-4-8", day=day, input=1_000, speed="fast").pico == pico


def test_a_day_before_the_first_row_is_priced_by_it():
    """Nobody calls a model before its release: the host's clock is wrong, and that must not hide what was spent."""
    assert bill("claude-sonnet-5-5", day=date(1970, 1, 1), cache_read=1_000).pico == 1_000 * at("0.20")


@pytest.mark.parametrize("row", BOOK.rows(), ids=lambda row: row.id)
def test_every_row_says_where_it_was_read(row):
    """A price without a source cannot be checked."""
    assert row.source
    assert row.id.startswith(row.model)


# -- the user's own file ---------------------------------------------------------------------------------------------

OWN = """
[[price]]
model = "{model}"
input = "1.23"
output = "4.56"
cache_write_5m = "2"
cache_write_1h = "3"
cache_read = "0.5"
source = "our contract of 2026-11-01"
"""


def with_own(text: str) -> PriceBook:
    shipped = "".join(OWN.format(model=model) for model in ("claude-opus-5", "claude-sonnet-5"))
    return PriceBook.load([("prices.toml", shipped), ("ours.toml", text)])


def test_a_users_own_row_wins():
    """A contract price replaces the list price of its model, and of no other."""
    book = PriceBook.load([("a.toml", OWN.format(model="claude-opus-5") + OWN.format(model="claude-sonnet-5")),
                           ("ours.toml", OWN.format(model="claude-opus-5").replace("1.23", "0.99"))])  # fmt: skip

    assert [book.find(model, DAY).bands[0].input for model in ("claude-opus-5", "claude-sonnet-5")] == [
        Decimal("0.99"), Decimal("1.23"),
    ]  # fmt: skip
    assert book.find("claude-opus-5", DAY).file == "ours.toml"


@pytest.mark.parametrize("asked", ["claude-opus-4-5", "claude-opus-4-5-20251101"])
@pytest.mark.parametrize("named", ["claude-opus-4-5", "claude-opus-4-5-20251101"])
def test_a_users_own_row_wins_by_whichever_of_its_names_it_goes(named, asked):
    """An alias and its model are one."""
    shipped = OWN.format(model="claude-opus-4-5-20251101") + 'aliases = ["claude-opus-4-5"]\n'
    ours = OWN.format(model=named).replace("1.23", "0.99")

    book = PriceBook.load([("prices.toml", shipped), ("ours.toml", ours)])

    assert book.find(asked, DAY).bands[0].input == Decimal("0.99")
    assert len(book.rows()) == 1


def test_a_users_own_file_prices_a_model_that_the_book_lacks():
    """What a refused model needs to be let through."""
    book = with_own(OWN.format(model="claude-next-1"))
    facts = MessageFacts(model="claude-next-1", usage=Usage(input=100, output=10))

    assert book.charge(facts, model="claude-next-1", day=DAY).pico == 100 * at("1.23") + 10 * at("4.56")


def test_a_dimension_that_the_own_row_does_not_price_is_unknown():
    """A row without `batch` says nothing of batches."""
    book = with_own(OWN.format(model="claude-next-1"))
    facts = MessageFacts(model="claude-next-1", usage=Usage(input=100, service_tier="batch"))

    assert book.charge(facts, model="claude-next-1", day=DAY).problem == "batch"


def test_an_own_price_of_a_search_replaces_the_shipped_one():
    """`[[web_search]]` in the later file is the one in force."""
    book = PriceBook.load(
        [
            ("prices.toml", OWN.format(model="m") + '[[web_search]]\nusd_per_1000 = "10"\nsource = "list"\n'),
            ("ours.toml", '[[web_search]]\nusd_per_1000 = "8"\nsource = "contract"\n'),
        ]
    )

    assert book.charge(MessageFacts(model="m", usage=Usage(web_searches=1)), model="m", day=DAY).pico == 8 * 10**9


def test_a_book_without_a_price_of_searches_says_so():
    """Never zero."""
    book = PriceBook.load([("prices.toml", OWN.format(model="m"))])

    assert book.charge(MessageFacts(model="m", usage=Usage(web_searches=1)), model="m", day=DAY).problem == "web_search"


FULL = OWN.format(model="m")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[price", "ours.toml: not TOML"),
        ("[[prices]]\n", "unknown table 'prices'; known are [[price]] and [[web_search]]"),
        ("price = 3\n", "price must be written as [[price]]"),
        ("[price]\nmodel = 'm'\n", "price must be written as [[price]]"),
        ("web_search = [1]\n", "web_search must be written as [[web_search]]"),
        (FULL.replace("model", "modle"), "[[price]] number 1: unknown key 'modle'; known are"),
        (FULL.replace('model = "m"', 'model = ""'), "[[price]] number 1: model is missing"),
        (FULL.replace('"1.23"', "1.23"), "[[price]] number 1 (m): input must be a decimal in quotes"),
        (FULL.replace('"1.23"', '"-1"'), "input must be a decimal in quotes"),
        (FULL.replace('"1.23"', '"NaN"'), "input must be a decimal in quotes"),
        (FULL.replace('"1.23"', '"inf"'), "input must be a decimal in quotes"),
        (FULL.replace('"1.23"', '"one"'), "input must be a decimal in quotes"),
        (FULL.replace('output = "4.56"', ""), "output must be a decimal in quotes"),
        (FULL.replace("source", "# source"), "source is missing"),
        (FULL + 'valid_from = "2026-11-09"\n', "valid_from must be a date without quotes"),
        (FULL + "valid_to = 2026-11-09T00:00:00\n", "valid_to must be a date without quotes"),
        (FULL + "valid_from = 2026-11-09\nvalid_to = 2026-11-09\n", "valid_to must be later than valid_from"),
        (FULL + 'aliases = "n"\n', "aliases must be a list of names"),
        (FULL + "aliases = [1]\n", "aliases must be a list of names"),
        (FULL + 'batch = 0.5\n', "batch must be a decimal in quotes"),
        (FULL + "above = [1]\n", "above must be a list of tables"),
        (FULL + "above = [{ prompt_tokens = 0 }]\n", "above.prompt_tokens must be whole numbers that rise"),
        (FULL + "above = [{ prompt_tokens = 5 }]\n", "input must be a decimal in quotes"),
        (FULL + "above = [{ prompt_tokens = 5, inptu = '1' }]\n", "above: unknown key 'inptu'"),
        (FULL + FULL, "overlap"),
        ("[[web_search]]\nusd_per_1000 = 10\nsource = 'x'\n", "usd_per_1000 must be a decimal in quotes"),
        ("[[web_search]]\nusd_per_thousand = '10'\nsource = 'x'\n", "unknown key 'usd_per_thousand'"),
    ],
)  # fmt: skip
def test_a_wrong_price_file_is_told_which_entry_and_what_to_write(text, words):
    """Checked while loading, never when the first call is priced."""
    with pytest.raises(PriceError) as told:
        PriceBook.load([("ours.toml", text)])

    assert "ours.toml" in str(told.value)
    assert words in str(told.value)


def test_rows_that_overlap_are_told_how_to_part():
    """Which of two prices holds must not depend on their order."""
    first = FULL + "valid_from = 2026-01-01\n"
    second = FULL + "valid_from = 2026-06-01\n"

    with pytest.raises(PriceError, match="give the earlier one valid_to = 2026-06-01"):
        PriceBook.load([("ours.toml", first + second)])

    parted = PriceBook.load([("ours.toml", first + "valid_to = 2026-06-01\n" + second)])
    assert parted.find("m", date(2026, 5, 31)).id == "m@2026-01-01"
    assert parted.find("m", date(2026, 6, 1)).id == "m@2026-06-01"


def test_a_day_after_the_last_row_has_no_price():
    """A row that ended says nothing of later days."""
    book = PriceBook.load([("ours.toml", FULL + "valid_to = 2026-06-01\n")])

    assert book.find("m", date(2026, 6, 1)) is None
    facts = MessageFacts(model="m", usage=Usage(input=1))
    assert book.charge(facts, model="m", day=date(2026, 6, 1)).problem == "model:m"


# -- money is exact --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pico", "text"),
    [(0, "0.000000000000"), (1, "0.000000000001"), (1_060_000_000, "0.001060000000"), (-1, "-0.000000000001"),
     (10**15 + 5, "1000.000000000005"), (2**63, "9223372.036854775808")],
)  # fmt: skip
def test_dollars_are_told_to_the_last_place(pico, text):
    """Twelve places, and no float on the way."""
    assert usd_text(pico) == text
    assert usd(pico) == Decimal(text)


def test_inv_04_a_million_cheap_calls_add_up_exactly():
    """INV-04: integers; a float sum of this drifts."""
    cost = bill("claude-haiku-5-5", cache_read=1).pico

    assert type(cost) is int
    assert sum([cost] * MILLION) == MILLION * at("0.01")


def test_inv_04_a_price_that_no_ledger_can_hold_is_a_problem():
    """INV-04: 64-bit; a price typed with six zeros too many, or counts beyond belief, must not stop the ledger."""
    book = PriceBook.load([("ours.toml", FULL.replace('"1.23"', '"1000000"'))])

    def cost(tokens: int) -> Charge:
        return book.charge(MessageFacts(model="m", usage=Usage(input=tokens)), model="m", day=DAY)

    assert cost(9_223_372).pico == 9_223_372 * 10**12
    assert (cost(9_223_373).pico, cost(9_223_373).problem) == (None, "too_large")


def test_a_price_finer_than_a_pico_dollar_is_rounded_half_up():
    """A third of a pico-dollar cannot be kept; the list prices never come to this."""
    book = PriceBook.load([("ours.toml", FULL.replace('"1.23"', '"0.0000005"'))])

    costs = [book.charge(MessageFacts(model="m", usage=Usage(input=n)), model="m", day=DAY).pico for n in (1, 2, 3)]

    assert costs == [1, 1, 2]


def test_the_expected_cost_takes_the_dearest_rate_of_what_is_not_known():
    """What a call that may have run is noted with: every input token at its dearest rate, in the dearest band."""
    expected = BOOK.expected("claude-haiku-5-5", DAY, 1_000, 100)

    assert expected == Charge(1_000 * at("1.00") + 100 * at("2.50"), "claude-haiku-5-5@2026-10-07")


@pytest.mark.parametrize(
    ("asked", "factor"),
    [({"fast": True}, 2), ({"us": True}, Fraction("1.1")), ({"fast": True, "us": True}, Fraction("2.2"))],
    ids=["fast", "us", "both"],
)
def test_the_expected_cost_is_of_what_was_asked_for(asked, factor):
    """Fast mode and a place have their price whether or not an answer came to repeat them."""
    standard = BOOK.expected("claude-opus-5-5", DAY, 1_000, 100).pico

    assert BOOK.expected("claude-opus-5-5", DAY, 1_000, 100, **asked).pico == standard * factor


@pytest.mark.parametrize(
    ("model", "asked", "problem"),
    [
        ("claude-opus-9", {}, "model:claude-opus-9"),
        ("claude-haiku-5-5", {"fast": True}, "speed:fast"),
        ("claude-sonnet-4-5", {"us": True}, "geo:us"),
    ],
)
def test_e07_what_has_no_price_has_no_expected_cost_either(model, asked, problem):
    """Not 0: a call that may have run may have cost something."""
    expected = BOOK.expected(model, DAY, 1_000, 100, **asked)

    assert (expected.pico, expected.problem) == (None, problem)


@pytest.mark.parametrize(
    ("prompt_tokens", "asked", "rates"),
    [
        (100_000, {}, ("0.10", "0.125", "0.20", "0.50", "0.01")),
        (100_001, {}, ("0.50", "0.625", "1.00", "2.50", "0.05")),
        (1, {"us": True}, ("0.11", "0.1375", "0.22", "0.55", "0.011")),
        (1, {"fast": True}, ("0.10", "0.125", "0.20", "0.50", "0.01")),  # not offered: the API refuses it
    ],
)
def test_what_a_token_costs_goes_by_the_longest_that_the_prompt_can_be(prompt_tokens, asked, rates):
    """For those who set money aside before the answer comes: whole pico-dollars, no less than the price."""
    found = BOOK.token_rates("claude-haiku-5-5", DAY, prompt_tokens, **asked)

    assert found == tuple(map(at, rates))
    assert BOOK.token_rates("claude-opus-9", DAY, 1) is None


@given(
    st.integers(0, 2**20),
    st.integers(0, 2**20),
    st.integers(0, 2**20),
    st.integers(0, 2**20),
    st.sampled_from(sorted(SHEET)),
)
def test_no_standard_answer_with_the_expected_tokens_costs_more_than_expected(input_, five, hour, output, model):
    """However the input splits into kinds."""
    usage = Usage(input=input_, cache_write_5m=five, cache_write_1h=hour, output=output)

    assert bill(model, usage=usage).pico <= BOOK.expected(model, DAY, usage.prompt, output).pico


# -- against the invoice of the simulator, written by somebody else --------------------------------------------------


def random_terms(seed: int) -> tuple[invoice.Usage, invoice.Terms]:
    """A usage and conditions that the sheet has a price for."""
    rng = Random(seed)
    model = rng.choice([model for model in FACTS.models if model.served])
    oldest = max(model.released or date(2026, 1, 1), date(2026, 1, 1))
    day = oldest + timedelta(days=rng.randrange((date(2027, 1, 1) - oldest).days))
    fast = model.fast_mode is not None and model.fast_mode.available(day) and rng.random() < 0.3
    batch = not fast and rng.random() < 0.3
    us = model.multipliers.inference_geo_us is not None and rng.random() < 0.3
    scale = rng.choice([1, 50, 3_000, 60_000, 400_000])
    counts = [rng.randrange(scale + 1) if rng.random() < 0.8 else 0 for _ in range(5)]
    return invoice.Usage(*counts, web_searches=rng.choice([0, 0, 0, 1, 17])), invoice.Terms(model, day, batch, fast, us)


@pytest.mark.parametrize("block", range(8))
def test_the_meter_and_the_invoice_agree_to_the_pico_dollar(block):
    """Two authors, one sheet: 800 seeded usages in every combination of model, day, batch, speed and geography."""
    for seed in range(block * 100, block * 100 + 100):
        usage, terms = random_terms(seed)
        ours = Usage(
            input=usage.input, output=usage.output, cache_read=usage.cache_read, cache_write_5m=usage.cache_write_5m,
            cache_write_1h=usage.cache_write_1h, web_searches=usage.web_searches,
            service_tier="batch" if terms.batch else "standard", speed="fast" if terms.fast else "standard",
            inference_geo="us" if terms.us else "global",
        )  # fmt: skip

        told = bill(terms.model.id, day=terms.day, usage=ours)

        assert told == Charge(invoice.price_pico(usage, terms), told.row, None), f"seed {seed}"


def test_the_meter_and_the_invoice_agree_on_which_refusals_are_free():
    """On every day around the change, for every category and one that is not known."""
    categories = ["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms", "new", None]
    days = [date(2026, 9, 24) + timedelta(days=offset) for offset in (-1, 0, 1)]

    for category in categories:
        for day in days:
            told = bill(
                "claude-opus-5", day=day, input=1, stop_reason="refusal", refusal_category=category, has_content=False
            )
            assert (told.pico == 0) == invoice.refusal_is_free(category, day), (category, day)
