"""What a plan for the prompt cache is made of, and what is remembered from one to the next (prompt_cache.py).  Pure."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from headgate.core.body import Ttl
from headgate.core.prefix import Border
from headgate.core.reuse import Context, Sighting

__all__ = ["Habit", "Keep", "Node", "Plan", "Terms"]


class Terms(NamedTuple):
    """What a model charges for a token of input, in pico-dollars, and the shortest beginning that it caches."""

    input: float
    write_5m: float
    write_1h: float
    read: float
    least_tokens: int


class Node:
    """A border that was seen."""

    __slots__ = ("habit", "last_s", "sighting", "times", "ttl", "until_s")

    def __init__(self, sighting: Sighting | None, now_s: float) -> None:
        self.sighting = sighting
        """The last call that went past it, while nobody has since."""
        self.times = 1
        self.last_s = now_s
        self.until_s = -inf
        """Until when the cache holds it, as far as we know."""
        self.ttl: Ttl = "5m"
        self.habit: Habit | None = None
        """What was done for the last prompt of which nothing more was known."""


class Habit(NamedTuple):
    """What is done for all prompts of one kind for a moment: many a second are not pondered one by one."""

    until_s: float
    fresh: int
    """Borders of these prompts that are new."""
    growth: int
    markers: tuple[tuple[int, Ttl], ...]


class Keep(NamedTuple):
    """A beginning that may be worth keeping alive by a request of its own."""

    node: Node
    border: Border
    stretches: tuple[tuple[Context, float], ...]
    """Contexts of what it consists of, and the tokens of each."""
    last_s: float
    terms: Terms

    @property
    def tokens(self) -> float:
        return sum(tokens for _, tokens in self.stretches)


class Plan:
    """Where one prompt is marked."""

    __slots__ = ("fills", "keep", "markers", "staked", "terms", "to_read", "written")

    def __init__(self, terms: Terms, *, fills: bool = False) -> None:
        self.terms = terms
        self.fills = fills
        """It is asked for no answer but that the cache holds it, so all that it costs is added."""
        self.markers: list[tuple[Border, Ttl]] = []
        """In the prompt's order."""
        self.to_read: list[Node] = []
        self.written: list[Node] = []
        self.keep: Keep | None = None
        self.staked = 0.0
