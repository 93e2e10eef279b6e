"""`headgate keys new`: make a key for callers of the gateway."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from headgate.cli.output import Json, print_json, say_next

__all__ = ["app"]

app = typer.Typer(help="Make keys for callers of the gateway.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make keys for callers of the gateway."""


@app.command()
def new(
    name: Annotated[str, typer.Option(help="What logs and tables call it.")],
    json: Json = False,
) -> None:
    """Make a caller key.

    It is shown once and stored nowhere; what goes into the settings is its digest.
    """
    from headgate.edge.intake import label
    from headgate.gateway.callers import make_key

    name = label(name or "caller")
    key, digest = make_key(secrets.token_urlsafe(32))
    if json:
        print_json({"name": name, "key": key, "sha256": digest})
        return
    print(f"key (give it to the caller, it is not shown again):\n  {key}\n")
    print("settings (headgate.toml):")
    print(f'  [[gateway.keys]]\n  name = "{name}"\n  sha256 = "{digest}"')
    say_next("headgate serve, once these lines are in headgate.toml; callers send the key as their API key")
