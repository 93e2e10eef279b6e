"""A channel of Slack, through an incoming webhook.  Its address is the secret."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from headgate.alerts.notification import Notification
from headgate.alerts.rule import Severity
from headgate.alerts.senders.receiver import Receiver
from headgate.alerts.senders.words import body_lines, cut, headline
from headgate.report.letter import Letter

__all__ = ["Slack"]

MOST_HEADER, MOST_SECTION = 150, 3_000
"""Characters of a block (Slack's limits)."""


@dataclass(frozen=True, slots=True)
class Slack:
    kind: ClassVar[str] = "slack"
    name: str
    severities: frozenset[Severity]
    receiver: Receiver

    async def send(self, notification: Notification) -> None:
        await self._say(headline(notification), body_lines(notification))

    async def post(self, letter: Letter) -> None:
        """What matters most of a report; a chat is no place for tables."""
        await self._say(letter.title, letter.brief)

    async def _say(self, title: str, lines: Iterable[str]) -> None:
        await self.receiver.give(msgspec.json.encode(message(title, lines)))


def message(title: str, lines: Iterable[str]) -> dict[str, Any]:
    """Blocks, and the text that stands in for them in a notice on a phone."""
    text = cut("\n".join(escaped(line) for line in lines), MOST_SECTION)
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
