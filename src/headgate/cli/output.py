"""What commands print, for people and for programs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.core import shown
from headgate.core.printable import printable, printable_json

__all__ = [
    "MOST_ROWS",
    "Json",
    "Limit",
    "age",
    "command",
    "money",
    "print_json",
    "print_line",
    "print_number_json",
    "print_table",
    "say",
    "say_more",
    "say_next",
    "url",
]

Json = Annotated[bool, typer.Option("--json", help="For programs.")]
"""The option of every command that prints facts."""

MOST_ROWS = 50

Limit = Annotated[
    int, typer.Option(min=0, help="Print so many rows at most, and how many more there are; 0: all.  --json has all.")
]
"""The option of commands with a row for each of what callers name, of which there may be any number."""


def print_json(value: Any) -> None:
    """One JSON document on standard output; exact decimals as strings."""
    import msgspec

    text = msgspec.json.format(printable_json(msgspec.json.encode(value)), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_number_json(value: Any) -> None:
    """As `print_json`, with exact decimals as numbers: for figures that are there to be compared."""
    import msgspec

    text = msgspec.json.Encoder(decimal_format="number").encode(value)
    sys.stdout.write(msgspec.json.format(printable_json(text), indent=2).decode() + "\n")


def print_line(value: Any) -> None:
    """One JSON object on one line of standard output, at once."""
    import msgspec

    print(printable_json(msgspec.json.encode(value)).decode(), flush=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """A plain table: readable without colour and without a terminal.  What others named cannot steer one."""
    cells = [[printable(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        line = "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print(line.rstrip())


def say(text: str) -> None:
    """Talk, which is not what the command was asked for: on standard error, so that the output can be piped."""
    sys.stdout.flush()  # the order in which it was written, also where both go to one file
    print("\n".join(printable(line) for line in text.split("\n")), file=sys.stderr, flush=True)


def say_more(count: int, noun: str) -> None:
    """Under a table with so many rows less than there are."""
    if count > 0:
        say(f"and {count:,} more {noun}; --limit 0 shows all")


def say_next(step: str) -> None:
    """The last line: what to run next."""
    say(f"Next: {step}")


def url(host: str, port: int) -> str:
    """Where this machine reaches a listener."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  # a name for all of its addresses
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def money(usd: Decimal | None) -> str:
    """Dollars to the pico-dollar, without zeros that say nothing."""
    if usd is None:
        return "unknown"
    whole, _, fraction = f"{usd:f}".partition(".")
    return f"${whole}.{fraction.rstrip('0').ljust(2, '0')}"


def age(seconds: float | None) -> str:
    """A span of time in the largest unit of which there are two at least; `-`: it is not known."""
    return "-" if seconds is None else shown.age(seconds)


def command() -> str:
    """How this user can run `headgate` again: by its name if that is found, else by the path it was run by."""
    own = Path(sys.argv[0]).absolute()
    found = shutil.which("headgate")
    if own.name != "headgate" or (found is not None and os.path.samefile(found, own)):
        return "headgate"
    here = Path.cwd()
    return str(own.relative_to(here)) if own.is_relative_to(here) else str(own)
