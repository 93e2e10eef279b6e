"""The API's rate-limit headers (claude-api.md §8.4), read without trusting them."""

from __future__ import annotations

from typing import NamedTuple

from headgate.core.classify import ResponseHeaders

__all__ = ["LIMITERS", "Reading", "read_rate_headers"]

LIMITERS = ("requests", "input", "output")
"""The three limiters of a pool, in the order used everywhere."""

_ROUNDING = 500.0
"""Token counts are rounded to the nearest thousand: the truth may be this much above."""


class Reading(NamedTuple):
    """What one limiter's headers said.  None: not said, or nonsense."""

    limit: int | None
    remaining: float | None
    """The most that can be left, rounding considered."""


_STANDARD = (
    (b"anthropic-ratelimit-requests-limit", b"anthropic-ratelimit-requests-remaining", 0.0),
    (b"anthropic-ratelimit-input-tokens-limit", b"anthropic-ratelimit-input-tokens-remaining", _ROUNDING),
    (b"anthropic-ratelimit-output-tokens-limit", b"anthropic-ratelimit-output-tokens-remaining", _ROUNDING),
)
_FAST = (
    _STANDARD[0],
    (b"anthropic-fast-input-tokens-limit", b"anthropic-fast-input-tokens-remaining", _ROUNDING),
    (b"anthropic-fast-output-tokens-limit", b"anthropic-fast-output-tokens-remaining", _ROUNDING),
)


def read_rate_headers(headers: ResponseHeaders, *, fast: bool = False) -> tuple[Reading, Reading, Reading]:
    """Requests, input and output, from the header set of standard or of fast mode."""
    requests, input_, output = (
        _reading(_count(headers.get(limit)), _count(headers.get(remaining)), slack)
        for limit, remaining, slack in (_FAST if fast else _STANDARD)
    )
    return requests, input_, output


def _count(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > 15:
        return None
    return int(value)


def _reading(limit: int | None, remaining: int | None, slack: float) -> Reading:
    if remaining is None:
        return Reading(limit, None)
    # What is full is not more than full, however it was rounded.
    most = remaining + slack if limit is None or remaining > limit else min(remaining + slack, float(limit))
    return Reading(limit, most)
