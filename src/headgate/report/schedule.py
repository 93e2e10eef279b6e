"""Sends the report of the day that is over, once to each receiver, also after a restart.

A receiver that does not take it is tried again until the day after is due: nobody is told twice, and a mail server that
is down in the morning still gets its report at noon.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Protocol

import apsw

from headgate.clock import Clock
from headgate.core.day_class import DayClasses
from headgate.errors import LedgerError
from headgate.report.facts import DayReport
from headgate.report.letter import Letter, letter_of
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost

__all__ = ["Postbox", "ReportSchedule"]

log = logging.getLogger("headgate.report")

SIGNAL = "reports"


class Postbox(Protocol):
    """Takes reports."""

    @property
    def name(self) -> str: ...

    async def post(self, letter: Letter) -> None:
        """Raises an exception whose words hold no secret: it was not taken."""
        ...


class ReportSchedule:
    """Looks when it is asked to, once a minute or so.

    Args:
        at: when the day before is told, by the clock of `classes`.
        gather: makes the report of a day, in a thread.
        leads: whether this process, of several that share the files, is the one to tell.
    """

    def __init__(
        self,
        at: time,
        gather: Callable[[date], Awaitable[DayReport]],
        boxes: Sequence[Postbox],
        telemetry: Telemetry,
        classes: DayClasses,
        clock: Clock,
        leads: Callable[[], bool],
    ) -> None:
        self._at = at
        self._gather = gather
        self._boxes = boxes
        self._telemetry = telemetry
        self._classes = classes
        self._clock = clock
        self._leads = leads
        self._letter: tuple[date, Letter | None] | None = None
        self._said: dict[str, str] = {}

    async def look(self) -> None:
        """Send what is due."""
        now_ms = self._clock.unix_ms()
        shown = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self._classes.zone)
        if not self._leads() or shown.time() < self._at:
            return
        day = shown.date() - timedelta(days=1)
        try:
            sent = await self._telemetry.ask(SIGNAL, partial(_sent, day=day))
            waiting = [box for box in self._boxes if box.name not in sent]
            letter = await self._written(day) if waiting else None
        except (TelemetryLost, LedgerError) as problem:
            self._say("report", f"the report of {day} waits: {problem}")
            return
        if letter is not None:
            await asyncio.gather(*(self._post(box, letter, day) for box in waiting))

    async def _written(self, day: date) -> Letter | None:
        """Made once a day; None: nothing happened on it."""
        if self._letter is None or self._letter[0] != day:
            report = await self._gather(day)
            happened = report.total.calls or report.total.cost_pico
            self._letter = (day, letter_of(report, self._clock.unix_ms()) if happened else None)
        return self._letter[1]

    async def _post(self, box: Postbox, letter: Letter, day: date) -> None:
        try:
            await box.post(letter)
        except Exception as problem:  # whatever it is, the others get theirs, and this one is tried again
            self._say(box.name, f"the report of {day} was not taken by {box.name}: {problem}")
            return
        self._said.pop(box.name, None)
        log.info("the report of %s was sent to %s", day, box.name)
        self._telemetry.post(SIGNAL, partial(_mark, day=day, box=box.name, now_ms=self._clock.unix_ms()))

    def _say(self, who: str, words: str) -> None:
        if self._said.get(who) != words:  # once for as long as it stays the same
            self._said[who] = words
            log.warning("%s", words)


def _sent(db: apsw.Connection, day: date) -> set[str]:
    return {name for (name,) in db.execute("SELECT receiver FROM reports WHERE day = ?", (day.isoformat(),))}


def _mark(db: apsw.Connection, day: date, box: str, now_ms: int) -> None:
    db.execute("INSERT OR REPLACE INTO reports VALUES (?, ?, ?)", (day.isoformat(), box, now_ms))
