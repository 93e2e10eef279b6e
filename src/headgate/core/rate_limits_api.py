"""What the Rate Limits API says of an account (claude-api.md §8.5), read without trusting it.

The organisation's list and the list of one workspace's overrides are merged here into limits by pool of models.
`input_tokens_per_minute` counts cache reads and `input_tokens_per_minute_cache_aware` does not, and both may apply side
by side, so they stay apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from headgate.call import Kind

__all__ = ["Entry", "PoolFacts", "facts_by_pool", "read_page"]

MOST_ENTRIES = 10_000
_STANDARD = ("requests_per_minute", "input_tokens_per_minute_cache_aware", "output_tokens_per_minute")
_FAST = ("requests_per_minute", "fast_itpmca", "fast_otpm")
_PLAIN = "input_tokens_per_minute"
_OTHER_GROUPS = {"token_count": Kind.COUNT_TOKENS, "batch": Kind.BATCHES, "files": Kind.FILES}


class Entry(NamedTuple):
    """One group of the list: limiter type → permits."""

    type: str
    models: tuple[str, ...]
    values: dict[str, float]


class PoolFacts(NamedTuple):
    """Of one pool, a minute; None: nothing was said, so there is no such limit."""

    organisation: tuple[float | None, float | None, float | None]
    """Requests, input without cache reads, output: what response headers tell too."""
    workspace: tuple[float | None, float | None, float | None]
    """Overrides, which can only lower; headers tell nothing of them."""
    plain_input: float | None
    """Input, cache reads included: the lower of the organisation's and the workspace's."""


class _Limit(msgspec.Struct):
    type: str
    value: float | None = None


class _Group(msgspec.Struct):
    type: str = ""


class _Entry(msgspec.Struct):
    limits: list[_Limit]
    models: list[str] | None = None
    group: _Group | None = None
    group_type: str = ""
    """Until version 2026-10-21."""


class _Page(msgspec.Struct):
    data: list[_Entry]
    next_page: str | None = None


_decode: Callable[[bytes], _Page] = msgspec.json.Decoder(_Page).decode


def read_page(body: bytes) -> tuple[list[Entry], str | None]:
    """The groups of one page of either list, and the cursor of the next.

    Raises:
        ValueError: it is no such page.
    """
    try:
        page = _decode(body)
    except msgspec.DecodeError as problem:
        raise ValueError(f"it is no list of rate limits: {problem}") from None
    entries = [
        Entry(
            entry.group.type if entry.group is not None else entry.group_type,
            tuple(entry.models or ()),
            {limit.type: limit.value for limit in entry.limits if limit.value is not None and limit.value > 0},
        )
        for entry in page.data[:MOST_ENTRIES]
    ]
    return entries, page.next_page


def facts_by_pool(
    organisation: Iterable[Entry], workspace: Iterable[Entry], pool_of: Callable[[str], str]
) -> dict[str, PoolFacts]:
    """Limits by pool, `:fast` pools and those that count only requests among them.

    Args:
        workspace: its overrides; empty for the default workspace, which has none.
        pool_of: the pool of a model, by id or alias.
    """
    whole, own = _by_pool(organisation, pool_of), _by_pool(workspace, pool_of)
    facts = {}
    for pool in {**whole, **own}:
        of_all, of_ours = whole.get(pool, {}), own.get(pool, {})
        plain = [values[_PLAIN] for values in (of_all, of_ours) if _PLAIN in values]
        names = _FAST if pool.endswith(":fast") else _STANDARD
        facts[pool] = PoolFacts(_triple(of_all, names), _triple(of_ours, names), min(plain, default=None))
    return facts


def _by_pool(entries: Iterable[Entry], pool_of: Callable[[str], str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for entry in entries:
        if entry.type in _OTHER_GROUPS:
            found[_OTHER_GROUPS[entry.type]] = entry.values
        elif entry.type == "model_group":
            for pool in dict.fromkeys(map(pool_of, entry.models)):
                found[pool] = entry.values
                if not entry.values.keys().isdisjoint(_FAST[1:]):
                    found[f"{pool}:fast"] = entry.values
    return found


def _triple(values: dict[str, Any], names: tuple[str, ...]) -> tuple[float | None, float | None, float | None]:
    requests, inputs, outputs = [values.get(name) for name in names]
    return requests, inputs, outputs
