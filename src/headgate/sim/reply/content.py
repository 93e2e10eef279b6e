"""Text that looks like text: the same seed gives the same words.

The text is cut into pieces of at most four characters, about what a token of the newer models holds, because one piece
becomes one delta and one delta is one token (see `stream.py`).
"""

from __future__ import annotations

from random import Random

__all__ = ["fragments", "prose"]

PIECE_CHARS = 4
CORPUS_SENTENCES = 600
_SUBJECTS = (
    "The canal", "A gate", "The first reservoir", "Each channel", "The upper basin", "Every measure", "The river",
    "A careful keeper", "The lower field", "This season", "The main sluice", "A slow current", "The old survey",
    "The second weir", "Its outlet", "The night watch",
)  # fmt: skip
_VERBS = (
    "carries", "holds", "releases", "divides", "measures", "shares", "returns", "balances", "follows", "records",
    "limits", "steadies", "fills", "drains",
)  # fmt: skip
_OBJECTS = (
    "more water than it did last year", "what the fields below can use", "a third of the flow", "the evening surplus",
    "only as much as was promised", "the same share to every farm", "its level within an hour",
    "what came in overnight", "the pressure on the gates", "enough for a dry week", "the whole of the spring melt",
    "a small loss to the ground",
)  # fmt: skip
_ENDS = (
    "", "", ", so nothing is wasted", ", as the records show", " before the heat of the day", " when demand is high",
    ", which is easy to check", " without any delay",
)  # fmt: skip


def _corpus() -> tuple[list[str], list[int]]:
    """All pieces in a row, and where each sentence begins.  Built once from a fixed seed."""
    rng = Random(20261121)  # noqa: S311  # words, not secrets
    pieces: list[str] = []
    begins = []
    for number in range(CORPUS_SENTENCES):
        begins.append(len(pieces))
        words = f"{rng.choice(_SUBJECTS)} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)}{rng.choice(_ENDS)}"
        for at, word in enumerate(words.split(" ")):
            # Spaces lead, as they do in real tokens, so that any piece can be the last before a full stop.
            pieces += fragments(f" {word}" if at or number else word)
        pieces.append(".")
    return pieces, begins


def fragments(text: str) -> list[str]:
    """`text` in pieces of at most four characters."""
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]


_PIECES, _BEGINS = _corpus()


def prose(count: int, where: float, *, finished: bool = True) -> list[str]:
    """`count` pieces of text.

    Args:
        where: from 0 to 1, the place in the corpus to begin at.
        finished: whether the last piece closes the sentence.
    """
    begin = _BEGINS[int(where * len(_BEGINS)) % len(_BEGINS)]
    pieces = _PIECES[begin : begin + count]
    while len(pieces) < count:
        pieces += _PIECES[: count - len(pieces)]
    if pieces:
        pieces[0] = pieces[0].lstrip() or pieces[0]
        if finished and count > 1:
            pieces[-1] = "."
    return pieces
