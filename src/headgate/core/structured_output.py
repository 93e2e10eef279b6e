"""Whether an answer is what structured outputs promise: JSON that fits the schema of its request (claude-api.md §12).

Pure, and only a judgement: neither a call nor its answer is changed by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from headgate.core.json_schema import Steps, fits
from headgate.core.message_stream import message_of
from headgate.events import Validation

__all__ = ["Promise", "promise_of", "validation_of"]

MOST_STEPS = 500_000
"""Of a comparison with a schema: more than the longest answer takes."""

_decode = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeError)
_UNKEPT: Mapping[str, Validation] = {
    "max_tokens": Validation.TRUNCATED,
    "model_context_window_exceeded": Validation.TRUNCATED,
    "refusal": Validation.SKIPPED,
    "pause_turn": Validation.SKIPPED,
    "compaction": Validation.SKIPPED,
}
"""Stop reasons of answers that need not keep a promise (§5.1)."""


class Promise(NamedTuple):
    """What the API has promised of the answer to a request."""

    text: Any
    """The schema that its text fits; None: no promise."""
    inputs: Mapping[str, Any]
    """The schemas that the inputs of its calls of tools fit, by the name of the tool."""


def promise_of(request: Mapping[str, Any]) -> Promise | None:
    """What is promised of the answer to `request`: by `output_config.format`, and by `strict` tools.  Mostly nothing,
    which is found out at once."""
    config, tools = request.get("output_config"), request.get("tools")
    text = _schema_of(config) if config is not None else None
    inputs = _strict(tools) if tools else None
    return Promise(text, inputs or {}) if text is not None or inputs else None


def _schema_of(config: Any) -> Any:
    format_ = config.get("format") if isinstance(config, dict) else None
    return format_.get("schema") if isinstance(format_, dict) and format_.get("type") == "json_schema" else None


def _strict(tools: Any) -> dict[str, Any]:
    try:
        marked = [tool for tool in tools if "strict" in tool]
        return {tool["name"]: tool["input_schema"] for tool in marked if tool["strict"] is True}
    except (LookupError, TypeError):
        return {}  # no tools of the API's


def validation_of(
    promise: Promise, answer: bytes, *, streamed: bool, stop_reason: str | None = None, steps: Steps | None = None
) -> Validation:
    """Whether a whole answer keeps its promise.

    Args:
        answer: the Message, or all events of its stream.
        stop_reason: if it is known already; of an answer that is cut it may be all that can be read.
        steps: how many the comparison may take, with all schemas; an answer for which they are too few is skipped.
    """
    steps = steps or Steps(MOST_STEPS)
    message = _read(answer, streamed=streamed)
    stop_reason = stop_reason or _text(message.get("stop_reason"))
    if stop_reason in _UNKEPT:
        return _UNKEPT[stop_reason]
    content = message.get("content")
    blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    if not blocks and content != []:
        return Validation.SKIPPED
    verdicts = _inputs_fit(promise, blocks, steps)
    if promise.text is not None and stop_reason != "tool_use":  # what is said along with a call is not the answer yet
        verdicts.append(_text_fits(promise.text, blocks, steps))
    if False in verdicts:
        return Validation.INVALID
    return Validation.VALID if verdicts and None not in verdicts else Validation.SKIPPED


def _read(answer: bytes, *, streamed: bool) -> dict[str, Any]:
    """The Message; nothing if it cannot be read."""
    try:
        message = message_of(answer) if streamed else _decode(answer)
    except _UNREADABLE:
        return {}
    return message if isinstance(message, dict) else {}


def _inputs_fit(promise: Promise, blocks: list[dict[str, Any]], steps: Steps) -> list[bool | None]:
    calls = [
        block for block in blocks if block.get("type") == "tool_use" and _text(block.get("name")) in promise.inputs
    ]
    return [fits(call.get("input"), promise.inputs[_text(call.get("name"))], steps) for call in calls]


def _text_fits(schema: Any, blocks: list[dict[str, Any]], steps: Steps) -> bool | None:
    """The last text is the answer: before it a model may tell what it looks up."""
    texts = [_text(block.get("text")) for block in blocks if block.get("type") == "text"]
    try:
        value = _decode(texts[-1] if texts else "")
    except _UNREADABLE:
        return False
    return fits(value, schema, steps)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
