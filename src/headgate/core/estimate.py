"""What a call will probably use, learned from what calls like it used.

Input is what the input limit counts: the whole prompt, by its bytes and by what real usage said of calls like it, less
what the prompt cache will serve.  Output is what the workflow really produces; `max_tokens` is only a bound.
claude-api.md §8.1, §11.
"""

from __future__ import annotations

from collections import OrderedDict
from math import sqrt
from typing import Any, Protocol

from headgate.usage import Usage

__all__ = ["EstimateObserver", "Estimator", "Habit", "size_of", "surplus_of"]

BYTES_PER_TOKEN = {"claude-4.7": 3.1, "pre-4.7": 4.0}
"""Of text, where nothing is learned yet, by tokenizer family (claude-api.md §11: the newer makes about 30 % more).  The
bytes of UTF-8: of Chinese, a character is three of them and about one token."""
IMAGE_BYTES = 5_500
"""What an image counts as: about 1,600 tokens, whatever its size in bytes and wherever it is kept."""
DOCUMENT_SHARE = 1 / 10
"""Of a base64 document: a page of a PDF is about 67 kB of base64 and makes about 2,000 tokens."""
DOCUMENT_BYTES = 7_000
"""What a document counts as that is kept elsewhere: one page, until more is learned."""
TOOLS_BYTES = 1_200
"""What a request with tools has besides: a prompt of the API's own, of about 300 to 800 tokens (§12)."""
MESSAGE_BYTES = 12
"""What marks the beginning and the end of a turn is about four tokens."""
_ENVELOPE = 60
"""Of a request: the names and values of the fields that make no tokens."""
_FRAME = 29
"""`{"role":"user","content":""},`"""
_BACKSLASH = ord("\\")
_BLOCK = 25
"""What `{"type":"text","text":""}` adds to a turn beside its text."""
FIRST_OUTPUT = 400.0
PRIOR_BYTES = 4_000.0
"""The first guess weighs as much as a call of this size: a short call, most of which may be what the API adds to it,
says little about a long one."""
WEIGHT = 0.2
"""Of the newest observation: about the last ten calls decide."""
LEAST_TRUST = 0.05
CALIBRATED_AFTER = 3
CALIBRATED_ERROR = 0.15
"""Mean error of the last estimates, as a share of the truth, up to which they are good enough for large prompts too."""
HABITS_KEPT = 4096
"""Kinds of calls remembered; the least used is forgotten.  Workflow names come from callers."""


class Habit:
    """What calls of one workflow to one model use."""

    __slots__ = (
        "_bytes", "_of_each", "_tokens", "_variance", "counted_share", "error", "observations", "output", "read_share",
        "tokens_per_byte", "tokens_per_delta", "trust",
    )  # fmt: skip

    def __init__(self, tokens_per_byte: float, of_each: tuple[Habit, int] | None = None) -> None:
        """`of_each`: the habit of one of the calls that are asked together, and how many they are."""
        self.tokens_per_byte = tokens_per_byte
        """Of the whole prompt, whether it is cached or not."""
        self.output = FIRST_OUTPUT
        """The mean of what they produce."""
        self.counted_share = 1.0
        """The share of the prompt that the input limit counts, for who knows nothing of the prompt cache."""
        self.read_share = 0.0
        """The share of the prompt that was read from the prompt cache."""
        self.trust = 1.0
        """The share of what the prompt cache was expected to serve that it serves."""
        self.error = 0.0
        """Of the last estimates of whole prompts, on average, as a share of the truth."""
        self.tokens_per_delta = 1.0
        self.observations = 0
        self._bytes = PRIOR_BYTES
        self._tokens = PRIOR_BYTES * tokens_per_byte
        self._variance = FIRST_OUTPUT**2
        self._of_each = of_each

    @property
    def calibrated(self) -> bool:
        """Whether its estimates are known to be good."""
        return self.observations >= CALIBRATED_AFTER and self.error <= CALIBRATED_ERROR

    @property
    def spread(self) -> float:
        """Standard deviation of the output."""
        return sqrt(self._variance)

    @property
    def cached_tokens_per_byte(self) -> float:
        """Tokens that the prompt cache serves of each byte that it holds."""
        return self.tokens_per_byte * self.trust

    def expect(
        self, size: int, max_tokens: int | None, *, served: float | None = None, counted: int | None = None
    ) -> tuple[float, float]:
        """Input and output tokens of a call that is about to be made, as the limits count them.

        Args:
            size: `size_of` its body.
            served: what the prompt cache will give of it, 0 for nothing; None if nobody knows.
            counted: tokens of the whole prompt, where the API counted them.
        """
        prompt = size * self.tokens_per_byte if counted is None else counted
        input_ = prompt * self.counted_share if served is None else max(0.0, prompt - served)
        output = self.output
        return input_, output if max_tokens is None or max_tokens > output else float(max_tokens)

    def split(self, size: int, *, counted: int | None = None) -> tuple[float, float]:
        """Tokens of a call's prompt: those that are paid in full, and those that the prompt cache will give; arguments
        as for `expect`."""
        prompt = size * self.tokens_per_byte if counted is None else counted
        read = prompt * self.read_share
        return prompt - read, read

    def observe(self, size: int, usage: Usage, deltas: int | None, *, served: float | None = None) -> None:
        """Learn from a call that ended well.

        Args:
            usage: of which only what the model that was asked for used counts here.
            deltas: content deltas of its stream, None if it was not streamed.
            served: what it was expected to find in the prompt cache, as for `expect`.
        """
        total = usage.own
        prompt = total.prompt
        self.calibrate(size, prompt)
        if prompt and (total.cache_read or self.read_share):
            self.read_share += WEIGHT * (total.cache_read / prompt - self.read_share)
            if served is None:
                self.counted_share += WEIGHT * (total.counted_input / prompt - self.counted_share)
        if served:
            found = min(1.0, self.trust * total.cache_read / served)
            self.trust = max(LEAST_TRUST, self.trust + WEIGHT * (found - self.trust))
        weight = 1 / (self.observations + 1)  # the first guess counts as one
        self._learn_output(total.output, weight if weight > WEIGHT else WEIGHT)
        if self._of_each is not None:
            one, answers = self._of_each
            one._learn_output(total.output / answers, WEIGHT)
        if deltas:
            self.tokens_per_delta += WEIGHT * (usage.output / deltas - self.tokens_per_delta)

    def _learn_output(self, tokens: float, weight: float) -> None:
        off = tokens - self.output
        self.output += weight * off
        self._variance = (1 - weight) * (self._variance + weight * off * off)

    def calibrate(self, size: int, prompt_tokens: int) -> None:
        """Learn how many tokens a whole prompt of `size` has."""
        if size and prompt_tokens:
            off = abs(size * self.tokens_per_byte - prompt_tokens) / prompt_tokens
            self.observations = observations = self.observations + 1
            weight = 1 / observations
            error = self.error
            self.error = error + (weight if weight > WEIGHT else WEIGHT) * (off - error)
            bytes_, tokens = self._bytes, self._tokens
            self._bytes = bytes_ = bytes_ + (size - WEIGHT * bytes_)
            self._tokens = tokens = tokens + (prompt_tokens - WEIGHT * tokens)
            self.tokens_per_byte = tokens / bytes_

    def output_of_broken_stream(self, deltas: int) -> int:
        """Output tokens of a stream of which `deltas` content deltas arrived before it broke.  A delta holds at least
        one token, and in streams that ended well it held as many as was learned."""
        return round(deltas * max(1.0, self.tokens_per_delta))


class EstimateObserver(Protocol):
    """Is told how good estimates are.  Never raises."""

    def estimate_error(self, pool: str, expected: tuple[float, float], actual: tuple[float, float]) -> None:
        """An answer is whole: the input and output tokens it was admitted for, and those that the limits counted."""
        ...

    def prompt_counted(self, outcome: str) -> None:
        """The API was asked to count a large prompt: `counted`, `failed` or `timeout`."""
        ...


class Estimator:
    """Habits by workflow and model."""

    def __init__(self) -> None:
        self._habits: OrderedDict[tuple[str, str], Habit] = OrderedDict()

    def habit(self, workflow: str, model: str, tokenizer: str, answers: int = 1) -> Habit:
        """The habit of `workflow` with `model`; a first guess by `tokenizer` if there is none yet.  A request for
        several `answers` has a habit of its own, of which the first guess is by what is known of a single one."""
        key = (workflow if answers == 1 else f"{workflow}\n{answers}", model)
        habit = self._habits.get(key)
        if habit is None:
            if answers == 1:
                habit = Habit(1.0 / BYTES_PER_TOKEN.get(tokenizer, BYTES_PER_TOKEN["claude-4.7"]))
            else:
                one = self.habit(workflow, model, tokenizer)
                habit = Habit(one.tokens_per_byte, (one, answers))
                habit.output = one.output * answers
            self._habits[key] = habit
            if len(self._habits) > HABITS_KEPT:
                self._habits.popitem(last=False)
        else:
            self._habits.move_to_end(key)
        return habit


def size_of(document: dict[str, Any], compact: bytes) -> int:
    """The bytes of a request that make tokens, if all that is not text is put in bytes of text: without its frame, with
    what a string holds and not how JSON writes it, and with every image and document counted at what it costs and not
    at what it weighs.  `compact` is the JSON of `document` without blanks and without escapes that need not be."""
    size = len(compact) - _ENVELOPE
    if _BACKSLASH in compact:
        size -= compact.count(b"\\")
    messages = document.get("messages")
    if isinstance(messages, list):
        size -= (_FRAME - MESSAGE_BYTES) * len(messages)
        for message in messages:
            if isinstance(message, dict):
                content = message.get("content")
                if isinstance(content, list):
                    size -= _BLOCK * len(content) + surplus_of(content)
    system = document.get("system")
    if isinstance(system, list):
        size -= surplus_of(system)
    if document.get("tools"):
        size += TOOLS_BYTES
    return size if size > MESSAGE_BYTES else MESSAGE_BYTES


def surplus_of(content: list[Any]) -> int:
    """The bytes in blocks beyond those that make tokens; less than nothing for what is kept elsewhere and only named
    here."""
    surplus = 0
    stack = content
    while stack:
        deeper: list[Any] = []
        for block in stack:
            if isinstance(block, dict) and block.get("type") != "text":
                source = block.get("source")
                if isinstance(source, dict):
                    surplus += _overweight(block.get("type"), source)
                    _go_on(deeper, source.get("content"))
                _go_on(deeper, block.get("content"))
        stack = deeper
    return surplus


def _go_on(deeper: list[Any], content: Any) -> None:
    if isinstance(content, list):
        deeper += content


def _overweight(kind: object, source: dict[str, Any]) -> int:
    data = source.get("data")
    weight = len(data) if isinstance(data, str) else 0
    where = source.get("type")
    if kind == "image":
        return weight - IMAGE_BYTES
    if kind == "document" and where == "base64":
        return round(weight * (1 - DOCUMENT_SHARE))
    if kind == "document" and where in ("url", "file"):
        return -DOCUMENT_BYTES
    return 0
