"""How long the answers of a workflow get, so that `max_tokens` is never lowered below what they need.  Pure."""

from __future__ import annotations

from collections import OrderedDict, deque

__all__ = ["Outputs"]

KEPT = 200
KNOWN_AFTER = 20
MARGIN = 1.5
"""On top of the longest of the last answers."""
LEAST = 256
WORKFLOWS_KEPT = 4096


class Outputs:
    """The last answers of each workflow with each model."""

    def __init__(self) -> None:
        self._by: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()

    def observe(self, workflow: str, model: str, tokens: int, *, cut: bool = False) -> None:
        """An answer is whole, or was `cut` at `max_tokens`: then it would have been longer."""
        key = (workflow, model)
        kept = self._by.get(key)
        if kept is None:
            kept = self._by[key] = deque(maxlen=KEPT)
            if len(self._by) > WORKFLOWS_KEPT:
                self._by.popitem(last=False)
        kept.append(2 * tokens if cut else tokens)

    def needed(self, workflow: str, model: str) -> int | None:
        """What is enough for nearly every answer; None: too little is known."""
        kept = self._by.get((workflow, model))
        if kept is None or len(kept) < KNOWN_AFTER:
            return None
        self._by.move_to_end((workflow, model))
        return max(LEAST, int(max(kept) * MARGIN))
