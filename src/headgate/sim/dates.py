"""Time stamps as the API writes them.  All take unix time from the injected clock; nothing asks the system."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from math import ceil

from headgate.clock import utc

__all__ = ["http_date", "next_month_utc", "rfc3339", "rfc3339_bytes"]


def rfc3339(unix_ms: int) -> str:
    """`2026-07-27T20:38:34.125Z`, for the fields of a body."""
    return utc(unix_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_bytes(unix_s: float) -> bytes:
    """`2026-07-27T20:38:34Z`, for rate-limit headers; rounded up, so that the time named is never too early."""
    return _whole_second(ceil(unix_s))


@lru_cache(maxsize=4096)
def _whole_second(unix_s: int) -> bytes:
    return utc(unix_s * 1000).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


@lru_cache(maxsize=64)
def http_date(unix_s: int) -> bytes:
    """`Sat, 21 Nov 2026 07:00:00 GMT`."""
    return format_datetime(utc(unix_s * 1000), usegmt=True).encode()


def next_month_utc(unix_ms: int) -> datetime:
    """00:00 UTC on the first of the month after `unix_ms`, when spend limits open again (claude-api.md §8.3)."""
    now = utc(unix_ms)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return datetime(year, month, 1, tzinfo=UTC)
