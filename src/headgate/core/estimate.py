"""What a call will probably use, learned from what calls like it used.

Input is what the input limit counts (cache reads are free), so a workflow whose prompt is cached soon costs little to
admit.  Output is what the workflow really produces; `max_tokens` is only a bound.  claude-api.md §8.1, §11.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from headgate.usage import Usage

__all__ = ["Estimator", "Habit", "size_of"]

BYTES_PER_TOKEN = {"claude-4.7": 2.9, "pre-4.7": 4.2}
"""Where nothing is learned yet: English JSON, by tokenizer family (claude-api.md §11: the newer makes about 30 %
more)."""
IMAGE_BYTES = 4_500
"""What a base64 image counts as: about 1,600 tokens, whatever its size in bytes."""
DOCUMENT_SHARE = 1 / 10
"""Of a base64 document: a page of a PDF is about 130 kB of base64 and makes about 4,000 tokens."""
FIRST_OUTPUT = 400.0
WEIGHT = 0.2
"""Of the newest observation: about the last ten calls decide."""
HABITS_KEPT = 4096
"""Kinds of calls remembered; the least used is forgotten.  Workflow names come from callers."""


class Habit:
    """What calls of one workflow to one model use."""

    __slots__ = ("input_per_byte", "output", "tokens_per_delta")

    def __init__(self, input_per_byte: float) -> None:
        self.input_per_byte = input_per_byte
        self.output = FIRST_OUTPUT
        self.tokens_per_delta = 1.0

    def expect(self, body_bytes: int, max_tokens: int | None) -> tuple[float, float]:
        """Input and output tokens of a call that is about to be made, as the limits count them."""
        output = self.output
        return body_bytes * self.input_per_byte, output if max_tokens is None or max_tokens > output else max_tokens

    def observe(self, body_bytes: int, usage: Usage, deltas: int | None) -> None:
        """Learn from a call that ended well.  `deltas`: content deltas of its stream, None if it was not streamed."""
        total = usage.total
        if body_bytes:
            self.input_per_byte += WEIGHT * (total.counted_input / body_bytes - self.input_per_byte)
        self.output += WEIGHT * (total.output - self.output)
        if deltas:
            self.tokens_per_delta += WEIGHT * (usage.output / deltas - self.tokens_per_delta)

    def output_of_broken_stream(self, deltas: int) -> int:
        """Output tokens of a stream of which `deltas` content deltas arrived before it broke.  A delta holds at least
        one token, and in streams that ended well it held as many as was learned."""
        return round(deltas * max(1.0, self.tokens_per_delta))


class Estimator:
    """Habits by workflow and model."""

    def __init__(self) -> None:
        self._habits: OrderedDict[tuple[str, str], Habit] = OrderedDict()

    def habit(self, workflow: str, model: str, tokenizer: str) -> Habit:
        """The habit of `workflow` with `model`; a first guess by `tokenizer` if there is none yet."""
        key = (workflow, model)
        habit = self._habits.get(key)
        if habit is None:
            habit = self._habits[key] = Habit(1.0 / BYTES_PER_TOKEN.get(tokenizer, BYTES_PER_TOKEN["claude-4.7"]))
            if len(self._habits) > HABITS_KEPT:
                self._habits.popitem(last=False)
        else:
            self._habits.move_to_end(key)
        return habit


def size_of(document: dict[str, Any], length: int) -> int:
    """The bytes of a request that make tokens: `length`, the whole body's, with every inline image and document counted
    at what it costs and not at what it weighs."""
    if length < IMAGE_BYTES:
        return length
    stack: list[Any] = [document.get("messages"), document.get("system")]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            source = value.get("source")
            if isinstance(source, dict):
                data = source.get("data")
                if source.get("type") == "base64" and isinstance(data, str):
                    length -= _overweight(value.get("type"), len(data))
                stack.append(source.get("content"))
            stack.append(value.get("content"))
    return length


def _overweight(kind: object, weight: int) -> int:
    """The bytes of base64 beyond those that make tokens."""
    if kind == "image":
        return max(0, weight - IMAGE_BYTES)
    return round(weight * (1 - DOCUMENT_SHARE)) if kind == "document" else 0
