"""Callers that come back with the same request before their `retry-after` are told to wait longer each time."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from headgate.clock import Clock

__all__ = ["Penalties"]

MAX_FACTOR = 8.0
LONGEST_S = 60.0
"""No wait is made longer than this: who is told twice the hours until a lane opens would miss its opening."""
REMEMBERED = 4096


class Penalties:
    """By caller and request: many calls at once are no impatience, the same call again is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def stretch(self, who: str, body: bytes, retry_after_s: float) -> float:
        """`retry_after_s`, doubled for each time in a row that `who` came back with `body` too early, up to eight times
        and a minute."""
        now_s = self._clock.now_s()
        request = blake2b(body, digest_size=16, key=who.encode()[:64]).digest()
        until_s, factor = self._told.pop(request, (0.0, 1.0))
        factor = min(MAX_FACTOR, factor * 2) if now_s < until_s else 1.0
        wait_s = max(retry_after_s, min(retry_after_s * factor, LONGEST_S))
        self._told[request] = (now_s + wait_s, factor)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return wait_s
