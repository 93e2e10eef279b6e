"""Text that looks like text: paragraphs, now and then a list or some code; the same seed gives the same words.

The text is cut into pieces of at most four characters, about what a token of the newer models holds, because one piece
becomes one delta and one delta is one token (see `stream.py`).
"""

from __future__ import annotations

from functools import cache
from random import Random

from headgate.sim.reply.phrases import LANGUAGES, Phrases

__all__ = ["fragments", "prose"]

PIECE_CHARS = 4
CORPUS_SENTENCES = 600
PARAGRAPH = (2, 6)
"""From two to six sentences."""
LIST_SHARE = 0.12
CODE_SHARE = 0.04
"""How many paragraphs are followed by a list, and how many by code."""
FENCE = "```"
_CODE = (
    "def share(flow, farms):\n    return {farm: flow / len(farms) for farm in farms}\n",
    "for gate in gates:\n    if gate.level > gate.limit:\n        gate.open(by=0.1)\n",
    "SELECT basin, avg(level) FROM readings GROUP BY basin;\n",
)


def fragments(text: str) -> list[str]:
    """`text` in pieces of at most four characters."""
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


class _Writer:
    """Fills the corpus of one language."""

    def __init__(self, phrases: Phrases) -> None:
        self.pieces: list[str] = []
        self.begins: list[int] = []
        self._phrases = phrases
        self._rng = Random(20261121)  # noqa: S311  # words, not secrets

    def write(self) -> None:
        """Paragraph after paragraph; each begins a text."""
        rng = self._rng
        sentences = 0
        while sentences < CORPUS_SENTENCES:
            length = rng.randint(*PARAGRAPH)
            for number in range(length):
                self.begins.append(len(self.pieces))
                self._sentence(first=number == 0)
            sentences += length
            roll = rng.random()
            if roll < LIST_SHARE:
                self._list()
            elif roll < LIST_SHARE + CODE_SHARE:
                self._code()
            self.pieces.append("\n\n")

    def _sentence(self, *, first: bool) -> None:
        rng, phrases = self._rng, self._phrases
        end = rng.choice(phrases.ends)
        self._words(
            f"{rng.choice(phrases.subjects)} {rng.choice(phrases.verbs)} {rng.choice(phrases.objects)}{end}", first
        )
        self.pieces.append(".")

    def _words(self, text: str, first: bool) -> None:
        # Spaces lead, as they do in real tokens, so that any piece can be the last before a full stop.
        for number, word in enumerate(text.split(" ")):
            self.pieces += fragments(word if first and number == 0 else f" {word}")

    def _list(self) -> None:
        rng, phrases = self._rng, self._phrases
        self.pieces.append("\n\n")
        self._words(rng.choice(phrases.lists), True)
        self.pieces.append(":\n\n")
        for number, item in enumerate(rng.sample(phrases.items, 3)):
            self.pieces.append("\n-" if number else "-")
            self._words(item, False)

    def _code(self) -> None:
        self.pieces += ["\n\n", FENCE, "\n", *fragments(self._rng.choice(_CODE)), FENCE]


@cache
def _corpus(language: str) -> tuple[list[str], list[int]]:
    """All pieces in a row, and where each sentence begins.  Built once from a fixed seed."""
    writer = _Writer(LANGUAGES[language])
    writer.write()
    return writer.pieces, writer.begins


def prose(count: int, where: float, *, finished: bool = True, language: str = "en") -> list[str]:
    """`count` pieces of text.

    Args:
        where: from 0 to 1, the place in the corpus to begin at.
        finished: whether the last piece closes the sentence, or the code that stands there.
    """
    corpus, begins = _corpus(language)
    begin = begins[int(where * len(begins)) % len(begins)]
    pieces = corpus[begin : begin + count]
    while len(pieces) < count:
        pieces += corpus[: count - len(pieces)]
    if pieces:
        pieces[0] = pieces[0].lstrip() or pieces[0]
        if finished and count > 1:
            _finish(pieces)
    return pieces


def _finish(pieces: list[str]) -> None:
    """Give the text an end, without changing how many pieces it has."""
    if pieces.count(FENCE) % 2:
        opened = len(pieces) - 1 - pieces[::-1].index(FENCE)
        if len(pieces) - opened >= 3:
            pieces[-2:] = ["\n", FENCE]
            return
        pieces[opened:] = ["OK.", " OK."][: len(pieces) - opened]
        return
    before = pieces[-2]
    if before == FENCE:
        pieces[-1] = "\n"
    elif before in (".", "-", "\n-"):
        pieces[-1] = " OK."
    elif before.endswith("\n\n"):
        pieces[-1] = "OK."
    elif pieces[-1] != FENCE:
        pieces[-2] = before.removesuffix(",") or ", ok"
        pieces[-1] = "."
