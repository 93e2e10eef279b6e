"""What an operator says of alerts to the running gateway: be quiet, I am at it, do you hear me?"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from headgate.cli.audit_note import who
from headgate.cli.operators import AdminAddress, Settings, ask_gateway
from headgate.cli.output import Json, print_json, say_next
from headgate.core.printable import printable
from headgate.errors import HeadgateError

__all__ = ["ack", "silence", "trial", "unsilence"]

For = Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")]
EVERY = "all"
TRIAL_S = 20.0
"""Longer than the gateway waits for a receiver."""
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def silence(
    rule: Annotated[str, typer.Argument(help="A rule's id, or all.")],
    why: Annotated[str, typer.Option(help="For whoever wonders why it is quiet.")],
    lasts: For = "2h",
    label: Annotated[
        list[str] | None, typer.Option(help="Only alerts with it, such as workflow=chat; may stand several times.")
    ] = None,
    config: Settings = None,
    admin: AdminAddress = None,
    json: Json = False,
) -> None:
    """Have nobody told that an alert fires, for a while."""
    body = {
        "rule": None if rule == EVERY else rule,
        "labels": dict(map(_label, label or ())),
        "for_s": _seconds(lasts),
        "why": why,
        "by": who(),
    }
    made = ask_gateway("/api/alerts/silence", config, admin, body=body)
    if json:
        print_json(made)
        return
    print(printable(f"{made['rule'] or 'every rule'} is silent until {_time(made['until_ms'])}; silence {made['id']}"))
    say_next(f"headgate alerts unsilence {made['id']} ends it sooner")


def unsilence(
    silence: Annotated[str, typer.Argument(metavar="id", help="The silence, as `headgate alerts` names it.")],
    config: Settings = None,
    admin: AdminAddress = None,
    json: Json = False,
) -> None:
    """End a silence."""
    made = ask_gateway("/api/alerts/unsilence", config, admin, body={"id": silence})
    print_json(made) if json else print("it is over")


def ack(
    key: Annotated[str, typer.Argument(help="The alert, as `headgate alerts` names it.")],
    lasts: For = "4h",
    config: Settings = None,
    admin: AdminAddress = None,
    json: Json = False,
) -> None:
    """Say that you take care of an alert: it is not told again, but its end is."""
    body = {"key": key, "for_s": _seconds(lasts), "by": who()}
    made = ask_gateway("/api/alerts/acknowledge", config, admin, body=body)
    if json:
        print_json(made)
        return
    print(printable(f"{made['key']} is yours ({made['by']}) until {_time(made['until_ms'])}"))


def trial(
    receiver: Annotated[str, typer.Argument(help="Its name in [alerts.senders].")],
    config: Settings = None,
    admin: AdminAddress = None,
    json: Json = False,
) -> None:
    """Send a receiver something, to see whether it comes."""
    told = ask_gateway("/api/alerts/test", config, admin, body={"receiver": receiver}, timeout_s=TRIAL_S)
    if json:
        print_json(told)
    elif told["taken"]:
        print(printable(f"{receiver} has taken it; look whether it is there"))
    if not told["taken"]:
        raise HeadgateError(f"{receiver} did not take it: {told['problem']}")


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise HeadgateError("--label must be NAME=VALUE, such as workflow=chat")
    return name, value


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise HeadgateError("--for must be a number and a unit, such as 30m, 2h or 1d")
    return float(match[1]) * _UNITS_S[match[2]]


def _time(unix_ms: int) -> str:
    return f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
