"""What the telemetry file knows of where operators come from."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

__all__ = ["note_addresses"]

KEPT_MS = 90 * 86_400_000
"""Who has not come for longer is new again."""


def note_addresses(db: apsw.Connection, addresses: Iterable[str], now_ms: int) -> list[str]:
    """Remember them; those that were not known."""
    db.execute("DELETE FROM admin_addresses WHERE seen_ms < ?", (now_ms - KEPT_MS,))
    new = []
    for address in sorted(addresses):
        db.execute("UPDATE admin_addresses SET seen_ms = max(seen_ms, ?) WHERE address = ?", (now_ms, address))
        if not db.changes():
            db.execute("INSERT INTO admin_addresses VALUES (?, ?)", (address, now_ms))
            new.append(address)
    return new
