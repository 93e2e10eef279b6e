"""`[memo]`: answers that are kept to be given again."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MemoConfig"]


@dataclass(frozen=True, kw_only=True)
class MemoConfig:
    """Answers kept in memory for the workflows with `memo`, and for those whose fallbacks list `stale`."""

    max_mb: int = 64
    """Most memory for them, and for the streams on their way of which some may be kept; those take half of it at most,
    and one that finds no room is not kept.  The longest unused go first."""
    stale_max_age_s: float = 86_400.0
    """No answer older than this is given as a fallback."""
