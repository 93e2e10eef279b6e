"""The one shape of all arrivals: conversations, each a row of turns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Arrivals", "Conversation", "Piece", "Turn"]


class Piece(NamedTuple):
    """A part of a prompt: equal names hold equal text, so a prompt cache sees what a real one would."""

    name: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One call, and how long after the turn before it.

    Attributes:
        gap_s: not sooner than so many seconds after the turn before it was asked; of the first one, after the
            conversation begins.
        think_s: and not sooner than so many after its answer came.
        messages: what is said, oldest first; the user begins, and speaks last.
        system: the stable part in front.
        output_tokens: what the simulated model will say, if `max_tokens` leaves room.
    """

    messages: tuple[tuple[Piece, ...], ...]
    output_tokens: int
    max_tokens: int
    system: tuple[Piece, ...] = ()
    gap_s: float = 0.0
    think_s: float = 0.0
    workflow: str = "load"
    lane: str | None = None
    user: str | None = None
    session: str | None = None
    model: str | None = None
    """None takes the player's."""
    stream: bool | None = None
    """None takes the player's."""
    tolerance_s: float | None = None
    """How long whoever asks waits for the answer at most; None does not say."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns that follow on each other, from `at_s` on, in seconds from the start of the run.

    The turns may be made one by one, and never end.
    """

    at_s: float
    turns: Iterable[Turn]


Arrivals = Iterable[Conversation]
"""In the order of `at_s`."""
