"""Whether anybody asks the rules, and who: rules that nobody asks are as quiet as rules that have nothing to say."""

from __future__ import annotations

from typing import NamedTuple

from headgate.alerts.history import FINE_MS
from headgate.core.shown import age

__all__ = ["STALE_MS", "Asked"]

STALE_MS = 3 * FINE_MS
"""Rules that were not asked for so long are asked by nobody: a round was missed, and the next one too."""


class Asked(NamedTuple):
    """When all rules were last asked, as far as one process knows."""

    here: bool
    """This process is the one that asks."""
    by: str = ""
    """Who did: host and port of a gateway."""
    at_ms: int | None = None
    """None: nobody ever, that is known."""
    since_ms: int = 0
    """This process watches since then; who has just begun has not missed anything."""

    def is_stale(self, now_ms: int) -> bool:
        """Nobody asks, so that nobody is told of anything."""
        return now_ms - max(self.at_ms or 0, self.since_ms) > STALE_MS

    def words(self, now_ms: int) -> str:
        """`asked 3 s ago`, or who does it, or that nobody does."""
        if self.at_ms is None:
            return "asked by nobody so far" if self.is_stale(now_ms) else "about to be asked"
        ago = f"{age(max(0, now_ms - self.at_ms) / 1000)} ago"
        if self.is_stale(now_ms):
            return f"asked by nobody; last asked {ago}, by {self.by}"
        return f"asked {ago}" if self.here else f"asked by another process, {self.by}; last asked {ago}"
