"""What one peer, and all peers together, may use of a server."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServerLimits"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLimits:
    """Everything that a peer can make grow has a bound."""

    head_bytes: int = 64 * 1024
    """Request line and headers together; more is a 431."""
    head_timeout_s: float = 10.0
    """From the first byte of a request to the end of its headers; longer is a 408."""
    body_bytes_per_s: int = 256
    """A body that arrives slower than this, measured every `body_window_s`, is a 408."""
    body_window_s: float = 10.0
    keepalive_s: float = 75.0
    """How long an idle connection is kept."""
    write_stall_s: float = 60.0
    """A client that takes no byte for this long while we have some for it is cut off."""
    connections: int = 10_000
    connections_per_peer: int = 4_096
    buffered_bytes: int = 1024 * 1024 * 1024
    """Request bodies held in memory over all connections; a request that would pass it is a 503."""
