"""Take a user out of the ledger, and leave the money in it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from headgate.stores.sqlite.ledger_file import explained, open_writer

__all__ = ["forget_in_ledger"]

_STATEMENTS = (
    # What callers named beside the user may lead to them as well.
    "UPDATE calls SET user = :name, session = iif(session IS NULL, NULL, :name), correlation_id = call_id,"
    " trace_id = NULL WHERE user = :user",
    "UPDATE batch_items SET user = :name, session = iif(session IS NULL, NULL, :name) WHERE user = :user",
    "UPDATE resources SET user = :name, session = iif(session IS NULL, NULL, :name) WHERE user = :user",
)


def forget_in_ledger(ledger: Path, user: str, name: str) -> int:
    """Call the user `name` from now on, in all rows that there are, and their sessions too; how many calls that were.

    What is overwritten is gone from the file and from its write-ahead log.

    Raises:
        LedgerError: nothing was changed.
    """
    with explained(ledger, "written"), closing(open_writer(ledger)) as db:
        db.execute("PRAGMA secure_delete = ON")
        db.execute("BEGIN IMMEDIATE")
        changed = []
        for statement in _STATEMENTS:
            db.execute(statement, {"user": user, "name": name})
            changed.append(db.changes())
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return changed[0]
