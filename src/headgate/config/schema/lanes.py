"""`[lanes.NAME]`: classes of traffic."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LaneConfig", "shipped_lanes"]


@dataclass(frozen=True, kw_only=True)
class LaneConfig:
    """One class of traffic: its share, how long it may wait, and how long each step may take."""

    weight: float = 1.0
    """Share against other lanes that have calls waiting; 2.0 gets twice what 1.0 gets.  From 0.001 to 1000."""
    headroom: float = 0.0
    """Share of what may go at once that other lanes leave alone, so that a call of this one finds room when they are
    busy.  It takes nothing from their rate.  A lane that has been quiet for ten minutes lends it."""
    max_wait_s: float = 60.0
    """Longest a call may wait for its turn.  0 refuses at once."""
    max_queue: int = 10_000
    """Calls that may wait at the same time, in each pool of models.  When the places are taken, a call of a workflow
    that has less than an even share of them takes the place of the call that came last of one that has more, which is
    refused: one that floods its lane does not keep the others out."""
    open: tuple[str, ...] = ()
    """When calls of this lane are sent, such as `["Mon-Fri 20:00-06:00", "Sat,Sun 00:00-24:00"]`: days and times on the
    clock of `time_zone`.  A window belongs to the day on which it begins; without days it is every day's.  Empty:
    always.  While a lane is closed its calls wait, those whose patience ends before it opens are refused at once."""
    time_zone: str = "UTC"
    """Whose clock `open` is read by: `Europe/Berlin`, `America/New_York`."""
    holidays: tuple[str, ...] = ()
    """Dates, such as `"2026-12-25"`, on which the windows of a Sunday are in force instead of the day's own.  A window
    that began the evening before still lasts until its end."""
    connect_timeout_s: float = 5.0
    """Finding the address, connecting and the TLS handshake together."""
    first_byte_timeout_s: float = 120.0
    """From the request to the headers of a streamed answer."""
    answer_timeout_s: float = 600.0
    """From the request to the headers of an answer that is not streamed: the whole generation lies before them."""
    idle_timeout_s: float = 120.0
    """A stream that sends no byte, not even a ping, for this long is given up."""
    progress_timeout_s: float = 300.0
    """A stream that sends nothing but pings for this long is given up."""
    total_timeout_s: float = 7200.0
    """The call's deadline, over waiting, all attempts and the whole stream."""


def shipped_lanes() -> dict[str, LaneConfig]:
    return {
        "interactive": LaneConfig(weight=4.0, headroom=0.25, max_wait_s=30.0, first_byte_timeout_s=60.0),
        "standard": LaneConfig(weight=2.0, max_wait_s=120.0),
        "bulk": LaneConfig(weight=1.0, max_wait_s=3600.0, first_byte_timeout_s=300.0, total_timeout_s=14_400.0),
    }
