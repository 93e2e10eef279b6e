"""Headgate: the gate between your applications and the Claude API.

As a gateway: `headgate serve`, and point the base URL at it.  As a library:

    import anthropic, headgate

    client = anthropic.AsyncAnthropic(
        max_retries=0,
        http_client=anthropic.DefaultAsyncHttpxClient(transport=headgate.AsyncTransport()),
    )
    with headgate.context(workflow="ticket-triage", lane="interactive"):
        await client.messages.create(...)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headgate._version import __version__
from headgate.errors import (
    BadRequest,
    ConfigError,
    HeadgateError,
    LedgerError,
    NotAllowed,
    PriceError,
    Refused,
    Unavailable,
)

if TYPE_CHECKING:
    from headgate.call import StreamRestart
    from headgate.client.context import context
    from headgate.client.portal import shutdown
    from headgate.client.transport import AsyncTransport, Transport
    from headgate.config import load_config
    from headgate.engine.engine import Engine

__all__ = [
    "AsyncTransport",
    "BadRequest",
    "ConfigError",
    "Engine",
    "HeadgateError",
    "LedgerError",
    "NotAllowed",
    "PriceError",
    "Refused",
    "StreamRestart",
    "Transport",
    "Unavailable",
    "__version__",
    "context",
    "load_config",
    "shutdown",
]

_HOMES = {
    "AsyncTransport": "headgate.client.transport",
    "Engine": "headgate.engine.engine",
    "StreamRestart": "headgate.call",
    "Transport": "headgate.client.transport",
    "context": "headgate.client.context",
    "load_config": "headgate.config",
    "shutdown": "headgate.client.portal",
}


def __getattr__(name: str) -> Any:
    """Imported when first asked for: the gateway needs no HTTP client library, the library no gateway."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'headgate' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
