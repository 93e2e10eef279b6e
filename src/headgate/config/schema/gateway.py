"""`[gateway]`: where callers come in, who they are, and how much they may send."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallerKey", "GatewayConfig"]


@dataclass(frozen=True, kw_only=True)
class CallerKey:
    """A key that callers of the gateway present.  `headgate keys new` makes one and prints what to write here."""

    name: str
    """What logs and tables call it."""
    sha256: str
    """SHA-256 of the key, in hex.  The key itself is stored nowhere."""
    workflow: str | None = None
    """If set, calls with this key belong to this workflow whatever their header says."""
    user: str | None = None
    """If set, calls with this key belong to this user."""
    session: str | None = None
    """If set, calls with this key belong to this session."""
    team: str | None = None
    """If set, calls with this key belong to this team."""
    tags: tuple[str, ...] = ()
    """Calls with this key have these tags, beside those that they bring."""
    lane: str | None = None
    """If set, calls with this key run in this lane."""
    lanes: tuple[str, ...] = ()
    """Lanes a caller may ask for by header.  Empty: all of them."""


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """The listener that speaks the Claude API to your applications."""

    host: str = "127.0.0.1"
    """Address to listen on.  Any other than a loopback address needs caller keys."""
    port: int = 8787
    """Port to listen on; 0 picks a free one."""
    keys: tuple[CallerKey, ...] = ()
    """Caller keys: `[[gateway.keys]]`.  Without any, callers on this machine may present any credential."""
    hosts: tuple[str, ...] = ()
    """Values of the Host header to serve beside the address itself, for a gateway on loopback; a gateway with
    caller keys on another address serves every name unless some are listed here."""
    public_url: str | None = None
    """How callers reach the gateway, where a proxy in front changes that: used in links that the API returns."""
    max_body_mb: int = 32
    """Largest body of a message or a token count."""
    max_batch_mb: int = 256
    """Largest body of a Message Batch."""
    max_file_mb: int = 500
    """Largest uploaded file."""
    buffered_mb: int = 1024
    """Request bodies held in memory at the same time."""
    max_connections: int = 10_000
    """Open connections from callers."""
    max_connections_per_address: int = 4_096
    """Open connections from one address."""
    head_timeout_s: float = 10.0
    """A caller must send all headers within this time."""
    body_bytes_per_s: int = 256
    """A caller that sends its body slower than this is refused."""
    stall_timeout_s: float = 60.0
    """A caller that takes no byte of its answer for this long is cut off."""
    ping_interval_s: float = 15.0
    """A stream that has been silent for this long gets a ping event."""
    drain_s: float = 30.0
    """After SIGTERM, calls under way have this long to finish."""
    unmetered_paths: tuple[str, ...] = ()
    """Path prefixes under /v1/ to pass on although their answers do not tell what they cost, such as "/v1/sessions"."""
