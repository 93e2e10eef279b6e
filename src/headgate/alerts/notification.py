"""What somebody is told of an alert, and who carries it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

import msgspec

from headgate.alerts.rule import Severity

__all__ = ["NotDelivered", "Notification", "Sender"]


class Notification(msgspec.Struct, kw_only=True, frozen=True):
    """Title, number, what it means, what to do next.  Nothing of it is text that a caller wrote, but for the names of
    workflows."""

    kind: Literal["firing", "repeat", "resolved", "test"]
    key: str
    """The same in all that is told of one alert, and of no other."""
    rule: str
    alert: str
    """The rule's name in Prometheus."""
    severity: Severity
    title: str
    text: str
    """What is measured, in one sentence."""
    means: str
    details: tuple[str, ...]
    next: str
    """The first command to run."""
    runbook: str
    """The path of its page: what `headgate alerts explain` prints."""
    labels: dict[str, str]
    value: float
    threshold: float
    started_ms: int
    """When the condition began to hold, in Unix milliseconds."""
    at_ms: int
    instance: str


class NotDelivered(Exception):
    """A receiver did not take it.

    Args:
        why: without a secret in it; it is logged and shown.
        retry_after_s: when it wants to be asked again.
        permanent: the same would be refused again, so it is not tried again.
    """

    def __init__(self, why: str, *, retry_after_s: float | None = None, permanent: bool = False) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
        self.permanent = permanent


class Sender(Protocol):
    """Carries notifications to one receiver.  May be asked for several at a time."""

    @property
    def name(self) -> str:
        """As the settings call it."""
        ...

    @property
    def severities(self) -> Collection[Severity]:
        """Those that it carries; others it is not asked for."""
        ...

    async def send(self, notification: Notification) -> None:
        """Return when the receiver has taken it.  The same may come twice; its key and kind tell.

        Raises:
            NotDelivered: it did not.  Any other exception is taken for a passing failure.
        """
        ...
