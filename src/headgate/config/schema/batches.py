"""`[batches]`: calls that are answered in Message Batches."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BatchesConfig"]


@dataclass(frozen=True, kw_only=True)
class BatchesConfig:
    """How the calls of workflows with `batch = true` are answered through Message Batches.  Their callers wait on the
    line, so a call goes into a batch only if it says that it can wait: by its deadline, or by its lane's."""

    min_patience_s: float = 3600.0
    """A call with less time than this is asked at once, by itself."""
    collect_s: float = 600.0
    """Longest a call waits for others to share its batch; never longer than a tenth of the time it has."""
    max_requests: int = 10_000
    """Requests of one batch: it goes when it has so many."""
    max_mb: int = 64
    """Bytes of one batch, likewise.  The API takes 256 MB."""
    poll_s: float = 60.0
    """How often the API is asked which batches have ended: one request for all of them, and not before a twentieth of
    the time is over that the calls of one have left."""
    reserve_s: float = 600.0
    """So long before a call's time is up its batch is cancelled; what is not answered by then is asked by itself."""
