"""What a wrong name was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

__all__ = ["nearest"]


def nearest(wrong: str, known: Mapping[str, str]) -> str:
    """The end of a message about `wrong`.  `known`: names that there are, and how they are written in full."""
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f"; did you mean {known[close[0]]!r}?" if close else f"; known here are {', '.join(sorted(known.values()))}"
