"""Chance of one answer: decided by the prompt and the seed alone, before anything is sent."""

from __future__ import annotations

from hashlib import blake2b
from math import exp
from random import Random
from statistics import NormalDist
from typing import Any

from msgspec.json import encode

__all__ = ["LENGTH", "SPEED", "THOUGHTS", "THOUGHT_LENGTH", "TTFT", "WORDS", "Dice"]

_NORMAL = NormalDist()


class Dice:
    """Chance that depends on the prompt alone: numbers from 0 to 1, by name."""

    __slots__ = ("digest",)

    def __init__(self, seed: bytes, body: dict[str, Any]) -> None:
        """Whether an answer is streamed, and where it must stop, does not change what it says up to there."""
        prompt = encode([body.get(name) for name in ("model", "tools", "system", "messages")])
        self.digest = blake2b(prompt, key=seed, digest_size=48).digest()

    def roll(self, number: int) -> float:
        """The `number`th of six; never 0 or 1."""
        chunk = self.digest[8 * number : 8 * number + 8]
        return (int.from_bytes(chunk, "big") + 0.5) / 2**64

    def more(self, name: str) -> Random:
        """As much chance as is wanted, for one purpose."""
        return Random(self.digest + name.encode())  # noqa: S311  # values, not secrets

    def tokens(self, number: int, median: float, spread: float, most: int) -> int:
        """A length from a log-normal distribution, at least 1."""
        return max(1, min(most, round(median * exp(spread * _NORMAL.inv_cdf(self.roll(number))))))


LENGTH, WORDS, THOUGHT_LENGTH, THOUGHTS, TTFT, SPEED = range(6)
"""What each roll of the dice decides."""
