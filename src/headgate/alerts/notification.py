"""What somebody is told of an alert, and who carries it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

import msgspec

from headgate.alerts.rule import Severity

__all__ = ["NotDelivered", "Notification", "Sender", "trial_notification"]


class Notification(msgspec.Struct, kw_only=True, frozen=True):
    """Title, number, what it means, what to do next.  Nothing of it is text that a caller wrote, but for the names of
    workflows."""

    kind: Literal["firing", "repeat", "acknowledged", "resolved", "test"]
    """What has happened: it began, it still is, somebody has taken it, it is over; or somebody tries a receiver."""
    key: str
    """The same in all that is told of one alert, and of no other."""
    rule: str
    """The rule's id."""
    alert: str
    """The rule's name in Prometheus."""
    severity: Severity
    """`page`, `ticket`, `info` or `none`."""
    title: str
    """What is wrong, in a few words; the same for every alert of the rule."""
    text: str
    """What is measured, in one sentence; of what is over, how bad it was and from when to when."""
    means: str
    """What that is to users or to money."""
    details: tuple[str, ...]
    """What stands out, largest first, and examples that no label may hold, such as ids of calls; of one that is taken,
    by whom."""
    next: str
    """The first command to run."""
    runbook: str
    """The path of its page: what `headgate alerts explain` prints."""
    labels: dict[str, str]
    """Which of the rule's alerts it is, such as `workflow`."""
    value: float
    """What was measured, in the rule's unit: a share, seconds, dollars, a count."""
    threshold: float
    """How much is tolerated."""
    started_ms: int
    """When the condition began to hold, in Unix milliseconds."""
    at_ms: int
    """When this was made."""
    instance: str
    """The gateway that saw it: host and port."""


def trial_notification(now_ms: int, instance: str) -> Notification:
    """What a receiver gets to see whether it comes."""
    return Notification(
        kind="test",
        key=f"test-{now_ms}",
        rule="test",
        alert="HeadgateTest",
        severity="info",
        title="A test of Headgate's alerts",
        text="Somebody asked for it; nothing is wrong.",
        means="Alerts reach you here.",
        details=(),
        next="headgate alerts",
        runbook="",
        labels={},
        value=0.0,
        threshold=0.0,
        started_ms=now_ms,
        at_ms=now_ms,
        instance=instance,
    )


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
    def kind(self) -> str:
        """As the settings have it: `webhook`, `smtp` and so on."""
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
