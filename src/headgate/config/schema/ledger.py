"""`[ledger]`: where calls and money are written down."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LedgerConfig"]


@dataclass(frozen=True, kw_only=True)
class LedgerConfig:
    """Where every call is recorded."""

    path: str = "~/.local/state/headgate/ledger.db"
    """The SQLite file.  A journal folder stands beside it."""
    commit_interval_s: float = 0.05
    """Rows are committed together this often.  They are safe from a crash of the process before that, in the
    journal."""
    max_backlog_mb: int = 256
    """Rows waiting to be committed, in the journal.  Beyond it new calls are refused: what is not recorded must not be
    spent."""
