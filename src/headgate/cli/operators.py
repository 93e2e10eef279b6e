"""What commands ask of the running gateway, at its operators' address."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.output import url
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    import urllib.error

__all__ = ["AdminAddress", "NoGateway", "Settings", "ask_gateway"]

Settings = Annotated[
    Path | None, typer.Option("--config", help="Settings; default $HEADGATE_CONFIG, then ./headgate.toml.")
]
AdminAddress = Annotated[str | None, typer.Option(help="The gateway's operators' address, http://127.0.0.1:8788.")]


class NoGateway(HeadgateError):
    """Nobody answers at the operators' address."""


def ask_gateway(
    path: str,
    config: Path | None,
    admin: str | None,
    *,
    body: Any = None,
    missing: str | None = None,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    """The JSON object that the gateway has at `path`.

    Args:
        body: sent as JSON, by POST.
        missing: what to say where the gateway has none (404).

    Raises:
        ConfigError: the settings are wrong.
        NoGateway: nobody answers.
        HeadgateError: it refuses; with what to do.
    """
    import urllib.error

    import msgspec

    from headgate.config import load_config
    from headgate.config.secrets import read_secret_file
    from headgate.http_get import get_json

    loaded = load_config(os.environ, file=config).config.admin
    base = admin or url(loaded.host, loaded.port)
    token = loaded.token
    if loaded.token_file is not None:
        token = read_secret_file("admin.token_file", loaded.token_file)
    if not base.startswith(("http://", "https://")):
        raise HeadgateError(f"--admin must be an http address, such as http://127.0.0.1:{loaded.port}")
    try:
        return get_json(f"{base.rstrip('/')}{path}", timeout_s=timeout_s, token=token, body=body)
    except urllib.error.HTTPError as problem:
        if problem.code == 404 and missing is not None:
            raise HeadgateError(missing) from None
        if problem.code == 400:
            raise HeadgateError(_said(problem)) from None
        remedy = "set admin.token or admin.token_file as the gateway has it" if problem.code == 401 else "see its log"
        raise HeadgateError(f"the gateway at {base} answered {problem.code}; {remedy}") from None
    except (OSError, msgspec.DecodeError):
        raise NoGateway(
            f"no gateway answers at {base}; start one with `headgate serve`, or name its address with --admin"
        ) from None


def _said(problem: urllib.error.HTTPError) -> str:
    """Why it did not understand."""
    import msgspec

    try:
        return str(msgspec.json.decode(problem.read())["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return "the gateway does not understand this; is it of another version than this command?"
