"""Evaluates every rule, and says what is to be told."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from headgate.alerts.expr import Source, Vector
from headgate.alerts.history import MEMORY_MS, History
from headgate.alerts.machine import Board, Event
from headgate.alerts.notification import Notification
from headgate.alerts.rule import Rule, Watched, detail_line
from headgate.alerts.samples import Labels
from headgate.clock import Clock
from headgate.stores.sqlite.telemetry import TelemetryLost

__all__ = ["Evaluator"]

log = logging.getLogger("headgate.alerts")

MOST_DETAILS = 3
UNMEASURED = "nothing is measured any more that it went by, so that nobody knows whether it is over"
TOLD_WHOLE = ("firing", "repeat")
"""Events with which everything is told that is known of an alert."""


class Evaluator:
    """Evaluates rules over what `history` has.

    Args:
        examples: of what stands behind an alert of a rule, a line each.
    """

    def __init__(
        self,
        rules: Sequence[Watched],
        history: History,
        clock: Clock,
        instance: str,
        examples: Callable[[Rule, Labels], Awaitable[tuple[str, ...]]],
    ) -> None:
        self._rules = {
            watched.id: _Evaluated(watched, any(reach.oldest_ms > MEMORY_MS for reach in watched.reaches))
            for watched in rules
        }
        self._history = history
        self._clock = clock
        self._instance = instance
        self._examples = examples

    def measured(self, rule: str) -> bool:
        """Whether there was anything to go by, when it was last evaluated."""
        return self._rules[rule].measured

    async def evaluate(self, board: Board, now_ms: int, *, coarse: bool) -> list[Notification]:
        """Evaluate all rules, one after another, and give way to calls in between.

        Args:
            coarse: those too that look back for longer than memory does.
        """
        told = []
        for each in self._rules.values():
            await self._clock.sleep(0)
            if each.is_long and not coarse:
                continue
            try:
                found = await self._answer(each, now_ms)
            except TelemetryLost:  # it stays as it is
                continue
            except Exception:  # a defect in one rule must not silence the others
                if not each.is_broken:
                    each.is_broken = True
                    log.exception("alerts: rule %s cannot be evaluated", each.watched.id)
                continue
            for event in board.judge(each.watched.terms, found, now_ms):
                made = self.notification(each.watched, event, now_ms)
                if event.kind in TOLD_WHOLE:
                    examples = await self._examples(each.watched.rule, event.alert.labels)
                    made = replace(made, details=made.details + examples)
                elif not each.measured:
                    made = replace(made, details=(UNMEASURED,))
                told.append(made)
        return told

    async def _answer(self, each: _Evaluated, now_ms: int) -> Vector:
        watched = each.watched

        def look(samples: Source) -> tuple[Vector, bool]:
            return watched.expr.at(samples, now_ms), watched.measured(samples, now_ms)

        if each.is_long:
            found, each.measured = await self._history.over(watched.reaches, now_ms, look)
        else:
            found, each.measured = look(self._history.samples)
        return found

    def notification(self, watched: Watched, event: Event, now_ms: int) -> Notification:
        """What is told of an event, in words."""
        rule, alert, is_over = watched.rule, event.alert, event.kind == "resolved"
        details = self._details(rule, alert.labels, now_ms) if event.kind in TOLD_WHOLE else ()
        return Notification(
            kind=event.kind,
            key=alert.key,
            rule=rule.id,
            alert=rule.alert,
            severity=watched.severity,
            title=rule.title,
            text=watched.past_text(alert, now_ms) if is_over else watched.text(alert.labels, alert.value),
            means=rule.means,
            details=details,
            next=rule.next,
            runbook=rule.runbook_path,
            labels=dict(alert.labels),
            value=alert.value,
            threshold=watched.threshold_of(alert.labels),
            started_ms=alert.since_ms,
            at_ms=now_ms,
            instance=self._instance,
        )

    def _details(self, rule: Rule, labels: Labels, now_ms: int) -> tuple[str, ...]:
        if rule.detail is None:
            return ()
        try:
            found = rule.detail.asks(labels).at(self._history.samples, now_ms)
            return tuple(detail_line(rule.detail, *each) for each in [*found.items()][:MOST_DETAILS])
        except Exception:  # who is woken is told what there is
            log.exception("alerts: what rule %s adds cannot be told", rule.id)
            return ()


@dataclass(slots=True)
class _Evaluated:
    watched: Watched
    is_long: bool
    """It looks back for longer than memory does."""
    measured: bool = False
    is_broken: bool = False
    """Said in the log, once."""
