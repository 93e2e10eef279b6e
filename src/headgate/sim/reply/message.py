"""The message object of an answer, as JSON answers, streams and batch results carry it (claude-api.md §4)."""

from __future__ import annotations

from typing import Any

from headgate.sim.account.cache import CacheSplit
from headgate.sim.account.invoice import Usage
from headgate.sim.reply.answer import Answer
from headgate.sim.request.validate import Ask

__all__ = ["delta_usage", "iteration", "message_shell", "start_usage", "usage_object", "used", "whole_message"]

_DELTA_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
    "iterations",
    "fallback_credit",
)


def used(ask: Ask, split: CacheSplit, answer: Answer, output: int | None = None) -> Usage:
    """What a request uses: with its whole answer, or broken off after `output` tokens of it, which leaves out what only
    the end of a stream tells.  A cache pre-warm has no output (§9.7)."""
    whole = output is None
    if output is None:
        output = answer.output_tokens if ask.max_tokens else 0
    return Usage(
        input=split.fresh + (answer.results_read if whole else 0),
        output=output,
        cache_read=split.read,
        cache_write_5m=split.write_5m,
        cache_write_1h=split.write_1h,
        web_searches=answer.web_searches if whole else 0,
    )


def message_shell(message_id: str, ask: Ask) -> dict[str, Any]:
    """A message with nothing said yet, as `message_start` has it (§7.1)."""
    message: dict[str, Any] = {
        "model": ask.model.id,
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": None,
    }
    message.update(ask.told)
    return message


def whole_message(message_id: str, ask: Ask, answer: Answer, usage: dict[str, Any]) -> dict[str, Any]:
    """The finished message."""
    message = message_shell(message_id, ask)
    message["content"] = [block.whole() for block in answer.blocks]
    message["stop_reason"] = answer.stop_reason
    message["stop_sequence"] = answer.stop_sequence
    message["stop_details"] = answer.stop_details
    message["container"] = answer.container
    message["usage"] = usage
    return message


def _counts(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
    }


def usage_object(usage: Usage, ask: Ask, answer: Answer, tier: str) -> dict[str, Any]:
    """The `usage` of a whole answer."""
    told: dict[str, Any] = {
        **_counts(usage),
        "service_tier": tier,
        "inference_geo": _geography(ask),
        "speed": "fast" if ask.fast else "standard",
    }
    if answer.thinking_tokens:
        told["output_tokens_details"] = {"thinking_tokens": answer.thinking_tokens}
    if answer.web_searches or answer.web_fetches:
        told["server_tool_use"] = {
            "web_search_requests": answer.web_searches,
            "web_fetch_requests": answer.web_fetches,
        }
    return told


def iteration(kind: str, usage: Usage, model_id: str) -> dict[str, Any]:
    """One entry of `usage.iterations` (§4); a compaction runs on the model of the request and does not name it."""
    told = {"type": kind, "model": model_id, **_counts(usage)}
    if kind == "compaction":
        del told["model"]
    return told


def start_usage(usage: dict[str, Any], begun: Usage, later: int) -> dict[str, Any]:
    """The `usage` of `message_start`: what went in, without the `later` tokens that server tools will bring, and a
    placeholder of what will come out (§7.1)."""
    told = {name: value for name, value in usage.items() if name not in _ONLY_IN_DELTA}
    told |= _counts(begun)
    return {**told, "input_tokens": told["input_tokens"] - later, "output_tokens": min(begun.output, 1)}


_ONLY_IN_DELTA = ("iterations", "fallback_credit", "server_tool_use")


def delta_usage(usage: dict[str, Any]) -> dict[str, Any]:
    """What `message_delta` repeats of it, cumulative; the rest stands only in `message_start` (§7.1)."""
    return {name: usage[name] for name in _DELTA_USAGE if name in usage}


def _geography(ask: Ask) -> str:
    if ask.model.multipliers.inference_geo_us is None:
        return "not_available"
    return "us" if ask.us else "global"
