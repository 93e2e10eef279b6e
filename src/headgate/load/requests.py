"""A turn as a request: words for its pieces, and the JSON around them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from zlib import crc32

from msgspec.json import encode

from headgate.load.turns import Piece, Turn

__all__ = ["Asking", "words"]

_UNSENDABLE = re.compile(r"[^\x20-\x7e]")
"""In a header: a trace may name its tenants as it likes."""
_CORPUS_CHARS = 1 << 17
_WORDS = (
    "water", "level", "gate", "canal", "the", "of", "a", "and", "to", "in", "report", "shift", "pump", "valve",
    "measure", "flow", "rate", "upper", "lower", "basin", "morning", "evening", "check", "record", "value", "limit",
    "open", "close", "slow", "fast", "season", "keeper", "field", "farm", "dry", "wet", "river", "channel",
)  # fmt: skip


def _corpus() -> str:
    rng = Random(20261121)  # noqa: S311  # words, not secrets
    words: list[str] = []
    chars = 0
    while chars < _CORPUS_CHARS:
        words.append(rng.choice(_WORDS))
        chars += len(words[-1]) + 1
    return " ".join(words)


_CORPUS = _corpus()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What turns do not say themselves.

    Attributes:
        directive: asks the simulator for exactly the answer's length, by `x-sim`; nobody else heeds it.
        mark_stable: puts a cache marker behind the stable part of every prompt that has one.
    """

    model: str = "claude-haiku-5-5"
    stream: bool = False
    bytes_per_token: float = 3.08
    """Of the tokenizer of today's models, about: 4 by 1.3 (claude-api.md §11)."""
    directive: bool = True
    mark_stable: bool = False

    def body(self, turn: Turn) -> bytes:
        """The body of `POST /v1/messages`."""
        messages = [
            {"role": "assistant" if place % 2 else "user", "content": self._content(pieces)}
            for place, pieces in enumerate(turn.messages)
        ]
        document = {"model": turn.model or self.model, "max_tokens": turn.max_tokens, "messages": messages}
        if turn.system:
            system = self._blocks(turn.system)
            if self.mark_stable:
                system[-1]["cache_control"] = {"type": "ephemeral"}
            document["system"] = system
        if self.streams(turn):
            document["stream"] = True
        return encode(document)

    def headers(self, turn: Turn) -> list[tuple[bytes, bytes]]:
        """What goes with it, but for the credential."""
        told = [("x-headgate-workflow", turn.workflow), ("x-headgate-lane", turn.lane),
                ("x-headgate-user", turn.user), ("x-headgate-session", turn.session)]  # fmt: skip
        headers = [(name.encode(), _UNSENDABLE.sub("?", value).encode()) for name, value in told if value is not None]
        if self.directive:
            headers.append((b"x-sim", b"tokens=%d" % turn.output_tokens))
        return headers

    def streams(self, turn: Turn) -> bool:
        return self.stream if turn.stream is None else turn.stream

    def _content(self, pieces: tuple[Piece, ...]) -> object:
        return self._text(pieces[0]) if len(pieces) == 1 else self._blocks(pieces)

    def _blocks(self, pieces: tuple[Piece, ...]) -> list[dict[str, object]]:
        return [{"type": "text", "text": self._text(piece)} for piece in pieces]

    def _text(self, piece: Piece) -> str:
        """About so many tokens.  They begin with the name, so that no two texts begin alike unless they should, and a
        longer piece of a name begins as a shorter one does."""
        return words(f"{piece.name}: ", max(1, round(piece.tokens * self.bytes_per_token)))


def words(name: str, chars: int) -> str:
    """`name` and words after it, `chars` long together: equal names begin alike at any length."""
    size = chars - len(name)
    if size < 0:
        return name[:chars]
    start = crc32(name.encode()) % (_CORPUS_CHARS // 2)
    text = _CORPUS[start : start + size]
    while len(text) < size:
        text += _CORPUS[: size - len(text)]
    return name + text
