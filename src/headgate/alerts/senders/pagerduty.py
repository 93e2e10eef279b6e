"""An incident of PagerDuty, through its Events API v2: one for each alert, which ends when the alert does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import msgspec

from headgate.alerts.notification import Notification
from headgate.alerts.rule import Severity
from headgate.alerts.senders.receiver import Receiver
from headgate.alerts.senders.words import body_lines, cut, headline, one_line
from headgate.clock import utc
from headgate.secret import Secret

__all__ = ["EVENTS_URL", "PagerDuty"]

EVENTS_URL = "https://events.pagerduty.com/v2/enqueue"
MOST_SUMMARY, MOST_KEY = 1_024, 255
"""Characters (the API's limits)."""
SEVERITIES: dict[Severity, str] = {"page": "critical", "ticket": "warning", "info": "info", "none": "info"}

Action = Literal["trigger", "acknowledge", "resolve"]
_ACTIONS: dict[str, tuple[Action, ...]] = {
    "firing": ("trigger",),
    "repeat": ("trigger",),
    "acknowledged": ("acknowledge",),
    "resolved": ("resolve",),
    "test": ("trigger", "resolve"),
}


@dataclass(frozen=True, slots=True)
class PagerDuty:
    kind: ClassVar[str] = "pagerduty"
    name: str
    severities: frozenset[Severity]
    receiver: Receiver
    routing_key: Secret

    async def send(self, notification: Notification) -> None:
        for action in _ACTIONS[notification.kind]:
            await self.receiver.give(msgspec.json.encode(event(notification, action, self.routing_key)))


def event(told: Notification, action: Action, routing_key: Secret) -> dict[str, Any]:
    """The API takes it any number of times: `dedup_key` says that it is the same incident."""
    about = {"routing_key": routing_key.reveal(), "event_action": action, "dedup_key": cut(told.key, MOST_KEY)}
    if action != "trigger":
        return about
    return about | {
        "client": "Headgate",
        "payload": {
            "summary": cut(headline(told), MOST_SUMMARY),
            "source": one_line(told.instance) or "headgate",
            "severity": SEVERITIES[told.severity],
            "timestamp": utc(told.started_ms).isoformat(timespec="milliseconds"),
            "component": "headgate",
            "class": told.rule,
            "custom_details": {"labels": told.labels, "value": told.value, "text": list(body_lines(told))},
        },
    }
