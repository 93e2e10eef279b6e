"""Commands that show or change what matters write down who ran them, before they do it."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headgate.core.audit import Act

__all__ = ["note", "who"]


def note(
    ledger: Path,
    action: Act,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add a row to the audit trail beside `ledger`.

    Raises:
        LedgerError: it was not written, so the command must not go on.
    """
    from headgate.stores.sqlite.audit import SqliteAudit, audit_path

    at_ms = int(datetime.now(UTC).timestamp() * 1000)
    with closing(SqliteAudit(audit_path(ledger))) as audit:
        audit.add(at_ms, f"command:{who()}", action, subject, before=before, after=after)


def who() -> str:
    """Who runs this command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such name on this system
        return "unknown"
