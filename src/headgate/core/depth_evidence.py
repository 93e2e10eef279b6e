"""What headers and 429s say of how deep the API's buckets are (core/depth.py), in seconds of refill.

Pure.  Limiters come in the order of `LIMITERS`; needs are requests, input tokens and output tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate.core.limiter import Limiter

__all__ = ["let_in_s", "refused_at", "told_s"]

CERTAIN = 0.9
"""A 429 with less missing than this share of what is proven is not about depth."""
AT_ONCE_S = 0.05
"""Headers of the same answer are not older."""
REFUSED_SLACKS = 4.0
"""A bound is not narrowed to less than so many roundings of what is told."""


def told_s(limiters: Sequence[Limiter], now_s: float) -> float:
    """More is missing than any single call could have left as a debt: so it was let in, and the bucket holds it.

    Output says nothing: it is charged as it is written, whether there is room or not.
    """
    requests, inputs, _ = limiters
    deepest_s = 0.0
    told = requests.told
    if told is not None and told.missing is not None and requests.told_at_s == now_s:
        deepest_s = (told.missing - told.slack) * 60 / requests.limit.upstream
    told = inputs.told
    if told is not None and told.missing is not None and inputs.told_at_s == now_s:
        least = told.missing - told.slack
        largest = inputs.largest - (now_s - inputs.largest_at_s) * inputs.refill_per_s
        if least > largest:
            deepest_s = max(deepest_s, least * 60 / inputs.limit.upstream)
    return deepest_s


def let_in_s(limiters: Sequence[Limiter], input_before: float, input_tokens: float, output_before: float) -> float:
    """A call was let in when so much was missing for certain (0: not known), and this is what its input truly was."""
    _, inputs, outputs = limiters
    deepest_s = 0.0
    if input_before > 0.0:
        deepest_s = (input_before + input_tokens) * 60 / inputs.limit.upstream
    if output_before > 0.0:
        # Any output that is left is enough.
        deepest_s = max(deepest_s, (output_before + 1.0) * 60 / outputs.limit.upstream)
    return deepest_s


def refused_at(
    limiters: Sequence[Limiter], needs: Sequence[float], proven_s: float, now_s: float
) -> tuple[Limiter | None, float, float]:
    """A call was refused, its headers are known, and its permits are still counted in our books.

    Returns:
        The limiter that most likely refused it, or None if all had room as far as is proven; how much was missing with
        the call's own need; and how coarse that is: the need of such a call, or the rounding.
    """
    refused, deepest_s, grain_s = None, 0.0, 0.0
    edge_s = proven_s * CERTAIN
    for limiter, need in zip(limiters, (needs[0], needs[1], 1.0), strict=True):
        per_s = limiter.limit.upstream / 60
        grain_s = max(grain_s, need / per_s)
        at_most = need * limiter.caution
        told = limiter.told
        missing = least = max(0.0, limiter.missing_at(now_s) - need)
        if told is not None and told.missing is not None and now_s - limiter.told_at_s <= AT_ONCE_S:
            least = max(least, told.missing - told.slack)
            # What is rounded to more than there is room for tells less than our own books.
            missing = told.missing + told.slack if told.slack < edge_s * per_s else least
        if least <= 0.0:
            continue  # it seems to have been full, and a full bucket lets anything in
        if missing + min(at_most, edge_s * per_s) >= edge_s * per_s:
            seconds = (missing + at_most) / per_s
            if seconds > deepest_s:
                refused, deepest_s = limiter, seconds
    if refused is not None and refused.told is not None:
        grain_s = max(grain_s, refused.told.slack * REFUSED_SLACKS * 60 / refused.limit.upstream)
    return refused, deepest_s, grain_s
