"""The ledger beside the API's own reports: where they differ, and what would make the ledger right.  Pure.

Compared are days that are over, by model, and by API key where keys are told apart.  Nothing that stands in the ledger
is changed: a correction is a line more, so that lines and corrections add up to what the report says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from headgate.core.price import PriceBook
from headgate.core.usage_report import LONG_PROMPT, Billed, Counts, Terms, Used
from headgate.usage import Usage

__all__ = ["DRIFT", "Booked", "Correction", "Difference", "Place", "price_by", "reconcile"]

DRIFT = 0.01
"""Differences above this share are told."""
LONGEST_PROMPT = 1_000_000
_KINDS = ("input", "output", "cache read", "cache write 5m", "cache write 1h", "web searches")


class Place(NamedTuple):
    """What is compared."""

    day: str
    model: str
    credential: str
    """Name of the API key; empty where keys are not told apart."""


class Booked(NamedTuple):
    """What the ledger has of one kind of attempts."""

    place: Place
    terms: Terms
    counts: Counts
    cost_pico: int | None
    """None: of calls without a known cost, whose cost is in no sum."""
    unconfirmed_pico: int = 0
    unknown: int = 0
    """Attempts of which nothing tells what they used."""
    unpriced: int = 0
    """Calls without a known cost."""


class Correction(NamedTuple):
    """What is added to the ledger."""

    counts: Counts = Counts()
    cost_pico: int | None = 0
    cost_problem: str | None = None
    unconfirmed_pico: int = 0
    """Expected cost that this replaces."""
    unpriced: int = 0
    """Calls without a known cost whose cost is in this."""

    @property
    def says_nothing(self) -> bool:
        return not (any(self.counts) or self.cost_pico or self.unconfirmed_pico or self.unpriced)


@dataclass(slots=True)
class Difference:
    """The ledger, its corrections so far included, beside the report, of one place."""

    place: Place
    booked: Counts
    booked_pico: int
    reported: Counts
    reported_pico: int | None
    unknown: int
    """Attempts of which nothing tells what they used, that are not corrected yet."""
    unconfirmed_pico: int
    """Their expected cost."""
    correction: Correction

    @property
    def drifts(self) -> Iterator[tuple[str, int, int]]:
        """What differs by more than `DRIFT`: its name, the ledger's figure and the report's."""
        pairs = list(zip(_KINDS, self.booked, self.reported, strict=True))
        if self.reported_pico is not None:
            pairs.append(("cost", self.booked_pico, self.reported_pico))
        for name, ours, theirs in pairs:
            if abs(theirs - ours) > DRIFT * max(abs(ours), abs(theirs)):
                yield name, ours, theirs


Price = Callable[[str, str, Terms, Counts], tuple[int | None, str | None]]
"""Of counts of a model on a day: pico-dollars, and what is not known of the price."""


@dataclass(slots=True)
class _Books:
    """What the ledger has of one place."""

    counts: Counts = field(default_factory=Counts)
    cost_pico: int = 0
    unconfirmed_pico: int = 0
    unknown: int = 0
    unpriced: int = 0
    all: dict[Terms, Counts] = field(default_factory=lambda: defaultdict(Counts))
    priced: dict[Terms, Counts] = field(default_factory=lambda: defaultdict(Counts))


def reconcile(
    booked: Iterable[Booked],
    corrected: Iterable[tuple[Place, Correction]],
    used: Iterable[tuple[str, Used]],
    billed: Iterable[Billed] | None,
    price: Price,
) -> list[Difference]:
    """What differs, place by place, in the order of days and models; places that agree to the last token and
    pico-dollar are among them, with a correction that says nothing.

    Args:
        corrected: all corrections that were made of these days.
        used: the usage report; each line with the name of the credential it is of.
        billed: the cost report, whose amounts then are the cost; None where it cannot be had, since it tells no keys
            apart: then costs are those of the price book.
        price: the price book.
    """
    books: dict[Place, _Books] = defaultdict(_Books)
    for line in booked:
        _add(books[line.place], line)
    so_far: dict[Place, list[Correction]] = defaultdict(list)
    for place, correction in corrected:
        so_far[place].append(correction)
    reported: dict[Place, dict[Terms, Counts]] = defaultdict(lambda: defaultdict(Counts))
    for credential, its in used:
        by_terms = reported[Place(its.day, its.model, credential)]
        by_terms[its.terms] = by_terms[its.terms].plus(its.counts)
    costs = None if billed is None else _costs(billed, reported, price)
    differences = []
    for place in sorted({*books, *so_far, *reported, *(costs or ())}):
        own, theirs = books.get(place) or _Books(), reported.get(place, {})
        more_pico, problem = _more_cost(place, own, theirs, costs, price)
        differences.append(_difference(place, own, so_far.get(place, []), theirs, more_pico, problem))
    return differences


def _add(books: _Books, line: Booked) -> None:
    books.counts = books.counts.plus(line.counts)
    books.all[line.terms] = books.all[line.terms].plus(line.counts)
    if line.cost_pico is not None:
        books.cost_pico += line.cost_pico
        books.priced[line.terms] = books.priced[line.terms].plus(line.counts)
    books.unconfirmed_pico += line.unconfirmed_pico
    books.unknown += line.unknown
    books.unpriced += line.unpriced


def _costs(billed: Iterable[Billed], reported: Mapping[Place, Mapping[Terms, Counts]], price: Price) -> Counter[Place]:
    """What each place cost, as billed.  Web searches are billed by the day; each model bears its own, as in the
    ledger."""
    costs: Counter[Place] = Counter()
    for line in billed:
        costs[Place(line.day, line.what, "")] += line.pico
    for place, by_terms in reported.items():
        for terms, counts in by_terms.items():
            if counts.web_searches:
                searches_pico, _ = price(place.day, place.model, terms, Counts(web_searches=counts.web_searches))
                costs[place] += searches_pico or 0
                costs[Place(place.day, "web_search", "")] -= searches_pico or 0
    return costs


def _more_cost(
    place: Place,
    own: _Books,
    theirs: Mapping[Terms, Counts],
    costs: Counter[Place] | None,
    price: Price,
) -> tuple[int | None, str | None]:
    """What the report says was paid beyond the ledger's lines."""
    if costs is not None:
        return costs[place] - own.cost_pico, None
    more_pico, problem = 0, None
    # By the difference, not by the whole: what was not billed (some refusals) is on both sides.
    for terms in sorted({*own.all, *theirs}):
        told = theirs.get(terms, Counts())
        difference = told.minus(own.priced.get(terms, Counts()))
        if not any(difference):
            continue
        pico, unknown = price(place.day, place.model, terms, difference)
        if pico is None and told == own.all.get(terms, Counts()):
            continue  # the ledger has it all, and does not know its price either
        if pico is None:
            return None, unknown
        more_pico, problem = more_pico + pico, problem or unknown
    return more_pico, problem


def _difference(
    place: Place,
    own: _Books,
    made: list[Correction],
    theirs: Mapping[Terms, Counts],
    more_pico: int | None,
    problem: str | None,
) -> Difference:
    counts, cost_pico = own.counts, own.cost_pico
    unconfirmed_pico, unpriced = own.unconfirmed_pico, own.unpriced
    for correction in made:
        counts = counts.plus(correction.counts)
        cost_pico += correction.cost_pico or 0
        unconfirmed_pico -= correction.unconfirmed_pico
        unpriced -= correction.unpriced
    reported = Counts()
    for its in theirs.values():
        reported = reported.plus(its)
    reported_pico = None if more_pico is None else own.cost_pico + more_pico
    return Difference(
        place,
        counts,
        cost_pico,
        reported,
        reported_pico,
        own.unknown if unconfirmed_pico or not made else 0,
        unconfirmed_pico,
        Correction(
            reported.minus(counts),
            None if reported_pico is None else reported_pico - cost_pico,
            problem,
            unconfirmed_pico if reported_pico is not None else 0,
            unpriced if reported_pico is not None else 0,
        ),
    )


def price_by(book: PriceBook) -> Price:
    """As the price book has it."""

    def price(day: str, model: str, terms: Terms, counts: Counts) -> tuple[int | None, str | None]:
        usage = Usage(
            *counts[:5], web_searches=counts.web_searches, service_tier=terms.tier,
            speed="fast" if terms.fast else None, inference_geo="us" if terms.us else None,
        )  # fmt: skip
        prompts = (LONG_PROMPT + 1, LONGEST_PROMPT) if terms.long else (1, LONG_PROMPT)
        charge = book.of_sums(model, date.fromisoformat(day), usage, prompts)
        return charge.pico, charge.problem

    return price
