"""How far `max_tokens` of a call are lowered to what strict budgets have left.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.core.call_hold import Size
from headgate.core.grants import Account, Hold

__all__ = ["ENOUGH_TOKENS", "affordable", "for_thinking", "some_tokens"]

LEAVES = 4
"""Where `max_tokens` has to be lowered, a call takes a quarter of what is left at most, unless it needs more: others
want to go on too."""
ENOUGH_TOKENS = 4_096
"""Where nothing is known of a workflow's answers, so many are taken to be enough before a call is refused."""
SOME_TOKENS = 1_024
"""Where there is not even money for so many, fewer: else a small budget would never let a first call through, and
nothing would ever be known."""
LEAST_ANSWER = 256
"""Beside what is for thinking."""


def affordable(
    hold: Hold, wanted: Mapping[Account, int], size: Size | None, need: int, enough: int | None = None
) -> int | None:
    """The `max_tokens` with which an attempt fits into its strict budgets; None: with none that its answer may need.

    Args:
        need: tokens without which it is not worth while.
        enough: that it gets if there are so many; the same unless told.
    """
    if size is None or need >= size.max_tokens or not size.output_rate:
        return None
    tokens = size.max_tokens
    for account, amount in wanted.items():
        if account.budget.strict:
            over = amount - hold.parts.get(account, 0) - account.rest
            if over > 0:
                tokens = min(tokens, size.max_tokens - -(-over // size.output_rate))
    if tokens < need or tokens == size.max_tokens:
        return None
    return max(min(enough or need, tokens), tokens // LEAVES)


def some_tokens(document: Mapping[str, Any] | None) -> int:
    """Tokens that are worth while although nothing is known of answers."""
    return max(SOME_TOKENS, for_thinking(document))


def for_thinking(document: Mapping[str, Any] | None) -> int:
    """The least `max_tokens` that the API takes beside what is for thinking."""
    thinking = (document or {}).get("thinking")
    budget_tokens = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return budget_tokens + LEAST_ANSWER if isinstance(budget_tokens, int) else 0
