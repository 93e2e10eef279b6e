"""`headgate limits`: what the running gateway knows of the account's limits, and who waits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate.cli.output import age, print_json, print_table, say_next, url
from headgate.core.printable import printable
from headgate.errors import HeadgateError

__all__ = ["limits"]


def limits(
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings; default $HEADGATE_CONFIG, then ./headgate.toml.")
    ] = None,
    admin: Annotated[str | None, typer.Option(help="The gateway's operators' address, http://127.0.0.1:8788.")] = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the account's limits, and who waits for them.

    Asks the running gateway: per pool each limit with its source and age, what remains, who waits, what is frozen.
    """
    facts = _ask(config, admin)
    if json:
        print_json(facts)
        return
    print(f"tier {facts['tier']} (until responses tell)")
    if not facts["pools"]:
        print("no call has been made yet; limits show after the first")
        say_next("send a call through the gateway, then headgate limits")
        return
    rows = []
    for pool in facts["pools"]:
        for name, limiter in pool["limiters"].items():
            remaining = limiter["remaining_upstream"]
            rows.append(
                (
                    pool["credential"],
                    pool["pool"],
                    name,
                    f"{limiter['per_minute']:,}",
                    limiter["source"],
                    age(limiter["age_s"]),
                    "-" if remaining is None else f"{remaining:,}",
                    age(limiter["remaining_age_s"]),
                    f"{limiter['free_now']:,}",
                    f"{limiter['held']:,}",
                )
            )
    head = ("key", "pool", "limiter", "per minute", "source", "age", "remaining", "age", "free now", "held")
    print_table(head, rows, right=(3, 5, 6, 7, 8, 9))
    for pool in facts["pools"]:
        queue = ", ".join(
            f"{lane} {state['waiting']} (oldest {state['oldest_s']:.1f} s)"
            for lane, state in pool["queue"].items()
            if state["waiting"]
        )
        frozen = f"; frozen for {pool['frozen_for_s']:.1f} s: {pool['frozen_because']}" if pool["frozen_for_s"] else ""
        print(printable(f"{pool['pool']}: {pool['under_way']} under way, waiting: {queue or 'none'}{frozen}"))
    say_next("headgate cost --by workflow")


def _ask(config: Path | None, admin: str | None) -> dict[str, Any]:
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
        return get_json(f"{base.rstrip('/')}/api/limits", timeout_s=5, token=token)
    except urllib.error.HTTPError as problem:
        remedy = "set admin.token or admin.token_file as the gateway has it" if problem.code == 401 else "see its log"
        raise HeadgateError(f"the gateway at {base} answered {problem.code}; {remedy}") from None
    except (OSError, msgspec.DecodeError):
        raise HeadgateError(
            f"no gateway answers at {base}; start one with `headgate serve`, or name its address with --admin"
        ) from None
