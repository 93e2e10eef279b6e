"""What is wrong with a description of load."""

from __future__ import annotations

from headgate.errors import HeadgateError

__all__ = ["LoadError"]


class LoadError(HeadgateError):
    """A trace, a plan or a ledger cannot be played; the message names file, line and remedy."""
