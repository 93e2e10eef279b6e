"""Under which rules a request is read: its API version, its betas, the day, and what the settings leave open."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from headgate.sim.facts import FACTS
from headgate.sim.settings import Validation

__all__ = ["API_VERSIONS", "STRICT_VERSION", "Kind", "Rules"]

API_VERSIONS = frozenset(("2023-01-01", *FACTS.api_versions))
"""§1 knows one that the facts file leaves out."""
STRICT_VERSION = "2026-10-21"
"""From this version on some things are refused altogether (§2)."""

Kind = Literal["message", "count", "batch"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one request."""

    version: str
    betas: frozenset[str]
    today: date
    kind: Kind = "message"
    settings: Validation = field(default_factory=Validation)
    continues_refusal: bool = False
    """The last turn is what was said before a refusal, and a fallback credit allows it to stand there (§5.2)."""
    summarises: bool = False
    """Nothing is answered, so a conversation may end with either's turn (§12)."""

    @property
    def strict(self) -> bool:
        """Whether the version is one that refuses what §2 lists."""
        return self.version >= STRICT_VERSION
