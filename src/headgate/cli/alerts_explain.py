"""`headgate alerts explain` and `rules`: what a rule asks, how it stands, what to do; all rules for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.alerts_known import known_alerts
from headgate.cli.operators import AdminAddress, Settings
from headgate.cli.output import Json, print_json
from headgate.core.printable import printable
from headgate.errors import HeadgateError

if TYPE_CHECKING:
    from headgate.alerts.rule import Watched

__all__ = ["explain", "rules"]


def explain(
    name: Annotated[str, typer.Argument(metavar="id", help="A rule's id, or a runbook's, such as api_down.")],
    config: Settings = None,
    admin: AdminAddress = None,
    json: Json = False,
) -> None:
    """Explain an alert: what it asks, how it stands, and its runbook: what to look at and what to do."""
    from headgate.alerts.rules import RULES
    from headgate.config import load_config
    from headgate.gateway.api.runbooks import runbook
    from headgate.toml_file import nearest

    watched = {each.id: each for each in _in_force(load_config(os.environ, file=config).config.alerts)}
    off = {rule.id for rule in RULES} - watched.keys()
    page = runbook(name)
    if name not in watched and page is None:
        if name in off:
            raise HeadgateError(f"{name} is switched off: alerts.rules.{name}.off")
        raise HeadgateError(f"there is no rule {name[:64]!r}{nearest(name, {each: each for each in watched})}")
    facts: dict[str, Any] = {}
    if name in watched:
        rule = watched[name]
        page = runbook(rule.rule.runbook or name)
        facts = {**_facts(rule), **_state(name, config, admin), "lately": _lately(rule, config)}
    text = "" if page is None else f"# {page['title']}\n\n{page['text']}"
    if json:
        print_json({**facts, "runbook": text})
        return
    parts = [_how_it_stands(facts), text, _what_it_asks(facts)] if facts else [text]
    print("\n\n".join([part for part in parts if part]))


def rules(config: Settings = None) -> None:
    """Print all rules as a file for Prometheus (`rule_files`), with your thresholds."""
    from headgate.alerts.prometheus import rules_file
    from headgate.config import load_config

    print(rules_file(_in_force(load_config(os.environ, file=config).config.alerts)), end="")


def _in_force(settings: Any) -> tuple[Watched, ...]:
    from headgate.alerts.rule import in_force
    from headgate.alerts.rules import RULES

    return in_force(RULES, settings)


def _facts(watched: Watched) -> dict[str, Any]:
    from headgate.alerts.rule import shown

    rule = watched.rule
    threshold = shown(watched.threshold, rule.unit)
    return {
        "id": rule.id,
        "number": rule.number,
        "title": rule.title,
        "severity": watched.severity,
        "says": rule.words.replace("{threshold}", threshold),
        "means": rule.means,
        "next": rule.next,
        "threshold": watched.threshold,
        "thresholds": watched.thresholds,
        "minimum": watched.minimum,
        "for_s": watched.for_s,
        "promql": watched.expr.promql(),
    }


def _state(name: str, config: Path | None, admin: str | None) -> dict[str, Any]:
    """As known, if anything is."""
    try:
        told = known_alerts(config, admin)
    except HeadgateError:
        return {"state": "unknown", "last_evaluation": None, "alerts": []}
    found = next((rule for rule in told["rules"] if rule["id"] == name), None)
    if found is None:
        return {"state": "unknown", "last_evaluation": told["last_evaluation"], "alerts": []}
    return {"state": found["phase"], "last_evaluation": told["last_evaluation"], "alerts": found["alerts"]}


def _lately(watched: Watched, config: Path | None) -> Sequence[str]:
    """What it would name now, whoever evaluates the rules, out of the file of this machine's gateways."""
    from contextlib import closing

    import apsw

    from headgate.alerts.examples import lately
    from headgate.clock import SystemClock
    from headgate.config import load_config
    from headgate.config.alerts import telemetry_path
    from headgate.stores.sqlite.telemetry import TelemetryLost, open_telemetry

    path = telemetry_path(load_config(os.environ, file=config).config).expanduser()
    if watched.rule.examples is None or not path.is_file():
        return ()
    try:
        with closing(open_telemetry(path)) as db:
            return lately(db, watched.rule, SystemClock().unix_ms())
    except (TelemetryLost, apsw.Error, OSError):
        return ()


def _how_it_stands(facts: dict[str, Any]) -> str:
    last = "" if facts["last_evaluation"] is None else f" ({facts['last_evaluation']['words']})"
    named = any(alert["examples"] for alert in facts["alerts"])
    lines = [
        f"{facts['id']} ({facts['number']}, {facts['severity']}): {facts['title']}",
        f"state: {facts['state']}{last}",
        *(line for alert in facts["alerts"] for line in _alert_lines(alert)),
        *(f"lately: {each}" for each in facts["lately"] if not named),
        f"means: {facts['means']}",
        f"next:  {facts['next']}",
    ]
    return "\n".join(map(printable, lines))


def _alert_lines(alert: dict[str, Any]) -> Iterator[str]:
    yield f"  {alert['phase']}: {alert['text']}  [{alert['key']}]"
    for example in alert["examples"]:
        yield f"    {example}"


def _what_it_asks(facts: dict[str, Any]) -> str:
    others = "".join(f"; {value:g} for {name}" for name, value in facts["thresholds"].items())
    lines = [
        f"The rule {facts['id']}: {facts['says']}",
        f"threshold {facts['threshold']:g}{others}; for {facts['for_s']:g} s; judged from {facts['minimum']:g} on",
        *(f"  {line}" for line in facts["promql"].splitlines()),
    ]
    return "\n".join(map(printable, lines))
