"""`[retry]`: when an attempt is made again."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.core.retry import RetryPolicy

__all__ = ["RetryConfig"]


@dataclass(frozen=True, kw_only=True)
class RetryConfig(RetryPolicy):
    """The one layer that retries."""

    hold_s: float = 5.0
    """A stream's opening frames are held until its content starts, so that a failure before can be retried unseen;
    at most this long."""
    buffer_mb: int = 64
    """Memory for the streams of all workflows with `stream = "buffered"`.  A stream that finds none left goes out as it
    comes."""
