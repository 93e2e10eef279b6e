"""Who bears what of a request that several calls share.  Pure; all in whole numbers that add up exactly."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.usage import Usage

__all__ = ["apportioned", "usage_shares"]


def apportioned(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts as `weights` are to each other, evenly if they are all 0; of what cannot be divided those
    get one more that are furthest below their part, the first among equals."""
    whole = sum(weights)
    if whole <= 0:
        weights, whole = [1] * len(weights), len(weights)
    parts = [total * weight // whole for weight in weights]
    left = [total * weight % whole for weight in weights]
    for index in sorted(range(len(weights)), key=lambda index: (-left[index], index))[: total - sum(parts)]:
        parts[index] += 1
    return parts


def usage_shares(
    usage: Usage, request_bytes: int, own_bytes: Sequence[int], answer_bytes: Sequence[int]
) -> list[Usage]:
    """The usage of a request by its items: each one's own text, an equal part of what they have in common, and the
    output by the length of the answers.

    Args:
        request_bytes: of the whole request, by which tokens are told apart.
        own_bytes: of each item's own text, which stands at the end and is in no cache.
        answer_bytes: of each item's answer; 0 for one that did not come.
    """
    total = usage.total
    count = len(own_bytes)
    # What the prompt cache has is in common; of the rest what is not anybody's own is so too.
    uncached_bytes = request_bytes * total.input // total.prompt if total.prompt else 0
    common_bytes = max(0, uncached_bytes - sum(own_bytes))
    inputs = apportioned(total.input, [own * count + common_bytes for own in own_bytes])
    evenly = [1] * count
    reads = apportioned(total.cache_read, evenly)
    writes_5m = apportioned(total.cache_write_5m, evenly)
    writes_1h = apportioned(total.cache_write_1h, evenly)
    outputs = apportioned(total.output, answer_bytes)
    thinking = apportioned(usage.thinking, answer_bytes)
    return [
        Usage(
            inputs[index], outputs[index], reads[index], writes_5m[index], writes_1h[index], thinking[index],
            service_tier=usage.service_tier, speed=usage.speed, inference_geo=usage.inference_geo,
            anomalies=list(usage.anomalies),
        )
        for index in range(count)
    ]  # fmt: skip
