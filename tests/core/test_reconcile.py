"""The ledger beside the API's reports: what differs is told, and corrections make the sums equal, once (G08, G09)."""

from __future__ import annotations

from datetime import date

from headgate.core.reconcile import Booked, Correction, Difference, Place, price_by, reconcile
from headgate.core.usage_report import Billed, Counts, Terms, Used
from headgate.engine.load import load_prices

DAY, MODEL = "2026-11-21", "claude-sonnet-5-5"
PLACE = Place(DAY, MODEL, "")
PRICES = load_prices(None)
PRICE = price_by(PRICES)
HUNDRED = Counts(input=100, output=10)


def cost(counts: Counts, model: str = MODEL, terms: Terms | None = None) -> int:
    pico, problem = PRICE(DAY, model, terms or Terms(), counts)
    assert pico is not None, problem
    return pico


def booked(counts: Counts = HUNDRED, **more) -> Booked:
    return Booked(PLACE, Terms(), counts, **({"cost_pico": cost(counts)} | more))


def used(counts: Counts, **terms) -> tuple[str, Used]:
    return "", Used(DAY, MODEL, None, Terms(**terms), counts)


def billed(pico: int, what: str = MODEL) -> Billed:
    return Billed(DAY, what, pico)


def one(ours, theirs, costs=None, made=()) -> Difference:
    (difference,) = reconcile(ours, [(PLACE, its) for its in made], theirs, costs, PRICE)
    return difference


def test_books_that_agree_need_no_correction():
    difference = one([booked()], [used(HUNDRED)], [billed(cost(HUNDRED))])

    assert list(difference.drifts) == []
    assert difference.correction.says_nothing


def test_an_attempt_of_unknown_usage_is_corrected_to_what_the_api_charged():
    """G08: a crash leaves an estimate; the report says what it was, and the estimate is gone."""
    crashed = booked(Counts(), cost_pico=0, unconfirmed_pico=999, unknown=1)
    real = Counts(input=200, output=30)

    difference = one([booked(), crashed], [used(real)], [billed(cost(real))])

    correction = difference.correction
    assert correction.counts == Counts(input=100, output=20)
    assert correction.cost_pico == cost(real) - cost(HUNDRED)
    assert correction.unconfirmed_pico == 999


def test_one_that_was_not_charged_after_all_costs_nothing():
    """Its estimate is taken out, although no token differs."""
    difference = one([booked(), booked(Counts(), cost_pico=0, unconfirmed_pico=999, unknown=1)], [used(HUNDRED)],
                     [billed(cost(HUNDRED))])  # fmt: skip

    assert list(difference.drifts) == []
    assert difference.correction == Correction(unconfirmed_pico=999)


def test_what_is_corrected_is_not_corrected_again():
    """G09: a second run finds the ledger right."""
    ours, theirs = [booked(unconfirmed_pico=5, unknown=1)], [used(Counts(input=300))]
    costs = [billed(cost(Counts(input=300)))]
    first = one(ours, theirs, costs)

    again = one(ours, theirs, costs, made=[first.correction])

    assert not first.correction.says_nothing
    assert again.correction.says_nothing
    assert list(again.drifts) == []
    assert again.unknown == 0


def test_a_drift_of_one_percent_is_not_told_and_more_is():
    ours = [booked(Counts(input=1_000))]

    within = one(ours, [used(Counts(input=1_010))])
    beyond = one(ours, [used(Counts(input=1_011))])

    assert list(within.drifts) == []
    assert [name for name, _, _ in beyond.drifts] == ["input", "cost"]
    assert within.correction.counts == Counts(input=10), "also what is too little to tell is made right"


def test_without_a_cost_report_a_difference_costs_what_the_price_book_says():
    """It tells no keys apart.  What the ledger has for less than its tokens, a refusal that was free, stays free."""
    free_refusal = booked(Counts(input=50), cost_pico=0)

    difference = one([booked(), free_refusal], [used(Counts(input=160, output=10))])

    assert difference.correction.cost_pico == cost(Counts(input=10))


def test_batches_and_fast_mode_have_their_own_price():
    difference = one([booked()], [used(HUNDRED), used(HUNDRED, tier="batch")])

    assert difference.correction.cost_pico == cost(HUNDRED) // 2


def test_a_call_without_a_known_cost_is_priced_by_the_report():
    """Its tokens are in the ledger already and its cost is not."""
    unpriced = booked(cost_pico=None, unpriced=1)

    difference = one([booked(), unpriced], [used(Counts(input=200, output=20))])

    assert difference.correction == Correction(cost_pico=cost(HUNDRED), unpriced=1)


def test_what_nobody_can_price_stays_named():
    """The commitment of the Priority Tier: the ledger has the tokens and no price, and so it stays."""
    place = booked(cost_pico=None)._replace(terms=Terms("priority"))

    difference = one([place], [used(HUNDRED, tier="priority")])

    assert difference.correction.says_nothing


def test_a_difference_without_a_price_is_no_zero():
    difference = one([], [used(HUNDRED, tier="flex")])

    assert (difference.correction.cost_pico, difference.correction.cost_problem) == (None, "service_tier:flex")
    assert one([], [used(HUNDRED, tier="flex")], made=[difference.correction]).correction.says_nothing


def test_a_price_that_hangs_on_the_size_of_prompts_is_marked_as_estimated():
    """Haiku's prices change inside of what the report tells as one."""
    place = Place(DAY, "claude-haiku-5-5", "")
    line = Used(DAY, "claude-haiku-5-5", None, Terms(), HUNDRED)

    (difference,) = reconcile([], [(place, Correction())], [("", line)], None, PRICE)

    assert difference.correction.cost_problem == "band"
    assert difference.correction.cost_pico


def test_what_is_not_billed_by_the_model_has_a_line_of_its_own():
    """Web searches are billed by the day and belong to the model that made them; hours of containers to nobody."""
    searched = Counts(input=100, web_searches=2)
    tokens, searches = cost(Counts(input=100)), cost(Counts(web_searches=2))

    differences = reconcile(
        [booked(searched)], [], [used(searched)],
        [billed(tokens), billed(searches, "web_search"), billed(50_000_000_000, "code_execution")], PRICE,
    )  # fmt: skip

    due = {its.place.model: its.correction.cost_pico for its in differences if not its.correction.says_nothing}
    assert due == {"code_execution": 50_000_000_000}


def test_corrections_add_up_to_the_invoice_whatever_the_ledger_says():
    """Over several models, with lines that are missing on either side."""
    other = Place(DAY, "claude-opus-5-5", "")
    ours = [booked(), Booked(other, Terms(), Counts(output=7), 123)]
    theirs = [used(Counts(input=90)), ("", Used(DAY, "claude-haiku-5-5", None, Terms(), HUNDRED))]
    costs = [billed(77), billed(88, "claude-haiku-5-5")]

    differences = reconcile(ours, [], theirs, costs, PRICE)

    assert sum(its.booked_pico + (its.correction.cost_pico or 0) for its in differences) == 77 + 88


def test_prices_are_those_of_the_day():
    """claude-api.md §0: the price of cache reads on Sonnet 5.5 was cut."""
    before, after = ("2026-10-01", "2026-11-01")
    reads = Counts(cache_read=1_000)

    assert PRICE(before, MODEL, Terms(), reads) != PRICE(after, MODEL, Terms(), reads)
    assert PRICES.find(MODEL, date(2026, 11, 1)) is not None
