"""`headgate alerts`: what fires, what that means and what to do; silence, acknowledge, try a receiver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from headgate.cli.alerts_explain import explain, rules
from headgate.cli.alerts_grafana import grafana
from headgate.cli.alerts_known import known_alerts
from headgate.cli.alerts_say import ack, silence, trial, unsilence
from headgate.cli.operators import AdminAddress, Settings, ask_gateway
from headgate.cli.output import Json, age, print_json, print_table, say, say_next
from headgate.core.printable import printable
from headgate.core.shown import counted
from headgate.errors import HeadgateError

__all__ = ["app"]

MEANWHILE = "nobody is told of anything meanwhile: see that a gateway runs, and its log"

app = typer.Typer(invoke_without_command=True)
app.command()(explain)
app.command()(rules)
app.command()(grafana)
app.command()(silence)
app.command()(unsilence)
app.command()(ack)
app.command(name="test")(trial)


@app.callback()
def alerts(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Every rule, whatever its state.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 if a page fires that is not silenced, or if nobody answers.")
    ] = False,
    config: Settings = None,
    admin: AdminAddress = None,
    json: Json = False,
) -> None:
    """Show what fires, who is told, and who has not taken it yet.

    Asks the running gateway.  If none answers: what was last written down.  Exit 1 if nobody evaluates the rules.
    """
    if context.invoked_subcommand is not None:
        return
    told = ask_gateway("/api/alerts", config, admin) if check else known_alerts(config, admin)
    if json:
        print_json(told)
    else:
        _tell(told, everything=everything)
    if told["enabled"] and told["last_evaluation"]["stale"]:
        raise HeadgateError(f"the rules are {told['last_evaluation']['words']}; {MEANWHILE}")
    if check:
        _check(told)


def _check(told: dict[str, Any]) -> None:
    if not told["enabled"]:
        raise HeadgateError("this gateway does not watch itself: alerts.enabled is false")
    paging = [rule["id"] for rule in told["rules"] if rule["severity"] == "page" and any(map(_burns, rule["alerts"]))]
    if paging:
        raise HeadgateError(f"firing: {', '.join(paging)}")


def _burns(alert: dict[str, Any]) -> bool:
    return alert["phase"] == "firing" and alert["silence"] is None


def _tell(told: dict[str, Any], *, everything: bool) -> None:
    if not told["enabled"]:
        print("this gateway does not watch itself: alerts.enabled is false")
        say_next("headgate alerts rules > headgate.rules.yml, for Prometheus")
        return
    now_ms = time.time_ns() // 1_000_000
    loud = [rule for rule in told["rules"] if rule["severity"] != "none"]
    rows = [row for rule in loud for row in _rows(rule, now_ms, everything=everything)]
    if rows:
        print_table(("state", "severity", "rule", "for", "key", "what"), rows, right=(3,))
    phases = [rule["phase"] for rule in loud]
    print(f"rules: {phases.count('ok')} ok, {phases.count('no_data')} without data; {told['last_evaluation']['words']}")
    for each in told["silences"]:
        print(printable(_silence(each, now_ms)))
    for each in told["receivers"]:
        if each["waiting"]:
            problem = each["problem"] or "under way"
            say(f"{each['name']} has not taken {counted(each['waiting'], 'notification')}: {problem}")
    if not told["receivers"]:
        say("nobody is told: no receiver is configured ([alerts.senders.NAME])")
    say_next(f"headgate alerts explain {rows[0][2]}" if rows else "headgate alerts --all")


def _rows(rule: dict[str, Any], now_ms: int, *, everything: bool) -> Iterator[tuple[str, ...]]:
    for alert in rule["alerts"]:
        since = age((now_ms - alert["since_ms"]) / 1000)
        yield _state(alert), rule["severity"], rule["id"], since, alert["key"], alert["text"]
        for example in alert["examples"]:
            yield "", "", "", "", "", f"  {example}"
    if everything and not rule["alerts"]:
        yield rule["phase"], rule["severity"], rule["id"], "-", "-", rule["title"]


def _state(alert: dict[str, Any]) -> str:
    if alert["silence"] is not None:
        return f"{alert['phase']}, silenced"
    if alert["acknowledged"] is not None:
        return f"{alert['phase']}, taken by {alert['acknowledged']['by']}"
    return str(alert["phase"])


def _silence(silence: dict[str, Any], now_ms: int) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in silence["labels"].items())
    what = (silence["rule"] or "every rule") + (f" ({labels})" if labels else "")
    left = age((silence["until_ms"] - now_ms) / 1000)
    return f"silence {silence['id']}: {what} for {left} more, by {silence['by']}: {silence['why'] or 'no reason given'}"
