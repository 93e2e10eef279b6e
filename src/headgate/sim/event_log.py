"""What happened in the simulator, one JSON line each: written only where it is asked for.

    {"at_s":0.25,"event":"admitted","request_id":"req_01…","model":"claude-haiku-5-5","input_tokens":14,…}

`at_s` is simulated seconds since the log began.  In virtual time the same seed and the same requests give the same
lines, byte for byte, whatever else the machine does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.json import encode

from headgate.clock import Clock
from headgate.sim.account.books import Entry

__all__ = ["EVENTS", "EventLog"]

EVENTS = {
    "arrived": "A request is there, whole: its method, path and size.",
    "admitted": "A message passed the limits: its model, and the input tokens charged at first.",
    "cache": "How its prompt met the prompt cache: tokens read, written and neither.",
    "limited": "A 429: which kind, and what `retry-after` says.",
    "answered": "The head of the answer goes out: its status.",
    "began": "The first byte of a message's content is made.",
    "ended": "A message is over: `complete`, `cut`, or `client_left`, and how many tokens were made.",
    "billed": "An entry of the books: what it used and what that costs.",
}
"""Every event, in the order in which one request meets them; a streamed one is answered before it begins."""


class EventLog:
    """Hands every line to `write`, with its line end, at once.

    Args:
        write: a binary file's `write`, a list's `append`.
    """

    def __init__(self, write: Callable[[bytes], object], clock: Clock) -> None:
        self._write = write
        self._now_s = clock.now_s
        self._began_s = clock.now_s()

    def add(self, event: str, request_id: str, **told: Any) -> None:
        """One line, at this instant."""
        at_s = round(self._now_s() - self._began_s, 6)
        self._write(encode({"at_s": at_s, "event": event, "request_id": request_id, **told}) + b"\n")

    def billed(self, entry: Entry) -> None:
        """An entry of the books, in its own words."""
        told = entry.told()
        self.add("billed", told.pop("request_id"), **told)
