"""Reads price files: TOML, with a table `[[price]]` for each row and `[[web_search]]` for the searches."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from headgate.core.price_rows import KINDS, Band, PriceRow
from headgate.errors import PriceError

__all__ = ["PriceFiles", "read_price_files"]


class PriceFiles(NamedTuple):
    """What stands in them."""

    rows: dict[str, list[PriceRow]]
    """By model."""
    aliases: dict[str, str]
    """The model that each stands for."""
    web_search: list[PriceRow]


def read_price_files(files: Sequence[tuple[str, str]]) -> PriceFiles:
    """Read them, `(name, text)` each; where two price the same model, the later file's rows replace the earlier's.

    Raises:
        PriceError: names file, entry and remedy.
    """
    rows: dict[str, list[PriceRow]] = {}
    aliases: dict[str, str] = {}
    searches: list[PriceRow] = []
    for name, text in files:
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise PriceError(f"{name}: not TOML: {problem}") from None
        unknown = document.keys() - {"price", "web_search"}
        if unknown:
            raise PriceError(f"{name}: unknown table {sorted(unknown)[0]!r}; known are [[price]] and [[web_search]]")
        read = [_read_row(entry, name, where, aliases) for where, entry in _entries(document, "price", name)]
        own: dict[str, list[PriceRow]] = {}
        for row in read:  # now that all aliases of the file are known
            own.setdefault(aliases.get(row.model, row.model), []).append(row)
        rows.update(own)
        own_searches = [_read_search(entry, name, where) for where, entry in _entries(document, "web_search", name)]
        searches = own_searches or searches
    return PriceFiles(rows, aliases, searches)


_FIELDS = {"model", "aliases", "valid_from", "valid_to", "batch", "us", "fast", "above", "source", *KINDS}


def _entries(document: dict[str, Any], table: str, file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of one table, each with its place in the file."""
    entries = document.get(table, [])
    if not _is_list_of(entries, dict):
        raise PriceError(f"{file}: {table} must be written as [[{table}]], once for each entry")
    for number, entry in enumerate(entries, 1):
        yield f"[[{table}]] number {number}", entry


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _read_row(entry: dict[str, Any], file: str, where: str, aliases: dict[str, str]) -> PriceRow:
    _only(entry, _FIELDS, file, where)
    model = entry.get("model")
    if not isinstance(model, str) or not model:
        raise PriceError(f'{file}: {where}: model is missing; write model = "claude-…"')
    where = f"{where} ({model})"
    own_aliases = entry.get("aliases", [])
    if not _is_list_of(own_aliases, str):
        raise PriceError(f'{file}: {where}: aliases must be a list of names, such as aliases = ["claude-…"]')
    aliases.update(dict.fromkeys(own_aliases, model))
    bands = [_read_band(entry, 0, file, where)]
    longer = entry.get("above", [])
    if not _is_list_of(longer, dict):
        raise PriceError(f"{file}: {where}: above must be a list of tables, each with prompt_tokens and the prices")
    for above in longer:
        _only(above, {"prompt_tokens", *KINDS}, file, f"{where}: above")
        over = above.get("prompt_tokens")
        if type(over) is not int or over <= bands[-1].over:
            raise PriceError(f"{file}: {where}: above.prompt_tokens must be whole numbers that rise")
        bands.append(_read_band(above, over, file, where))
    return PriceRow(
        model,
        *_days(entry, file, where),
        tuple(bands),
        _optional(entry, "batch", file, where),
        _optional(entry, "us", file, where),
        _optional(entry, "fast", file, where),
        _source(entry, file, where),
        file,
        f"{model}@{entry.get('valid_from', 'always')}",
    )


def _read_band(entry: dict[str, Any], over: int, file: str, where: str) -> Band:
    return Band(over, *(_decimal(entry.get(kind), kind, file, where) for kind in KINDS))


def _read_search(entry: dict[str, Any], file: str, where: str) -> PriceRow:
    _only(entry, {"usd_per_1000", "valid_from", "valid_to", "source"}, file, where)
    price = _decimal(entry.get("usd_per_1000"), "usd_per_1000", file, where)
    zero = Decimal(0)
    return PriceRow(
        "web_search",
        *_days(entry, file, where),
        (Band(0, price, zero, zero, zero, zero),),
        None,
        None,
        None,
        _source(entry, file, where),
        file,
        "web_search",
    )


def _only(entry: dict[str, Any], known: set[str], file: str, where: str) -> None:
    unknown = sorted(entry.keys() - known)
    if unknown:
        raise PriceError(f"{file}: {where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")


def _optional(entry: dict[str, Any], key: str, file: str, where: str) -> Decimal | None:
    return _decimal(entry[key], key, file, where) if key in entry else None


def _decimal(value: object, key: str, file: str, where: str) -> Decimal:
    remedy = f'{file}: {where}: {key} must be a decimal in quotes, such as {key} = "2.50" (dollars per million tokens)'
    if not isinstance(value, str):
        raise PriceError(remedy)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise PriceError(remedy) from None
    if not number.is_finite() or number < 0 or number > 1_000_000:
        raise PriceError(remedy)
    return number


def _days(entry: dict[str, Any], file: str, where: str) -> tuple[date | None, date | None]:
    """`valid_from` and `valid_to`."""
    first, end = _day(entry, "valid_from", file, where), _day(entry, "valid_to", file, where)
    if first is not None and end is not None and end <= first:
        raise PriceError(f"{file}: {where}: valid_to must be later than valid_from; it is the first day without it")
    return first, end


def _day(entry: dict[str, Any], key: str, file: str, where: str) -> date | None:
    value = entry.get(key)
    if value is not None and type(value) is not date:
        raise PriceError(f"{file}: {where}: {key} must be a date without quotes, such as {key} = 2026-11-09")
    return value


def _source(entry: dict[str, Any], file: str, where: str) -> str:
    source = entry.get("source")
    if not isinstance(source, str) or not source:
        raise PriceError(f"{file}: {where}: source is missing; say where the price was read, and when")
    return source
