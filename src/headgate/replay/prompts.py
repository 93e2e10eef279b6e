"""Prompts as an application would send them that marks its prompts for Claude's cache (claude-api.md §9).

What is always sent together becomes one content block: a block ends where two prompts of the workload part, or where
one of them ends.  Of the borders behind which several prompts share all that stands before, the four that save most are
marked.  So what the API serves comes as near as it can to a cache of any block whatsoever.

Texts are as long as the simulator's tokenizer needs to count exactly the tokens that the workload says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import floor
from typing import Any, NamedTuple

from msgspec.json import encode

from headgate.load.requests import words
from headgate.load.turns import Turn
from headgate.sim.facts import FACTS, Model
from headgate.sim.request.tokenizer import MESSAGE_TOKENS, Tokenizer

__all__ = ["Part", "Prompt", "body_of", "prompts_of"]

MOST_MARKERS = FACTS.other_limits.max_cache_breakpoints
MOST_CUTS = 8
SYSTEM = -1
"""The place of what stands in the system prompt; messages count from 0."""


class Part(NamedTuple):
    """A content block.  Equal ids are equal texts after equal beginnings."""

    id: int
    place: int
    tokens: int


class Prompt(NamedTuple):
    """A prompt's parts, and after which of them there is a cache marker."""

    parts: tuple[Part, ...]
    markers: tuple[int, ...]

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self.parts)


def prompts_of(turns: Sequence[Turn], *, min_tokens: int) -> list[Prompt]:
    """The prompt of every turn.

    Args:
        min_tokens: the shortest beginning that the cache takes.
    """
    tree, cuts = _Tree(), _cuts(turns)
    paths = [tree.add(_pieces(turn, cuts)) for turn in turns]
    return [tree.prompt(path, min_tokens) for path in paths]


def body_of(turn: Turn, prompt: Prompt, model: Model, *, marked: bool, length_inside: bool = False) -> bytes:
    """The body of `POST /v1/messages`, with its cache markers if `marked`.

    Args:
        length_inside: the text asks the simulator for the answer's length, which then holds in a Message Batch and in a
            request that several calls share; it costs no token more.
    """
    last = max(part.place for part in prompt.parts)
    contents: list[list[dict[str, Any]]] = [[] for _ in range(last + 1)]
    system: list[dict[str, Any]] = []
    for number, part in enumerate(prompt.parts):
        into = system if part.place == SYSTEM else contents[part.place]
        tokens = part.tokens if into or part.place == SYSTEM else part.tokens - MESSAGE_TOKENS
        name = f"{part.id:x} "
        if length_inside and not into and part.place >= 0 and part.place % 2 == 0:
            name = f"[[sim: tokens={_answer_tokens(turn, part.place)}]] {name}"
        block = {"type": "text", "text": words(name, max(_chars(tokens, model), len(name) if length_inside else 1))}
        if marked and number in prompt.markers:
            block["cache_control"] = {"type": "ephemeral"}  # type: ignore[assignment]
        into.append(block)
    document: dict[str, Any] = {"model": model.id, "max_tokens": turn.max_tokens}
    if system:
        document["system"] = system
    document["messages"] = [
        {"role": "assistant" if place % 2 else "user", "content": content} for place, content in enumerate(contents)
    ]
    return encode(document)


def _answer_tokens(turn: Turn, place: int) -> int:
    """Of the answer to the message at `place`: that of an earlier one stands behind it."""
    if place + 1 < len(turn.messages):
        return sum(piece.tokens for piece in turn.messages[place + 1])
    return turn.output_tokens


def _chars(tokens: int, model: Model) -> int:
    """The longest ASCII text that the simulator takes for `tokens`; at least one character."""
    per_kilobyte = _COUNTS.get(model.tokenizer)
    if per_kilobyte is None:
        per_kilobyte = _COUNTS[model.tokenizer] = Tokenizer(model, lambda _: 0).text("x" * 1_000)
    chars = floor(tokens * 1_000 / per_kilobyte)
    return max(1, chars)


_COUNTS: dict[str, int] = {}
"""Tokens of a thousand bytes, by kind of tokenizer."""


def _cuts(turns: Sequence[Turn]) -> dict[str, list[int]]:
    """Where pieces of a name are cut, so that a longer one begins with the shorter ones: at the lengths that occur, the
    shortest and the most frequent of them."""
    lengths: dict[str, Counter[int]] = {}
    for turn in turns:
        for pieces in (turn.system, *turn.messages):
            for piece in pieces:
                lengths.setdefault(piece.name, Counter())[piece.tokens] += 1
    return {
        name: sorted({min(found), *(length for length, _ in found.most_common(MOST_CUTS))})
        for name, found in lengths.items()
        if len(found) > 1
    }


def _pieces(turn: Turn, cuts: Mapping[str, Sequence[int]]) -> Iterable[tuple[Hashable, int, int]]:
    """What each piece is, where it stands, and its tokens."""
    for place, pieces in enumerate((turn.system, *turn.messages), SYSTEM):
        least = 1 if place == SYSTEM else MESSAGE_TOKENS + 1  # what a message costs with a single character in it
        for name, tokens in pieces:
            begin = 0
            for end in (*(cut for cut in cuts.get(name, ()) if cut < tokens), tokens):
                yield (place, name, end), place, max(least, end - begin)
                begin, least = end, 1


class _Tree:
    """All beginnings of prompts, one node each; a prompt is a path from the root, 0."""

    def __init__(self) -> None:
        self._children: dict[tuple[int, Hashable], int] = {}
        self._of: list[tuple[int, int]] = [(SYSTEM, 0)]
        """Place and tokens of each node's own piece."""
        self._uses: Counter[int] = Counter()
        self._branches: Counter[int] = Counter()
        self._ends: set[int] = set()

    def add(self, pieces: Iterable[tuple[Hashable, int, int]]) -> list[int]:
        node = 0
        path = []
        for key, place, tokens in pieces:
            child = self._children.get((node, key))
            if child is None:
                child = self._children[node, key] = len(self._of)
                self._of.append((place, tokens))
                self._branches[node] += 1
            self._uses[child] += 1
            path.append(child)
            node = child
        self._ends.add(node)
        return path

    def prompt(self, path: list[int], min_tokens: int) -> Prompt:
        parts: list[Part] = []
        borders: list[tuple[int, int, int]] = []
        tokens = whole = 0
        for node, after in zip(path, [*path[1:], None], strict=True):
            place, size = self._of[node]
            tokens += size
            if after is None or self._of[after][0] != place or self._branches[node] > 1 or node in self._ends:
                whole += tokens
                if whole >= min_tokens and self._uses[node] > 1:
                    borders.append((len(parts), whole, self._uses[node]))
                parts.append(Part(node, place, tokens))
                tokens = 0
        return Prompt(tuple(parts), _markers(borders))


def _markers(borders: list[tuple[int, int, int]]) -> tuple[int, ...]:
    """Of the borders (part, tokens before it, prompts that share them) the four that save most.

    A prompt that parts from this one behind a border reads up to the last marked one before it.  The furthest is taken
    first, then each time the one that saves most of what is still lost.
    """
    if len(borders) <= MOST_MARKERS:
        return tuple(part for part, _, _ in borders)
    chosen = {len(borders) - 1}
    while len(chosen) < MOST_MARKERS:
        rest = [index for index in range(len(borders)) if index not in chosen]
        chosen.add(min(rest, key=lambda index: (_lost(borders, chosen | {index}), -index)))
    return tuple(borders[index][0] for index in sorted(chosen))


def _lost(borders: list[tuple[int, int, int]], chosen: set[int]) -> int:
    """Tokens that are not read, over all prompts that share a part of this one, if only `chosen` are marked."""
    lost = read = 0
    for index, (_, tokens, uses) in enumerate(borders):
        further = borders[index + 1][2] if index + 1 < len(borders) else 1
        if index in chosen:
            read = tokens
        lost += (uses - further) * (tokens - read)
    return lost
