"""What a plan for the prompt cache is made of, and what is remembered from one to the next (prompt_cache.py).  Pure."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import msgspec

from headgate.core.body import Ttl
from headgate.core.prefix import Border
from headgate.core.reuse import Context, Sighting

__all__ = ["Habit", "Keep", "KeptPart", "Node", "Plan", "Terms"]


class Terms(NamedTuple):
    """What a model charges for a token of input, in pico-dollars, and the shortest beginning that it caches."""

    input: float
    write_5m: float
    write_1h: float
    read: float
    least_tokens: int


class Node(msgspec.Struct, eq=False):
    """A border that was seen."""

    sighting: Sighting | None
    """The last call that went past it, while nobody has since."""
    last_s: float
    times: int = 1
    until_s: float = -inf
    """Until when the cache holds it, as far as we know."""
    ttl: Ttl = "5m"
    habit: Habit | None = None
    """What was done for the last prompt of which nothing more was known."""


class Habit(NamedTuple):
    """What is done for all prompts of one kind for a moment: many a second are not pondered one by one."""

    until_s: float
    fresh: int
    """Borders of these prompts that are new."""
    growth: int
    markers: tuple[tuple[int, Ttl], ...]


class KeptPart(NamedTuple):
    """A part of a prompt that may be kept alive, up to where an entry of the cache may end."""

    context: Context
    tokens: float
    node: Node
    border: Border


class Keep(NamedTuple):
    """A prompt of which the beginning may be worth keeping alive by a request of its own."""

    node: Node
    """The end of what was marked."""
    parts: tuple[KeptPart, ...]
    terms: Terms


class Plan(msgspec.Struct, eq=False):
    """Where one prompt is marked."""

    terms: Terms
    fills: bool = False
    """It is asked for no answer but that the cache holds it, so all that it costs is added."""
    markers: list[tuple[Border, Ttl]] = []
    """In the prompt's order."""
    to_read: list[Node] = []
    written: list[Node] = []
    renewed: list[tuple[Node, float]] = []
    """What a request that fills the cache reads, and until when that lived before."""
    keep: Keep | None = None
    staked: float = 0.0
