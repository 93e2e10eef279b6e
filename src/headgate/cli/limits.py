"""`headgate limits`: what the running gateway knows of the account's limits, and who waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from headgate.cli.operators import AdminAddress, Settings, ask_gateway
from headgate.cli.output import Json, age, print_json, print_table, say_next
from headgate.core.printable import printable
from headgate.core.shown import percent
from headgate.errors import HeadgateError

__all__ = ["limits"]

OTHERS_SHOW_AT = 0.05
"""Of a limit; what others take below it cannot be told from our own errors."""


def limits(
    config: Settings = None,
    admin: AdminAddress = None,
    call: Annotated[str | None, typer.Option(help="Only how this call waits, by its x-headgate-call-id.")] = None,
    json: Json = False,
) -> None:
    """Show the account's limits, and who waits for them.

    Asks the running gateway: per pool and API key each limit with its source and age, what remains, what is learned,
    what is held back and why; and per lane who waits.
    """
    facts = ask_gateway(
        f"/api/limits?call={quote(call, safe='')}" if call is not None else "/api/limits", config, admin,
        missing=f"no call {call} waits: it is under way, or over; headgate limits shows who waits",
    )  # fmt: skip
    if json:
        print_json(facts)
        return
    try:
        _tell(facts) if call is None else print(printable(_standing(facts)))
    except KeyError:
        raise HeadgateError(
            "the gateway is of another version than this command; restart it, or read what it says with --json"
        ) from None


def _tell(facts: dict[str, Any]) -> None:
    print(f"tier {facts['tier']} (until responses tell)")
    if not facts["pools"]:
        print("no call has been made yet; limits show after the first")
        say_next("send a call through the gateway, then headgate limits")
        return
    rows = [
        (
            pool["pool"],
            backend["backend"],
            name,
            f"{limiter['per_minute']:,}",
            limiter["source"],
            age(limiter["age_s"]),
            "-" if limiter["remaining_upstream"] is None else f"{limiter['remaining_upstream']:,}",
            age(limiter["remaining_age_s"]),
            f"{max(0, limiter['free_now']):,}",
            f"{limiter['held']:,}",
        )
        for pool in facts["pools"]
        for backend in pool["backends"]
        for name, limiter in backend["limiters"].items()
    ]
    head = ("pool", "key", "limiter", "per minute", "source", "age", "remaining", "age", "free now", "held")
    print_table(head, rows, right=(3, 5, 6, 7, 8, 9))
    for pool in facts["pools"]:
        for backend in pool["backends"]:
            print(printable(f"{pool['pool']}, {backend['backend']}: {'; '.join(_state(backend))}"))
        print(printable(f"{pool['pool']}: waiting: {'; '.join(_lanes(pool)) or 'none'}"))
    say_next("headgate cost --by workflow")


def _state(backend: dict[str, Any]) -> Iterator[str]:
    """What is under way and learned, and whatever holds calls back."""
    most = backend["max_under_way"]
    yield f"{backend['under_way']} under way" + (f" of {most:.0f} at a time" if most is not None else "")
    burst = backend["burst"]
    too_much = f", {burst['too_much_s']:.0f} s is too much" if burst["too_much_s"] is not None else ""
    yield f"{burst['proven_s']:.0f} s of the limit may go at once{too_much}"
    for name, limiter in backend["limiters"].items():
        if limiter["others_per_minute"] >= OTHERS_SHOW_AT * limiter["per_minute"]:
            yield f"others use {limiter['others_per_minute']:,} {name} a minute"
        if limiter["pace"] < 1:
            yield f"{name} at {percent(limiter['pace'])} after 429s that nothing explains"
    if backend["commitment"] is not None:
        left = [
            f"{told['remaining']:,} of {told['per_minute']:,} {name}"
            for name, told in backend["commitment"].items()
            if told["remaining"] is not None and told["per_minute"] is not None
        ]
        yield f"left of the Priority Tier commitment: {', '.join(left)}"
    breaker = backend["breaker"]
    if breaker["state"] == "held":
        yield f"held for {breaker['next_try_in_s']:.1f} s: {breaker['because']}"
    elif breaker["state"] != "closed":
        state = breaker["state"].replace("_", " ")
        yield f"breaker {state} ({breaker['because']}), next try in {breaker['next_try_in_s']:.1f} s"
    if backend["ramp_growth"] is not None:
        yield f"input grows by {backend['ramp_growth']:g} times a minute at most"
    if backend["out_for_s"]:
        yield f"out of service for {age(backend['out_for_s'])}: {backend['out_because']}"


def _lanes(pool: dict[str, Any]) -> Iterator[str]:
    """Lanes in which somebody waits, with those who wait most, and lanes that are closed."""
    for name, lane in pool["lanes"].items():
        closed = f"closed for {age(lane['closed_for_s'])}" if lane["closed_for_s"] else ""
        if not lane["waiting"]:
            if closed:
                yield f"{name} is {closed}"
            continue
        who = ", ".join(
            f"{one['tenant']} {one['waiting']}"
            + (f" (has {one['under_way']} of {one['max_concurrency']})" if one["max_concurrency"] is not None else "")
            for one in lane["top"]
            if one["waiting"]
        )
        more = f", and {lane['tenants'] - len(lane['top'])} more" if lane["tenants"] > len(lane["top"]) else ""
        closed += ", " if closed else ""
        yield f"{name} {lane['waiting']} ({closed}oldest {lane['oldest_s']:.1f} s: {who}{more})"


def _standing(call: dict[str, Any]) -> str:
    expected = "until something changes" if call["expected_s"] is None else f"about {call['expected_s']:.1f} s more"
    return (
        f"{call['call']} waits for {call['pool']} in lane {call['lane']} as {call['tenant']}: number "
        f"{call['position']} in the queue, has waited {call['waited_s']:.1f} s, will wait {expected}"
    )
