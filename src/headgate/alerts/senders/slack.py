"""A channel of Slack, through an incoming webhook.  Its address is the secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from headgate.alerts.notification import Notification
from headgate.alerts.rule import Severity
from headgate.alerts.senders.receiver import Receiver
from headgate.alerts.senders.words import body_lines, cut, headline

__all__ = ["Slack"]

MOST_HEADER, MOST_SECTION = 150, 3_000
"""Characters of a block (Slack's limits)."""


@dataclass(frozen=True, slots=True)
class Slack:
    name: str
    severities: frozenset[Severity]
    receiver: Receiver

    async def send(self, notification: Notification) -> None:
        await self.receiver.give(msgspec.json.encode(message(notification)))


def message(told: Notification) -> dict[str, Any]:
    """Blocks, and the text that stands in for them in a notice on a phone."""
    title = headline(told)
    text = cut("\n".join(escaped(line) for line in body_lines(told)), MOST_SECTION)
    return {
        "text": escaped(title),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": cut(title, MOST_HEADER), "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}},
        ],
    }


def escaped(text: str) -> str:
    """So that no name calls a channel or becomes a link: what Slack reads stands between `<` and `>`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
