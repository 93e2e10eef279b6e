"""`headgate prices`: the price rows in force, and where each was read."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.output import Json, print_json, print_table, say_next
from headgate.core.price_rows import KINDS
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.core.price_rows import PriceRow

__all__ = ["prices"]


def prices(
    model: Annotated[str | None, typer.Argument(help="An id or alias; all models if left out.")] = None,
    on: Annotated[str | None, typer.Option(help="The day, YYYY-MM-DD; default today (UTC).")] = None,
    file: Annotated[Path | None, typer.Option(help="Your own price rows; default the setting prices.file.")] = None,
    toml: Annotated[bool, typer.Option("--toml", help="As rows that can be copied into a file of your own.")] = False,
    json: Json = False,
) -> None:
    """Show what tokens cost.

    In US dollars per million, with the factors for batches, US-only inference and fast mode.
    """
    from headgate.config import load_config
    from headgate.engine.load import load_prices

    day = _day(on)
    own = str(file) if file is not None else load_config(os.environ).config.prices.file
    book = load_prices(own)
    names = [model] if model is not None else sorted({row.model for row in book.rows()})
    rows = [row for name in names if (row := book.find(name, day)) is not None]
    if not rows:
        raise HeadgateError(
            f"there is no price for {model!r} on {day}; `headgate prices` lists the models there are, and prices.file "
            "adds your own rows"
        )
    if json:
        print_json([_facts(row) for row in rows])
    elif toml:
        print("\n".join(_toml(row) for row in rows))
    else:
        _print(rows, detailed=model is not None)


def _print(rows: list[PriceRow], *, detailed: bool) -> None:
    table = []
    for row in rows:
        for band in row.bands:
            name = row.model if not band.over else f"  over {band.over:,} prompt tokens"
            factors = (
                [f"{what} x{by.normalize():f}" for what, by in _factors(row) if by is not None] if not band.over else []
            )
            table.append((name, *(f"{getattr(band, kind).normalize():f}" for kind in KINDS), " ".join(factors)))
    print_table(("model", "input", "output", "5m write", "1h write", "read", "factors"), table, right=(1, 2, 3, 4, 5))
    if detailed:
        for row in rows:
            until = f"until {row.valid_to}, not included" if row.valid_to else "until further notice"
            print(
                f"\nrow    {row.id} ({row.file})\nvalid  {f'from {row.valid_from} ' if row.valid_from else ''}{until}"
            )
            print(f"source {row.source}")
        say_next("headgate prices --toml > prices.toml, to change a row; then set prices.file")
    else:
        say_next(f"headgate prices {rows[0].model}, for the source of a row")


def _factors(row: PriceRow) -> list[tuple[str, Any]]:
    return [("batch", row.batch), ("us", row.us), ("fast", row.fast)]


def _facts(row: PriceRow) -> dict[str, Any]:
    return {
        "row": row.id,
        "model": row.model,
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
        "bands": [
            {"over_prompt_tokens": band.over, **{kind: getattr(band, kind) for kind in KINDS}} for band in row.bands
        ],
        **dict(_factors(row)),
        "source": row.source,
        "file": row.file,
    }


def _toml(row: PriceRow) -> str:
    lines = ["[[price]]", f'model = "{row.model}"']
    lines += [
        f"{key} = {value}" for key, value in (("valid_from", row.valid_from), ("valid_to", row.valid_to)) if value
    ]
    first, *above = row.bands
    lines += [f'{kind} = "{getattr(first, kind)}"' for kind in KINDS]
    lines += [f'{what} = "{by}"' for what, by in _factors(row) if by is not None]
    if above:
        bands = ", ".join(
            "{ "
            + ", ".join([f"prompt_tokens = {b.over}", *(f'{kind} = "{getattr(b, kind)}"' for kind in KINDS)])
            + " }"
            for b in above
        )
        lines.append(f"above = [{bands}]")
    escaped = row.source.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join([*lines, f'source = "{escaped}"', ""])


def _day(text: str | None) -> date:
    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("must be a date like 2026-11-21", param_hint="--on") from None
