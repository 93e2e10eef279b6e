"""An address of your own: the notification as JSON, signed.

`x-headgate-signature: t=SECONDS,v1=HEX` is the HMAC-SHA256 of `SECONDS.BODY` by the sender's secret.  A receiver
compares it, and refuses what is older than it likes, so that nobody can make one up or send it again.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from headgate.alerts.notification import Notification
from headgate.alerts.rule import Severity
from headgate.alerts.senders.receiver import Receiver
from headgate.clock import Clock
from headgate.report.letter import Letter
from headgate.secret import Secret

__all__ = ["Webhook", "signature"]

VERSION = 1
"""Of the body's fields.  More may come; none changes its meaning."""


@dataclass(frozen=True, slots=True)
class Webhook:
    kind: ClassVar[str] = "webhook"
    name: str
    severities: frozenset[Severity]
    receiver: Receiver
    clock: Clock
    secret: Secret | None
    """None: not signed."""

    async def send(self, notification: Notification) -> None:
        body = msgspec.json.encode({"version": VERSION, **msgspec.to_builtins(notification)})
        # Repeats are news of their own; tries of one are not.
        await self._give(body, f"{notification.key}-{notification.kind}-{notification.at_ms}")

    async def post(self, letter: Letter) -> None:
        """A report's facts, with `kind` `report`."""
        facts = msgspec.Raw(letter.facts)
        await self._give(
            msgspec.json.encode({"version": VERSION, "kind": "report", "title": letter.title, "report": facts}),
            f"report-{letter.day}",
        )

    async def _give(self, body: bytes, key: str) -> None:
        headers = [("idempotency-key", key)]
        if self.secret is not None:
            headers.append(("x-headgate-signature", signature(self.secret, body, self.clock.unix_ms() // 1000)))
        await self.receiver.give(body, headers)


def signature(secret: Secret, body: bytes, at_s: int) -> str:
    digest = hmac.new(secret.reveal().encode(), b"%d.%s" % (at_s, body), hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"
