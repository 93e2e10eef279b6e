"""A real Alertmanager takes our alerts, and knows when they end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from headgate.alerts.senders.build import senders_of
from headgate.clock import SystemClock
from headgate.config.schema import AlertsConfig, AlertSenderConfig
from headgate.secret import Secret
from support.alertmanager import alertmanager, needs_alertmanager
from support.notifications import notification


@needs_alertmanager
def test_alertmanager_holds_an_alert_until_it_is_resolved(tmp_path: Path):
    """What fires is there with its labels, severity and words, until the same is told to be over."""
    now_ms = time.time_ns() // 1_000_000
    with alertmanager(tmp_path) as theirs:
        settings = AlertSenderConfig(kind="alertmanager", url=Secret(f"{theirs.url}/"))
        (sender,) = senders_of(AlertsConfig(senders={"am": settings}), SystemClock())

        asyncio.run(sender.send(notification(started_ms=now_ms - 60_000, at_ms=now_ms)))
        (alert,) = theirs.until_active(1)
        asyncio.run(sender.send(notification(kind="resolved", started_ms=now_ms - 60_000, at_ms=now_ms)))
        theirs.until_active(0)

    assert alert["labels"] == {"alertname": "HeadgateCachedShare", "severity": "ticket", "workflow": "chat"}
    assert alert["annotations"]["summary"] == notification().title
    assert alert["annotations"]["runbook"] == "runbooks/cached_share.md"


@needs_alertmanager
def test_the_watchdog_ends_by_itself(tmp_path: Path):
    """It is told every five minutes; fifteen without it are the alarm."""
    now_ms = time.time_ns() // 1_000_000
    long_ago_ms = now_ms - 1_000_000
    with alertmanager(tmp_path) as theirs:
        settings = AlertSenderConfig(kind="alertmanager", url=Secret(theirs.url), severities=("none",))
        (sender,) = senders_of(AlertsConfig(senders={"am": settings}), SystemClock())

        asyncio.run(sender.send(notification(severity="none", labels={}, started_ms=long_ago_ms, at_ms=now_ms)))
        theirs.until_active(1)
        asyncio.run(sender.send(notification(severity="none", labels={}, started_ms=long_ago_ms, at_ms=long_ago_ms)))

        theirs.until_active(0)
