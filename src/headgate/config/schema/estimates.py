"""`[estimates]`: how what a call will use is found out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EstimatesConfig"]


@dataclass(frozen=True, kw_only=True)
class EstimatesConfig:
    """How much a call will use, before it is made."""

    count_from_tokens: int = 50_000
    """A prompt estimated at so many tokens is counted by the API before it is admitted, as long as little is known of
    calls like it.  Counting is free and has a limit of its own.  0 counts none."""
