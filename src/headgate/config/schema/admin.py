"""`[admin]`: where operators look."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.secret import Secret

__all__ = ["AdminConfig"]


@dataclass(frozen=True, kw_only=True)
class AdminConfig:
    """The listener for operators: the dashboard, its API, metrics, health."""

    host: str = "127.0.0.1"
    """Address to listen on.  Any other than a loopback address needs a token."""
    port: int = 8788
    """Port to listen on; 0 picks a free one."""
    token: Secret | None = None
    """If set, required as `Authorization: Bearer`; the dashboard asks for it once and keeps a session of eight
    hours."""
    token_file: str | None = None
    """A file whose first line is the token; readable by its owner only."""
