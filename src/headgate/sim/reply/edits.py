"""Changes to the events of a stream by their number: more of them, fewer, twice, in another order, late, or cut.

Events are counted from 0, `message_start`, with pings and whatever else stands between; their numbers are those of the
stream as it would have been.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate.sim.reply.stream import Frame

__all__ = ["Edits", "edited"]

END = b"\n\n"
PIECE_BYTES = 16 * 1024


@dataclass(slots=True)
class Edits:
    """What is done to which event; of those that need no value, only that they are in the table counts."""

    inserted: dict[int, list[bytes]] = field(default_factory=dict)
    """Sent before it, as it stands."""
    dropped: dict[int, list[None]] = field(default_factory=dict)
    repeated: dict[int, list[None]] = field(default_factory=dict)
    swapped: dict[int, list[None]] = field(default_factory=dict)
    paused: dict[int, list[float]] = field(default_factory=dict)
    """Seconds of silence before it."""
    cut: dict[int, list[None]] = field(default_factory=dict)
    giant_bytes: int = 0
    """Size of an event without a line end that is sent before event 1."""


def edited(frames: Iterator[Frame], edits: Edits) -> Iterator[Frame]:
    """`frames`, one event each, changed."""
    late_s = 0.0
    held: Frame | None = None
    for number, frame in enumerate(_events(frames)):
        late_s += sum(edits.paused.get(number, ()))
        event = frame._replace(at_s=frame.at_s + late_s) if late_s else frame
        if number == 1 and edits.giant_bytes:
            yield from _giant(event, edits.giant_bytes)
        for data in edits.inserted.get(number, ()):
            if data:
                yield event._replace(data=data, deltas=0, begins=False)
        if number in edits.cut:
            yield event._replace(data=None, deltas=0, begins=False)
            return
        if number in edits.swapped and held is None:
            held = event
            continue
        if number not in edits.dropped:
            yield event
            if number in edits.repeated:
                yield event._replace(deltas=0, begins=False)
        if held is not None:
            yield held._replace(at_s=event.at_s)
            held = None
    if held is not None:
        yield held


def _events(frames: Iterator[Frame]) -> Iterator[Frame]:
    """A frame for each event; what a frame carries goes with its last."""
    for frame in frames:
        parts = [part + END for part in frame.data.split(END)[:-1]] if frame.data is not None else []
        for part in parts[:-1]:
            yield frame._replace(data=part, deltas=0, begins=False)
        yield frame._replace(data=parts[-1]) if len(parts) > 1 else frame


def _giant(like: Frame, size: int) -> Iterator[Frame]:
    """In pieces, so that it is never held whole."""
    yield like._replace(data=b'event: giant\ndata: {"type":"giant","padding":"', deltas=0, begins=False)
    while size > 0:
        yield like._replace(data=b"x" * min(size, PIECE_BYTES), deltas=0, begins=False)
        size -= PIECE_BYTES
    yield like._replace(data=b'"}\n\n', deltas=0, begins=False)
