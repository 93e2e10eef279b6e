"""How many tokens prompts really had, so that a strict budget holds no more for them than they can have.  Pure.

The bytes of a prompt allow for several times as many tokens as it has.  Two things tell better: the same request was
answered before; and the API counted the prompt, in which case the most by which its counts were ever passed here is
what it can be wrong by (it calls them estimates, claude-api.md §11).
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from math import ceil

__all__ = ["PromptSizes"]

REQUESTS_KEPT = 4_096
KINDS_KEPT = 1_024
SURE_AFTER = 3
"""Counts that were compared with the truth, until when a tenth and a little more is added to one."""
UNSURE, UNSURE_TOKENS = 1.1, 256


class PromptSizes:
    """Of the last requests, and of counts by workflow and model."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, int] = OrderedDict()
        self._counts: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def observe(self, workflow: str, model: str, body: bytes, prompt_tokens: int, counted: int | None) -> None:
        """The prompt of `body` had so many tokens, whether cached or not; the API had counted so many."""
        self._known[_digest(model, body)] = prompt_tokens
        if len(self._known) > REQUESTS_KEPT:
            self._known.popitem(last=False)
        if counted:
            times, most = self._counts.pop((workflow, model), (0, 1.0))
            self._counts[workflow, model] = times + 1, max(most, prompt_tokens / counted)
            if len(self._counts) > KINDS_KEPT:
                self._counts.popitem(last=False)

    def most(self, workflow: str, model: str, body: bytes, counted: int | None) -> int | None:
        """The most tokens that the prompt of `body` can have; None: nothing but its bytes bounds it."""
        known = self._known.get(_digest(model, body))
        if known is not None:
            return known
        if counted is None:
            return None
        times, most = self._counts.get((workflow, model), (0, 1.0))
        if times < SURE_AFTER:
            return ceil(counted * max(most, UNSURE)) + UNSURE_TOKENS
        return ceil(counted * most)


def _digest(model: str, body: bytes) -> bytes:
    return blake2b(body, key=model.encode()[:64], digest_size=16).digest()
