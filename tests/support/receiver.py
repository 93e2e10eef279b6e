"""Somebody who is told of alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from headgate.alerts.notification import Notification

__all__ = ["Receiver"]


@dataclass
class Receiver:
    """Takes notifications, unless it is told not to."""

    name: str = "pager"
    kind: str = "webhook"
    severities: tuple[str, ...] = ("page", "ticket", "info")
    takes_s: float = 0.0
    refuses: Callable[[float], Exception | None] = lambda now_s: None
    got: list[tuple[float, Notification]] = field(default_factory=list)
    """What it took, and at which second."""
    tries: int = 0

    @property
    def notifications(self) -> list[Notification]:
        return [notification for _, notification in self.got]

    @property
    def keys(self) -> list[str]:
        return [notification.key for notification in self.notifications]

    @property
    def kinds(self) -> list[str]:
        return [notification.kind for notification in self.notifications]

    async def send(self, notification: Notification) -> None:
        self.tries += 1
        await asyncio.sleep(self.takes_s)
        now_s = asyncio.get_running_loop().time()
        if (problem := self.refuses(now_s)) is not None:
            raise problem
        self.got.append((now_s, notification))
