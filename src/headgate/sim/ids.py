"""Identifiers in the shape of the API's: a prefix, `01` and 22 letters and digits, from the injected generator."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

__all__ = ["Ids", "lasting_id"]

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class Ids:
    """Draws identifiers.  One generator, so the same requests in the same order get the same ids."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def new(self, prefix: str) -> str:
        """`prefix` is the part before the underscore: `req`, `msg`, `toolu`, `msgbatch`, `file`."""
        bits = self._rng.getrandbits(132)
        pairs = []
        for _ in range(11):  # eleven pairs of 12 bits each; 4096 values fold onto 58 * 58 pairs
            pairs.append(_PAIRS[(bits & 4095) % len(_PAIRS)])
            bits >>= 12
        return f"{prefix}_01{''.join(pairs)}"


def lasting_id(prefix: str, text: str) -> str:
    """An identifier that follows from `text` alone, for what has one for ever."""
    number = int.from_bytes(blake2b(text.encode(), digest_size=17).digest(), "big")
    letters = ""
    for _ in range(22):
        number, letter = divmod(number, len(_ALPHABET))
        letters += _ALPHABET[letter]
    return f"{prefix}_01{letters}"
