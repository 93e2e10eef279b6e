"""Options of the commands that read the ledger: which file, and from which day to which."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["LedgerFile", "Since", "Until", "day_of", "end_of", "ledger_path", "start_of"]

LedgerFile = Annotated[
    Path | None, typer.Option("--ledger", help="The ledger's file; default the setting ledger.path.")
]
Since = Annotated[str | None, typer.Option(help="From this day on, YYYY-MM-DD.")]
Until = Annotated[str | None, typer.Option(help="Up to and with this day, YYYY-MM-DD.")]


def ledger_path(ledger: Path | None, config: Path | None) -> Path:
    """The file that is named, or else that of the settings.

    Raises:
        ConfigError: the settings are wrong.
    """
    from headgate.config import load_config

    return (ledger or Path(load_config(os.environ, file=config).config.ledger.path)).expanduser()


def start_of(day: str | None, option: str) -> int:
    """Midnight UTC at which `day` begins, in Unix milliseconds; without a day, before everything.

    Raises:
        BadParameter: it is no day.
    """
    return 0 if day is None else _midnight_ms(day, option)


def end_of(day: str | None, option: str) -> int:
    """Midnight UTC at which `day` ends; without a day, after everything.

    Raises:
        BadParameter: it is no day.
    """
    return 1 << 62 if day is None else _midnight_ms(day, option, days=1)


def day_of(text: str, option: str) -> date:
    """The day that an option names; there are days before it and after it.

    Raises:
        BadParameter: it is no day.
    """
    with suppress(ValueError):
        day = date.fromisoformat(text)
        if MINYEAR < day.year < MAXYEAR:
            return day
    raise typer.BadParameter("must be a date like 2026-11-21", param_hint=option)


def _midnight_ms(text: str, option: str, *, days: int = 0) -> int:
    day = day_of(text, option) + timedelta(days=days)
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
