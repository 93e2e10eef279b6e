"""How it stands with rules, and with those who are told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from headgate.alerts.machine import Alert, Phase
from headgate.alerts.rule import Watched
from headgate.stores.sqlite.alert_rows import Delivery

__all__ = ["ReceiverState", "RuleState", "receiver_states"]


class RuleState(NamedTuple):
    """How it stands with a rule."""

    watched: Watched
    phase: Phase
    alerts: list[Alert]


class ReceiverState(NamedTuple):
    """How it stands with somebody who is told."""

    name: str
    severities: list[str]
    waiting: int
    """Notifications that it has not taken yet."""
    problem: str
    """Why not, when it was last tried."""


def receiver_states(severities: Mapping[str, Collection[str]], deliveries: Iterable[Delivery]) -> list[ReceiverState]:
    """How it stands with receivers, by name, to whom these are under way."""
    problems = defaultdict(list)
    for delivery in deliveries:
        problems[delivery.sender].append(delivery.problem)
    return [
        ReceiverState(name, sorted(its), len(problems[name]), next(filter(None, problems[name]), ""))
        for name, its in severities.items()
    ]
