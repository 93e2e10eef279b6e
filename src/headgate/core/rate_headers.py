"""The API's rate-limit headers (claude-api.md §8.4), read without trusting them."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from headgate.core.classify import ResponseHeaders

__all__ = ["LIMITERS", "WINDOW_S", "Reading", "read_commitment", "read_rate_headers", "told_remaining"]

LIMITERS = ("requests", "input", "output")
"""The three limiters of a pool, in the order used everywhere."""
WINDOW_S = 60.0
"""What limits are counted in.  Nothing takes longer to refill, unless it is a debt."""

_ROUNDING = 500.0
"""Token counts are rounded to the nearest thousand: the truth may be this much above or below."""


class Reading(NamedTuple):
    """What one limiter's headers said.  None: not said, or nonsense."""

    limit: int | None
    remaining: float | None
    """The most that can be left, rounding considered."""
    missing: float | None = None
    """From a full bucket, however deep it is: `limit - remaining`, which is all that the headers tell exactly.  The
    truth is at most `slack` away, except that of a debt no more than the limit is told."""
    slack: float = 0.5
    full_in_s: float | None = None
    """Until the bucket is full, give or take a second: read from `-reset` only where nothing better is said."""


_STANDARD = tuple(
    (name + b"-limit", name + b"-remaining", name + b"-reset", rounding)
    for name, rounding in (
        (b"anthropic-ratelimit-requests", 0.0),
        (b"anthropic-ratelimit-input-tokens", _ROUNDING),
        (b"anthropic-ratelimit-output-tokens", _ROUNDING),
    )
)
_FAST = (
    _STANDARD[0],
    *(
        (name + b"-limit", name + b"-remaining", name + b"-reset", _ROUNDING)
        for name in (b"anthropic-fast-input-tokens", b"anthropic-fast-output-tokens")
    ),
)

_COMMITMENT = tuple(
    (name + b"-limit", name + b"-remaining", name + b"-reset", _ROUNDING)
    for name in (b"anthropic-priority-input-tokens", b"anthropic-priority-output-tokens")
)


def read_rate_headers(headers: ResponseHeaders, *, fast: bool = False) -> tuple[Reading, Reading, Reading]:
    """Requests, input and output, from the header set of standard or of fast mode."""
    requests, input_, output = [
        _reading(headers, limit, remaining, reset, rounding)
        for limit, remaining, reset, rounding in (_FAST if fast else _STANDARD)
    ]
    return requests, input_, output


_LEFT = re.compile(rb"\r\nanthropic-(ratelimit-requests|ratelimit-input|ratelimit-output|fast-input|fast-output)"
                   rb"(?:-tokens)?-remaining: *([0-9]{1,15}) *\r")  # fmt: skip
_LIMITER = {
    b"ratelimit-requests": "requests", b"ratelimit-input": "input", b"ratelimit-output": "output",
    b"fast-input": "fast_input", b"fast-output": "fast_output",
}  # fmt: skip


def told_remaining(lines: bytes) -> dict[str, int]:
    """What the API said is left, by limiter, as it said it; of what made no sense nothing.

    Args:
        lines: of the headers, each between line breaks, names in lower case.
    """
    return {_LIMITER[name]: int(count) for name, count in _LEFT.findall(lines)}


def read_commitment(headers: ResponseHeaders) -> tuple[Reading, Reading] | None:
    """Input and output of a Priority Tier commitment, if the answer tells of one.  It is no limit to keep to: what goes
    beyond it is served at the standard tier, and counts with the ordinary limits all the same (§8.1, §8.4)."""
    if headers.get(_COMMITMENT[0][0]) is None:
        return None
    input_, output = [_reading(headers, *names) for names in _COMMITMENT]
    return input_, output


def _count(value: bytes | None) -> int | None:
    if value is None or not value.isdigit() or len(value) > 15:
        return None
    return int(value)


def _reading(
    headers: ResponseHeaders, limit_name: bytes, remaining_name: bytes, reset_name: bytes, rounding: float
) -> Reading:
    limit, remaining = _count(headers.get(limit_name)), _count(headers.get(remaining_name))
    if remaining is None:
        return Reading(limit, None, full_in_s=_full_in_s(headers, reset_name))
    if limit is None:
        return Reading(None, remaining + rounding)
    if remaining > limit:
        return Reading(limit, remaining + rounding)
    if rounding:
        # What is full is not more than full, however it was rounded.
        return Reading(limit, min(remaining + rounding, float(limit)), float(limit - remaining), rounding)
    # Requests come back continuously and are told in whole ones: up to one more may be left.
    return Reading(limit, float(remaining), limit - remaining - 0.5, 0.5)


def _full_in_s(headers: ResponseHeaders, name: bytes) -> float | None:
    """By the API's own clock, which its `Date` tells: ours may be off.  At most one window."""
    reset, date = headers.get(name), headers.get(b"date")
    if reset is None or date is None:
        return None
    try:
        at = datetime.fromisoformat(reset.decode("ascii"))
        seconds = (at - parsedate_to_datetime(date.decode("ascii"))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), WINDOW_S)
