"""Read usage from the API's answers without trusting them (claude-api.md §4, §7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from headgate.usage import Iteration, Usage

__all__ = ["PlainUsage", "merge_delta", "read_usage"]

MAX_TOKENS = 1 << 26
"""A count above this is no count: a context of a million tokens is 2^20.  What so many cost fits 64 bits."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]


def read_usage(raw: Any) -> Usage:
    """The usage of a whole message, or of `message_start`."""
    usage = _read_counts(raw)
    if isinstance(raw, Mapping):
        _read_iterations(usage, raw)
    return usage


def _read_counts(raw: Any) -> Usage:
    usage = Usage()
    if not isinstance(raw, Mapping):
        usage.anomalies.append("usage")
        return usage
    usage.input = _needed(raw, "input_tokens", 0, usage)
    usage.output = _needed(raw, "output_tokens", 0, usage)
    usage.cache_read = _count(raw, "cache_read_input_tokens", 0, usage)
    written = _count(raw, "cache_creation_input_tokens", 0, usage)
    split = _table(raw, "cache_creation", usage)
    if split is not None:
        hour = _count(split, "ephemeral_1h_input_tokens", 0, usage)
        five = _count(split, "ephemeral_5m_input_tokens", 0, usage)
        if five + hour != written:
            usage.anomalies.append("cache_creation")
        usage.cache_write_1h = min(hour, written)
    usage.cache_write_5m = written - usage.cache_write_1h
    for name in ("service_tier", "speed", "inference_geo"):
        value = raw.get(name)
        if isinstance(value, str):
            setattr(usage, name, value)
        elif value is not None:
            usage.anomalies.append(name)
    _read_details(usage, raw)
    return usage


class _Split(msgspec.Struct):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class PlainUsage(msgspec.Struct, forbid_unknown_fields=True):
    """The usage that nearly every answer has, with nothing in it to doubt.  Decoding anything else fails, and then
    `read_usage` looks at it field by field."""

    input_tokens: Count
    output_tokens: Count
    cache_creation_input_tokens: Count | None = 0
    cache_read_input_tokens: Count | None = 0
    cache_creation: _Split | None = None
    service_tier: str | None = None
    inference_geo: str | None = None

    def read(self) -> Usage:
        written = self.cache_creation_input_tokens or 0
        split = self.cache_creation
        if split is None:
            five, hour = written, 0
        else:
            five, hour = split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens
        usage = Usage(
            self.input_tokens, self.output_tokens, self.cache_read_input_tokens or 0, five, hour,
            service_tier=self.service_tier, inference_geo=self.inference_geo,
        )  # fmt: skip
        if five + hour != written:
            usage.cache_write_5m, usage.cache_write_1h = written - min(hour, written), min(hour, written)
            usage.anomalies.append("cache_creation")
        return usage


def merge_delta(usage: Usage, raw: Any, *, first: bool = True) -> None:
    """Take the cumulative counts of a `message_delta` into `usage`, which came from `message_start`.

    The delta has no split of cache writes by lifetime: what it adds was written by a server-tool loop, which writes for
    five minutes (§4).  A count that falls is rejected: totals do not shrink.  The output is always in it: what
    `message_start` said of that is only a placeholder, which the `first` delta may undercut.
    """
    if not isinstance(raw, Mapping):
        usage.anomalies.append("usage")
        return
    output = _needed(raw, "output_tokens", usage.output, usage)
    if output < usage.output and not (first and usage.output <= _START_OUTPUT):
        usage.anomalies.append("output_tokens:fell")
    else:
        usage.output = output
    usage.input = _rising(raw, "input_tokens", usage.input, usage)
    usage.cache_read = _rising(raw, "cache_read_input_tokens", usage.cache_read, usage)
    written = usage.cache_write_5m + usage.cache_write_1h
    usage.cache_write_5m += _rising(raw, "cache_creation_input_tokens", written, usage) - written
    _read_details(usage, raw)
    _read_iterations(usage, raw)


_START_OUTPUT = 8
"""`message_start` carries a small placeholder (1 to a few) that an empty answer may undercut."""


def _read_details(usage: Usage, raw: Mapping[str, Any]) -> None:
    details = _table(raw, "output_tokens_details", usage)
    if details is not None:
        usage.thinking = _count(details, "thinking_tokens", usage.thinking, usage)
    tools = _table(raw, "server_tool_use", usage)
    if tools is not None:
        usage.web_searches = _count(tools, "web_search_requests", usage.web_searches, usage)
        usage.web_fetches = _count(tools, "web_fetch_requests", usage.web_fetches, usage)
        usage.code_executions = _count(tools, "code_execution_requests", usage.code_executions, usage)


def _read_iterations(usage: Usage, raw: Mapping[str, Any]) -> None:
    iterations = raw.get("iterations")
    if isinstance(iterations, list):
        usage.iterations = []
        for entry in iterations:
            part = _read_counts(entry)
            model = entry.get("model") if isinstance(entry, Mapping) else None
            kind = entry.get("type") if isinstance(entry, Mapping) else None
            usage.anomalies += part.anomalies
            usage.iterations.append(Iteration(str(kind), model if isinstance(model, str) else None, part))
    elif iterations is not None:
        usage.anomalies.append("iterations")


def _table(raw: Mapping[str, Any], key: str, usage: Usage) -> Mapping[str, Any] | None:
    """What is counted under `key`, where the answer has it."""
    value = raw.get(key)
    if value is None or isinstance(value, Mapping):
        return value
    usage.anomalies.append(key)
    return None


def _needed(raw: Mapping[str, Any], key: str, otherwise: int, usage: Usage) -> int:
    """A count that every answer has."""
    if raw.get(key) is None:
        usage.anomalies.append(key)
        return otherwise
    return _count(raw, key, otherwise, usage)


def _rising(raw: Mapping[str, Any], key: str, before: int, usage: Usage) -> int:
    """A total that was `before`."""
    value = _count(raw, key, before, usage)
    if value < before:
        usage.anomalies.append(f"{key}:fell")
        return before
    return value


def _count(raw: Mapping[str, Any], key: str, otherwise: int, usage: Usage) -> int:
    value = raw.get(key)
    if value is None:
        return otherwise
    if type(value) is int and 0 <= value <= MAX_TOKENS:
        return value
    usage.anomalies.append(key)
    return otherwise
