"""Server-sent events: cut a byte stream at event borders, and read one event.

Bytes are never rewritten: what is cut here is forwarded as it came.  Line ends may be LF, CRLF or CR, in any mix, as
the standard allows (html.spec.whatwg.org, 9.2.6).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["EventTooLarge", "Splitter", "before_event", "events"]

MAX_EVENT_BYTES = 8 * 1024 * 1024
_BORDER = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LINE = re.compile(rb"\r\n|\n|\r")
_LF, _CR = b"\n\r"
_BOM = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """One event passed `MAX_EVENT_BYTES` without ending."""


class Splitter:
    """Holds back the unfinished event at the end of what was fed, so that what is passed on always ends at a border."""

    __slots__ = ("_max_bytes", "_tail")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._tail = bytearray()
        self._max_bytes = max_event_bytes

    def feed(self, chunk: bytes) -> bytes:
        """Return the whole events there are now, as they came; maybe none (`b""`)."""
        tail = self._tail
        if not tail:
            if chunk.endswith(b"\n\n") and _CR not in chunk:  # how the API sends: an event or more per chunk
                return chunk
            end = _last_border(chunk, 0)
            tail += chunk[end:]
            whole = chunk[:end]
        else:
            seen = max(0, len(tail) - 3)
            tail += chunk
            end = _last_border(tail, seen)
            whole = bytes(tail[:end])
            del tail[:end]
        if len(tail) > self._max_bytes:
            raise EventTooLarge(f"an event of the stream passes {self._max_bytes} bytes")
        return whole

    @property
    def pending(self) -> bool:
        """Whether an unfinished event is held back."""
        return bool(self._tail)


def _last_border(data: bytes | bytearray, start: int) -> int:
    """The index just after the last event border at or after `start`, or 0."""
    if data.find(b"\r", start) < 0:
        at = data.rfind(b"\n\n", start)
        return at + 2 if at >= 0 else 0
    end = 0
    # A CR at the very end may be half a CRLF.  Either way it ends its line; the other half begins what follows, where
    # an empty line more means nothing.
    for border in _BORDER.finditer(data, start):
        end = border.end()
    return end


def events(whole: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of each event in `whole`, which ends at an event border.  Comments and other fields are skipped."""
    if _CR in whole:
        whole = _LINE.sub(b"\n", whole)
    for block in whole.split(b"\n\n"):
        if block.startswith(b"event: "):  # the one shape the API uses
            name, _, rest = block[7:].partition(b"\n")
            if rest.startswith(b"data: ") and _LF not in rest:
                yield name, rest[6:]
                continue
        if block:
            event = _read(block)
            if event is not None:
                yield event


def before_event(whole: bytes, name: bytes) -> bytes:
    """What stands in `whole` before its first event of that name: all of it, if there is none."""
    start = 0
    for border in _BORDER.finditer(whole):
        if any(found == name for found, _ in events(whole[start : border.end()])):
            return whole[:start]
        start = border.end()
    return whole


def _read(block: bytes) -> tuple[bytes, bytes] | None:
    name = b""
    data: list[bytes] = []
    for line in block.removeprefix(_BOM).split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value
        elif field == b"data":
            data.append(value)
    return (name, b"\n".join(data)) if name or data else None
