"""When the rules were last evaluated, and by whom: rules that nobody evaluates are as quiet as rules that have nothing
to say."""

from __future__ import annotations

from typing import NamedTuple

from headgate.alerts.history import FINE_MS
from headgate.core.shown import age

__all__ = ["STALE_MS", "LastEvaluation"]

STALE_MS = 3 * FINE_MS
"""Rules that were not evaluated for so long are evaluated by nobody: a round was missed, and the next one too."""


class LastEvaluation(NamedTuple):
    """Of all rules, as far as one process knows."""

    here: bool
    """This process is the one that evaluates."""
    by: str = ""
    """Who did: host and port of a gateway."""
    at_ms: int | None = None
    """None: nobody ever, that is known."""
    since_ms: int = 0
    """This process watches since then; who has just begun has not missed anything."""

    def is_stale(self, now_ms: int) -> bool:
        """Nobody evaluates, so that nobody is told of anything."""
        return now_ms - max(self.at_ms or 0, self.since_ms) > STALE_MS

    def words(self, now_ms: int) -> str:
        """`evaluated 3 s ago`, or who does it, or that nobody does."""
        if self.at_ms is None:
            return "evaluated by nobody so far" if self.is_stale(now_ms) else "about to be evaluated"
        ago = f"{age(max(0, now_ms - self.at_ms) / 1000)} ago"
        if self.is_stale(now_ms):
            return f"evaluated by nobody; last {ago}, by {self.by}"
        return f"evaluated {ago}" if self.here else f"evaluated by another process, {self.by}; last {ago}"
