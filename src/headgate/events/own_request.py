"""What Headgate asks the API for of its own accord."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["OWN_REQUESTS", "OwnRequest"]


class OwnRequest(StrEnum):
    """What Headgate asks the API for of its own accord, and why.  Such a request belongs to the workflow that it is
    made for and is charged to its budgets, but it is nobody's call: figures of how calls go leave it out, and its money
    is in a line of its own."""

    KEEP_ALIVE = "keep_alive"
    """It has the API read a prompt that would be dropped from the cache, and answer nothing.
    `prompt_cache.keep_alive = false` turns it off."""
    KEEP_WARM = "keep_warm"
    """It has the API keep the instructions of a workflow in the cache, and answer nothing: only in the hours of
    `keep_warm` of that workflow."""


OWN_REQUESTS = "(headgate)"
"""As which sums and metrics have them, where they are told by workflow.  No caller's workflow can be called that."""
