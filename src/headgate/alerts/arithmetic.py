"""Prometheus' own arithmetic (that of version 2, promql/functions.go and quantile.go), to the last bit.

In version 3 a window leaves out its left end, which matters to a sample that lies exactly on it and to nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, inf, isnan, nan

from headgate.alerts.samples import Span

__all__ = ["divided", "extrapolation", "greatest", "histogram_quantile", "nearest"]


def extrapolation(span: Span, from_ms: int, to_ms: int) -> float:
    """By how much more a counter grew in a window than from the first to the last of at least two samples in it.

    Up to the ends of the window where a further sample would lie beyond them, else by half the distance of samples; and
    never to before the counter was zero.
    """
    to_start_s, to_end_s = (span.first_ms - from_ms) / 1000, (to_ms - span.last_ms) / 1000
    sampled_s = (span.last_ms - span.first_ms) / 1000
    between_s = sampled_s / (span.samples - 1)
    if span.gain > 0 and span.first >= 0:
        to_start_s = min(to_start_s, sampled_s * (span.first / span.gain))
    near_s = between_s * 1.1
    whole_s = sampled_s
    whole_s += to_start_s if to_start_s < near_s else between_s / 2
    whole_s += to_end_s if to_end_s < near_s else between_s / 2
    return whole_s / sampled_s


def histogram_quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float:
    """The value below which so large a share lies, each bucket taken as evenly filled.

    Args:
        buckets: upper bound, and how many lie at or below it; by bound, the last of which is infinite.
    """
    bounds = [bound for bound, _ in buckets]
    counts: list[float] = []
    for _, count in buckets:  # one instance may be scraped later than another, so that a larger bucket holds less
        counts.append(max(count, counts[-1]) if counts else count)
    last = len(bounds) - 1
    if bounds[last] != inf or last < 1 or not counts[last] > 0:
        return nan
    rank = share * counts[last]
    bucket = next((index for index in range(last) if counts[index] >= rank), last)
    if bucket == last:
        return bounds[last - 1]
    if bucket == 0 and bounds[0] <= 0:
        return bounds[0]
    start, below = (bounds[bucket - 1], counts[bucket - 1]) if bucket else (0.0, 0.0)
    return start + (bounds[bucket] - start) * divided(rank - below, counts[bucket] - below)


def nearest(value: float, step: float) -> float:
    """The multiple of `step` that is nearest."""
    per_one = 1 / step
    return floor(value * per_one + 0.5) / per_one if abs(value) < inf else value


def divided(one: float, other: float) -> float:
    if other:
        return one / other
    return nan if one == 0 or isnan(one) else inf if one > 0 else -inf


def greatest(values: Sequence[float]) -> float:
    return max((value for value in values if not isnan(value)), default=nan)
