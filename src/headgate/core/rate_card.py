"""What a token costs by the price book: rows by model and day, their length bands, and factors for batch, fast mode and
geography, in integer pico-dollars (10^-12 USD).  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import NamedTuple, Self

from headgate.core.price_file import read_price_files
from headgate.core.price_rows import KINDS, PriceRow
from headgate.errors import PriceError

__all__ = ["PICO", "RateCard", "Rates", "TokenRates"]

PICO = 10**12
PICO_PER_USD_PER_MILLION = PICO // 10**6


class TokenRates(NamedTuple):
    """Whole pico-dollars a token, rounded up."""

    input: int
    write_5m: int
    write_1h: int
    output: int
    read: int


Rates = tuple[int | Fraction, ...]
"""Pico-dollars per token, in the order of `KINDS`."""


class RateCard:
    """Rows by model.  Later files win over earlier ones, model by model, so a user's own file can correct the price of
    one."""

    def __init__(
        self, rows: dict[str, list[PriceRow]], aliases: dict[str, str], web_search: Sequence[PriceRow]
    ) -> None:
        self._aliases = aliases
        self._rows = rows
        self._web_search = list(web_search)
        self._found: dict[tuple[str, date], PriceRow] = {}
        self._rates: dict[tuple[str, int, bool, bool, bool], Rates] = {}
        self._token_rates: dict[tuple[str, int, bool, bool], TokenRates] = {}
        for model, own in self._rows.items():
            own.sort(key=lambda row: row.valid_from or date.min)
            for earlier, later in pairwise(own):
                if earlier.valid_to is None or later.valid_from is None or earlier.valid_to > later.valid_from:
                    raise PriceError(
                        f"{later.file}: the rows {earlier.id} and {later.id} of {model} overlap; "
                        f"give the earlier one valid_to = {later.valid_from}"
                    )

    @classmethod
    def load(cls, files: Sequence[tuple[str, str]]) -> Self:
        """Of price files, `(name, text)` each; where two price the same model, the later one's rows hold.

        Raises:
            PriceError: names file, entry and remedy.
        """
        return cls(*read_price_files(files))

    def find(self, model: str, day: date) -> PriceRow | None:
        """The row of `model` (an id or an alias) on `day` (UTC), or None.

        The oldest row also prices the days before it: nobody calls a model before its release, so such a day is a
        host's wrong clock, and that must not leave calls without a price.
        """
        try:
            return self._found[model, day]
        except KeyError:
            pass
        rows = self._rows.get(self._canonical(model), [])
        before_all = rows[:1] if rows and rows[0].valid_from is not None and day < rows[0].valid_from else []
        row = next((row for row in rows if row.covers(day)), before_all[0] if before_all else None)
        if row is not None:  # misses are not kept: callers choose the names
            self._found[model, day] = row
        return row

    def rows(self) -> list[PriceRow]:
        return [row for group in self._rows.values() for row in group]

    def token_rates(
        self, model: str, day: date, prompt_tokens: int, *, fast: bool = False, us: bool = False
    ) -> TokenRates | None:
        """What a token costs in a request whose prompt has at most `prompt_tokens`; None: the model has no price.

        `fast` and `us` are as for `expected`.  Of a model that does not offer them they change nothing: the API refuses
        them.
        """
        row = self.find(model, day)
        if row is None:
            return None
        band = len(row.bands) - 1
        while band and prompt_tokens <= row.bands[band].over:
            band -= 1
        key = (row.id, band, fast, us)
        rates = self._token_rates.get(key)
        if rates is None:
            exact = self._rates_of(row, band, False, fast and row.fast is not None, us and row.us is not None)
            rates = self._token_rates[key] = TokenRates(*[ceil(exact[kind]) for kind in (0, 2, 3, 1, 4)])
        return rates

    def _canonical(self, model: str) -> str:
        return self._aliases.get(model, model)

    def _rates_of(self, row: PriceRow, band: int, batch: bool, fast: bool, us: bool) -> Rates:
        key = (row.id, band, batch, fast, us)
        rates = self._rates.get(key)
        if rates is None:
            # The factors stack (§13): cache on fast, geography and batch on everything.
            factor = Fraction(PICO_PER_USD_PER_MILLION)
            for applies, by in ((batch, row.batch), (fast, row.fast), (us, row.us)):
                if applies:
                    assert by is not None
                    factor *= Fraction(by)
            exact = [Fraction(getattr(row.bands[band], kind)) * factor for kind in KINDS]
            rates = self._rates[key] = tuple([rate.numerator if rate.denominator == 1 else rate for rate in exact])
        return rates
