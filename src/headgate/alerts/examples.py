"""Examples of what an alert is about: which calls, from which addresses.  A notification names them, no label does.

They are written into the telemetry file, so that whichever process tells knows those of all, also after a restart.
"""

from __future__ import annotations

from functools import partial

import apsw

from headgate.alerts.rule import Rule, example_line
from headgate.alerts.samples import Labels
from headgate.clock import Clock
from headgate.stores.sqlite.exemplar_rows import exemplars_since, write_exemplars
from headgate.stores.sqlite.telemetry import Telemetry, TelemetryLost
from headgate.telemetry.metrics.exemplars import KEPT, Exemplars

__all__ = ["Examples", "examples_of", "lately"]

MOST_LATELY = 10
"""Of all alerts of a rule."""


class Examples:
    """Those of all processes that share the file."""

    def __init__(self, exemplars: Exemplars, telemetry: Telemetry, clock: Clock) -> None:
        self._exemplars = exemplars
        self._telemetry = telemetry
        self._clock = clock

    def keep(self) -> None:
        """Write down those of this process."""
        if found := self._exemplars.take():
            at_ms = self._clock.unix_ms()
            self._telemetry.post("alerts", partial(write_exemplars, at_ms=at_ms, exemplars=found))

    async def look(self) -> None:
        """The same, for whoever does it again and again."""
        self.keep()

    async def of(self, rule: Rule, labels: Labels) -> tuple[str, ...]:
        """A line for each that stands behind an alert, largest first; none if nobody knows."""
        if rule.examples is None:
            return ()
        now_ms = self._clock.unix_ms()
        try:
            return await self._telemetry.ask("alerts", lambda db: examples_of(db, rule, labels, now_ms))
        except TelemetryLost:
            return ()


def examples_of(db: apsw.Connection, rule: Rule, labels: Labels, now_ms: int) -> tuple[str, ...]:
    """Those of one alert of a rule."""
    its = rule.examples
    if its is None:
        return ()
    label = dict(labels).get(its.of.labels[0].name, "") if its.of.labels else ""
    since_ms = now_ms - round(its.window_s * 1000)
    return tuple(example_line(its, each) for each in exemplars_since(db, its.of.name, label, since_ms, most=KEPT))


def lately(db: apsw.Connection, rule: Rule, now_ms: int) -> tuple[str, ...]:
    """Those of all alerts that a rule may have, whether it fires or not."""
    its = rule.examples
    if its is None:
        return ()
    found = exemplars_since(db, its.of.name, None, now_ms - round(its.window_s * 1000), most=MOST_LATELY)
    return tuple(f"{each.label}  {example_line(its, each)}".strip() for each in found)
