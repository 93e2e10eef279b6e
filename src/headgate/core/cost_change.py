"""Why spending changed between two spans of time: more calls, more attempts a call, more tokens, dearer tokens.  Pure.

The change of each (workflow, model) is divided among its factors by the logarithmic mean (LMDI; B. W. Ang, Energy
Policy 33, 2005): the parts add up to the change, none is counted twice, and none is left over.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log
from typing import NamedTuple

__all__ = ["FACTORS", "Change", "Used", "changes"]

FACTORS = ("calls", "attempts", "tokens", "price")
"""Calls; attempts a call, which is retries; tokens an attempt; and what a token cost, which is the model and the share
that came from the prompt cache."""


class Used(NamedTuple):
    """What one workflow had of one model in a span of time."""

    workflow: str
    model: str
    calls: float
    attempts: float
    tokens: float
    """Of all kinds."""
    cached_tokens: float
    """Those read from the prompt cache, of all that were input."""
    input_tokens: float
    """All input, cached or not."""
    cost_pico: float


class Change(NamedTuple):
    """How one workflow's spending on one model changed; in pico-dollars, `after` less `before`."""

    workflow: str
    model: str
    before_pico: float
    after_pico: float
    parts: dict[str, float]
    """By factor; they add up to the change.  What was not there before, or is no more, is all calls."""
    cached_share_before: float | None
    cached_share_after: float | None

    @property
    def pico(self) -> float:
        return self.after_pico - self.before_pico

    @property
    def reason(self) -> str:
        """The factor that moved it most."""
        return max(self.parts, key=lambda factor: abs(self.parts[factor]))


def changes(before: Iterable[Used], after: Iterable[Used], *, scale: float = 1.0) -> list[Change]:
    """Every change, the largest first.

    Args:
        scale: what `before` is multiplied by, where it is a longer span than `after`.
    """
    old = {(each.workflow, each.model): each for each in before}
    new = {(each.workflow, each.model): each for each in after}
    found = []
    for key in old.keys() | new.keys():
        was, is_ = old.get(key), new.get(key)
        before_pico = was.cost_pico * scale if was else 0.0
        after_pico = is_.cost_pico if is_ else 0.0
        if abs(after_pico - before_pico) >= 1:
            parts = _parts(was, is_, scale)
            found.append(Change(*key, before_pico, after_pico, parts, _share(was), _share(is_)))
    return sorted(found, key=lambda change: (-abs(change.pico), change.workflow, change.model))


def _parts(was: Used | None, is_: Used | None, scale: float) -> dict[str, float]:
    before, after = _factors(was, scale), _factors(is_, 1.0)
    pico_before = was.cost_pico * scale if was else 0.0
    pico_after = is_.cost_pico if is_ else 0.0
    if before is None or after is None:
        return dict.fromkeys(FACTORS, 0.0) | {"calls": pico_after - pico_before}
    ratio = pico_after / pico_before
    mean = pico_before if ratio == 1 else (pico_after - pico_before) / log(ratio)
    return {name: mean * log(b / a) for name, a, b in zip(FACTORS, before, after, strict=True)}


def _factors(used: Used | None, scale: float) -> tuple[float, float, float, float] | None:
    """Whose product is the cost; None if one of them is nothing."""
    if used is None or min(used.calls, used.attempts, used.tokens, used.cost_pico) <= 0:
        return None
    return (
        used.calls * scale,
        used.attempts / used.calls,
        used.tokens / used.attempts,
        used.cost_pico / used.tokens,
    )


def _share(used: Used | None) -> float | None:
    return used.cached_tokens / used.input_tokens if used is not None and used.input_tokens else None
