"""The kinds of limiters there are: what each counts, and over how long (claude-api.md §8.1, §8.5)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

__all__ = ["GROUP_TYPES", "LIMITER_TYPES", "STORED_ONLY", "LimiterType", "Measure"]

DAY_S = 86_400.0


class Measure(IntEnum):
    """What a limiter counts; those from `OUTPUT` on are charged for output too."""

    REQUESTS = 0
    COUNTED_INPUT = 1
    """Fresh and written tokens (§8.1)."""
    ALL_INPUT = 2
    """Those and what is read from the cache."""
    OUTPUT = 3
    TOKENS = 4
    """Counted input and output together."""


class LimiterType(NamedTuple):
    """A limiter type of the Rate Limits API."""

    name: str
    """As errors and books call it."""
    unit: str
    measure: Measure
    speeds: tuple[bool, ...] = (False,)
    """Whether it limits standard traffic (False), fast mode (True), or both."""
    period_s: float = 60.0


LIMITER_TYPES = {
    "requests_per_minute": LimiterType("requests", "requests", Measure.REQUESTS, (False, True)),
    "input_tokens_per_minute": LimiterType("all_input_tokens", "input tokens", Measure.ALL_INPUT),
    "input_tokens_per_minute_cache_aware": LimiterType("input_tokens", "input tokens", Measure.COUNTED_INPUT),
    "output_tokens_per_minute": LimiterType("output_tokens", "output tokens", Measure.OUTPUT),
    "tokens_per_minute": LimiterType("tokens", "tokens", Measure.TOKENS),
    "tokens_per_day": LimiterType("daily_tokens", "tokens", Measure.TOKENS, period_s=DAY_S),
    "fast_itpmca": LimiterType("fast_input_tokens", "fast input tokens", Measure.COUNTED_INPUT, (True,)),
    "fast_otpm": LimiterType("fast_output_tokens", "fast output tokens", Measure.OUTPUT, (True,)),
}
"""Those that limit messages."""

STORED_ONLY = frozenset({"tool_uses_per_second"})
"""Can be set for a workspace too, and limits nothing here."""

GROUP_TYPES = ("model_group", "batch", "token_count", "files", "skills", "web_search")
"""What a rate-limit group can be: a pool of models, or one part of the API."""
