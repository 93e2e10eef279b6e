"""The conversation as the model gets it: after summaries have taken the place of what they summarise, and after what
context editing clears (claude-api.md §12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headgate.sim.request.compaction import COMPACT_BETAS, Compaction, asked_for, compacted
from headgate.sim.request.edits import apply_edits, check_edits
from headgate.sim.request.rules import Rules

__all__ = ["Management"]

Body = dict[str, Any]


@dataclass(slots=True)
class Management:
    """What a request wants done to its conversation, and what came of it."""

    edits: list[Body] | None
    """None where no `context_management` was asked for."""
    compaction: Compaction | None
    original_tokens: int = 0
    """Of the prompt before anything was cleared."""
    applied_edits: list[Body] | None = None

    @classmethod
    def of(cls, body: Body, rules: Rules, most_tools: int) -> Management | None:
        """The management that a validated request asks for, or that what it sends back needs; None for neither.

        Raises:
            ApiError: 400 for management that cannot be.
        """
        wanted = body.get("context_management")
        if wanted is None and body.get("compaction") is None and rules.betas.isdisjoint(COMPACT_BETAS):
            return None
        edits = None if wanted is None else check_edits(wanted)
        compaction = None if rules.kind == "count" else asked_for(body, edits or [], most_tools)
        return cls(edits, compaction)

    def compact(self, body: Body, seed: bytes) -> Body:
        """`body` with the latest summary in place of all that stood before it."""
        return compacted(body, seed)

    def edit(self, body: Body, count: Callable[[Body], int]) -> Body:
        """`body` without what the edits clear."""
        if self.edits is not None:
            self.original_tokens = count(body)
            body, self.applied_edits = apply_edits(body, self.edits, count, self.original_tokens)
        return body
