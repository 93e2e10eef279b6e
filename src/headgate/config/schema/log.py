"""`[log]`: the log, and what it keeps of texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LogConfig"]


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """JSON lines of calls, of their attempts, and of what else happens."""

    path: str = "-"
    """A file, or "-" for standard output, or "off"."""
    attempts: Literal["needed", "all"] = "needed"
    """Which attempts have a line of their own.  `needed`: those of calls that took several, or whose only one failed;
    of the others the call's line says it.  `all`: also what the API told of its limits with each answer."""
    content: Literal["off", "hashed", "scrubbed", "full"] = "off"
    """What is kept of the text of requests and answers.  `hashed`: a digest of each in the log line; equal texts have
    equal digests, and who knows a text can recognise it.  `scrubbed`: also the text, in `content.db` beside the ledger,
    without the personal data and secrets that are found in it.  `full`: the text as it is; leave that unless you must.
    The log line itself never holds text."""
    content_chars: int = 4000
    """Longest text kept of each."""
    keep_days: float = 30.0
    """After so many days kept text and samples are deleted, for good.  `headgate forget` deletes a user's at once."""
    presidio: str | None = None
    """A spaCy model (`en_core_web_lg`, `de_core_news_lg`) or its folder: text that is kept is also scrubbed of what
    Microsoft Presidio finds with it, which knows names and places where no word announces them.  Needs `pip install
    "headgate[pii]"` and the model (`python -m spacy download en_core_web_lg`), and is slow."""
