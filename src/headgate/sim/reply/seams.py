"""Blocks that no model said: where one model gives way to the next, and a summary of what was before (claude-api.md
§5.2, §12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.sim.reply.blocks import Block

__all__ = ["Compaction", "Fallback"]


@dataclass(slots=True)
class Fallback(Block):
    """The hand-over from a model that declined.  It comes complete, without deltas."""

    declined: str
    """The requested model as the caller wrote it, or the id of a fallback model."""
    serving: str
    category: str | None

    def __len__(self) -> int:
        return 0

    def opening(self) -> dict[str, Any]:
        return {
            "type": "fallback",
            "from": {"model": self.declined},
            "to": {"model": self.serving},
            "trigger": {"type": "refusal", "category": self.category},
        }


@dataclass(slots=True)
class Compaction(Block):
    """A summary.  One delta carries all of it; one that is signed comes complete, without deltas."""

    pieces: list[str]
    signature: str | None = None

    def __len__(self) -> int:
        """Its tokens, all of which come at once."""
        return len(self.pieces)

    def opening(self) -> dict[str, Any]:
        return {"type": "compaction", "content": None} if self.signature is None else self.whole()

    def deltas(self) -> Iterator[dict[str, Any]]:
        if self.signature is None:
            yield {"type": "compaction_delta", "content": "".join(self.pieces)}

    def weights(self) -> Sequence[int] | None:
        return [len(self.pieces)]

    def whole(self) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "compaction", "content": "".join(self.pieces)}
        if self.signature is not None:
            block["signature"] = self.signature
        return block
