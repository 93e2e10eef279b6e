"""A notification, such as the evaluator makes them."""

from __future__ import annotations

from typing import Any

from headgate.alerts.notification import Notification

__all__ = ["AT_MS", "notification"]

AT_MS = 1_795_300_000_000


def notification(**changes: Any) -> Notification:
    """Of a rule that fires for one workflow, with these fields changed."""
    told: dict[str, Any] = {
        "kind": "firing",
        "key": "cached_share-0123456789abcdef",
        "rule": "cached_share",
        "alert": "HeadgateCachedShare",
        "severity": "ticket",
        "title": "The prompt cache serves less than it should",
        "text": "31 % of the prompt tokens of chat came from the cache in the last hour; 55 % is expected.",
        "means": "Each call pays for what was paid for before.",
        "details": ("prompts of chat differ from the first message on",),
        "next": "headgate cache lint",
        "runbook": "runbooks/cached_share.md",
        "labels": {"workflow": "chat"},
        "value": 0.31,
        "threshold": 0.55,
        "started_ms": AT_MS - 1_800_000,
        "at_ms": AT_MS,
        "instance": "127.0.0.1:8787",
    }
    return Notification(**(told | changes))
