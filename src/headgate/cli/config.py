"""`headgate config explain`: what is in force, and where each value comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.cli.output import Json, print_json, say_next
from headgate.core.printable import printable
from headgate.secret import Secret

__all__ = ["app"]

app = typer.Typer(help="Show the settings.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Show the settings."""


@app.command()
def explain(
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings; default $HEADGATE_CONFIG, then ./headgate.toml.")
    ] = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not a default.")] = False,
    json: Json = False,
) -> None:
    """Print every setting in force.

    Beside each stands where its value comes from: default, file and line, or environment variable.
    """
    from headgate.config import load_config

    loaded = load_config(os.environ, file=config)
    settings = [setting for setting in loaded.settings if not changed or setting.source != "default"]
    if json:
        print_json({s.path: {"value": _plain(s.value), "source": s.source} for s in settings})
        return
    if not settings:
        print("every setting has its default; `headgate config explain` prints them")
        return
    rows = [(setting.path, printable(_shown(setting.value)), printable(setting.source)) for setting in settings]
    widths = [min(44, max(len(row[column]) for row in rows)) for column in (0, 1)]
    for path, value, source in rows:
        print(f"{path:<{widths[0]}}  {value:<{widths[1]}}  {source}")
    say_next("headgate serve")


def _plain(value: object) -> Any:
    return "***" if isinstance(value, Secret) else value


def _shown(value: object) -> str:
    if value is None:
        return "(not set)"
    if value == [] or value == {}:
        return "(none)"
    return str(value).lower() if isinstance(value, bool) else str(_plain(value))
