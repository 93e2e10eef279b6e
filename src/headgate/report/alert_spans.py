"""The alerts of a day, out of the telemetry file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw

from headgate.report.facts import AlertSpan
from headgate.stores.sqlite.alert_rows import alert_log

__all__ = ["alert_spans"]

BUSY_TIMEOUT_MS = 2_000


def alert_spans(telemetry: Path, since_ms: int, until_ms: int) -> list[AlertSpan]:
    """What fired between two instants; nothing where nobody watched, or the file cannot be read."""
    path = telemetry.expanduser()
    if not path.is_file():
        return []
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            db.set_busy_timeout(BUSY_TIMEOUT_MS)
            logged = alert_log(db, since_ms, until_ms)
    except apsw.Error:
        return []
    return [
        AlertSpan(each.rule, each.title, each.severity, dict(each.labels), each.fired_ms, each.resolved_ms)
        for each in logged
    ]
