"""A scenario as values: phases in time, the weather of each, and which requests are to meet what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

__all__ = ["DAY_S", "Cue", "Instant", "Phase", "Ramp", "Scenario", "Span"]

DAY_S = 86_400.0
Instant = float | time | datetime
"""Seconds after the start; a time of day (UTC), every day; or once, at a date."""


class Ramp(NamedTuple):
    """A number that grows or shrinks evenly over its phase."""

    first: float
    last: float

    def at(self, share: float) -> float:
        return self.first + (self.last - self.first) * share


class Span(NamedTuple):
    """When a phase is on, in seconds after the start of the run.

    Attributes:
        every_s: from one beginning to the next, or None for once.
    """

    begin_s: float
    length_s: float
    every_s: float | None

    def round_at(self, at_s: float) -> int | None:
        """The number of the round that is on at `at_s`, or None between rounds."""
        since_s = at_s - self.begin_s
        if since_s < 0:
            return None
        number = int(since_s // self.every_s) if self.every_s is not None else 0
        return number if since_s - number * (self.every_s or 0.0) < self.length_s else None

    def begun_s(self, number: int) -> float:
        return self.begin_s + number * (self.every_s or 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """Which requests of a phase meet what.  A request must fit everything that is given."""

    do: tuple[str, ...]
    """Directives, as in `x-sim`."""
    method: str | None = None
    path: str | None = None
    """A pattern with `*`, as are the next three."""
    model: str | None = None
    key: str | None = None
    workflow: str | None = None
    """Of `x-headgate-workflow`, which a client shows that comes without a gateway."""
    text: str | None = None
    """Stands somewhere in the prompt."""
    stream: bool | None = None
    every: int = 1
    """Only each so-manieth of those that fit."""
    after: int = 0
    """Not the first so many of them."""
    first: int | None = None
    """Of those after that, only so many."""
    probability: float | Ramp = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A part of the run."""

    name: str = ""
    begin: Instant = 0.0
    end: Instant | None = None
    """None is for ever."""
    length_s: float | None = None
    """Instead of `end`."""
    repeat_s: float | None = None
    weather: Mapping[str, Any] = field(default_factory=dict)
    """Conditions and their values, some of them ramps."""
    cues: tuple[Cue, ...] = ()

    def span(self, started: datetime) -> Span:
        """When it is on in a run that begins at `started`.  A time of day comes round daily, also before the start."""
        begin_s = _seconds(self.begin, started)
        daily = isinstance(self.begin, time)
        if daily and begin_s > 0:
            begin_s -= DAY_S
        if self.length_s is not None:
            length_s = self.length_s
        elif self.end is None:
            length_s = float("inf")
        else:
            length_s = _seconds(self.end, started) - begin_s
            if isinstance(self.end, time):
                length_s = length_s % DAY_S or DAY_S
        return Span(begin_s, length_s, self.repeat_s if self.repeat_s is not None else DAY_S if daily else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What goes wrong when.  Where phases overlap, the later one in the file wins."""

    name: str
    about: str
    start: datetime | None = None
    """The simulated date at the start of the run; None is today."""
    phases: tuple[Phase, ...] = ()


def _seconds(instant: Instant, started: datetime) -> float:
    if isinstance(instant, datetime):
        return (instant - started).total_seconds()
    if isinstance(instant, time):
        today: date = started.astimezone(UTC).date()
        return (datetime.combine(today, instant, UTC) - started) / timedelta(seconds=1)
    return instant
