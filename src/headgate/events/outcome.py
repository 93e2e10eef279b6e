"""How a call ends: for its caller, for a program that reads the answer, and for its row in the ledger."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["UNFIT", "Outcome", "UsageSource", "Validation"]


class Outcome(StrEnum):
    """How a call ended for its caller."""

    OK = "ok"
    """Answered."""
    CLIENT_ERROR = "client_error"
    """The request was refused as wrong or not allowed, by the API or by Headgate."""
    UPSTREAM_ERROR = "upstream_error"
    """The API failed, or could not be reached, after all that we tried."""
    TIMEOUT = "timeout"
    """Too slow, after all that we tried, or the deadline passed."""
    REFUSED = "refused"
    """The model declined (`stop_reason: refusal`)."""
    TRUNCATED = "truncated"
    """A stream ended without its closing events."""
    INVALID_OUTPUT = "invalid_output"
    """Answered, but not with JSON that fits the schema of a request for structured output."""
    RATE = "rate"
    """The upstream's rate or spend limit, after all that we tried."""
    SHED = "shed"
    """Headgate refused before anything was sent: a full lane, a wait that cannot be met."""
    CANCELLED = "cancelled"
    """The caller left."""
    INTERNAL = "internal"
    """A defect of ours."""
    CRASHED = "crashed"
    """The process died with the call under way; found in the journal afterwards."""


class UsageSource(StrEnum):
    """How far a row's token counts can be trusted."""

    VENDOR = "vendor"
    """The API's final usage."""
    OBSERVED = "observed"
    """A stream that broke: input as `message_start` said, output counted from the deltas that arrived."""
    UNKNOWN = "unknown"
    """Sent, and nothing came back that says what it cost: only `unconfirmed` money until reconciled."""
    NONE = "none"
    """Never sent, or answered by an error, which is not billed."""


class Validation(StrEnum):
    """Whether an answer was the structured output that was asked for (`output_config.format`, `strict` tools)."""

    VALID = "valid"
    """JSON that fits the schema."""
    INVALID = "invalid"
    """No JSON, or JSON that does not fit the schema."""
    TRUNCATED = "truncated"
    """Cut at `max_tokens`, or at the end of the model's context window: half a document."""
    SKIPPED = "skipped"
    """The model declined, paused, or called a tool that is not `strict`; or it was too much to be looked at."""


UNFIT = frozenset((Validation.INVALID, Validation.TRUNCATED))
"""A program that expects the structured output can do nothing with the answer."""
