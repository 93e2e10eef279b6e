"""Prometheus' Alertmanager (API v2), which groups, silences and routes alerts of many programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from headgate.alerts.notification import Notification
from headgate.alerts.rule import Severity
from headgate.alerts.senders.receiver import Receiver
from headgate.alerts.senders.words import one_line
from headgate.clock import utc
from headgate.secret import Secret

__all__ = ["ALERTS_PATH", "Alertmanager"]

ALERTS_PATH = "/api/v2/alerts"
LASTS_S: dict[Severity, float] = {"none": 900.0}
"""An alert of which nothing more is heard ends by itself after so long: the watchdog soon, since it is told every five
minutes and its end is the news; others only where Headgate is gone for good, since they are told again after hours."""
OTHERS_LAST_S = 86_400.0
A_TEST_LASTS_S = 300.0


@dataclass(frozen=True, slots=True)
class Alertmanager:
    kind: ClassVar[str] = "alertmanager"
    name: str
    severities: frozenset[Severity]
    receiver: Receiver
    token: Secret | None
    """Sent as a bearer's, where a proxy in front asks for one."""

    async def send(self, notification: Notification) -> None:
        headers = [] if self.token is None else [("authorization", f"Bearer {self.token.reveal()}")]
        await self.receiver.give(msgspec.json.encode([alert(notification)]), headers)


def alert(told: Notification) -> dict[str, Any]:
    """The labels are what tells it from others, so all that is told of one alert has the same."""
    if told.kind == "resolved":
        lasts_s = 0.0
    elif told.kind == "test":
        lasts_s = A_TEST_LASTS_S
    else:
        lasts_s = LASTS_S.get(told.severity, OTHERS_LAST_S)
    return {
        "labels": {
            **{name: one_line(value) for name, value in told.labels.items()},
            "alertname": told.alert,
            "severity": told.severity,
        },
        "annotations": {
            "summary": one_line(told.title),
            "description": one_line(" ".join((told.text, told.means, *told.details))),
            "next": one_line(told.next),
            "runbook": told.runbook,
        },
        "startsAt": _stamp(told.started_ms),
        "endsAt": _stamp(told.at_ms + round(lasts_s * 1000)),
    }


def _stamp(unix_ms: int) -> str:
    return utc(unix_ms).isoformat(timespec="milliseconds")
