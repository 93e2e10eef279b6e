"""Answers kept in memory, to be given again.  Pure: time is an argument; bounded by bytes, asked for by age."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

__all__ = ["KeptAnswer", "Memo", "request_key"]

_encode_sorted = msgspec.json.Encoder(order="sorted").encode

ENTRY_BYTES = 400
"""What an answer weighs besides its body."""
LARGEST_SHARE = 0.125
"""No single answer takes more of the room than this."""
ARRIVING_SHARE = 0.5
"""Nor do all that still arrive: one that is here is worth more than one that may come."""
_NOT_OF_THE_ANSWER = ("stream", "metadata")
"""Fields of a request that do not change what is answered; whose request it is stands in the scope."""


class KeptAnswer(NamedTuple):
    """A Message as JSON, and when it was given, in clock seconds."""

    body: bytes
    at_s: float


class Memo:
    """The last answer to each request.  The longest unused go first when room is short."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[bytes, KeptAnswer] = OrderedDict()
        self._arriving = 0
        self.bytes = 0
        """Of all that is kept, and of what still arrives."""

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: bytes, body: bytes, now_s: float) -> None:
        """Remember `body`, in place of an older answer."""
        self._drop(key)
        size = len(body) + ENTRY_BYTES
        if size > self._max_bytes * LARGEST_SHARE:
            return
        self._kept[key] = KeptAnswer(body, now_s)
        self.bytes += size
        self._make_room()

    def hold(self, size: int) -> bool:
        """Whether there is room for `size` bytes more of answers that arrive; until `let_go`."""
        if self._arriving + size > self._max_bytes * ARRIVING_SHARE:
            return False
        self._arriving += size
        self.bytes += size
        self._make_room()
        return True

    def let_go(self, size: int) -> None:
        """Of what was held."""
        self._arriving -= size
        self.bytes -= size

    def recall(self, key: bytes, now_s: float, max_age_s: float) -> KeptAnswer | None:
        """What was answered last, unless it is older than that; others may take it older."""
        answer = self._kept.get(key)
        if answer is None or now_s - answer.at_s > max_age_s:
            return None
        self._kept.move_to_end(key)
        return answer

    def _make_room(self) -> None:
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        answer = self._kept.pop(key, None)
        if answer is not None:
            self.bytes -= len(answer.body) + ENTRY_BYTES


def request_key(scope: Iterable[str | None], document: Mapping[str, Any]) -> bytes:
    """A digest that equal requests of one scope share, however their JSON is written.

    Args:
        scope: whose request it is, and what else the answer hangs on; None and the empty text are two things.
    """
    request = {name: value for name, value in document.items() if name not in _NOT_OF_THE_ANSWER}
    return blake2b(_encode_sorted([list(scope), request]), digest_size=20).digest()
